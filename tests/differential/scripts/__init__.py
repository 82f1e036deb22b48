"""The scripts: each module has ``cases()``. An area is what a module is about, so that the score says where it hurts."""

from __future__ import annotations

import importlib

from differential.steps import Case

MODULES = ("lifecycle", "written", "large", "mutations", "grafts", "documents", "rules")


def all_cases() -> list[Case]:
    cases = [case for name in MODULES for case in importlib.import_module(f"{__name__}.{name}").cases()]
    ids = [case.id for case in cases]
    if len(ids) != len(set(ids)):
        raise ValueError(f"cases of one name: {sorted(i for i in ids if ids.count(i) > 1)}")
    return cases
