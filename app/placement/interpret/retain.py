"""What the member cluster decides about an object and an update must not take back.

Each function is given a desired object that it may change, and the observed one, and returns the desired object.
"""

from __future__ import annotations

from app.core.values import nested
from app.placement import names
from app.placement.interpret.errors import InterpretError
from app.placement.objects import Object, labels_of, name, namespace, own_map


class RetainError(InterpretError):
    """The observed object lacks what must be kept."""


def workload_replicas(desired: Object, observed: Object) -> Object:
    """An HPA in the member owns the number of replicas of a Deployment with the label retain-replicas."""
    if labels_of(desired).get(names.RETAIN_REPLICAS) != names.TRUE:
        return desired
    replicas = nested(observed, "spec", "replicas")
    if not isinstance(replicas, int):
        reference = f"{observed.get('kind')} {namespace(observed)}/{name(observed)}"
        raise RetainError(f"failed to get spec.replicas from {reference}")
    own_map(desired, "spec")["replicas"] = replicas
    return desired


def pod(desired: Object, observed: Object) -> Object:
    """Where the pod runs, and the volumes that the member's admission gave it."""
    wanted, found = own_map(desired, "spec"), observed.get("spec") or {}
    for field in ("nodeName", "serviceAccountName", "volumes"):
        _copy_field(wanted, found, field)
    for containers in ("containers", "initContainers"):
        mine = {container.get("name"): container for container in wanted.get(containers) or ()}
        for container in found.get(containers) or ():
            if container.get("name") in mine:
                _copy_field(mine[container.get("name")], container, "volumeMounts")
    return desired


def _copy_field(target: Object, source: Object, field: str) -> None:
    if source.get(field):
        target[field] = source[field]
    else:
        target.pop(field, None)


def service(desired: Object, observed: Object) -> Object:
    """Addresses and ports that the member allocated."""
    found = observed.get("spec") or {}
    for field in ("healthCheckNodePort", "clusterIP"):
        if found.get(field):
            own_map(desired, "spec")[field] = found[field]
    return desired


def service_account(desired: Object, observed: Object) -> Object:
    """Token and pull secrets of both sides, by name."""
    for field in ("secrets", "imagePullSecrets"):
        merged = {secret.get("name"): secret for secret in desired.get(field) or ()}
        for secret in observed.get(field) or ():
            merged.setdefault(secret.get("name"), secret)
        if merged:
            desired[field] = list(merged.values())
    return desired


def secret(desired: Object, observed: Object) -> Object:
    """The token that the member put into a service account's secret."""
    if desired.get("type") == "kubernetes.io/service-account-token" and observed.get("data") is not None:
        desired["data"] = observed["data"]
    return desired


def persistent_volume_claim(desired: Object, observed: Object) -> Object:
    volume = nested(observed, "spec", "volumeName")
    if volume:
        own_map(desired, "spec")["volumeName"] = volume
    return desired


def persistent_volume(desired: Object, observed: Object) -> Object:
    claim = (observed.get("spec") or {}).get("claimRef")
    if claim is not None:
        own_map(desired, "spec")["claimRef"] = claim
    return desired


def job(desired: Object, observed: Object) -> Object:
    """The selector and the pod labels that the member generated."""
    selected = nested(observed, "spec", "selector", "matchLabels")
    if selected is not None:
        own_map(own_map(desired, "spec"), "selector")["matchLabels"] = selected
    marked = nested(observed, "spec", "template", "metadata", "labels")
    if marked is not None:
        own_map(own_map(own_map(desired, "spec"), "template"), "metadata")["labels"] = marked
    return desired
