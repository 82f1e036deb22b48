"""Propagation policies: what is filled in, and what is refused."""

from __future__ import annotations

from kafila.core.errors import FieldError
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.placement import constants

from .errors import Denied, refuse_if
from .gostructs import PROPAGATION, pass_through
from .placement import validate_failover, validate_placement

_SERVICE_IMPORT = ("multicluster.x-k8s.io/v1alpha1", "ServiceImport")
GRACE_PERIOD = 600  # seconds


def mutate_propagation_policy(operation: str, new: Object) -> None:
    _mutate(new["spec"])
    select_own_namespace(new)
    if operation == "CREATE":
        identify(new, constants.PP_PERMANENT_ID, constants.FINALIZER_PP)


def mutate_cluster_propagation_policy(operation: str, new: Object) -> None:
    _mutate(new["spec"])
    if operation == "CREATE":
        identify(new, constants.CPP_PERMANENT_ID, constants.FINALIZER_CPP)


def select_own_namespace(policy: Object) -> None:
    """Selectors of a namespaced policy look into its namespace when they name none."""
    namespace = policy["metadata"].get("namespace", "")
    for selector in policy["spec"].get("resourceSelectors") or ():
        if not selector.get("namespace"):
            selector["namespace"] = namespace


def identify(new: Object, label: str, finalizer: str) -> None:
    """A fresh identity, even when the client sent one: ids of copied manifests must differ."""
    metadata = new["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), label: new_uid()}
    finalizers = metadata.get("finalizers") or []
    if finalizer not in finalizers:
        metadata["finalizers"] = [*finalizers, finalizer]


def _mutate(spec: Object) -> None:
    pass_through(spec, PROPAGATION)
    placement = spec.get("placement") or {}
    for constraint in placement.get("spreadConstraints") or ():
        if not constraint.get("spreadByField") and not constraint.get("spreadByLabel"):
            constraint["spreadByField"] = "cluster"
        if not constraint.get("minGroups"):
            constraint["minGroups"] = 1
    selectors = spec.get("resourceSelectors") or ()
    if any((s.get("apiVersion"), s.get("kind")) == _SERVICE_IMPORT for s in selectors):
        spec["propagateDeps"] = True
    scheduling = placement.get("replicaScheduling")
    if scheduling and scheduling.get("replicaSchedulingType") == constants.DIVIDED:
        if not scheduling.get("replicaDivisionPreference"):
            scheduling["replicaDivisionPreference"] = constants.WEIGHTED
    application = (spec.get("failover") or {}).get("application")
    if application is not None and application.get("purgeMode") in constants.PURGE_LATER:
        if application.get("gracePeriodSeconds") is None:
            application["gracePeriodSeconds"] = GRACE_PERIOD


def admit_propagation_policy(new: Object, old: Object | None) -> None:
    _admit(new, old, constants.PP_PERMANENT_ID, new["metadata"].get("namespace", ""))


def admit_cluster_propagation_policy(new: Object, old: Object | None) -> None:
    _admit(new, old, constants.CPP_PERMANENT_ID, "")


def _admit(new: Object, old: Object | None, label: str, namespace: str) -> None:
    labels = new["metadata"].get("labels") or {}
    if old is not None:
        if new["spec"].get("schedulerName") != old["spec"].get("schedulerName"):
            raise Denied("the schedulerName should not be updated")
        if labels.get(label) != (old["metadata"].get("labels") or {}).get(label):
            raise Denied(f"label {label} is immutable, it can only be set by the system during creation")
    if label not in labels:
        raise Denied(f"label {label} is required, it should be set by the mutating admission webhook during creation")
    refuse_if(validate_spec(new["spec"], namespace))


def validate_spec(spec: Object, namespace: str) -> list[FieldError]:
    """``namespace`` of the policy, "" for cluster-scoped ones."""
    found = validate_placement(spec.get("placement") or {}, "spec.placement")
    failover = spec.get("failover")
    if failover and failover.get("application") is not None and not spec.get("propagateDeps"):
        text = "application failover is set, propagateDeps must be true"
        found.append(FieldError.invalid("spec.propagateDeps", False, text))
    found += validate_failover(failover, "spec.failover")
    selectors = spec.get("resourceSelectors") or []
    found += validate_selectors(selectors, namespace, "spec.resourceSelectors")
    if spec.get("preemption") == "Always":
        text = "name cannot be empty if preemption is Always, the empty name may cause unexpected resources preemption"
        found += [
            FieldError.invalid(f"spec.resourceSelectors[{index}].name", "", text)
            for index, selector in enumerate(selectors)
            if not selector.get("name")
        ]
    return found + _suspension(spec.get("suspension"))


def validate_selectors(selectors: list[Object], namespace: str, path: str) -> list[FieldError]:
    if not namespace:
        return []
    text = "namespace of resource selector must be the same as the namespace of the policy"
    return [
        FieldError.invalid(f"{path}[{index}].namespace", selector.get("namespace", ""), text)
        for index, selector in enumerate(selectors)
        if selector.get("namespace", "") != namespace
    ]


def _suspension(suspension: Object | None) -> list[FieldError]:
    if not suspension or not suspension.get("dispatching"):
        return []
    if not (suspension.get("dispatchingOnClusters") or {}).get("clusterNames"):
        return []
    text = "suspension dispatching cannot co-exist with dispatchingOnClusters.clusterNames"
    return [FieldError.invalid("spec.suspension.suspension", suspension, text)]
