"""The Works that hold the EndpointSlices of a member: by whom they were asked for, and what they look like (Karmada's)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from kafila.core.values import Object, copy_json
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.objects import labels_of, metadata
from kafila.placement.types import Work, WorkSpec
from kafila.placement.work.build import assemble

from .slices import SLICE

# By who asks for slices: the labels of a Work that name the service, and what holds the Work until all that came of it is gone.
LABELS: Final[Mapping[str, tuple[str, str]]] = {
    constants.SERVICE_EXPORT_KIND: (constants.ENDPOINTSLICE_NAMESPACE, constants.ENDPOINTSLICE_NAME),
    constants.MCS_KIND: (constants.MCS_NAMESPACE, constants.MCS_NAME),
}
_FINALIZERS: Final = {
    constants.SERVICE_EXPORT_KIND: constants.FINALIZER_ENDPOINTSLICE,
    constants.MCS_KIND: constants.FINALIZER_MCS_DISPATCH,
}


def managers(labels: Mapping[str, str]) -> frozenset[str]:
    """Who has asked for the slice in a Work with these labels: ServiceExport, MultiClusterService or both."""
    said = labels.get(constants.ENDPOINTSLICE_MANAGED_BY) or ""
    return frozenset(each for each in said.split(".") if each in LABELS)


def work_name(namespace: str, name: str) -> str:
    """That of the Work of a slice."""
    theirs = constants.work_name(SLICE.kind, name, namespace)
    if constants.is_lawful(theirs):
        return theirs
    return constants.own_work_name(Identity(SLICE.group, SLICE.kind, namespace, name))


def collected_work(
    found: Object, cluster: str, service: str, asked_by: Collection[str], existing: Work | None = None
) -> Work:
    """The Work that holds a member's slice. It is not sent back there. The same object as ``existing`` when nothing changes.

    ``asked_by``: at least one of ``LABELS``.
    """
    meta = metadata(found)
    labels = {constants.ENDPOINTSLICE_MANAGED_BY: ".".join(sorted(asked_by))}
    for manager in asked_by:
        in_namespace, called = LABELS[manager]
        labels |= {in_namespace: meta["namespace"], called: service}
    base = None if existing is None else _without_others(existing, asked_by)
    finalizers = [_FINALIZERS[manager] for manager in sorted(asked_by)]
    unlawful = not constants.is_lawful(constants.work_name(SLICE.kind, meta["name"], meta["namespace"]))
    options: WorkSpec = {"suspendDispatching": True}
    work = assemble(
        copy_json(found), cluster, labels, {}, options, base, None, own_name=unlawful, finalizers=finalizers
    )
    return existing if existing is not None and work == existing else work


def uncollected(work: Work, manager: str) -> Work | None:
    """A Work whose slice one of its managers asks for no more; None where nobody else does. The same object where it did not."""
    left = managers(labels_of(work)) - {manager}
    if manager not in managers(labels_of(work)):
        return work
    if not left:
        return None
    found = _without_others(work, left)
    labels = {**labels_of(found), constants.ENDPOINTSLICE_MANAGED_BY: ".".join(sorted(left))}
    return {**found, "metadata": {**found["metadata"], "labels": labels}}


def _without_others(work: Work, asked_by: Collection[str]) -> Work:
    """Without the labels of those who do not ask for it any more. Their finalizers go when what they made of it is gone."""
    gone = {label for manager, labels in LABELS.items() if manager not in asked_by for label in labels}
    kept = {key: value for key, value in labels_of(work).items() if key not in gone}
    return {**work, "metadata": {**work["metadata"], "labels": kept}}
