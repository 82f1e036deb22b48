"""What bindings, Works and members' objects say of each other, and where they do not agree. Pure: works on what was read.

Between two reads things change, so a disagreement counts once it is found again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.objects import (
    annotations_of,
    identity,
    identity_in,
    labels_of,
    metadata,
    name,
    namespace,
    spec,
    status,
    uid,
)
from kafila.placement.rollout.begin import revision_for

# reasons
NO_CLUSTER: Final = "WorkWithoutCluster"
NO_BINDING: Final = "WorkWithoutBinding"
NOT_WANTED: Final = "WorkNotWanted"
NO_WORK: Final = "WorkMissing"
ORPHANED: Final = "ObjectWithoutWork"
MISSING: Final = "ObjectMissing"
CLAIMED: Final = "ObjectOfOtherWork"

_IDS: Final = (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID)


class Disagreement(NamedTuple):
    cluster: str  # "": in the control plane
    kind: str
    namespace: str
    name: str
    reason: str
    message: str


def of_works(bindings: Sequence[Object], works: Iterable[Object], clusters: Sequence[Object]) -> Iterator[Disagreement]:
    """Between bindings (of both kinds), Works and Clusters. Works that no binding made are nobody's business here."""
    by_id = {found: each for each in bindings if (found := _id(each))}
    known = {name(each) for each in clusters}
    placed: dict[Identity, set[str]] = defaultdict(set)
    for work in works:
        if not namespace(work).startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            continue
        cluster = constants.cluster_of(namespace(work))
        for each in _manifests(work):
            placed[identity(each)].add(cluster)
        if metadata(work).get("deletionTimestamp"):
            continue
        if cluster not in known:
            yield _of(work, "Work", NO_CLUSTER, f"there is no cluster {cluster}")
            continue
        if not (found := _id(work)):
            continue
        binding = by_id.get(found)
        if binding is None:
            yield _of(work, "Work", NO_BINDING, "its binding is not there")
        elif cluster not in _wanted(binding) | _leaving(binding):
            yield _of(work, "Work", NOT_WANTED, f"{_called(binding)} does not place anything in {cluster}")
    for binding in bindings:
        if metadata(binding).get("deletionTimestamp"):
            continue
        for cluster in sorted((_wanted(binding) & known) - placed[identity_in(spec(binding)["resource"])]):
            if _is_waited_for(binding, cluster):
                continue
            yield _of(binding, binding["kind"], NO_WORK, f"there is no Work of it for cluster {cluster}")


def of_member(
    cluster: str, works: Iterable[Object], held: Iterable[Object], listed: set[tuple[str, str]]
) -> Iterator[Disagreement]:
    """``works``: those of its execution namespace. ``held``: what the member has with the label ``karmada.io/managed``.
    ``listed``: (group, kind) of what it was asked for."""
    here = constants.execution_namespace(cluster)
    mine = {name(work): work for work in works if namespace(work) == here}
    wanted = {called: {identity(each) for each in _manifests(work)} for called, work in mine.items()}
    there: set[Identity] = set()
    claimed: list[tuple[Object, str, str]] = []
    used: set[str] = set()
    for obj in held:
        is_what = identity(obj)
        there.add(is_what)
        where, called = (annotations_of(obj).get(each, "") for each in (constants.WORK_NAMESPACE, constants.WORK_NAME))
        if where == here and is_what in wanted.get(called, ()):
            used.add(uid(obj))
        elif called and not _is_derived(obj):
            claimed.append((obj, where, called))
    for obj, where, called in claimed:
        if where != here:
            yield _of(obj, obj["kind"], CLAIMED, f"it says that it is of Work {where}/{called}", cluster)
        elif uid(obj) not in used:  # the same object under another kind, as OpenShift's Project is its Namespace
            yield _of(obj, obj["kind"], ORPHANED, f"there is no Work {here}/{called} with it", cluster)
    for work in mine.values():
        if metadata(work).get("deletionTimestamp") or not _is_applied(work):
            continue
        for each in _manifests(work):
            found = identity(each)
            if (found.group, found.kind) in listed and found not in there:
                yield _of(each, each["kind"], MISSING, f"Work {name(work)} says that it is applied", cluster)


def _is_derived(obj: Object) -> bool:
    """Made by a controller there for one of ours, with its labels and annotations (EndpointSlices, Pods)."""
    return any(owner.get("controller") for owner in metadata(obj).get("ownerReferences") or ())


def _of(obj: Object, kind: str, reason: str, message: str, cluster: str = "") -> Disagreement:
    return Disagreement(cluster, kind, namespace(obj), name(obj), reason, message)


def _id(obj: Object) -> str:
    labels = labels_of(obj)
    return next((labels[each] for each in _IDS if labels.get(each)), "")


def _called(binding: Object) -> str:
    return "/".join(part for part in (binding["kind"], namespace(binding), name(binding)) if part)


def _is_waited_for(binding: Object, cluster: str) -> bool:
    """Has it none because its turn in the first rollout of the object has not come?"""
    rollout = status(binding).get("rollout")
    return rollout is not None and not revision_for(rollout, cluster)


def _wanted(binding: Object) -> set[str]:
    """The clusters that it places something in, for itself or for those that depend on it."""
    own = _names(spec(binding).get("clusters"))
    for snapshot in spec(binding).get("requiredBy") or ():
        own |= _names(snapshot.get("clusters"))
    return own


def _leaving(binding: Object) -> set[str]:
    tasks = spec(binding).get("gracefulEvictionTasks") or ()
    return {task.get("fromCluster", "") for task in tasks}


def _names(clusters: Sequence[Mapping[str, str]] | None) -> set[str]:
    return {each.get("name", "") for each in clusters or ()}


def _manifests(work: Object) -> list[Object]:
    return (spec(work).get("workload") or {}).get("manifests") or []


def _is_applied(work: Object) -> bool:
    conditions = status(work).get("conditions") or ()
    return any(each.get("type") == constants.COND_APPLIED and each.get("status") == "True" for each in conditions)
