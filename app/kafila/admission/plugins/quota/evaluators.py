"""What each kind of object uses of a quota (the evaluators of k8s.io/kubernetes/pkg/quota/v1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, final

from kafila.catalog.builtin.prepare import qos_class
from kafila.catalog.builtin.validation.resources import is_extended, is_native
from kafila.core.clock import parse_rfc3339
from kafila.core.pod_resources import Amounts, pod_amounts, with_overhead
from kafila.core.quantity import Quantity, from_int, of, to_int
from kafila.core.values import Object

from .scopes import Scope, names_match

_HUGEPAGES: Final = "hugepages-"
_STORAGE_CLASS: Final = ".storageclass.storage.k8s.io/"
_DEVICE_CLASS: Final = ".deviceclass.resource.k8s.io/devices"
_IMPLICIT: Final = "requests.deviceclass.resource.kubernetes.io/"
_MOST_DEVICES: Final = 32  # of an allocation, which mode All may come to
_MEASURED: Final = ("cpu", "memory", "ephemeral-storage")
_REQUIRED: Final = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_ALIASES: Final = {name: name for name in ("configmaps", "resourcequotas", "replicationcontrollers", "secrets")}
ONE: Final = from_int(1)
ZERO: Final = from_int(0)
IGNORED: Final = frozenset({"events", "events.events.k8s.io", "bindings"})


def count_name(resource: str) -> str:
    return f"count/{resource}"


class Evaluator(ABC):
    """Of one resource ``plural.group``."""

    def __init__(self, resource: str) -> None:
        self.count = count_name(resource)

    @abstractmethod
    def usage(self, obj: Object, now: float) -> Amounts:
        """``now``: seconds of Unix time."""

    def bounds(self, name: str) -> bool:
        """Whether a quota of this name is about this resource."""
        return name == self.count

    def handles(self, new: Object, old: Object | None, subresource: str) -> bool:
        """Whether this write is asked for: without ``old`` it creates."""
        return old is None and not subresource

    def in_scope(self, scope: Scope, obj: Object) -> bool:
        return False

    def unmeasured(self, names: frozenset[str], obj: Object) -> str:
        """What has to be said of ``obj`` so that a quota of ``names`` can be kept; "" when all is."""
        return ""


@final
class Counted(Evaluator):
    """Objects of which nothing but their number is counted."""

    def __init__(self, resource: str) -> None:
        super().__init__(resource)
        self._names = (self.count, _ALIASES[resource]) if resource in _ALIASES else (self.count,)

    def usage(self, obj: Object, now: float) -> Amounts:
        return dict.fromkeys(self._names, ONE)

    def bounds(self, name: str) -> bool:
        return name in self._names


@final
class Pods(Evaluator):
    def usage(self, obj: Object, now: float) -> Amounts:
        found: Amounts = {self.count: ONE}
        if not _runs(obj, now):
            return found
        spec = obj.get("spec") or {}
        requests = with_overhead(spec, "requests", pod_amounts(spec, "requests"))
        limits = with_overhead(spec, "limits", pod_amounts(spec, "limits"))
        return found | _measured(requests, limits)

    def bounds(self, name: str) -> bool:
        plain = name.removeprefix("requests.")
        if name in (self.count, "pods") or plain.startswith(_HUGEPAGES):
            return True
        if plain.removeprefix("limits.") in _MEASURED:
            return True
        return name.startswith("requests.") and (not is_native(name) or name.startswith(_IMPLICIT))

    def handles(self, new: Object, old: Object | None, subresource: str) -> bool:
        if subresource == "resize":
            return old is not None
        if old is not None:
            return not subresource and _is_terminating(old) != _is_terminating(new)
        return not subresource

    def in_scope(self, scope: Scope, obj: Object) -> bool:
        spec = obj.get("spec") or {}
        match scope.name:
            case "Terminating":
                return _is_terminating(obj)
            case "NotTerminating":
                return not _is_terminating(obj)
            case "BestEffort":
                return qos_class(spec) == "BestEffort"
            case "NotBestEffort":
                return qos_class(spec) != "BestEffort"
            case "PriorityClass":
                name = spec.get("priorityClassName")
                return names_match(scope, {name} if name else set())
            case "CrossNamespacePodAffinity":
                return _crosses_namespaces(spec.get("affinity") or {})
        return False

    def unmeasured(self, names: frozenset[str], obj: Object) -> str:
        spec = obj.get("spec") or {}
        if spec.get("resources"):
            return ""
        missing: dict[str, set[str]] = {}
        for field in ("containers", "initContainers"):
            for container in spec.get(field) or ():
                only = {"containers": [container]}
                said = _measured(pod_amounts(only, "requests"), pod_amounts(only, "limits"))
                for name in (names & _REQUIRED) - set(said):
                    missing.setdefault(name, set()).add(container.get("name", ""))
        if not missing:
            return ""
        return "must specify " + "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


@final
class Services(Evaluator):
    def usage(self, obj: Object, now: float) -> Amounts:
        spec = obj.get("spec") or {}
        ports = spec.get("ports") or ()
        node_ports = 0
        if spec.get("type") == "NodePort":
            node_ports = len(ports)
        elif spec.get("type") == "LoadBalancer":
            allocated = spec.get("allocateLoadBalancerNodePorts") is not False
            node_ports = len(ports) if allocated else sum(1 for port in ports if port.get("nodePort"))
        return {
            self.count: ONE,
            "services": ONE,
            "services.loadbalancers": ONE if spec.get("type") == "LoadBalancer" else ZERO,
            "services.nodeports": from_int(node_ports),
        }

    def bounds(self, name: str) -> bool:
        return name in (self.count, "services", "services.loadbalancers", "services.nodeports")

    def handles(self, new: Object, old: Object | None, subresource: str) -> bool:
        return not subresource


@final
class Claims(Evaluator):
    """PersistentVolumeClaims."""

    def usage(self, obj: Object, now: float) -> Amounts:
        found: Amounts = {"persistentvolumeclaims": ONE, self.count: ONE}
        storage_class = _class_of(obj)
        if storage_class:
            found[f"{storage_class}{_STORAGE_CLASS}persistentvolumeclaims"] = ONE
        storage = self._storage(obj)
        if storage is not None:
            found["requests.storage"] = storage
            if storage_class:
                found[f"{storage_class}{_STORAGE_CLASS}requests.storage"] = storage
        return found

    def bounds(self, name: str) -> bool:
        return name in (self.count, "persistentvolumeclaims", "requests.storage") or name.endswith(
            (f"{_STORAGE_CLASS}persistentvolumeclaims", f"{_STORAGE_CLASS}requests.storage")
        )

    def handles(self, new: Object, old: Object | None, subresource: str) -> bool:
        if subresource == "status":
            return old is not None and (_allocated(old) != _allocated(new) or _attributes(old) != _attributes(new))
        return not subresource

    def in_scope(self, scope: Scope, obj: Object) -> bool:
        return scope.name == "VolumeAttributesClass" and names_match(scope, _attributes(obj))

    @staticmethod
    def _storage(obj: Object) -> Quantity | None:
        """In wholes; what is allocated already when that is more (KEP-1790)."""
        asked = (((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
        if asked is None:
            return None
        larger = max(of(asked), of(_allocated(obj) or "0"))
        return larger if larger.nano % 10**9 == 0 else from_int(to_int(larger), larger.format)


@final
class ResourceClaims(Evaluator):
    def usage(self, obj: Object, now: float) -> Amounts:
        found: Amounts = {self.count: ONE}
        for request in ((obj.get("spec") or {}).get("devices") or {}).get("requests") or ():
            either: dict[str, int] = {}
            for wanted in request.get("firstAvailable") or [request.get("exactly") or {}]:
                name = wanted.get("deviceClassName")
                if name:
                    either[name] = max(either.get(name, 0), _devices(wanted))
            for name, number in either.items():
                key = f"{name}{_DEVICE_CLASS}"
                found[key] = found.get(key, ZERO) + from_int(number)
        return found

    def bounds(self, name: str) -> bool:
        return name == self.count or name.endswith(_DEVICE_CLASS)

    def handles(self, new: Object, old: Object | None, subresource: str) -> bool:
        return not subresource


_SPECIAL: Final[dict[str, Evaluator]] = {
    "pods": Pods("pods"),
    "services": Services("services"),
    "persistentvolumeclaims": Claims("persistentvolumeclaims"),
    "resourceclaims.resource.k8s.io": ResourceClaims("resourceclaims.resource.k8s.io"),
}


def evaluator_of(resource: str) -> Evaluator | None:
    """None for what has never been counted."""
    if resource in IGNORED:
        return None
    return _SPECIAL.get(resource) or Counted(resource)


def resources_of(names: list[str]) -> list[str]:
    """Which resources use what quotas of these names bound; those that only a ``count/`` names are among them."""
    found = [resource for resource, evaluator in _SPECIAL.items() if any(map(evaluator.bounds, names))]
    found += [alias for alias in _ALIASES if alias in names]
    found += [name.removeprefix("count/") for name in names if name.startswith("count/")]
    return [resource for resource in dict.fromkeys(found) if resource not in IGNORED]


# -- pods ------------------------------------------------------------------------------------------------------------------


def _runs(pod: Object, now: float) -> bool:
    """One that has ended, or should have, uses nothing but its place in the store."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return False
    deleted, grace = (pod["metadata"].get(f"deletion{field}") for field in ("Timestamp", "GracePeriodSeconds"))
    if not deleted or grace is None:
        return True
    return now <= parse_rfc3339(deleted) + float(grace)


