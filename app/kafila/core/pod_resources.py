"""What a pod asks for: its containers together, or the most that its init containers need before them (KEP-753)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .quantity import Quantity, of
from .values import Object

Amounts = dict[str, Quantity]
_POD_LEVEL: Final = ("cpu", "memory")  # beside hugepages-*


def amounts(given: Mapping[str, object] | None) -> Amounts:
    return {name: of(value) for name, value in (given or {}).items() if isinstance(value, str | int | float)}


def pod_amounts(spec: Object, field: str, *, hugepages: bool = True) -> Amounts:
    """``field`` is requests or limits. ``hugepages``: whether the pod's own ``resources`` count for them too."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, amounts((container.get("resources") or {}).get(field)))
    sidecars: Amounts = {}
    most: Amounts = {}
    for container in spec.get("initContainers") or ():
        needed = amounts((container.get("resources") or {}).get(field))
        if container.get("restartPolicy") == "Always":
            _add(total, needed)
            _add(sidecars, needed)
            _raise(most, sidecars)
        else:
            _add(needed, sidecars)
            _raise(most, needed)
    _raise(total, most)
    for name, amount in amounts((spec.get("resources") or {}).get(field)).items():
        if name in _POD_LEVEL or (hugepages and name.startswith("hugepages-")):
            total[name] = amount
    return total


def with_overhead(spec: Object, field: str, total: Amounts) -> Amounts:
    """Of limits only those that are there grow."""
    overhead = amounts(spec.get("overhead"))
    if field == "limits":
        overhead = {name: amount for name, amount in overhead.items() if total.get(name)}
    _add(total, overhead)
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or amount > total[name]:
            total[name] = amount
