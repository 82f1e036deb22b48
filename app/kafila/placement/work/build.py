"""The Works of a binding: one per target cluster, each with the manifest as that cluster shall have it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kafila.core.feature_gates import DEFAULT_GATES, STATEFUL_FAILOVER_INJECTION, Gates
from kafila.core.resources import gvk_of
from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.allowed_clusters import left_out_text
from kafila.placement.constants import Identity
from kafila.placement.detector.binding import controller_reference
from kafila.placement.interpreter import NATIVE, Interpreter, InterpretError, Operation
from kafila.placement.interpreter.replicas import with_field
from kafila.placement.objects import (
    annotations_of,
    identity,
    labels_of,
    metadata,
    name,
    namespace,
    own_map,
    uid,
)
from kafila.placement.override.apply import Overridden, applied_annotations, apply_overrides
from kafila.placement.override.patch import OverrideError
from kafila.placement.spec import clusters_to_purge_now, existing_clusters, is_workload, targets_of
from kafila.placement.types import (
    Binding,
    Cluster,
    FederatedResourceQuota,
    ObjectMeta,
    OverridePolicy,
    ResourceBindingSpec,
    TargetCluster,
    Work,
    WorkSpec,
)
from kafila.placement.work.completions import completions_by_cluster, left_over
from kafila.placement.work.labels import record_managed
from kafila.placement.work.prune import prune

WORK_API: Final = "work.karmada.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class Overrides:
    """All policies that may apply: of the cluster scope, and of the template's namespace."""

    cluster_policies: Sequence[OverridePolicy] = ()
    policies: Sequence[OverridePolicy] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """``works`` are those to be there, new or changed or (the same objects) as they are.

    By target cluster: ``errors``, for which there is no Work as it should be, and ``ending``, where one has to go before.
    """

    works: list[Work]
    errors: dict[str, str]
    ending: dict[str, str]
    override_events: list[tuple[str, str, str]]  # (type, reason, message), on the template
    interpreted: bool = True  # False: whoever interprets the kind failed, and may do better next time
    left_over: str = ""  # what no cluster can be asked for, and why

    @property
    def error(self) -> str:
        errors = [*{**self.errors, **self.ending}.values(), *filter(None, (self.left_over,))]
        return aggregate_text(errors) if errors else ""


NO_OVERRIDES: Final = Overrides()
NO_VERSIONS: Final[Mapping[str, Object]] = MappingProxyType({})


def build_works(
    binding: Binding,
    template: Object,
    clusters: Mapping[str, Cluster],
    overrides: Overrides = NO_OVERRIDES,
    existing: Mapping[str, Work] | None = None,
    *,
    leave: Container[str] = (),
    taken: Container[str] = (),
    allowed: frozenset[str] | None = None,
    versions: Mapping[str, Object] = NO_VERSIONS,
    interpreter: Interpreter = NATIVE,
    gates: Gates = DEFAULT_GATES,
) -> Plan:
    """Works for every target of the binding. ``clusters``: Cluster objects by name; ``existing``: the binding's Works by cluster;
    ``leave``: targets whose Work is another's; ``taken``: those where Karmada's name for the Work is another object's; ``allowed``: the
    clusters that the binding's namespace may use, None for all; ``versions``: by cluster, the template as it is to be there, where that
    is not ``template``.

    A target that fails does not keep the others from getting their Work.
    """
    binding_spec = binding["spec"]
    found = targets_of(binding_spec)
    completions = completions_by_cluster(template, binding_spec, found, existing or {})
    works: list[Work] = []
    errors: dict[str, str] = {}
    ending: dict[str, str] = {}
    events: list[tuple[str, str, str]] = []
    interpreted = True
    for target in found:
        cluster = target["name"]
        if cluster in leave:
            continue
        if allowed is not None and cluster not in allowed:  # somebody wrote it into the binding
            errors[cluster] = left_out_text(namespace(binding), (cluster,))
            continue
        try:
            version = versions.get(cluster, template)
            manifest = _for_target(version, binding_spec, target, completions, interpreter)
            overridden = _overridden(manifest, cluster, clusters, overrides)
        except OverrideError as error:
            errors[cluster] = str(error)
            if error.event:
                events.append(("Warning", constants.EVENT_APPLY_OVERRIDE_FAILED, error.event))
            continue
        except InterpretError as error:
            errors[cluster], interpreted = str(error), False
            continue
        events.extend(("Normal", constants.EVENT_APPLY_OVERRIDE, message) for message in overridden.events)
        old = (existing or {}).get(cluster)
        if old is not None and old["metadata"].get("deletionTimestamp"):
            ending[cluster] = f"work {namespace(old)}/{name(old)} is being deleted"
            continue
        works.append(_work(binding, target, len(found), overridden, old, gates, own_name=cluster in taken))
    return Plan(works, errors, ending, events, interpreted, left_over(template, binding_spec, completions))


