"""Which requests a policy or a binding is about (k8s.io/apiserver policy/matching)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kafila.admission.webhooks.attributes import Attributes
from kafila.admission.webhooks.hooks import Rule, rule_of, selector_of
from kafila.admission.webhooks.index import NamespaceLabels, selects
from kafila.catalog.kind import Kind
from kafila.core import selectors
from kafila.core.values import Object


class NamedRule(NamedTuple):
    """``names``: of objects; empty for all."""

    rule: Rule
    names: frozenset[str]

    def about(self, name: str) -> bool:
        return not self.names or name in self.names


class MatchResources(NamedTuple):
    """Without rules it is about everything that its selectors select."""

    rules: tuple[NamedRule, ...]
    excluded: tuple[NamedRule, ...]
    equivalent: bool
    namespaces: selectors.Selector
    objects: selectors.Selector


class Targets(NamedTuple):
    """What rules make of a resource, subresource and operation, whatever the object is: worked out once for each."""

    found: tuple[tuple[NamedRule, Kind], ...]
    excluded: tuple[NamedRule, ...]


def match_resources_of(given: Object | None) -> MatchResources:
    given = given or {}
    return MatchResources(
        tuple(map(_named_rule, given.get("resourceRules") or ())),
        tuple(map(_named_rule, given.get("excludeResourceRules") or ())),
        given.get("matchPolicy") != "Exact",
        selector_of(given.get("namespaceSelector")),
        selector_of(given.get("objectSelector")),
    )


def _named_rule(given: Object) -> NamedRule:
    return NamedRule(rule_of(given), frozenset(given.get("resourceNames") or ()))


def targets_of(
    match: MatchResources, kind: Kind, equivalents: Sequence[Kind], subresource: str, operation: str
) -> Targets:
    def matched(rules: Sequence[NamedRule]) -> Iterator[tuple[NamedRule, Kind]]:
        others = [other for other in equivalents if other is not kind] if match.equivalent else []
        for candidates in ([kind], others):
            for named in rules:
                for target in candidates:
                    if _matches(named.rule, target, subresource, operation):
                        yield named, target

    found = tuple(matched(match.rules)) if match.rules else ((NamedRule(_ALL, frozenset()), kind),)
    return Targets(found, tuple(named for named, _ in matched(match.excluded)))


_ALL = Rule(frozenset("*"), frozenset("*"), frozenset("*"), (("*", "*"),), "*")


def target_of_all(match: MatchResources, targets: Targets) -> Kind | None:
    """What :func:`matched` says of each request that the rules match, where nothing else decides; None where something does."""
    if targets.excluded or not match.namespaces.empty or not match.objects.empty:
        return None
    named, target = targets.found[0]
    return None if named.names else target


def _matches(rule: Rule, kind: Kind, subresource: str, operation: str) -> bool:
    return rule.matches(kind.group, kind.version, kind.plural, subresource, operation, cluster=not kind.namespaced)


def matched(match: MatchResources, targets: Targets, asked: Attributes, labels: NamespaceLabels) -> Kind | None:
    """As which kind the object is shown; None: it is not about this request. Raises StatusError 404."""
    if any(named.about(asked.name) for named in targets.excluded):
        return None
    target = next((target for named, target in targets.found if named.about(asked.name)), None)
    if target is None or not selects(match, asked, labels):
        return None
    return target
