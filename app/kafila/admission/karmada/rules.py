"""Which rule is for which kind. The registry calls ``mutate`` before validation and ``admit`` after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.catalog.kind import Kind
from kafila.core.errors import FieldError
from kafila.core.feature_gates import Gates
from kafila.core.values import Object
from kafila.placement import constants

from . import (
    agents,
    autoscaling,
    binding,
    cluster,
    interpreter,
    override,
    propagation,
    quota,
    rights,
    rollout,
    search,
    services,
)
from .context import NOTHING, AdmissionContext
from .errors import Denied, denied, refuse_if, within_limits
from .gostructs import BINDING, FEDERATED_HPA, MULTI_CLUSTER_SERVICE, OVERRIDE, WORK, pass_through
from .placement_annotations import admit_placement_annotations
from .work import mutate_work

Mutator = Callable[[str, Object], None]
Validator = Callable[[Object, "Object | None", Gates, AdmissionContext], None]

_BY_RIGHTS = frozenset((rights.POLICIES, rights.OVERRIDES, rights.BINDINGS))
_POLICIES = frozenset((rights.POLICIES, "clusterpropagationpolicies.policy.karmada.io"))
_PROTECTION_WEBHOOK = "resourcedeletionprotection.karmada.io"


def mutate(kind: Kind, operation: str, new: Object, old: Object | None, user: Any, gates: Gates) -> None:
    """Changes ``new`` in place as Karmada's mutating webhooks do. Raises StatusError when one of them cannot."""
    rule = _MUTATORS.get(kind.resource)
    if rule is None or _shares_spec(new, old):
        return
    if new.get("spec") is None:
        new["spec"] = {}  # it comes out of the webhook, empty
    if type(new["spec"]) is not dict:
        return  # validation will say so
    webhook, mutator = rule
    try:
        mutator(operation, new)
    except Denied as refusal:
        raise denied(webhook, refusal) from None
    kind.strategy.default(new)  # what webhooks give back is defaulted again: they leave out what is empty


def admit(
    kind: Kind,
    operation: str,
    new: Object | None,
    old: Object | None,
    user: Any,
    gates: Gates,
    around: AdmissionContext = NOTHING,
) -> None:
    """Raises StatusError in the words of Karmada's validating webhooks when the write is not allowed."""
    agents.admit_agent(kind, new, old, user, around)
    if operation == "DELETE":
        if old is not None:
            _protect(old)
            if kind.resource in _BY_RIGHTS:
                rights.admit_by_rights(kind.resource, None, _as_stored(kind, old), user, around)
        return
    if kind.resource == cluster.RESOURCE and new is not None and not _is_status_write(new, old):
        cluster.admit_cluster(new, old, user, around)
    if kind.resource == "namespaces" and new is not None:
        rights.admit_namespace(new, old)
    if kind.resource == search.RESOURCE and new is not None:
        search.admit_registry(new, old if operation == "UPDATE" else None, user, around)
    rule = _VALIDATORS.get(kind.resource)
    if rule is None or new is None or _is_status_write(new, old):
        return
    if kind.storage_version:
        # webhooks are called with the version they are registered for
        new, old = _as_stored(kind, new), _as_stored(kind, old) if old is not None else None
    webhook, validator = rule
    try:
        within_limits(lambda: validator(new, old if operation == "UPDATE" else None, gates, around))
    except Denied as refusal:
        raise denied(webhook, refusal) from None
    if kind.resource in _POLICIES:
        admit_placement_annotations(kind, new, old)
        rollout.admit_rollout(kind, new, old if operation == "UPDATE" else None, around)
    if kind.resource in _BY_RIGHTS:
        rights.admit_by_rights(kind.resource, new, old, user, around)


def _as_stored(kind: Kind, obj: Object) -> Object:
    return kind.to_storage(obj) if kind.storage_version and kind.to_storage is not None else obj


def _shares_spec(new: Object, old: Object | None) -> bool:
    """The registry hands a status write the old spec itself: there is nothing to mutate that was not mutated before."""
    return old is not None and "spec" in new and new["spec"] is old.get("spec")


def _is_status_write(new: Object, old: Object | None) -> bool:
    """Webhooks do not see the status subresource. A change of metadata may share the spec too, but they are called for it."""
    if not _shares_spec(new, old):
        return False
    assert old is not None
    metadata, was = new["metadata"], old["metadata"]
    return metadata.get("labels") == was.get("labels") and metadata.get("annotations") == was.get("annotations")


def _protect(old: Object) -> None:
    labels = (old.get("metadata") or {}).get("labels")
    if labels and labels.get(constants.DELETION_PROTECTED) == "Always":
        text = f"This resource is protected, please make sure to remove the label: {constants.DELETION_PROTECTED}"
        raise denied(_PROTECTION_WEBHOOK, Denied(text))


def _mutate_override(operation: str, new: Object) -> None:
    pass_through(new["spec"], OVERRIDE)
    propagation.select_own_namespace(new)


def _mutate_federated_hpa(operation: str, new: Object) -> None:
    autoscaling.default_federated_hpa(new)
    pass_through(new["spec"], FEDERATED_HPA)  # policies that are an empty list go now, after the defaults


