"""MultiClusterService: its clusters, the Service that it takes charge of, and the Works and bindings that follow (Karmada's)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from kafila.core.conditions import conditions_of, is_true
from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.allowed_clusters import left_out_text
from kafila.placement.cluster_affinity import api_enabled
from kafila.placement.constants import Identity
from kafila.placement.detector.binding import BINDING_API, BindingError, OwnerMismatch, resource_reference
from kafila.placement.generation import with_known_version
from kafila.placement.objects import annotations_of, labels_of, metadata, name, namespace, spec, uid, without
from kafila.placement.types import Binding, Cluster, ObjectMeta, Work
from kafila.placement.work.build import assemble

from .slices import SLICE, renamed

CROSS_CLUSTER: Final = "CrossCluster"
_POLICY_LABELS: Final = (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID)
_POLICY_ANNOTATIONS: Final = (constants.PP_NAME, constants.PP_NAMESPACE, constants.CPP_NAME)
Said = tuple[str, str]  # reason and message of a Warning


def is_cross_cluster(mcs: AnyObject) -> bool:
    return CROSS_CLUSTER in (spec(mcs).get("types") or ())


def providers(mcs: AnyObject, all_clusters: Iterable[str], allowed: frozenset[str] | None = None) -> frozenset[str]:
    """The clusters that have the endpoints: those that it names, else all. ``allowed``: what its namespace may use, None for all."""
    return _named(mcs, "providerClusters", all_clusters, allowed)


def consumers(mcs: AnyObject, all_clusters: Iterable[str], allowed: frozenset[str] | None = None) -> frozenset[str]:
    """The clusters that use the service: those that it names, else all."""
    return _named(mcs, "consumerClusters", all_clusters, allowed)


def _named(mcs: AnyObject, field: str, all_clusters: Iterable[str], allowed: frozenset[str] | None) -> frozenset[str]:
    found = frozenset(each["name"] for each in spec(mcs).get(field) or ()) or frozenset(all_clusters)
    return found if allowed is None else found & allowed


def not_allowed(mcs: AnyObject, allowed: frozenset[str] | None) -> str:
    """That it names clusters which its namespace may not use; "" when it does not."""
    if allowed is None:
        return ""
    named = {each["name"] for field in ("providerClusters", "consumerClusters") for each in spec(mcs).get(field) or ()}
    return left_out_text(namespace(mcs), named - allowed) if named - allowed else ""


def unusable(cluster: Cluster | None, called: str, role: str, what: str) -> Said | None:
    """Why nothing of a service can be brought from or to a cluster now. ``role``: Provider or Consumer; ``what``: is skipped."""
    if cluster is None:
        return constants.EVENT_CLUSTER_NOT_FOUND, f"{role} cluster {called} is not found"
    if not is_true(conditions_of(cluster), constants.COND_READY):
        return (
            constants.EVENT_SYNC_SERVICE_FAILED,
            f"{role} cluster {called} is not ready, skip to propagate {what}",
        )
    complete = is_true(conditions_of(cluster), constants.COND_COMPLETE_API)
    if complete and not api_enabled(cluster, SLICE.api_version, SLICE.kind):
        return constants.EVENT_API_INCOMPATIBLE, f"{role} cluster {called} does not support EndpointSlice"
    return None


# -- the Service -----------------------------------------------------------------------------------------------------


def claimed_service(service: Object, mcs: AnyObject) -> Object:
    """The Service as the MultiClusterService's, and no policy's; the same object when it is already."""
    labels = {key: value for key, value in labels_of(service).items() if key not in _POLICY_LABELS}
    labels[constants.CLAIMED_BY] = constants.MCS_KIND
    labels[constants.MCS_PERMANENT_ID] = labels_of(mcs).get(constants.MCS_PERMANENT_ID, "")
    annotations = {key: value for key, value in annotations_of(service).items() if key not in _POLICY_ANNOTATIONS}
    annotations |= _annotations(mcs)
    if labels == labels_of(service) and annotations == annotations_of(service):
        return service
    return {**service, "metadata": {**metadata(service), "labels": labels, "annotations": annotations}}


def given_back(obj: Object) -> Object:
    """A Service that nobody is in charge of any more: a policy may be. The same object when nobody was."""
    gone = (constants.CLAIMED_BY, constants.MCS_PERMANENT_ID)
    if labels_of(obj).get(constants.CLAIMED_BY) != constants.MCS_KIND:
        return obj
    return without(obj, gone, ())


def is_claimed_by(service: AnyObject, mcs: AnyObject) -> bool:
    identity = labels_of(service).get(constants.MCS_PERMANENT_ID)
    return bool(identity) and identity == labels_of(mcs).get(constants.MCS_PERMANENT_ID)


def _annotations(mcs: AnyObject) -> dict[str, str]:
    return {constants.MCS_NAME: name(mcs), constants.MCS_NAMESPACE: namespace(mcs)}


# -- its binding -----------------------------------------------------------------------------------------------------


def service_binding(
    service: Object,
    mcs: AnyObject,
    clusters: Collection[str],
    existing: Binding | None = None,
    *,
    called: str = "",
    changed: bool = True,
) -> Binding:
    """The binding that brings the Service to ``clusters``, new or brought up to date; the same object when nothing changes.

    ``changed``: whether the Service was changed by others; else the binding goes on naming the version that it names. Raises
    BindingError while a binding of an earlier Service is there.
    """
    if existing is not None:
        _check(existing, service)
    old: ObjectMeta = existing["metadata"] if existing is not None else {}
    where, binding = namespace(service), old.get("name") or called or constants.binding_name("Service", name(service))
    labels = {
        **(old.get("labels") or {}),
        constants.BINDING_MANAGED_BY: constants.MCS_KIND,
        constants.MCS_PERMANENT_ID: labels_of(mcs).get(constants.MCS_PERMANENT_ID, ""),
    }
    identity = constants.permanent_id(constants.RB_PERMANENT_ID, uid(service), where, binding)
    labels.setdefault(constants.RB_PERMANENT_ID, identity)
    finalizers = list(old.get("finalizers") or ())
    meta: ObjectMeta = {
        **old,
        "name": binding,
        "namespace": where,
        "labels": labels,
        "annotations": {**(old.get("annotations") or {}), **_annotations(mcs)},
        "finalizers": sorted({*finalizers, constants.FINALIZER_BINDING}),
        "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name(service), "uid": uid(service)}],
    }
    wanted: Object = {
        **(existing["spec"] if existing is not None else {}),
        "resource": resource_reference(service),
        "placement": {"clusterAffinity": {"clusterNames": sorted(clusters)}},
        "conflictResolution": constants.OVERWRITE,
    }
    if existing is None:
        return {"apiVersion": BINDING_API, "kind": "ResourceBinding", "metadata": meta, "spec": wanted}  # type: ignore[typeddict-item]
    built: Binding = {**existing, "metadata": meta, "spec": wanted}  # type: ignore[typeddict-item]
    if not changed:
        built = with_known_version(built, existing)
    return existing if built == existing else built


def _check(existing: Binding, service: Object) -> None:
    if existing["metadata"].get("deletionTimestamp"):
        raise BindingError(f"binding {namespace(existing)}/{name(existing)} is being deleted")
    owner = next((each for each in existing["metadata"].get("ownerReferences") or () if each.get("controller")), None)
    if owner is not None and owner.get("uid") != uid(service):
        raise OwnerMismatch


def released_binding(binding: Object) -> Object:
    """What a MultiClusterService leaves: the Service stays where it is, as it does when a policy goes."""
    if labels_of(binding).get(constants.BINDING_MANAGED_BY) != constants.MCS_KIND:
        return binding
    gone = (constants.BINDING_MANAGED_BY, constants.MCS_PERMANENT_ID)
    return without(binding, gone, (constants.MCS_NAME, constants.MCS_NAMESPACE))


# -- Works -----------------------------------------------------------------------------------------------------------


def provider_work(mcs: Object, cluster: str, existing: Work | None = None) -> Work:
    """The Work that says that a cluster is a provider. It is not sent there."""
    labels = {
        constants.MCS_PERMANENT_ID: labels_of(mcs).get(constants.MCS_PERMANENT_ID, ""),
        constants.MCS_NAMESPACE: namespace(mcs),
        constants.MCS_NAME: name(mcs),
    }
    manifest = copy_json({key: value for key, value in mcs.items() if key != "status"})
    return assemble(manifest, cluster, labels, {}, {"suspendDispatching": True}, existing, None, finalizers=())


def dispatched_work(
    found: Object, provider: str, consumer: str, service: str, called: str, existing: Work | None = None
) -> Work:
    """The Work that brings a slice of ``provider`` to ``consumer``. ``service``: the name of the MultiClusterService.

    The same object as ``existing`` when nothing changes: the endpoints are compared, and copied only for a new Work."""
    manifest = renamed(
        found,
        constants.dispatched_slice(provider, name(found)),
        {
            constants.SERVICE_OF_SLICE: service,
            constants.SLICE_MANAGED_BY: constants.ENDPOINTSLICE_DISPATCH_CONTROLLER,
        },
        {constants.PROVISION_CLUSTER: provider},
    )
    labels = {constants.MCS_NAME: service, constants.MCS_NAMESPACE: namespace(found)}
    notes = {constants.PROVISION_CLUSTER: provider}
    work = assemble(manifest, consumer, labels, notes, {}, existing, None, called=called)
    return work if work is existing else {**work, "spec": copy_json(work["spec"])}


def own_dispatched_name(found: Object, provider: str) -> str:
    """For the Work of a slice whose Work of the provider has a name that is another's at the consumer."""
    called = constants.dispatched_slice(provider, name(found))
    return constants.own_work_name(Identity(SLICE.group, SLICE.kind, namespace(found), called))
