"""The library ``kube`` of customizations: functions over JSON values, which raise ValueError."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any, Final

from kafila.core import quantity
from kafila.core.values import Object
from kafila.machinery.lua import restore_empty
from kafila.placement.interpreter.dependencies import of_pod_spec
from kafila.placement.interpreter.replicas import replica_requirements


def library(*, with_priority_class: bool = False) -> dict[str, Callable[..., Any]]:
    """``with_priority_class``: the gate ResourceQuotaEstimate."""
    return {
        "resourceAdd": resource_add,
        "accuratePodRequirements": partial(accurate_pod_requirements, with_priority_class=with_priority_class),
        "getPodDependencies": get_pod_dependencies,
        "getResourceQuantity": get_resource_quantity,
    }


def accurate_pod_requirements(*arguments: Any, with_priority_class: bool = False) -> Object | None:
    """What one pod of a template needs, None when nothing particular. May change the template."""
    if len(arguments) != 1:
        raise ValueError("getPodRequirements only accepts one argument")
    pod = _pod_spec(arguments, 0)
    with _conversion():
        return replica_requirements(pod, with_priority_class=with_priority_class)


def resource_add(*amounts: Any) -> str:
    total = quantity.Quantity(0)
    for index, amount in enumerate(amounts):
        total += _quantity(index, amount)
    return str(total)


def get_resource_quantity(*amounts: Any) -> float:
    """The amount as a number, about."""
    if len(amounts) != 1:
        raise ValueError("getResourceQuantity only accepts one argument")
    found = float(Fraction(_quantity(0, amounts[0]).nano, 10**9))
    if found < 0:
        raise ValueError(f"int approximation unexpectedly returned a negative value: {amounts[0]}")
    return found


def get_pod_dependencies(*arguments: Any) -> list[Object] | None:
    """What the pods of a template refer to in a namespace, ``default`` when that is nil; None for nothing. May change the template."""
    if len(arguments) != 2:
        raise ValueError("getPodDependencies only accepts two argument")
    namespace = "default" if arguments[1] is None else arguments[1]
    if not isinstance(namespace, str | int | float) or isinstance(namespace, bool):
        raise ValueError(_bad_argument(1, "string", namespace))
    pod = _pod_spec(arguments, 0)
    with _conversion():
        return of_pod_spec(pod, str(namespace)) or None


@contextmanager
def _conversion() -> Iterator[None]:
    """A script may pass anything; functions for pods reckon with what the API server lets through."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("fail to convert lua value to PodTemplateSpec: a field has the wrong type") from error


def _pod_spec(arguments: tuple[Any, ...], index: int) -> Object:
    template = arguments[index]
    if not isinstance(template, dict | list):
        raise ValueError(_bad_argument(index, "table", template))
    restored = restore_empty(template)
    found = (restored.get("spec") if isinstance(restored, dict) else None) or {}
    if not isinstance(found, dict):
        raise ValueError(f"fail to convert lua value to PodTemplateSpec: spec is {_type(found)}")
    return found


def _quantity(index: int, amount: Any) -> quantity.Quantity:
    if amount is None:
        return quantity.Quantity(0)
    if not isinstance(amount, str):
        raise ValueError(_bad_argument(index, "string", amount))
    return quantity.parse(amount)


def _bad_argument(index: int, wanted: str, value: Any) -> str:
    return f"bad argument #{index + 1} ({wanted} expected, got {_type(value)})"


_TYPES: Final = {type(None): "nil", bool: "boolean", str: "string", int: "number", float: "number"}


def _type(value: Any) -> str:
    return _TYPES.get(type(value), "table")
