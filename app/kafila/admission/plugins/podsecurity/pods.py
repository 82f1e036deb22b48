"""How the checks of a pod are written: what they look at, and how they name what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kafila.core.values import Object


class Violation(NamedTuple):
    """``reason`` alone is told of pods that are already there; ``detail`` of the one that is written."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


# metadata, spec of a pod
Check = Callable[[Object, Object], Violation | None]


def containers(spec: Object) -> Iterator[Object]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def context(container_or_spec: Object) -> Object:
    return container_or_spec.get("securityContext") or {}


def quoted(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def plural(word: str, count: int, more: str = "") -> str:
    return word if count == 1 else more or f"{word}s"


def named(what: str, names: list[str]) -> str:
    """'container "a"', 'containers "a", "b"'."""
    return f"{plural(what, len(names))} {quoted(names)}"


def setters(spec: Object, is_set: Callable[[Object], bool]) -> list[str]:
    """Who sets something in its securityContext: "pod", and its containers in one phrase."""
    found = ["pod"] if is_set(context(spec)) else []
    names = [container.get("name", "") for container in containers(spec) if is_set(context(container))]
    return [*found, named("container", names)] if names else found


def values_of(spec: Object, value: Callable[[Object], str | None]) -> list[str]:
    """What ``value`` finds in the securityContext of the pod and its containers, each once, sorted."""
    found = {value(context(spec)), *(value(context(container)) for container in containers(spec))}
    return sorted(item for item in found if item is not None)


def in_user_namespace(spec: Object) -> bool:
    return spec.get("hostUsers") is False


def is_windows(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"