def _for_target(
    template: Object,
    binding_spec: ResourceBindingSpec,
    target: TargetCluster,
    completions: Mapping[str, int] | None,
    interpreter: Interpreter,
) -> Object:
    manifest = template
    if is_workload(binding_spec) and interpreter.hook_enabled(gvk_of(template), Operation.REVISE_REPLICA):
        manifest = interpreter.revise_replica(manifest, target.get("replicas") or 0)
    if completions is not None:
        manifest = with_field(manifest, "completions", completions[target["name"]])
    return manifest


def _overridden(manifest: Object, cluster: str, clusters: Mapping[str, Cluster], overrides: Overrides) -> Overridden:
    found = clusters.get(cluster)
    if found is None:
        raise OverrideError(f'clusters.cluster.karmada.io "{cluster}" not found')
    overridden = apply_overrides(manifest, found, overrides.cluster_policies, overrides.policies)
    for field in ("labels", "annotations"):
        labels = metadata(overridden.obj).get(field)
        if labels and not (isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())):
            raise OverrideError(f"metadata.{field} is no map of strings after the overrides")
    return overridden


def _work(
    binding: Binding,
    target: TargetCluster,
    targets: int,
    overridden: Overridden,
    old: Work | None,
    gates: Gates,
    *,
    own_name: bool,
) -> Work:
    binding_spec = binding["spec"]
    # From here on the manifest is changed in place; nothing of it is shared with the template or other Works.
    manifest = copy_json(overridden.obj)
    labels, annotations = _binding_metadata(binding)
    meta = own_map(manifest, "metadata")
    own_map(meta, "labels").update(labels)
    own_annotations = own_map(meta, "annotations")
    if meta.get("generation"):
        own_annotations[constants.TEMPLATE_GENERATION] = str(meta["generation"])
    own_annotations.update(annotations)
    annotations = {
        **annotations,
        constants.CONFLICT_RESOLUTION: _conflict_resolution(own_annotations, binding_spec),
        **applied_annotations(overridden),
    }
    if STATEFUL_FAILOVER_INJECTION in gates:
        meta["labels"].update(_preserved_labels(binding_spec, target["name"], targets))
    options: WorkSpec = {
        "suspendDispatching": is_suspended(binding_spec, target["name"]),
        "preserveResourcesOnDeletion": bool(binding_spec.get("preserveResourcesOnDeletion")),
    }
    return assemble(manifest, target["name"], labels, annotations, options, old, None, own_name=own_name)


def _binding_metadata(binding: Binding) -> tuple[dict[str, str], dict[str, str]]:
    labels, where = labels_of(binding), namespace(binding)
    if where:
        return (
            {constants.RB_PERMANENT_ID: labels.get(constants.RB_PERMANENT_ID, "")},
            {constants.RB_NAMESPACE: where, constants.RB_NAME: name(binding)},
        )
    return {constants.CRB_PERMANENT_ID: labels.get(constants.CRB_PERMANENT_ID, "")}, {constants.CRB_NAME: name(binding)}


