"""What a rule of a CronFederatedHPA does when its time has come."""

from __future__ import annotations

from typing import Final

from kafila.core.errors import StatusError, not_found, page_not_found
from kafila.core.resources import split_api_version
from kafila.core.values import AnyObject, Object
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.scale import scale_of, with_replicas

GROUP_VERSION: Final = "autoscaling.karmada.io/v1alpha1"
FEDERATED: Final = "FederatedHPA"
_BOUNDS: Final = (("targetMinReplicas", "minReplicas"), ("targetMaxReplicas", "maxReplicas"))


class CannotScale(Exception):
    """Why the target is not scaled; the message stands in event and history."""

    expected = True


async def scale(registry: Registry, namespace: str, name: str, reference: AnyObject, rule: AnyObject) -> None:
    """``name``: of the CronFederatedHPA. Raises CannotScale, StatusError."""
    api_version, kind = reference.get("apiVersion") or "", reference["kind"]
    if api_version != GROUP_VERSION:
        await _scale_workload(registry, namespace, reference, rule)
    elif kind == FEDERATED:
        await _bound_autoscaler(registry, namespace, reference["name"], rule)
    else:
        target = f"{api_version}/{kind}"
        raise CannotScale(f"CronFederatedHPA({namespace}/{name}) do not support scale target {target}")


async def _bound_autoscaler(registry: Registry, namespace: str, name: str, rule: AnyObject) -> None:
    kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "federatedhpas")
    wanted = {field: rule[target] for target, field in _BOUNDS if rule.get(target) is not None}

    def bounded(obj: Object) -> Object:
        obj["spec"].update(wanted)
        return obj

    entry = registry.cache.get(kind.resource, namespace, name)
    if entry is None:
        raise not_found(kind.group, FEDERATED, name)  # Karmada asks a cache, which names the kind
    spec = decode_entry(kind, entry)["spec"]
    if any(spec.get(field) != value for field, value in wanted.items()):
        await registry.modify(kind, namespace, name, bounded, OPTIONS)


async def _scale_workload(registry: Registry, namespace: str, reference: AnyObject, rule: AnyObject) -> None:
    """What has no namespace is not found: it is not for whoever writes in one of them to scale."""
    api_version, name = reference.get("apiVersion") or "", reference["name"]
    try:
        group, version = split_api_version(api_version)
    except ValueError as error:
        raise CannotScale(str(error)) from None
    kind = registry.catalog.by_kind(group, version, reference["kind"])
    if kind is None:
        raise CannotScale(f'no matches for kind "{reference["kind"]}" in version "{api_version}"')
    entry = registry.cache.get(kind.resource, namespace, name) if kind.namespaced else None
    if entry is None:
        raise not_found(kind.group, kind.plural, name)
    if kind.scale is None:
        raise page_not_found()
    wanted = rule["targetReplicas"]
    if scale_of(kind, decode_entry(kind, entry))["spec"].get("replicas", 0) != wanted:
        change = {"spec": {"replicas": wanted}}
        await registry.modify(kind, namespace, name, lambda obj: with_replicas(kind, obj, change), OPTIONS, "scale")


def may_pass(error: Exception) -> bool:
    """Whether nobody has to change anything: the database is away, or a webhook, or there is too much to do."""
    return isinstance(error, StatusError) and (error.code >= 500 or error.code == 429)


def message_of(error: Exception) -> str:
    return error.message if isinstance(error, StatusError) else str(error)