def _measured(requests: Amounts, limits: Amounts) -> Amounts:
    found: Amounts = {"pods": ONE}
    for name in _MEASURED:
        if name in requests:
            found[name] = found[f"requests.{name}"] = requests[name]
        if name in limits:
            found[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith(_HUGEPAGES):
            found[name] = found[f"requests.{name}"] = amount
        elif is_extended(name):
            found[f"requests.{name}"] = amount
    return found


def _is_terminating(pod: Object) -> bool:
    seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    return seconds is not None and seconds >= 0


def _crosses_namespaces(affinity: Object) -> bool:
    terms: list[Object] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        of_kind = affinity.get(kind) or {}
        terms += of_kind.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = of_kind.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [weighted.get("podAffinityTerm") or {} for weighted in preferred]
    return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)


# -- claims ----------------------------------------------------------------------------------------------------------------


def _class_of(claim: Object) -> str:
    annotations = claim["metadata"].get("annotations") or {}
    name: str = annotations.get("volume.beta.kubernetes.io/storage-class", "")
    return name or (claim.get("spec") or {}).get("storageClassName") or ""


def _allocated(claim: Object) -> str | None:
    allocated: str | None = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    return allocated


def _attributes(claim: Object) -> set[str]:
    """The VolumeAttributesClasses that it has, had, or is on its way to."""
    status = claim.get("status") or {}
    names = (
        (claim.get("spec") or {}).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return {name for name in names if name}


def _devices(wanted: Object) -> int:
    mode = wanted.get("allocationMode")
    if mode == "All":
        return _MOST_DEVICES
    return int(wanted.get("count") or 0) if mode == "ExactCount" else 0
