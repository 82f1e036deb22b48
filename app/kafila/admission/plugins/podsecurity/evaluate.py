"""Which checks a standard asks, and what a pod violates of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from kafila.core.values import Object

from . import baseline, restricted
from .pods import Check, Violation
from .standards import PRIVILEGED, RESTRICTED, Standard

# a newer version than the last that changed a check is that one
_NEWEST: Final = max(checks[-1][0] for checks in (*baseline.CHECKS.values(), *restricted.CHECKS.values()))


def violations(standard: Standard, metadata: Object, spec: Object) -> list[Violation]:
    """``metadata`` and ``spec`` of a pod or of a template of pods."""
    if standard.level == PRIVILEGED:
        return []
    checks = _checks(standard.level, min(standard.version, _NEWEST))
    return [found for check in checks if (found := check(metadata, spec)) is not None]


@cache
def _checks(level: str, version: int) -> tuple[Check, ...]:
    """The baseline's first, each in the order of their names: this is the order of messages."""
    of_baseline = _in_force(baseline.CHECKS, version)
    if level != RESTRICTED:
        return tuple(of_baseline.values())
    more = _in_force(restricted.CHECKS, version)
    replaced = {restricted.OVERRIDES.get(name) for name in more}
    return (*(check for name, check in of_baseline.items() if name not in replaced), *more.values())


def _in_force(table: Mapping[str, tuple[tuple[int, Check], ...]], version: int) -> dict[str, Check]:
    return {
        name: [check for since, check in table[name] if since <= version][-1]
        for name in sorted(table)
        if table[name][0][0] <= version
    }
