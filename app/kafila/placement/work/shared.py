"""One Work for several bindings.

A cluster-scoped object may have a binding of its own and, where workloads need it, one in each of their namespaces. Their Works
have one name, so that each member has one, with the labels of those it was written for. Where several bindings need it the
youngest decides (in Karmada whoever wrote last), and it stays as long as any of them needs it (in Karmada it goes with the one
that wrote last).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from kafila.placement import constants
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    namespace,
)
from kafila.placement.spec import existing_clusters, targets_of
from kafila.placement.types import AggregatedStatusItem, Binding, Work

_LABELS: Final = (
    (constants.RB_PERMANENT_ID, (constants.RB_NAMESPACE, constants.RB_NAME)),
    (constants.CRB_PERMANENT_ID, (constants.CRB_NAME,)),
)


@final
class SharedWorks:
    """What the bindings of one object need."""

    def __init__(self, bindings: Iterable[Binding] = ()) -> None:
        self._bindings = {namespace(binding): binding for binding in bindings}
        self._count()

    def put(self, binding: Binding) -> None:
        """It is new, or has changed."""
        old = self._bindings.get(namespace(binding))
        self._bindings[namespace(binding)] = binding
        if old is None or old["spec"] != binding["spec"]:
            self._count()

    def left_to_others(self, binding: Binding) -> frozenset[str]:
        """Clusters where a younger binding decides."""
        where, own = namespace(binding), _age(binding)
        return frozenset(
            cluster for cluster, other in self._youngest.items() if namespace(other) != where and _age(other) > own
        )

    def needed_by_others(self, binding: Binding) -> frozenset[str]:
        """Clusters where the object stays without this binding."""
        where = namespace(binding)
        return frozenset(cluster for cluster, needing in self._needing.items() if len(needing) > (where in needing))

    def trimmed(self, work: Work, binding: Binding) -> Work:
        """The Work without the labels and annotations of bindings that do not need it; the same object when it has none."""
        needing = self._needing.get(constants.cluster_of(namespace(work)), ())
        labels, annotations = labels_of(work), annotations_of(work)
        for label, about in _LABELS:
            identity = labels.get(label)
            if identity is None or identity == labels_of(binding).get(label) or self._places.get(identity) in needing:
                continue
            labels = {key: value for key, value in labels.items() if key != label}
            annotations = {key: value for key, value in annotations.items() if key not in about}
        if labels is labels_of(work):
            return work
        return {**work, "metadata": {**work["metadata"], "labels": labels, "annotations": annotations}}

    def items(self, binding: Binding) -> list[AggregatedStatusItem]:
        """``aggregatedStatus`` of all members that have the object, by whichever binding."""
        found = {
            item["clusterName"]: item
            for each in (*self._bindings.values(), binding)
            for item in (each.get("status") or {}).get("aggregatedStatus") or ()
        }
        return [found[cluster] for cluster in sorted(found)]

    def _count(self) -> None:
        self._needing: dict[str, set[str]] = {}  # cluster -> namespaces of the bindings that need the object there
        self._places: dict[str, str] = {}  # permanent id -> namespace
        self._youngest: dict[str, Binding] = {}  # cluster -> binding
        for where, binding in sorted(self._bindings.items(), key=lambda item: _age(item[1])):
            self._places.update(
                (labels_of(binding)[label], where) for label, _ in _LABELS if label in labels_of(binding)
            )
            for cluster in existing_clusters(binding["spec"]):
                self._needing.setdefault(cluster, set()).add(where)
            self._youngest.update((target["name"], binding) for target in targets_of(binding["spec"]))


def merged(binding: Binding | None, attached: Sequence[Binding]) -> Binding | None:
    """One binding that says what the object's own and those in the namespaces of workloads say: where it is, and for whom."""
    if not attached:
        return binding
    first = binding or attached[0]
    parents = [parent for each in attached for parent in each["spec"].get("requiredBy") or ()]
    items = SharedWorks([*attached, first]).items(first)
    return {
        **first,
        "spec": {**first["spec"], "requiredBy": parents},
        "status": {**(first.get("status") or {}), "aggregatedStatus": items},
    }


def _age(binding: Binding) -> tuple[str, bool, str]:
    """Sorts the older ones first; of one second the object's own binding comes last."""
    where = namespace(binding)
    return binding["metadata"].get("creationTimestamp") or "~", not where, where


ALONE: Final = SharedWorks()  # of the one binding that a namespaced object has
