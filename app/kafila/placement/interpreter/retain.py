"""What the member cluster decides about an object and an update must not take back.

Its API server forbids to change some fields after creation, and others are written there by admission, controllers and people.
What the member only added stays. What both say and is different is asked for as it is wanted: where that is forbidden, the
member refuses it and the refusal is shown, rather than an update that did not happen.

Each function is given a desired object that it may change, and the observed one, and returns the desired object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kafila.core import quantity
from kafila.core.values import Object, nested
from kafila.placement import constants
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    name,
    namespace,
    own_map,
)

_INGRESS_CLASS: Final = "kubernetes.io/ingress.class"  # the older way to name it
_LOAD_BALANCED: Final = ("LoadBalancer",)
_WITH_NODE_PORTS: Final = ("NodePort", "LoadBalancer")
_MERGE_KEYS: Final = {  # of lists in pods; all others are taken as a whole
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "readinessGates": ("conditionType",),
    "resourceClaims": ("name",),
    "tolerations": ("key", "operator", "value", "effect"),
}
# a Job's fields that cannot change: what the member's admission has given them stays
_JOB: Final = (
    "completionMode",
    "managedBy",
    "podFailurePolicy",
    "podReplacementPolicy",
    "successPolicy",
    "backoffLimitPerIndex",
)


class RetainError(InterpretError):
    """The observed object lacks what must be kept."""


def workload_replicas(desired: Object, observed: Object) -> Object:
    """An autoscaler in the member owns the number of replicas of a workload with the label retain-replicas."""
    if labels_of(desired).get(constants.RETAIN_REPLICAS) != constants.TRUE:
        return desired
    replicas = nested(observed, "spec", "replicas")
    if not isinstance(replicas, int):
        reference = f"{observed.get('kind')} {namespace(observed)}/{name(observed)}"
        raise RetainError(f"failed to get spec.replicas from {reference}")
    own_map(desired, "spec")["replicas"] = replicas
    return desired


# -- pods ----------------------------------------------------------------------------------------------------------------


def pod(desired: Object, observed: Object) -> Object:
    """Little of a pod can change: images, a deadline, tolerations that are added, gates that are opened."""
    desired["spec"] = _pod_spec(desired.get("spec") or {}, observed.get("spec") or {})
    return desired


def _pod_spec(wanted: Object, found: Object) -> Object:
    merged: Object = _over(wanted, found)
    for field in ("nodeName", "serviceAccountName", "volumes", "ephemeralContainers", "resources"):
        _copy_field(merged, found, field)
    for containers in ("containers", "initContainers"):
        present = _by_key(found.get(containers), ("name",))
        for key, container in _by_key(merged.get(containers), ("name",)).items():
            if key in present:
                for field in ("volumeMounts", "resources", "imagePullPolicy"):
                    _copy_field(container, present[key], field)
    if "schedulingGates" in merged:
        asked, closed = (_by_key(each.get("schedulingGates"), ("name",)) for each in (wanted, found))
        merged["schedulingGates"] = [gate for key, gate in closed.items() if key in asked]
    return merged


def _copy_field(target: Object, source: Object, field: str) -> None:
    if source.get(field):
        target[field] = source[field]
    else:
        target.pop(field, None)


def _over(wanted: Any, found: Any, field: str = "") -> Any:
    """``wanted`` over what is there: what only ``found`` has stays, in maps and in lists whose items have keys."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {**found, **{key: _over(value, found.get(key), key) for key, value in wanted.items()}}
    if isinstance(wanted, list) and isinstance(found, list) and field in _MERGE_KEYS:
        keys = _MERGE_KEYS[field]
        asked, present = _by_key(wanted, keys), _by_key(found, keys)
        if len(present) < len(found):  # of two variables of one name the last counts; both stay
            return [*found, *(item for key, item in asked.items() if key not in present)]
        merged = [_over(asked.pop(key, item), item) for key, item in present.items()]
        return [*merged, *asked.values()]
    return found if wanted is None or wanted == [] or wanted == {} else wanted


def _by_key(items: Iterable[Any] | None, keys: Iterable[str]) -> dict[str, Any]:
    """Nobody has checked what a member answers."""
    return {repr([item.get(key) or "" for key in keys]): item for item in items or () if isinstance(item, dict)}


def job(desired: Object, observed: Object) -> Object:
    """The selector and the pod labels that the member generated, and where a queue there sends the pods."""
    wanted, found = own_map(desired, "spec"), observed.get("spec") or {}
    selected = nested(found, "selector", "matchLabels")
    if selected is not None:
        own_map(wanted, "selector")["matchLabels"] = selected
    template, present = own_map(wanted, "template"), found.get("template") or {}
    template["metadata"] = _over(template.get("metadata") or {}, present.get("metadata") or {})
    labels = nested(present, "metadata", "labels")
    if labels is not None:
        template["metadata"]["labels"] = labels
    if not template["metadata"]:
        del template["metadata"]
    template["spec"] = _over(template.get("spec") or {}, present.get("spec") or {})
    _keep_missing(wanted, found, _JOB)
    return desired


# -- services and volumes ------------------------------------------------------------------------------------------------


