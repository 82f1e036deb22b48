"""RBAC's rules: what one allows, and whether some allow all that others do. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, final

import msgspec

from kafila.core.quoting import quoted_list

ALL: Final = "*"


@final
class Rule(msgspec.Struct, frozen=True, gc=False):
    """A PolicyRule. It is for resources or for paths; one that is for both is refused, and older ones may still be there."""

    verbs: tuple[str, ...] | None = None
    apiGroups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resourceNames: tuple[str, ...] | None = None
    nonResourceURLs: tuple[str, ...] | None = None


FULL_AUTHORITY: Final = (
    Rule(verbs=(ALL,), apiGroups=(ALL,), resources=(ALL,)),
    Rule(verbs=(ALL,), nonResourceURLs=(ALL,)),
)


def allows_resource(rule: Rule, verb: str, group: str, resource: str, subresource: str) -> bool:
    """Whatever the name is: whether that fits is another question."""
    verbs, groups = rule.verbs or (), rule.apiGroups or ()
    if (verb not in verbs and ALL not in verbs) or (group not in groups and ALL not in groups):
        return False
    resources = rule.resources or ()
    if ALL in resources or (f"{resource}/{subresource}" if subresource else resource) in resources:
        return True
    return bool(subresource) and f"*/{subresource}" in resources


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    verbs = rule.verbs or ()
    return (verb in verbs or ALL in verbs) and any(_path_covers(url, path) for url in rule.nonResourceURLs or ())


def _path_covers(pattern: str, path: str) -> bool:
    if pattern in (ALL, path):
        return True
    return pattern.endswith(ALL) and path.startswith(pattern.rstrip(ALL))


# -- one set of rules against another --------------------------------------------------------------------------------------


class TooManyRules(Exception):
    """More of them, or of their parts, than are compared."""


def uncovered(owned: Sequence[Rule], wanted: Iterable[Rule], effort: float = math.inf) -> list[Rule]:
    """What the ``wanted`` rules allow and the ``owned`` do not: one verb, one resource, one name each.

    ``effort``: comparisons after which what was found so far is all. Raises TooManyRules where that is nothing: a rule of a few
    thousand verbs, groups and resources has more parts than anybody can read.
    """
    same = frozenset(owned)
    missing: list[Rule] = []
    for rule in wanted:
        if rule in same:
            continue
        effort -= len(owned)
        touching = [mine for mine in owned if _touches(mine, rule)] if effort > 0 else []
        if any(_covers(mine, rule) for mine in touching):
            continue
        for part in _parts(rule):
            effort -= len(touching) + 8  # to make one, and to say that it is missing, costs more than to compare
            if effort <= 0:
                if not missing:
                    raise TooManyRules
                return missing
            if not any(_covers(mine, part) for mine in touching):
                missing.append(part)
    return missing


def _touches(owned: Rule, wanted: Rule) -> bool:
    """Whether it may cover a part: most do not, and need not be asked about each."""
    return _shares(owned.verbs, wanted.verbs) and (
        _shares(owned.apiGroups, wanted.apiGroups) or bool(owned.nonResourceURLs and wanted.nonResourceURLs)
    )


def _shares(owned: tuple[str, ...] | None, wanted: tuple[str, ...] | None) -> bool:
    mine = owned or ()
    return ALL in mine or not frozenset(mine).isdisjoint(wanted or ())


def _parts(rule: Rule) -> Iterable[Rule]:
    names: list[tuple[str, ...] | None] = [(name,) for name in rule.resourceNames or ()]
    names = names or [None]
    for group in rule.apiGroups or ():
        for resource in rule.resources or ():
            for verb in rule.verbs or ():
                for name in names:
                    yield Rule((verb,), (group,), (resource,), name)
    for url in rule.nonResourceURLs or ():
        for verb in rule.verbs or ():
            yield Rule((verb,), nonResourceURLs=(url,))


def _covers(owned: Rule, part: Rule) -> bool:
    """``part`` has one of everything."""
    return (
        _has(owned.verbs, part.verbs)
        and _has(owned.apiGroups, part.apiGroups)
        and _covers_resource(owned.resources, part.resources)
        and _covers_name(owned.resourceNames, part.resourceNames)
        and all(
            any(
                url == mine or (mine.endswith(ALL) and url.startswith(mine.rstrip(ALL)))
                for mine in owned.nonResourceURLs or ()
            )
            for url in part.nonResourceURLs or ()
        )
    )


def _has(owned: tuple[str, ...] | None, wanted: tuple[str, ...] | None) -> bool:
    mine = owned or ()
    return ALL in mine or all(each in mine for each in wanted or ())


def _covers_resource(owned: tuple[str, ...] | None, wanted: tuple[str, ...] | None) -> bool:
    mine = owned or ()
    if _has(owned, wanted):
        return True
    for resource in wanted or ():
        _, slash, subresource = resource.partition("/")
        if resource not in mine and not (slash and f"*/{subresource}" in mine):
            return False
    return True


def _covers_name(owned: tuple[str, ...] | None, wanted: tuple[str, ...] | None) -> bool:
    return not owned or (bool(wanted) and all(name in owned for name in wanted or ()))


def compacted(parts: Iterable[Rule]) -> list[Rule]:
    """Parts that differ only by their verb, together."""
    simple: dict[tuple[str, str, tuple[str, ...] | None], list[str]] = {}
    others: list[Rule] = []
    for part in parts:
        if part.apiGroups and part.resources:
            simple.setdefault((part.apiGroups[0], part.resources[0], part.resourceNames), []).extend(part.verbs or ())
        else:
            others.append(part)
    return others + [
        Rule(tuple(verbs), (group,), (resource,), name) for (group, resource, name), verbs in simple.items()
    ]


def shown(rule: Rule) -> str:
    """As the refusal of an escalation shows it."""
    fields = (
        ("APIGroups", rule.apiGroups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.nonResourceURLs),
        ("ResourceNames", rule.resourceNames),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{quoted_list(values)}" for name, values in fields if values) + "}"
