"""What an object that a server creates at its start has to become, when somebody has changed it since. Pure.

As in kube-apiserver: what is missing is added and nothing is taken away, unless the object says that it is to be left alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kafila.core.values import Object

from .rules import Rule, uncovered

AUTO_UPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
_REFERENCE: Final = ("apiGroup", "kind", "name")
_SUBJECT: Final = ("kind", "apiGroup", "name", "namespace")


def is_protected(existing: Object) -> bool:
    return (existing["metadata"].get("annotations") or {}).get(AUTO_UPDATE) == "false"


def reconciled_role(existing: Object, expected: Object) -> Object | None:
    """None when there is nothing to do."""
    if is_protected(existing):
        return None
    new = _with_metadata(existing, expected)
    missing = uncovered(rules_of(existing), rules_of(expected))
    if missing:
        new["rules"] = [*(existing.get("rules") or ()), *map(dict_of, missing)]
    wanted, had = expected.get("aggregationRule"), existing.get("aggregationRule")
    if wanted is None:
        new.pop("aggregationRule", None)
    else:
        selectors = list((had or {}).get("clusterRoleSelectors") or ())
        added = [each for each in wanted.get("clusterRoleSelectors") or () if each not in selectors]
        if added:
            new["aggregationRule"] = {"clusterRoleSelectors": selectors + added}
    return new if new != existing else None


def has_other_role(existing: Object, expected: Object) -> bool:
    """Such a binding has to be made anew: what it refers to cannot change."""
    return _parts(existing["roleRef"], _REFERENCE) != _parts(expected["roleRef"], _REFERENCE)


def reconciled_binding(existing: Object, expected: Object) -> Object | None:
    """None when there is nothing to do."""
    if is_protected(existing):
        return None
    new = _with_metadata(existing, expected)
    subjects = list(existing.get("subjects") or ())
    known = {_parts(each, _SUBJECT) for each in subjects}
    missing = [each for each in expected.get("subjects") or () if _parts(each, _SUBJECT) not in known]
    if missing:
        new["subjects"] = subjects + missing
    return new if new != existing else None


def rules_of(role: Object) -> tuple[Rule, ...]:
    return msgspec.convert(role.get("rules") or (), tuple[Rule, ...])


def dict_of(rule: Rule) -> Object:
    return {name: list(value) for name in rule.__struct_fields__ if (value := getattr(rule, name))}


def _parts(of: Object, fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(of.get(field) or "" for field in fields)


def _with_metadata(existing: Object, expected: Object) -> Object:
    """A copy that has the labels and annotations that are expected; where both have one, the existing counts. What it does not
    change it shares: this is done to all roles at each start, and seldom is there something to change."""
    new = {**existing, "metadata": {**existing["metadata"]}}
    for part in ("annotations", "labels"):
        merged = {**(expected["metadata"].get(part) or {}), **(existing["metadata"].get(part) or {})}
        if merged:
            new["metadata"][part] = merged
    return new
