"""apps.kruise.io/v1alpha1 SidecarSet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.values import at, counted, is_true, numbered, same

_COUNTERS: Final = ("matchedPods", "updatedPods", "readyPods")


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    """It has no pods of its own."""
    return 0, None


def _retain(desired: Any, observed: Any) -> Any:
    return desired


def _aggregate(obj: Any, items: Any) -> Any:
    total: dict[str, Any] = dict.fromkeys(_COUNTERS, 0)
    for item in items or ():  # Karmada's script fails where there are none
        status = at(item, "status")
        for field in _COUNTERS:
            total[field] += counted(status, field) if is_true(status) else 0
    return total


def _reflect(obj: Any) -> Any:
    status = at(obj, "status")
    if status is None:
        return {}
    return {field: found if is_true(found := at(status, field)) else 0 for field in _COUNTERS}


def _is_healthy(obj: Any) -> bool:
    """All pods that it is for have been updated."""
    if at(obj, "status") is None:
        return False
    found = _reflect(obj)
    return same(found["matchedPods"], 0) or same(found["updatedPods"], found["matchedPods"])


def _dependencies(obj: Any) -> Any:
    spec = at(obj, "spec")
    if not is_true(spec):
        return []
    namespace = at(obj, "metadata", "namespace") if is_true(at(obj, "metadata")) else None
    found = [*_of_containers(spec), *_of_volumes(spec)]
    return [{"apiVersion": "v1", "kind": kind, "name": name, "namespace": namespace} for kind, name in found]


def _of_containers(spec: Any) -> Iterator[tuple[str, Any]]:
    for container in _list(spec, "containers"):
        for variable in _list(container, "env"):
            source = at(variable, "valueFrom")
            if is_true(source):
                yield from _named(source, ("configMapKeyRef", "ConfigMap", "name"), ("secretKeyRef", "Secret", "name"))
        for source in _list(container, "envFrom"):
            yield from _named(source, ("configMapRef", "ConfigMap", "name"), ("secretRef", "Secret", "name"))


def _of_volumes(spec: Any) -> Iterator[tuple[str, Any]]:
    for volume in _list(spec, "volumes"):
        yield from _named(volume, ("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"))
        projected = at(volume, "projected")
        for source in _list(projected, "sources") if is_true(projected) else ():
            yield from _named(source, ("configMap", "ConfigMap", "name"), ("secret", "Secret", "name"))


def _named(source: Any, *fields: tuple[str, str, str]) -> Iterator[tuple[str, Any]]:
    for field, kind, name in fields:
        found = at(source, field)
        if is_true(found):
            yield kind, at(found, name)


def _list(value: Any, field: str) -> list[Any]:
    found = at(value, field)
    return numbered(found, field) if is_true(found) else []


SIDECAR_SET: Final = ThirdParty(
    replicas=_replicas,
    retain=_retain,
    aggregate=_aggregate,
    reflect=_reflect,
    health=_is_healthy,
    dependencies=_dependencies,
)