def service(desired: Object, observed: Object) -> Object:
    """Addresses, address families and ports that the member allocated, and who balances its load."""
    wanted, found = own_map(desired, "spec"), observed.get("spec") or {}
    for field in ("healthCheckNodePort", "clusterIP"):
        if found.get(field):
            wanted[field] = found[field]
    families, present = wanted.get("ipFamilies") or [], found.get("ipFamilies") or []
    if present and families[:1] != present[:1]:  # the first can never change; how many there are can
        wanted["ipFamilies"] = present
        _keep_missing(wanted, found, ("ipFamilyPolicy",))
    both = (wanted.get("type"), found.get("type"))
    if all(each in _LOAD_BALANCED for each in both):
        _keep_missing(wanted, found, ("loadBalancerClass",))
    if all(each in _WITH_NODE_PORTS for each in both) and wanted.get("allocateLoadBalancerNodePorts") is not False:
        keys = ("port", "protocol")
        allocated = _by_key(found.get("ports"), keys)
        for key, port in _by_key(wanted.get("ports"), keys).items():
            _keep_missing(port, allocated.get(key) or {}, ("nodePort",))
    return desired


def _keep_missing(wanted: Object, found: Object, fields: Iterable[str]) -> None:
    for field in fields:
        if not wanted.get(field) and found.get(field):
            wanted[field] = found[field]


def persistent_volume_claim(desired: Object, observed: Object) -> Object:
    """The volume and the class that it got, and a size that it has grown to: it cannot shrink."""
    found = observed.get("spec") or {}
    spec = desired["spec"] = _over(desired.get("spec") or {}, found)
    _copy_if_there(spec, found, "volumeName")
    asked, given = nested(spec, "resources", "requests", "storage"), nested(observed, "status", "capacity", "storage")
    if _has_grown(asked, given):
        spec["resources"] = {**spec["resources"], "requests": found["resources"]["requests"]}
    return desired


def persistent_volume(desired: Object, observed: Object) -> Object:
    """Whose it is, where it is, and a size that it has grown to."""
    wanted, found = own_map(desired, "spec"), observed.get("spec") or {}
    _copy_if_there(wanted, found, "claimRef")
    _keep_missing(wanted, found, ("nodeAffinity",))
    asked, given = nested(wanted, "capacity", "storage"), nested(found, "capacity", "storage")
    if _has_grown(asked, given):
        wanted["capacity"] = {**wanted["capacity"], "storage": given}
    return desired


def _has_grown(asked: Any, given: Any) -> bool:
    if not asked or not given:
        return False
    try:
        return quantity.of(asked) < quantity.of(given)
    except quantity.QuantityError:
        return False


def _copy_if_there(wanted: Object, found: Object, field: str) -> None:
    if found.get(field):
        wanted[field] = found[field]


# -- what admission, controllers and injectors fill in -------------------------------------------------------------------


def service_account(desired: Object, observed: Object) -> Object:
    """Token and pull secrets of both sides, by name."""
    for field in ("secrets", "imagePullSecrets"):
        merged = {secret.get("name"): secret for secret in desired.get(field) or ()}
        for secret in observed.get(field) or ():
            merged.setdefault(secret.get("name"), secret)
        if merged:
            desired[field] = list(merged.values())
    return desired


def closed(desired: Object, observed: Object) -> Object:
    """A ConfigMap or Secret that was made immutable stays so."""
    _keep_missing(desired, observed, ("immutable",))
    return desired


def secret(desired: Object, observed: Object) -> Object:
    """The token that the member put into a service account's secret."""
    if desired.get("type") == "kubernetes.io/service-account-token" and observed.get("data") is not None:
        desired["data"] = observed["data"]
    return closed(desired, observed)


def ingress(desired: Object, observed: Object) -> Object:
    """The class that is the member's default."""
    if not annotations_of(desired).get(_INGRESS_CLASS):
        _keep_missing(own_map(desired, "spec"), observed.get("spec") or {}, ("ingressClassName",))
    return desired


def cluster_role(desired: Object, observed: Object) -> Object:
    """Rules that the member gathers from other roles."""
    if desired.get("aggregationRule") is not None and observed.get("rules"):
        desired["rules"] = observed["rules"]
    return desired


def webhooks(desired: Object, observed: Object) -> Object:
    """The authority that an injector in the member writes, by webhook."""
    present = _by_key(observed.get("webhooks"), ("name",))
    for key, webhook in _by_key(desired.get("webhooks"), ("name",)).items():
        _keep_authority(webhook.get("clientConfig"), (present.get(key) or {}).get("clientConfig"))
    return desired


def api_service(desired: Object, observed: Object) -> Object:
    _keep_authority(desired.get("spec"), observed.get("spec"))
    return desired


def definition(desired: Object, observed: Object) -> Object:
    path = ("spec", "conversion", "webhook", "clientConfig")
    _keep_authority(nested(desired, *path), nested(observed, *path))
    return desired


def _keep_authority(wanted: Any, found: Any) -> None:
    if isinstance(wanted, dict) and isinstance(found, dict):
        _keep_missing(wanted, found, ("caBundle",))
