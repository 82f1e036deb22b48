"""LimitRanger: defaults and bounds of what the containers, pods and claims of a namespace ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from kafila.core import quantity
from kafila.core.errors import aggregate
from kafila.core.pod_resources import Amounts, amounts, pod_amounts
from kafila.core.quantity import Quantity
from kafila.core.values import Object

from .attributes import Attributes, Lookups

ANNOTATION: Final = "kubernetes.io/limit-ranger"
RESOURCES: Final = ("pods", "persistentvolumeclaims")
_LIMIT_RANGES: Final = "limitranges"
_MAX_MILLI: Final = (1 << 63) // 1000  # amounts above it are compared as whole numbers


def default(asked: Attributes, look: Lookups) -> None:
    if asked.kind.resource == "pods" and _concerns(asked):
        set_defaults(_limit_ranges(asked, look), asked.new)


def check(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    if _concerns(asked):
        for limit_range in _limit_ranges(asked, look):
            text = violation(limit_range, asked.kind.resource, asked.new)
            if text:
                raise asked.refused(text)
    return ()


def _concerns(asked: Attributes) -> bool:
    """A pod is asked when it is made and when it is resized, a claim always; what is being deleted never."""
    if asked.old is not None and asked.old["metadata"].get("deletionTimestamp"):
        return False
    if asked.subresource or (asked.kind.resource == "pods" and asked.old is not None):
        return asked.kind.resource == "pods" and asked.subresource == "resize"
    return True


def _limit_ranges(asked: Attributes, look: Lookups) -> list[Object]:
    return sorted(look.within(_LIMIT_RANGES, asked.namespace), key=lambda obj: str(obj["metadata"]["name"]))


def set_defaults(limit_ranges: Iterable[Object], pod: Object) -> None:
    """Changes ``pod`` in place, and says in an annotation what it set (each LimitRange in place of the one before)."""
    for limit_range in limit_ranges:
        requests: Object = {}
        limits: Object = {}
        for item in (limit_range.get("spec") or {}).get("limits") or ():
            if item.get("type") == "Container":
                requests |= item.get("defaultRequest") or {}
                limits |= item.get("default") or {}
        told: list[str] = []
        spec = pod.get("spec") or {}
        for field, what in (("containers", "container"), ("initContainers", "init container")):
            for container in spec.get(field) or ():
                resources = container.setdefault("resources", {})
                for kind, defaults in (("requests", requests), ("limits", limits)):
                    missing = sorted(set(defaults) - set(resources.get(kind) or ()))
                    if missing:
                        resources[kind] = (resources.get(kind) or {}) | {name: defaults[name] for name in missing}
                        told.append(f"{', '.join(missing)} {kind[:-1]} for {what} {container.get('name', '')}")
        if told:
            annotations = pod["metadata"].setdefault("annotations", {})
            annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(told)}"


def violation(limit_range: Object, plural: str, obj: Object) -> str:
    """What ``obj`` violates, "" for nothing. ``plural`` is one of RESOURCES."""
    found: list[str] = []
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        for requests, limits in _bounded(item.get("type"), plural, obj.get("spec") or {}):
            found.extend(_violations(item, requests, limits))
    return aggregate(found)


def _bounded(type_: Any, plural: str, spec: Object) -> Iterator[tuple[Amounts, Amounts | None]]:
    """Requests and limits of each thing that a limit of this type bounds; a claim has no limits."""
    if plural == "persistentvolumeclaims":
        if type_ == "PersistentVolumeClaim":
            yield amounts((spec.get("resources") or {}).get("requests")), None
    elif type_ == "Container":
        for field in ("containers", "initContainers"):
            for container in spec.get(field) or ():
                resources = container.get("resources") or {}
                yield amounts(resources.get("requests")), amounts(resources.get("limits"))
    elif type_ == "Pod":
        yield pod_amounts(spec, "requests", hugepages=False), pod_amounts(spec, "limits", hugepages=False)


def _violations(item: Object, requests: Amounts, limits: Amounts | None) -> Iterator[str]:
    type_ = item["type"]
    for name, bound in _sorted(item.get("min")):
        yield from _below(type_, name, bound, requests.get(name), (limits or {}).get(name))
    for name, bound in _sorted(item.get("max")):
        if limits is None:
            yield from _claimed_above(type_, name, bound, requests.get(name))
        else:
            yield from _above(type_, name, bound, requests.get(name), limits.get(name))
    if limits is not None:
        for name, bound in _sorted(item.get("maxLimitRequestRatio")):
            yield from _ratio(type_, name, bound, requests.get(name), limits.get(name))


def _sorted(bounds: Mapping[str, Any] | None) -> list[tuple[str, Quantity]]:
    return sorted(amounts(bounds).items())


def _below(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"minimum {name} usage per {type_} is {bound}"
    if request is None:
        yield f"{said}.  No request is specified"
        return
    asked, capped, least = _comparable(request, limit, bound)
    if asked < least:
        yield f"{said}, but request is {request}"
    elif limit is not None and capped < least:
        yield f"{said}, but limit is {limit}"


def _claimed_above(type_: str, name: str, bound: Quantity, request: Quantity | None) -> Iterator[str]:
    said = f"maximum {name} usage per {type_} is {bound}"
    if request is None:
        yield f"{said}.  No request is specified"
        return
    asked, _, most = _comparable(request, None, bound)
    if asked > most:
        yield f"{said}, but request is {request}"


def _above(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"maximum {name} usage per {type_} is {bound}"
    if limit is None:
        yield f"{said}.  No limit is specified"
        return
    asked, capped, most = _comparable(request, limit, bound)
    if capped > most:
        yield f"{said}, but limit is {limit}"
    elif request is not None and asked > most:
        yield f"{said}, but request is {request}"


def _ratio(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"{name} max limit to request ratio per {type_} is {bound}"
    asked, capped, _ = _comparable(request, limit, bound)
    if request is None or not asked:
        yield f"{said}, but no request is specified or request is 0"
    elif limit is None or not capped:
        yield f"{said}, but no limit is specified or limit is 0"
    elif (capped / asked) * 1000 > quantity.to_milli(bound):
        yield f"{said}, but provided ratio is {capped / asked:.6f}"


def _comparable(request: Quantity | None, limit: Quantity | None, bound: Quantity) -> tuple[int, int, int]:
    """In thousandths, or in wholes when one of them is too large for that."""
    three = [quantity.to_int(amount) if amount is not None else 0 for amount in (request, limit, bound)]
    if max(three) <= _MAX_MILLI:
        three = [quantity.to_milli(amount) if amount is not None else 0 for amount in (request, limit, bound)]
    return three[0], three[1], three[2]
