"""What is asked of a write to ``/status``, which changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.core import names, quantity
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    Found,
    check_ip,
    check_name,
    check_not_negative,
    forbidden,
    invalid,
    not_supported,
    parse_ip,
    required,
)

StatusCheck = Callable[[Object, Object], list[FieldError]]

# counts of each kind, those that are part of all replicas apart
_DEPLOYMENT = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_SET = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
_STATEFUL = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_DAEMON = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
)


def _counts(
    fields: tuple[str, ...], parts: tuple[str, ...] = (), ready: str = "readyReplicas", collisions: bool = False
) -> StatusCheck:
    """``fields`` are not negative, ``parts`` no more than the replicas; what is available is ready (so called)."""

    def check(new: Object, old: Object) -> Found:
        found: Found = []
        status, was = new.get("status") or {}, old.get("status") or {}
        for field in fields:
            check_not_negative(status, field, "status", found)
        for part in parts:
            count = status.get(part) or 0
            if count > (status.get("replicas") or 0):
                found.append(invalid(f"status.{part}", count, "cannot be greater than status.replicas"))
        available = status.get("availableReplicas") or 0
        if parts and available > (status.get("readyReplicas") or 0):
            found.append(invalid("status.availableReplicas", available, f"cannot be greater than {ready}"))
        if collisions and (status.get("collisionCount") or 0) < (was.get("collisionCount") or 0):
            found.append(invalid("status.collisionCount", status.get("collisionCount") or 0, "cannot be decremented"))
        return found

    return check


deployment = _counts(
    (*_DEPLOYMENT, "unavailableReplicas", "terminatingReplicas", "collisionCount"),
    ("updatedReplicas", "readyReplicas", "availableReplicas"),
    collisions=True,
)
replica_set = _counts((*_SET, "terminatingReplicas"), ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))
replication_controller = _counts(_SET, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))
stateful_set = _counts(
    (*_STATEFUL, "observedGeneration", "collisionCount"),
    ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
    ready="status.readyReplicas",
    collisions=True,
)
daemon_set = _counts((*_DAEMON, "collisionCount"), collisions=True)
autoscaler = _counts(("currentReplicas", "desiredReplicas"))


_RESIZE_STATES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)


def nothing(new: Object, old: Object) -> Found:
    return []


def namespace(new: Object, old: Object) -> Found:
    going = bool(new["metadata"].get("deletionTimestamp"))
    phase, wanted = (new.get("status") or {}).get("phase") or "", "Terminating" if going else "Active"
    if phase == wanted:
        return []
    text = f"may only be '{wanted}' if `deletionTimestamp` is {'not ' if going else ''}empty"
    return [invalid("status.Phase", phase, text)]


def claim(new: Object, old: Object) -> Found:
    found: Found = []
    if not (new.get("spec") or {}).get("accessModes"):
        found.append(required("Spec.accessModes"))
    status = new.get("status") or {}
    for name, amount in (status.get("capacity") or {}).items():
        _check_amount(amount, f"status.capacity[{name}]", found)
    path = "status.allocatedResourceStatuses"
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        _check_claim_resource(name, path, found)
        if state not in _RESIZE_STATES:
            found.append(not_supported(path, name, _RESIZE_STATES))
    path = "status.allocatedResources"
    for name, amount in (status.get("allocatedResources") or {}).items():
        if _check_claim_resource(name, path, found):
            _check_amount(amount, f"{path}[{name}]", found)
    return found


def _check_amount(amount: Any, path: str, found: Found) -> None:
    value = quantity.to_int(amount)
    if value < 0:
        found.append(invalid(path, value, "must be a valid resource quantity"))


def _check_claim_resource(name: str, path: str, found: Found) -> bool:
    before = len(found)
    for why in names.qualified_name(name):
        found.append(invalid(path, name, why))
    prefix, slash, _ = name.rpartition("/")
    if len(found) == before and (name != "storage" if not slash else prefix.endswith("kubernetes.io")):
        found.append(not_supported(path, name, ("storage",)))
    return len(found) == before


def service(new: Object, old: Object) -> Found:
    found: Found = []
    balancer, before = ((obj.get("status") or {}).get("loadBalancer") or {} for obj in (new, old))
    points = balancer.get("ingress") or ()
    if points and (new.get("spec") or {}).get("type") != "LoadBalancer":
        found.append(forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'"))
        return found
    for i, point in enumerate(points):
        _check_ingress_point(point, before, f"status.loadBalancer.ingress[{i}]", found, modes=True)
    return found


def ingress(new: Object, old: Object) -> Found:
    found: Found = []
    balancer, before = ((obj.get("status") or {}).get("loadBalancer") or {} for obj in (new, old))
    for i, point in enumerate(balancer.get("ingress") or ()):
        _check_ingress_point(point, before, f"status.loadBalancer.ingress[{i}]", found, modes=False)
    return found


def _check_ingress_point(point: Object, before: Object, path: str, found: Found, *, modes: bool) -> None:
    address, mode, host = point.get("ip"), point.get("ipMode"), point.get("hostname")
    if address:
        known = [other["ip"] for other in before.get("ingress") or () if other.get("ip")]
        check_ip(address, f"{path}.ip", found, known)
    if modes:
        if mode is None:
            if address:
                found.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
        elif not address:
            found.append(forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
        elif mode not in ("Proxy", "VIP"):
            found.append(not_supported(f"{path}.ipMode", mode, ("Proxy", "VIP")))
    if host:
        check_name(host, f"{path}.hostname", found)
        if parse_ip(host) is not None:
            found.append(invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address"))


# -- pods ------------------------------------------------------------------------------------------------------------------

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def pod(new: Object, old: Object) -> Found:
    found: Found = []
    status, was = new.get("status") or {}, old.get("status") or {}
    for i, condition in enumerate(status.get("conditions") or ()):
        path, kind = f"status.conditions[{i}]", condition.get("type") or ""
        if (condition.get("observedGeneration") or 0) < 0:
            text = "must be a non-negative integer"
            found.append(invalid(f"{path}.observedGeneration", condition["observedGeneration"], text))
        if kind not in _SYSTEM_CONDITIONS:
            check_name(kind, f"{path}.Type", found, names.qualified_name)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != was.get("nominatedNodeName"):
        check_name(nominated, "status.nominatedNodeName", found)
        if (old.get("spec") or {}).get("nodeName"):
            text = "may not be set on pods that are already bound to a node"
            found.append(forbidden("status.nominatedNodeName", text))
    if (status.get("observedGeneration") or 0) < 0:
        text = "must be a non-negative integer"
        found.append(invalid("status.observedGeneration", status["observedGeneration"], text))
    if (status.get("qosClass") or "") != (was.get("qosClass") or ""):
        found.append(invalid("status.qosClass", status.get("qosClass") or "", names.IMMUTABLE))
    _check_states(status, was, old.get("spec") or {}, found)
    _check_addresses(status, was, "podIP", found)
    _check_addresses(status, was, "hostIP", found)
    return found


def _check_states(status: Object, was: Object, spec: Object, found: Found) -> None:
    """What has ended stays so, unless its restart policy says otherwise."""
    lists = (
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", ""),
    )
    for field, containers in lists:
        running = {s.get("name") for s in status.get(field) or () if not (s.get("state") or {}).get("terminated")}
        for i, before in enumerate(was.get(field) or ()):
            ended = (before.get("state") or {}).get("terminated")
            if ended is None or before.get("name") not in running:
                continue
            container = next((c for c in spec.get(containers) or () if c.get("name") == before.get("name")), None)
            if container is None or not _may_restart(container, spec, ended.get("exitCode") or 0):
                text = "may not be transitioned to non-terminated state"
                found.append(forbidden(f"status.{field}[{i}].state", text))


def _may_restart(container: Object, spec: Object, code: int) -> bool:
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        if (code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            return bool(rule.get("action") in ("Restart", "RestartAllContainers"))
    policy = container.get("restartPolicy") or spec.get("restartPolicy")
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _check_addresses(status: Object, was: Object, field: str, found: Found) -> None:
    many = f"{field}s"
    path = f"status.{many}"
    addresses = [entry.get("ip") or "" for entry in status.get(many) or ()]
    if field == "hostIP" and addresses and addresses[0] != (status.get(field) or ""):
        found.append(invalid(f"{path}[0].ip", addresses[0], f"must be equal to `{field}`"))
    known = [entry.get("ip") for entry in was.get(many) or ()]
    for i, address in enumerate(addresses):
        check_ip(address, f"{path}[{i}]", found, known)
    if len(addresses) > 1:
        versions = {parsed.version for address in addresses if (parsed := parse_ip(address)) is not None}
        if len(versions) != len(addresses):
            text = "may specify no more than one IP for each IP family"
            found.append(invalid(path, status[many], text))
