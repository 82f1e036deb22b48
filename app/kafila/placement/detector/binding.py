"""From a template and its policy to a binding: the claim on both, and the spec that the policy asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from kafila.core import feature_gates as feature
from kafila.core.resources import gvk_of
from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.detector.match import selectors_match
from kafila.placement.interpreter import NATIVE, Interpreter, InterpretError, Operation
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    metadata,
    name,
    namespace,
    uid,
    without,
)
from kafila.placement.placement_annotations import with_carried
from kafila.placement.types import (
    Binding,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    PropagationPolicy,
    ResourceBindingSpec,
    SchedulePriority,
)

BINDING_API: Final = "work.karmada.io/v1alpha2"
_PP_LABELS, _PP_ANNOTATIONS = (constants.PP_PERMANENT_ID,), (constants.PP_NAMESPACE, constants.PP_NAME)
_CPP_LABELS, _CPP_ANNOTATIONS = (constants.CPP_PERMANENT_ID,), (constants.CPP_NAME,)
# Copied from the policy as they are; left out when the policy has none.
_FROM_POLICY: Final = (
    "propagateDeps",
    "schedulerName",
    "placement",
    "failover",
    "conflictResolution",
    "preserveResourcesOnDeletion",
    "rolloutStrategy",
)
# Everything that the policy and the template decide. Clusters, evictions and requiredBy belong to others.
_OWNED: Final = (
    *_FROM_POLICY,
    "resource",
    "replicas",
    "replicaRequirements",
    "components",
    "schedulePriority",
    "suspension",
    "workloadAffinityGroups",
)


class BindingError(Exception):
    """The binding cannot be built or updated now; the text is Karmada's."""


class OwnerMismatch(BindingError):
    """A binding of an earlier template with this name still waits for garbage collection."""

    def __init__(self) -> None:
        super().__init__(
            "failed to update binding due to different owner reference UID, will try again later after binding is "
            "garbage collected, see https://github.com/karmada-io/karmada/issues/2090"
        )


class ReplicasUnknown(BindingError):
    """Whoever interprets the template's kind did not answer with its replicas or components. ``reason``: of the event on it."""

    def __init__(self, reason: str, error: InterpretError) -> None:
        super().__init__(str(error))
        self.reason = reason


def is_cluster_policy(policy: PropagationPolicy) -> bool:
    return not namespace(policy)


def is_lazy(policy: PropagationPolicy) -> bool:
    """Does it wait with what it changes until the user changes the template?"""
    return policy["spec"].get("activationPreference") == constants.LAZY


def claim(template: Object, policy: PropagationPolicy) -> Object:
    """The template with the policy's labels and annotations and no other policy's; the same object when it has them already."""
    own = constants.CPP_PERMANENT_ID if is_cluster_policy(policy) else constants.PP_PERMANENT_ID
    others_gone = without(template, *_keys_of_others(policy))
    if others_gone is template and labels_of(template).get(own, "") == _policy_id(policy):
        return template
    return _claimed(others_gone, policy)


def unclaim(obj: Object, policy: PropagationPolicy | None = None) -> Object:
    """A template or binding that ``policy``, or any policy, claims no more; the same object when it has no claim.

    What another policy has claimed in the meantime is left alone.
    """
    cluster_wide = policy is None or is_cluster_policy(policy)
    namespaced = policy is None or not is_cluster_policy(policy)
    if policy is not None:
        key = constants.CPP_PERMANENT_ID if cluster_wide else constants.PP_PERMANENT_ID
        if labels_of(obj).get(key, "") != _policy_id(policy):
            return obj
    drop_labels = (*(_PP_LABELS if namespaced else ()), *(_CPP_LABELS if cluster_wide else ()))
    drop_annotations = (*(_PP_ANNOTATIONS if namespaced else ()), *(_CPP_ANNOTATIONS if cluster_wide else ()))
    return without(obj, drop_labels, drop_annotations)