def _conflict_resolution(annotations: Mapping[str, str], binding_spec: ResourceBindingSpec) -> str:
    """The template's own word counts; else the policy's."""
    asked = annotations.get(constants.CONFLICT_RESOLUTION)
    if asked in (constants.CONFLICT_OVERWRITE, constants.CONFLICT_ABORT):
        return str(asked)
    overwrite = binding_spec.get("conflictResolution") == constants.OVERWRITE
    return constants.CONFLICT_OVERWRITE if overwrite else constants.CONFLICT_ABORT


def _preserved_labels(binding_spec: ResourceBindingSpec, cluster: str, targets: int) -> dict[str, str]:
    """State that a stateful workload takes along when it alone moves from a failed cluster to this one."""
    tasks = binding_spec.get("gracefulEvictionTasks") or ()
    if targets > 1 or not tasks or tasks[-1].get("purgeMode") not in constants.PURGE_NOW:
        return {}
    if cluster in (tasks[-1].get("clustersBeforeFailover") or ()):
        return {}
    return dict(tasks[-1].get("preservedLabelState") or {})


def is_suspended(binding_spec: ResourceBindingSpec, cluster: str) -> bool:
    suspension = binding_spec.get("suspension") or {}
    if suspension.get("dispatching"):
        return True
    return cluster in ((suspension.get("dispatchingOnClusters") or {}).get("clusterNames") or ())


def assemble(
    manifest: Object,
    cluster: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    options: WorkSpec,
    old: Work | None,
    owner: AnyObject | None,
    *,
    own_name: bool = False,
    called: str = "",
    finalizers: Sequence[str] = (constants.FINALIZER_EXECUTION,),
) -> Work:
    """The Work around a manifest, on top of what the existing Work has; the same object as ``old`` when nothing changes.
    ``manifest`` is changed. ``finalizers``: those that it has at least; ``own_name``: not Karmada's, which is another object's;
    ``called``: its name, where it does not follow from the manifest."""
    template_uid, old_meta = uid(manifest), old["metadata"] if old is not None else ObjectMeta()
    work_name = old_meta.get("name") or called or _new_name(manifest, own_name)
    work_namespace = constants.execution_namespace(cluster)
    merged_labels = {**(old_meta.get("labels") or {}), **labels}
    if not merged_labels.get(constants.WORK_PERMANENT_ID):
        merged_labels[constants.WORK_PERMANENT_ID] = constants.permanent_id(
            constants.WORK_PERMANENT_ID, template_uid, work_namespace, work_name
        )
    meta = own_map(manifest, "metadata")
    own_map(meta, "labels")[constants.MANAGED] = constants.TRUE
    own_annotations = own_map(meta, "annotations")
    own_annotations[constants.TEMPLATE_UID] = template_uid
    own_annotations[constants.WORK_NAME] = work_name
    own_annotations[constants.WORK_NAMESPACE] = work_namespace
    if constants.CONFLICT_RESOLUTION in annotations:
        own_annotations[constants.CONFLICT_RESOLUTION] = annotations[constants.CONFLICT_RESOLUTION]
    record_managed(prune(manifest), merged_labels[constants.WORK_PERMANENT_ID])
    work_meta: ObjectMeta = {
        **old_meta,
        "name": work_name,
        "namespace": work_namespace,
        "labels": merged_labels,
    }
    if held := sorted({*(old_meta.get("finalizers") or ()), *finalizers}):
        work_meta["finalizers"] = held
    merged_annotations = {**(old_meta.get("annotations") or {}), **annotations}
    if merged_annotations:
        work_meta["annotations"] = merged_annotations
    if owner is not None and old is None:
        work_meta["ownerReferences"] = [controller_reference(owner)]
    wanted: WorkSpec = {"workload": {"manifests": [manifest]}, **options}
    if old is None:
        return {"apiVersion": WORK_API, "kind": "Work", "metadata": work_meta, "spec": wanted}
    built: Work = {**old, "metadata": work_meta, "spec": wanted}
    return old if built == old else built