def _mutate_binding(operation: str, new: Object) -> None:
    if operation == "CREATE":
        pass_through(new["spec"], BINDING)
        binding.ensure_id(new, constants.RB_PERMANENT_ID)


def _mutate_cluster_binding(operation: str, new: Object) -> None:
    if operation == "CREATE":
        pass_through(new["spec"], BINDING)
        binding.ensure_id(new, constants.CRB_PERMANENT_ID)


def _mutate_work(operation: str, new: Object) -> None:
    pass_through(new["spec"], WORK)
    mutate_work(new)


def _mutate_multi_cluster_service(operation: str, new: Object) -> None:
    pass_through(new["spec"], MULTI_CLUSTER_SERVICE)
    binding.ensure_id(new, constants.MCS_PERMANENT_ID)


_MUTATORS: dict[str, tuple[str, Mutator]] = {
    "propagationpolicies.policy.karmada.io": ("propagationpolicy.karmada.io", propagation.mutate_propagation_policy),
    "clusterpropagationpolicies.policy.karmada.io": (
        "clusterpropagationpolicy.karmada.io",
        propagation.mutate_cluster_propagation_policy,
    ),
    "overridepolicies.policy.karmada.io": ("overridepolicy.karmada.io", _mutate_override),
    "resourcebindings.work.karmada.io": ("resourcebinding.karmada.io", _mutate_binding),
    "clusterresourcebindings.work.karmada.io": ("clusterresourcebinding.karmada.io", _mutate_cluster_binding),
    "works.work.karmada.io": ("work.karmada.io", _mutate_work),
    "federatedhpas.autoscaling.karmada.io": (
        "autoscaling.karmada.io",
        _mutate_federated_hpa,
    ),
    "multiclusterservices.networking.karmada.io": ("multiclusterservice.karmada.io", _mutate_multi_cluster_service),
}


def _taint_policy(new: Object, old: Object | None, gates: Gates, around: AdmissionContext) -> None:
    found: list[FieldError] = []
    taints = new["spec"].get("taints") or []
    pairs = [(t.get("key"), t.get("effect")) for t in taints]
    last = {pair: index for index, pair in enumerate(pairs)}
    for index, (key, effect) in enumerate(pairs):
        at = f"spec.taints[{index}]"
        if effect == "NoExecute" and not around.allow_no_execute:
            text = (
                "Configuring taint with NoExecute effect is not allowed, this capability must be explicitly enabled "
                "by administrators through command-line flags"
            )
            found.append(FieldError.forbidden(at, text))
        if last[key, effect] > index:
            text = f"Duplicate taint with the same key({key}) and effect({effect}) is not allowed"
            found.append(FieldError.duplicate(at, text))
    refuse_if(found)


_VALIDATORS: dict[str, tuple[str, Validator]] = {
    "propagationpolicies.policy.karmada.io": (
        "propagationpolicy.karmada.io",
        lambda new, old, gates, around: propagation.admit_propagation_policy(new, old),
    ),
    "clusterpropagationpolicies.policy.karmada.io": (
        "clusterpropagationpolicy.karmada.io",
        lambda new, old, gates, around: propagation.admit_cluster_propagation_policy(new, old),
    ),
    "overridepolicies.policy.karmada.io": (
        "overridepolicy.karmada.io",
        lambda new, old, gates, around: override.admit_override_policy(new),
    ),
    "clusteroverridepolicies.policy.karmada.io": (
        "clusteroverridepolicy.karmada.io",
        lambda new, old, gates, around: override.admit_override_policy(new),
    ),
    "resourceinterpreterwebhookconfigurations.config.karmada.io": (
        "config.karmada.io",
        lambda new, old, gates, around: interpreter.admit_webhook_configuration(new),
    ),
    "resourceinterpretercustomizations.config.karmada.io": (
        "resourceinterpretercustomization.karmada.io",
        lambda new, old, gates, around: interpreter.admit_customization(new, around.customizations(), around.lua_error),
    ),
    "federatedresourcequotas.policy.karmada.io": (
        "federatedresourcequota.karmada.io",
        lambda new, old, gates, around: quota.admit_quota(new),
    ),
    "multiclusteringresses.networking.karmada.io": (
        "multiclusteringress.karmada.io",
        lambda new, old, gates, around: services.admit_multi_cluster_ingress(new, old),
    ),
    "federatedhpas.autoscaling.karmada.io": (
        "federatedhpa.karmada.io",
        lambda new, old, gates, around: autoscaling.admit_federated_hpa(new),
    ),
    "cronfederatedhpas.autoscaling.karmada.io": (
        "cronfederatedhpa.karmada.io",
        lambda new, old, gates, around: autoscaling.admit_cron_federated_hpa(new),
    ),
    "multiclusterservices.networking.karmada.io": (
        "multiclusterservice.karmada.io",
        lambda new, old, gates, around: services.admit_multi_cluster_service(new, old),
    ),
    "resourcebindings.work.karmada.io": (
        "resourcebinding.karmada.io",
        lambda new, old, gates, around: binding.admit_binding(new, gates),
    ),
    "clustertaintpolicies.policy.karmada.io": ("clustertaintpolicy.karmada.io", _taint_policy),
}
