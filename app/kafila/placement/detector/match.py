"""Which policy places a resource template: resource selectors, priorities, and the reason why the other policies lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import orjson

from kafila.core import selectors
from kafila.core.remembered import remembered
from kafila.core.resources import GroupVersionKind
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.objects import labels_of, name, namespace
from kafila.placement.types import PropagationPolicy


class Priority(IntEnum):
    """How precisely a selector names a resource; the greater wins between policies of equal explicit priority."""

    MISMATCH = 0
    ALL = 1
    LABEL_SELECTOR = 2
    NAME = 3


class Match(NamedTuple):
    """The chosen policy, or None; ``lost`` says of every other policy that was considered why it was not chosen."""

    policy: PropagationPolicy | None
    lost: tuple[tuple[str, str], ...]  # (policy as ``namespace/name`` or ``name``, reason)


SKIPPED_GROUPS: Final = frozenset(
    f"{group}.karmada.io"
    for group in ("cluster", "policy", "work", "config", "networking", "autoscaling", "remedy", "apps")
) | {"events.k8s.io", "placement.kafila.io"}
_SKIPPED_VERSIONS: Final = frozenset({("coordination.k8s.io", "v1")})
_SKIPPED_KINDS: Final = frozenset({GroupVersionKind("", "v1", "Event")})
DEFAULT_SKIPPED_NAMESPACES: Final = (re.compile("kube-.*"),)


# What every cluster makes for itself in each namespace: only a selector that names it takes it
_EACH_CLUSTERS_OWN: Final = frozenset({("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")})


def selector_priority(template: Object, selector: AnyObject) -> Priority:
    """How ``selector`` (a ResourceSelector) matches ``template``. With a name the label selector is ignored."""
    if template.get("apiVersion") != selector.get("apiVersion") or template.get("kind") != selector.get("kind"):
        return Priority.MISMATCH
    wanted = selector.get("namespace")
    if wanted and wanted != namespace(template):
        return Priority.MISMATCH
    wanted = selector.get("name")
    if wanted:
        return Priority.NAME if wanted == name(template) else Priority.MISMATCH
    if (template.get("kind"), name(template)) in _EACH_CLUSTERS_OWN and template.get("apiVersion") == "v1":
        return Priority.MISMATCH
    label_selector = selector.get("labelSelector")
    if label_selector is None:
        return Priority.ALL
    compiled = readable(label_selector)
    return Priority.LABEL_SELECTOR if compiled and compiled.matches(labels_of(template)) else Priority.MISMATCH


def readable(label_selector: AnyObject) -> selectors.Selector | None:
    """None where it is not valid: it selects nothing then."""
    return _compiled(orjson.dumps(label_selector))


@remembered(16384)
def _compiled(label_selector: bytes) -> selectors.Selector | None:
    """A selector is asked for every template of its kind."""
    try:
        return selectors.from_object(orjson.loads(label_selector))
    except selectors.SelectorError:
        return None


def selectors_priority(template: Object, resource_selectors: Iterable[AnyObject] | None) -> Priority:
    return max((selector_priority(template, s) for s in resource_selectors or ()), default=Priority.MISMATCH)


def selectors_match(template: Object, resource_selectors: Iterable[AnyObject] | None) -> bool:
    return any(selector_priority(template, s) for s in resource_selectors or ())


def explicit_priority(policy: PropagationPolicy) -> int:
    return policy["spec"].get("priority") or 0


def best_policy(template: Object, policies: Iterable[PropagationPolicy]) -> Match:
    """The policy of one kind that wins: explicit priority, then implicit priority, then the smaller name."""
    best: PropagationPolicy | None = None
    best_rank: tuple[int, int] = (0, 0)
    lost: list[tuple[str, str]] = []
    for policy in policies:
        implicit = selectors_priority(template, policy["spec"].get("resourceSelectors"))
        if not implicit:
            lost.append((_reference(policy), "its resource selectors do not match"))
            continue
        rank = (explicit_priority(policy), int(implicit))
        if best is None:
            best, best_rank = policy, rank
        elif rank > best_rank or (rank == best_rank and name(policy) < name(best)):
            lost.append((_reference(best), _why_lost(best, best_rank, policy, rank)))
            best, best_rank = policy, rank
        else:
            lost.append((_reference(policy), _why_lost(policy, rank, best, best_rank)))
    return Match(best, tuple(lost))


def choose_policy(
    template: Object, policies: Sequence[PropagationPolicy], cluster_policies: Sequence[PropagationPolicy]
) -> Match:
    """For a template that no policy has claimed: any PropagationPolicy of its namespace beats every ClusterPropagationPolicy."""
    where = namespace(template)
    chosen = (
        best_policy(template, (p for p in policies if namespace(p) == where and not _is_terminating(p)))
        if where
        else Match(None, ())
    )
    cluster_wide = best_policy(template, (p for p in cluster_policies if not _is_terminating(p)))
    if chosen.policy is None:
        return Match(cluster_wide.policy, chosen.lost + cluster_wide.lost)
    beaten: tuple[tuple[str, str], ...] = ()
    if cluster_wide.policy is not None:
        beaten = ((_reference(cluster_wide.policy), f"PropagationPolicy {_reference(chosen.policy)} comes first"),)
    return Match(chosen.policy, chosen.lost + beaten + cluster_wide.lost)


def why_others_lost(
    template: Object,
    winner: PropagationPolicy,
    policies: Sequence[PropagationPolicy],
    cluster_policies: Sequence[PropagationPolicy],
    claimed: bool,
) -> list[tuple[str, str]]:
    """Of every other policy that selects the template: why ``winner`` places it. ``claimed``: it did so before."""
    lost = []
    mine = _rank(template, winner)
    for policy in (*policies, *cluster_policies):
        rank = _rank(template, policy)
        if _reference(policy) == _reference(winner) or not rank[1] or _is_terminating(policy):
            continue
        if namespace(winner) and not namespace(policy):
            reason = f"PropagationPolicy {_reference(winner)} comes first"
        elif claimed and (rank > mine or (rank == mine and name(policy) < name(winner))):
            reason = (
                f"{_reference(winner)} claimed the resource before; only a policy with preemption: Always takes it over"
            )
        else:
            reason = _why_lost(policy, rank, winner, mine)
        lost.append((_reference(policy), reason))
    return lost


def _rank(template: Object, policy: PropagationPolicy) -> tuple[int, int]:
    return explicit_priority(policy), int(selectors_priority(template, policy["spec"].get("resourceSelectors")))


def preempting(
    template: Object,
    claimed: PropagationPolicy,
    policies: Iterable[PropagationPolicy],
    cluster_policies: Iterable[PropagationPolicy],
) -> PropagationPolicy | None:
    """The policy that takes a claimed template away: it asks for that (``preemption: Always``), names the template, and comes first.

    A PropagationPolicy comes before every ClusterPropagationPolicy; between policies of one kind a higher explicit priority is needed.
    """
    higher = explicit_priority(claimed) + 1
    by_kind = [(policies, higher)] if namespace(claimed) else [(policies, None), (cluster_policies, higher)]
    for some, least in by_kind:
        taking = [
            policy
            for policy in some
            if policy["spec"].get("preemption") == "Always"
            and not _is_terminating(policy)
            and (least is None or explicit_priority(policy) >= least)
            and selectors_priority(template, policy["spec"].get("resourceSelectors")) is Priority.NAME
        ]
        if taking:
            return best_policy(template, taking).policy
    return None


def is_skipped(gvk: GroupVersionKind) -> bool:
    """Kinds that are never propagated: Karmada's own (but not multicluster.x-k8s.io), events and leases."""
    return gvk.group in SKIPPED_GROUPS or (gvk.group, gvk.version) in _SKIPPED_VERSIONS or gvk in _SKIPPED_KINDS