def _new_name(manifest: Object, own_name: bool) -> str:
    theirs = constants.work_name(manifest.get("kind") or "", name(manifest), namespace(manifest))
    return constants.own_work_name(identity(manifest)) if own_name or not constants.is_lawful(theirs) else theirs


def is_work_of(work: Work, obj: Identity) -> bool:
    """Is it the object that the Work brings to its member?"""
    return any(identity(manifest) == obj for manifest in (work["spec"].get("workload") or {}).get("manifests") or ())


def namespace_work(
    template: Object, cluster: Cluster, cluster_policies: Sequence[OverridePolicy] = (), existing: Work | None = None
) -> tuple[Work, tuple[str, ...]]:
    """The Work that brings a Namespace to a member, and the messages of the overrides applied. Raises OverrideError.

    Only ClusterOverridePolicies apply. It goes away with the Namespace, by garbage collection.
    """
    overridden = apply_overrides(template, cluster, cluster_policies, ())
    manifest, annotations = copy_json(overridden.obj), applied_annotations(overridden)
    work = assemble(manifest, name(cluster), {}, annotations, {}, existing, template)
    return work, overridden.events


def cluster_work(manifest: Object, cluster: Cluster, existing: Work | None = None) -> Work:
    """The Work for something that a controller wants in a member. It goes away with the Cluster, by garbage collection."""
    return assemble(copy_json(manifest), name(cluster), {}, {}, {}, existing, cluster)


def quota_work(quota: FederatedResourceQuota, cluster: str, hard: AnyObject, existing: Work | None = None) -> Work:
    """The Work for the ResourceQuota that a FederatedResourceQuota assigns to a cluster."""
    meta = {"name": name(quota), "namespace": namespace(quota)}
    manifest: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta,
        "spec": {"hard": copy_json(hard)},
    }
    labels = {constants.FRQ_NAMESPACE: namespace(quota), constants.FRQ_NAME: name(quota)}
    return assemble(manifest, cluster, labels, {}, {}, existing, None)


def namespace_should_be_synced(template: Object) -> bool:
    """Not reserved, not ``default``, not opted out, not terminating. Skipped patterns are the caller's (detector/match.py)."""
    where = name(template)
    if constants.is_reserved_namespace(where) or where == constants.NAMESPACE_DEFAULT:
        return False
    if metadata(template).get("deletionTimestamp"):
        return False
    return (labels_of(template).get(constants.SKIP_AUTO_PROPAGATION) or "").lower() != "true"


def records_overrides(work: AnyObject, template: Object, cluster: Cluster, overrides: Overrides) -> bool:
    """Does the Work say of itself that what applies to the template now was applied?"""
    try:
        overridden = apply_overrides(template, cluster, overrides.cluster_policies, overrides.policies)
    except OverrideError:
        return False
    now, then = applied_annotations(overridden), annotations_of(work)
    return all(
        now.get(key) == then.get(key) for key in (constants.APPLIED_CLUSTER_OVERRIDES, constants.APPLIED_OVERRIDES)
    )


def orphans(binding: Binding, works: Iterable[Work]) -> list[Work]:
    """Works of the binding in clusters where it is no longer, to be deleted. Raises ValueError on a foreign namespace."""
    wanted = existing_clusters(binding["spec"])
    return [work for work in works if constants.cluster_of(namespace(work)) not in wanted]


def blocking_works(binding: Binding, works: Iterable[Work]) -> list[Work]:
    """Works that must be gone before any is created: purge mode Directly removes the old before the new comes."""
    leaving = clusters_to_purge_now(binding["spec"])
    return [work for work in works if leaving and constants.cluster_of(namespace(work)) in leaving]


def synced_event(binding: Binding, error: str = "") -> tuple[str, str, str]:
    """(type, reason, message), on the binding and on the template."""
    if error:
        return "Warning", constants.EVENT_SYNC_WORK_FAILED, error
    where = namespace(binding)
    what = f"ResourceBinding({where}/{name(binding)})" if where else f"ClusterResourceBinding({name(binding)})"
    return "Normal", constants.EVENT_SYNC_WORK, f"Sync work of {what} successful."