def claimed_by(obj: Object) -> tuple[str, str, str] | None:
    """(namespace, name, permanent id) of the policy that has claimed ``obj``; namespace "" for a ClusterPropagationPolicy."""
    labels, annotations = labels_of(obj), annotations_of(obj)
    where, policy, identity = (
        annotations.get(constants.PP_NAMESPACE),
        annotations.get(constants.PP_NAME),
        labels.get(constants.PP_PERMANENT_ID),
    )
    if where and policy and identity:
        return where, policy, identity
    policy, identity = annotations.get(constants.CPP_NAME), labels.get(constants.CPP_PERMANENT_ID)
    return ("", policy, identity) if policy and identity else None


def is_claimed_otherwise(template: Object) -> bool:
    """Has something else than a policy claimed it? Then no policy does."""
    return bool(labels_of(template).get(constants.CLAIMED_BY))


def still_matches(template: Object, policy: PropagationPolicy) -> bool:
    return selectors_match(template, policy["spec"].get("resourceSelectors"))


def claim_metadata(policy: PropagationPolicy) -> tuple[dict[str, str], dict[str, str]]:
    """The labels and annotations that a policy puts on templates and bindings."""
    if is_cluster_policy(policy):
        return {constants.CPP_PERMANENT_ID: _policy_id(policy)}, {constants.CPP_NAME: name(policy)}
    return (
        {constants.PP_PERMANENT_ID: _policy_id(policy)},
        {constants.PP_NAMESPACE: namespace(policy), constants.PP_NAME: name(policy)},
    )


