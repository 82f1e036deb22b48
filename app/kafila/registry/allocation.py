"""Things of which there is only one: cluster IPs and node ports of Services.

An allocation is an object whose name is the thing itself (``ipaddresses.networking.k8s.io/10.96.0.1``), written in the same
transaction as the Service under the guard that it does not exist: two processes can never give away the same one.
"""

from __future__ import annotations

import ipaddress
import random
from typing import NamedTuple, final

import orjson

from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.names import new_uid
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.store.interface import Guard, Write
from kafila.watch import Cache

from . import ip_families
from .codec import encode_body

ADDRESSES = "ipaddresses.networking.k8s.io"
PORTS = "nodeports.internal"  # served by no API, as in Kubernetes
NODE_PORTS = range(30000, 32768)
# ports that are given away unasked only when there is no other: who names one most likely gets it (KEP-3668)
STATIC_NODE_PORTS = NODE_PORTS[: min(max(16, len(NODE_PORTS) // 32), 128)]
ATTEMPTS = 64
DEFAULT_SERVICE_CIDR = "10.96.0.0/12"


class Allocation(NamedTuple):
    guards: tuple[Guard, ...] = ()
    writes: tuple[Write, ...] = ()


NOTHING = Allocation()


@final
class ServiceAllocator:
    """Fills clusterIP and nodePort of a Service and says what must be written with it."""

    def __init__(self, cache: Cache, service_cidr: str = DEFAULT_SERVICE_CIDR) -> None:
        self._cache = cache
        self._network = ipaddress.IPv4Network(service_cidr)
        # the first addresses are given away to those only who name them (KEP-3070), as far as that leaves others
        size = self._network.num_addresses
        self._kept = min(max(16, size // 16), 256) + 1 if size > 32 else 2

    def allocate(self, new: Object, old: Object | None) -> Allocation:
        """Changes ``new`` in place. Raises StatusError 422 for an address that is taken or out of range."""
        spec = new.setdefault("spec", {})
        before = (old or {}).get("spec") or {}
        writes: list[Write] = []
        had = _addresses(before)
        if spec.get("type") == "ExternalName":
            if had:
                spec.pop("clusterIP", None)
                spec.pop("clusterIPs", None)
            for field in ("ipFamilies", "ipFamilyPolicy"):
                spec.pop(field, None)
        else:
            self._fill_address(new, spec, before)
        has = _addresses(spec)
        if old is not None and had and has and had != has and before.get("type") != "ExternalName":
            found = [errors.FieldError.invalid("spec.clusterIPs[0]", has, "may not change once set")]
            raise errors.invalid("", "Service", new["metadata"]["name"], found)
        writes.extend(_take_address(ip, new) for ip in has if ip not in had)
        writes.extend(self._given_back(ADDRESSES, [ip for ip in had if ip not in has]))
        writes.extend(self._ports(new, spec, before))
        guards = tuple(Guard(w.key, absent=True) for w in writes if w.body is not None)
        return Allocation(guards, tuple(writes))

    def release(self, old: Object) -> Allocation:
        """What goes together with a Service."""
        spec = old.get("spec") or {}
        ports = [str(number) for number in sorted(_node_ports(spec))]
        return Allocation((), (*self._given_back(ADDRESSES, _addresses(spec)), *self._given_back(PORTS, ports)))

    def _fill_address(self, new: Object, spec: Object, before: Object) -> None:
        if not spec.get("clusterIP") and spec.get("clusterIPs"):
            spec["clusterIP"] = spec["clusterIPs"][0]
        found = ip_families.init_fields(spec, before)
        if found:
            raise errors.invalid("", "Service", new["metadata"].get("name", ""), found)
        if not spec.get("clusterIP"):
            spec["clusterIP"] = before.get("clusterIP") or self._free_address()
        elif spec["clusterIP"] != "None" and spec["clusterIP"] != before.get("clusterIP"):
            self._check_address(new, spec["clusterIP"])
        spec["clusterIPs"] = [spec["clusterIP"]]

    def _free_address(self) -> str:
        size = self._network.num_addresses
        for _ in range(ATTEMPTS * 16):
            candidate = str(self._network[random.randrange(self._kept, size - 1)])
            if self._cache.get(ADDRESSES, "", candidate) is None:
                return candidate
        for number in range(2, self._kept):
            candidate = str(self._network[number])
            if self._cache.get(ADDRESSES, "", candidate) is None:
                return candidate
        raise errors.internal_error("failed to allocate a serviceIP: range is full")

    def _check_address(self, new: Object, address: str) -> None:
        name, path = new["metadata"]["name"], "spec.clusterIPs"
        try:
            inside = ipaddress.IPv4Address(address) in self._network
        except ValueError:
            inside = False
        if not inside:
            why = f"failed to allocate IP {address}: the provided network does not match the current range"
            raise errors.invalid("", "Service", name, [errors.FieldError.invalid(path, [address], why)])
        if self._cache.get(ADDRESSES, "", address) is not None:
            why = f"failed to allocate IP {address}: provided IP is already allocated"
            raise errors.invalid("", "Service", name, [errors.FieldError.invalid(path, [address], why)])

    def _ports(self, new: Object, spec: Object, before: Object) -> list[Write]:
        had = _node_ports(before)
        if spec.get("type") == "NodePort" or (
            spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
        ):
            self._fill_ports(spec, before)
        self._fill_health_check(spec, before)
        has = _node_ports(spec)
        for number in has - had:
            if number not in NODE_PORTS:
                why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
                found = [errors.FieldError.invalid(_where(spec, number), number, why)]
                raise errors.invalid("", "Service", new["metadata"]["name"], found)
            if self._cache.get(PORTS, "", str(number)) is not None:
                why = "provided port is already allocated"
                found = [errors.FieldError.invalid(_where(spec, number), number, why)]
                raise errors.invalid("", "Service", new["metadata"]["name"], found)
        writes = [_take_port(number, new) for number in sorted(has - had)]
        writes.extend(self._given_back(PORTS, [str(number) for number in sorted(had - has)]))
        return writes

    def _fill_ports(self, spec: Object, before: Object) -> None:
        known = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
        used = _node_ports(spec)
        for port in spec.get("ports") or ():
            if port.get("nodePort"):
                continue
            kept = known.get((port.get("protocol"), port.get("port")))
            port["nodePort"] = kept if kept and kept not in used else self._free_port(used)
            used.add(port["nodePort"])

    def _fill_health_check(self, spec: Object, before: Object) -> None:
        """Load balancers that keep traffic on a node ask that node whether it has any endpoint."""
        if _has_health_check(spec):
            if not spec.get("healthCheckNodePort"):
                kept = before.get("healthCheckNodePort") if _has_health_check(before) else None
                spec["healthCheckNodePort"] = kept or self._free_port(_node_ports(spec))
        elif _has_health_check(before):
            spec.pop("healthCheckNodePort", None)

    def _free_port(self, used: set[int]) -> int:
        for band in (NODE_PORTS[len(STATIC_NODE_PORTS) :], STATIC_NODE_PORTS):
            for _ in range(ATTEMPTS * 16):
                candidate = random.choice(band)
                if candidate not in used and self._cache.get(PORTS, "", str(candidate)) is None:
                    return candidate
        raise errors.internal_error("failed to allocate a nodePort: range is full")

    def _given_back(self, resource: str, names: list[str]) -> list[Write]:
        """Deletions of what is there: whoever may write these objects may also have deleted them."""
        writes = []
        for name in names:
            entry = self._cache.get(resource, "", name)
            if entry is not None:
                writes.append(Write(entry.key, None, entry.meta.uid, last=encode_body(entry.decode())))
        return writes


def _addresses(spec: Object) -> list[str]:
    return [ip for ip in spec.get("clusterIPs") or () if ip and ip != "None"]


def _node_ports(spec: Object) -> set[int]:
    if spec.get("type") not in ("NodePort", "LoadBalancer"):
        return set()
    ports = {p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")}
    if _has_health_check(spec) and spec.get("healthCheckNodePort"):
        ports.add(spec["healthCheckNodePort"])
    return ports


def _has_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _where(spec: Object, number: int) -> str:
    for i, port in enumerate(spec.get("ports") or ()):
        if port.get("nodePort") == number:
            return f"spec.ports[{i}].nodePort"
    return "spec.healthCheckNodePort"


def _take_address(address: str, service: Object) -> Write:
    metadata = service["metadata"]
    parent = {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}
    uid = new_uid()
    body = {
        "metadata": {
            "name": address,
            "uid": uid,
            "creationTimestamp": rfc3339(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": parent},
    }
    return Write(Key(ADDRESSES, "", address), orjson.dumps(body), uid)


def _take_port(number: int, service: Object) -> Write:
    owner = {"namespace": service["metadata"]["namespace"], "name": service["metadata"]["name"]}
    return Write(Key(PORTS, "", str(number)), orjson.dumps({"metadata": {"name": str(number)}, "service": owner}))