def is_skipped_object(
    kind: str, namespace: str, name: str, skipped_namespaces: Sequence[re.Pattern[str]] = DEFAULT_SKIPPED_NAMESPACES
) -> bool:
    """Objects in reserved namespaces, and in those that ``--skipped-propagating-namespaces`` names."""
    if constants.is_reserved_namespace(namespace) or is_skipped_namespace(namespace, skipped_namespaces):
        return True
    return namespace == "kube-system" and kind == "ConfigMap" and name == "extension-apiserver-authentication"


def is_skipped_namespace(namespace: str, skipped: Sequence[re.Pattern[str]] = DEFAULT_SKIPPED_NAMESPACES) -> bool:
    return any(pattern.fullmatch(namespace) for pattern in skipped)


def _is_terminating(policy: PropagationPolicy) -> bool:
    return bool((policy.get("metadata") or {}).get("deletionTimestamp"))


def _reference(policy: PropagationPolicy) -> str:
    where = namespace(policy)
    return f"{where}/{name(policy)}" if where else name(policy)


def _why_lost(
    loser: PropagationPolicy, rank: tuple[int, int], winner: PropagationPolicy, winner_rank: tuple[int, int]
) -> str:
    if rank[0] != winner_rank[0]:
        return f"priority {rank[0]} is lower than {winner_rank[0]} of {_reference(winner)}"
    if rank[1] != winner_rank[1]:
        return f"{_reference(winner)} selects the resource more precisely"
    return f"{_reference(winner)} comes first by name"