def _keys_of_others(policy: PropagationPolicy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and annotations that a policy of the other kind has left: nothing has two policies."""
    return (_PP_LABELS, _PP_ANNOTATIONS) if is_cluster_policy(policy) else (_CPP_LABELS, _CPP_ANNOTATIONS)


def _policy_id(policy: PropagationPolicy) -> str:
    key = constants.CPP_PERMANENT_ID if is_cluster_policy(policy) else constants.PP_PERMANENT_ID
    return labels_of(policy).get(key, "")


def _claimed(obj: Object, policy: PropagationPolicy) -> Object:
    labels, annotations = claim_metadata(policy)
    meta = {
        **metadata(obj),
        "labels": {**labels_of(obj), **labels},
        "annotations": {**annotations_of(obj), **annotations},
    }
    return {**obj, "metadata": meta}


def binding_spec(
    template: Object,
    policy: PropagationPolicy,
    *,
    interpreter: Interpreter = NATIVE,
    gates: feature.Gates = feature.DEFAULT_GATES,
    priority_classes: Mapping[str, int] | None = None,
) -> ResourceBindingSpec:
    """What the policy and the template ask for; no clusters. Raises BindingError.

    ``priority_classes``: value of each PriorityClass, asked only with the gate PriorityBasedScheduling.
    """
    wanted = policy.get("spec") or {}
    spec: Object = {"resource": resource_reference(template)}
    for field in _FROM_POLICY:
        if wanted.get(field):
            spec[field] = wanted[field]
    # Karmada's placement is no pointer in a policy, so a binding of a policy always has one.
    spec.setdefault("placement", {})
    if wanted.get("preserveResourcesOnDeletion") is False:
        spec["preserveResourcesOnDeletion"] = False
    if wanted.get("suspension") is not None:
        spec["suspension"] = wanted["suspension"]
    spec.update(_replicas(template, interpreter, gates))
    # A ClusterResourceBinding has neither a priority nor affinity groups.
    if namespace(template):
        if feature.WORKLOAD_AFFINITY in gates:
            groups = _affinity_groups(template, spec["placement"])
            if groups:
                spec["workloadAffinityGroups"] = groups
        if feature.PRIORITY_BASED_SCHEDULING in gates and wanted.get("schedulePriority") is not None:
            spec["schedulePriority"] = _priority(wanted["schedulePriority"], priority_classes or {})
    # Nothing is shared with the policy or the template, which live in caches.
    return cast(ResourceBindingSpec, copy_json(spec))


def resource_reference(template: Object) -> ObjectReference:
    meta = metadata(template)
    reference = {
        "apiVersion": template.get("apiVersion"),
        "kind": template.get("kind"),
        "namespace": meta.get("namespace"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "resourceVersion": meta.get("resourceVersion"),
    }
    return cast(ObjectReference, {key: value for key, value in reference.items() if value})


def _replicas(template: Object, interpreter: Interpreter, gates: feature.Gates) -> Object:
    gvk = gvk_of(template)
    by_quota = feature.RESOURCE_QUOTA_ESTIMATE in gates
    if feature.MULTIPLE_POD_TEMPLATES_SCHEDULING in gates and interpreter.hook_enabled(gvk, Operation.COMPONENT):
        try:
            return {"components": interpreter.get_components(template, with_priority_class=by_quota)}
        except InterpretError as error:
            raise ReplicasUnknown(constants.EVENT_GET_COMPONENTS_FAILED, error) from error
    if not interpreter.hook_enabled(gvk, Operation.REPLICA):
        return {}
    try:
        replicas, requirements = interpreter.get_replicas(template, with_priority_class=by_quota)
    except InterpretError as error:
        raise ReplicasUnknown(constants.EVENT_GET_REPLICAS_FAILED, error) from error
    found: Object = {"replicas": replicas} if replicas else {}
    if requirements is not None:
        if by_quota and namespace(template):
            requirements = {"namespace": namespace(template), **requirements}
        found["replicaRequirements"] = requirements
    return found


def _affinity_groups(template: Object, placement: Object) -> Object:
    wanted = placement.get("workloadAffinity") or {}
    labels = labels_of(template)
    found = {}
    for term, field in (("affinity", "affinityGroup"), ("antiAffinity", "antiAffinityGroup")):
        key = (wanted.get(term) or {}).get("groupByLabelKey")
        if key and key in labels:
            found[field] = f"{key}={labels[key]}"
    return found


def _priority(wanted: SchedulePriority, classes: Mapping[str, int]) -> Object:
    source, class_name = wanted.get("priorityClassSource"), wanted.get("priorityClassName") or ""
    if source in ("PodPriorityClass", "FederatedPriorityClass"):
        raise BindingError(f"priority class source is {source}, but {source} is not supported yet")
    if source != "KubePriorityClass":
        raise BindingError("unsupported priority class source")
    if class_name not in classes:
        raise BindingError(f'PriorityClass.scheduling.k8s.io "{class_name}" not found')
    value = classes[class_name]
    return {"priority": value} if value else {}


def build_binding(
    template: Object,
    policy: PropagationPolicy,
    existing: Binding | None = None,
    *,
    called: str = "",
    interpreter: Interpreter = NATIVE,
    gates: feature.Gates = feature.DEFAULT_GATES,
    priority_classes: Mapping[str, int] | None = None,
) -> Binding:
    """The ResourceBinding (of a namespaced template) or ClusterResourceBinding, new or brought up to date.

    ``called``: the name of a new one, Karmada's when not given. The same object as ``existing`` when nothing changes. Raises
    BindingError, OwnerMismatch.
    """
    if existing is not None:
        _check_owner(existing, uid(template))
    wanted = binding_spec(template, policy, interpreter=interpreter, gates=gates, priority_classes=priority_classes)
    if existing is None:
        return {
            "apiVersion": BINDING_API,
            "kind": "ResourceBinding" if namespace(template) else "ClusterResourceBinding",
            "metadata": _merged_metadata({}, template, policy, called),
            "spec": wanted,
        }
    built: Binding = {
        **existing,
        "metadata": _merged_metadata(existing["metadata"], template, policy, called),
        "spec": _merged_spec(existing["spec"], wanted),
    }
    return existing if built == existing else built


def _check_owner(existing: Binding, template_uid: str) -> None:
    owner = next((o for o in existing["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None and owner.get("uid") != template_uid:
        raise OwnerMismatch


def _merged_spec(old: ResourceBindingSpec, wanted: ResourceBindingSpec) -> ResourceBindingSpec:
    kept = {key: value for key, value in old.items() if key not in _OWNED}
    spec = cast(ResourceBindingSpec, {**kept, **wanted})
    # Whether scheduling is suspended is not the policy's to say.
    scheduling = (old.get("suspension") or {}).get("scheduling")
    if scheduling is not None:
        spec["suspension"] = {**(wanted.get("suspension") or {}), "scheduling": scheduling}
    return spec


def _merged_metadata(old: ObjectMeta, template: Object, policy: PropagationPolicy, called: str) -> ObjectMeta:
    where = namespace(template)
    labels, annotations = claim_metadata(policy)
    kept_labels, kept_annotations = dict(old.get("labels") or {}), dict(old.get("annotations") or {})
    gone_labels, gone_annotations = _keys_of_others(policy)
    for key in gone_labels:
        kept_labels.pop(key, None)
    for key in gone_annotations:
        kept_annotations.pop(key, None)
    kept_annotations = with_carried(kept_annotations, annotations_of(policy))
    identity = constants.RB_PERMANENT_ID if where else constants.CRB_PERMANENT_ID
    binding = old.get("name") or called or constants.binding_name(template.get("kind") or "", name(template))
    kept_labels.setdefault(identity, constants.permanent_id(identity, uid(template), where, binding))
    finalizer = constants.FINALIZER_BINDING if where else constants.FINALIZER_CLUSTER_BINDING
    finalizers = list(old.get("finalizers") or ())
    merged: ObjectMeta = {
        **old,
        "name": binding,
        "labels": {**kept_labels, **labels},
        "annotations": {**kept_annotations, **annotations},
        "finalizers": finalizers if finalizer in finalizers else [*finalizers, finalizer],
        "ownerReferences": [controller_reference(template)],
    }
    if where:
        merged["namespace"] = where
    return merged


def controller_reference(owner: AnyObject) -> OwnerReference:
    return {
        "apiVersion": owner.get("apiVersion", ""),
        "kind": owner.get("kind", ""),
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def applied_event(policy: PropagationPolicy, error: str = "") -> tuple[str, str, str]:
    """(type, reason, message) of the event that the template gets when the policy was applied, or could not be."""
    what = f"cluster policy({name(policy)})" if is_cluster_policy(policy) else f"policy({_full_name(policy)})"
    if error:
        return "Warning", constants.EVENT_APPLY_POLICY_FAILED, f"Apply {what} failed: {error}"
    return "Normal", constants.EVENT_APPLY_POLICY, f"Apply {what} succeed"


def applied_events(
    template: Object,
    policy: PropagationPolicy,
    interpreter: Interpreter = NATIVE,
    gates: feature.Gates = feature.DEFAULT_GATES,
) -> list[tuple[str, str, str]]:
    """Of a policy that was applied: the template's replicas or components are read before."""
    gvk = gvk_of(template)
    read = []
    if feature.MULTIPLE_POD_TEMPLATES_SCHEDULING in gates and interpreter.hook_enabled(gvk, Operation.COMPONENT):
        read = [("Normal", constants.EVENT_GET_COMPONENTS, "Get components of resource template successfully.")]
    elif interpreter.hook_enabled(gvk, Operation.REPLICA):
        read = [("Normal", constants.EVENT_GET_REPLICAS, "Get replicas of resource template successfully.")]
    return [*read, applied_event(policy)]


def preempted_event(policy: PropagationPolicy, loser: PropagationPolicy) -> tuple[str, str, str]:
    """(type, reason, message) of the event on a template that ``policy`` took from ``loser``."""
    winner = "Cluster propagation" if is_cluster_policy(policy) else "Propagation"
    beaten = "cluster propagation" if is_cluster_policy(loser) else "propagation"
    text = f"{winner} policy({_full_name(policy)}) preempted {beaten} policy({_full_name(loser)}) successfully"
    return "Normal", constants.EVENT_PREEMPT_POLICY, text


def _full_name(policy: PropagationPolicy) -> str:
    return name(policy) if is_cluster_policy(policy) else f"{namespace(policy)}/{name(policy)}"
