"""What statuses of many third-party kinds have in common: counters, generations, the newest text, merged conditions.

Items are ``status.aggregatedStatus`` of a binding: ``{"clusterName", "status", …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafila.core.clock import rfc3339
from kafila.placement.constants import TEMPLATE_GENERATION

from .values import as_key, at, is_empty, number, numbered, own_map, same, text, to_number


def picked(status: Any, fields: Iterable[str]) -> dict[str, Any]:
    """Those fields of a status, as they are; None where one is missing."""
    return {field: at(status, field) for field in fields}


def reflecting(*fields: str, with_generations: bool = False) -> Callable[[Any], Any]:
    """A function that brings these fields of a status back."""

    def reflect(observed: Any) -> Any:
        if at(observed, "status") is None:
            return {}
        found = {field: at(observed, "status", field) for field in fields}
        if with_generations:
            add_generations(found, observed)
        return found

    return reflect


def add_generations(status: dict[str, Any], observed: Any) -> None:
    """Which generation the member has, and which one of the template it was sent."""
    metadata = at(observed, "metadata")
    if metadata is None:
        return
    status["generation"] = at(metadata, "generation")
    annotations = at(metadata, "annotations")
    if annotations is not None:
        status["resourceTemplateGeneration"] = to_number(at(annotations, TEMPLATE_GENERATION))


def begun(obj: Any) -> tuple[dict[str, Any], Any]:
    """The template's status, to be written to, with an observed generation; and the template's generation."""
    if at(obj, "status") is None:
        obj["status"] = {}
    generation = at(obj, "metadata", "generation")
    status = own_map(obj, "status")
    status.setdefault("observedGeneration", 0)
    return status, 0 if generation is None else generation


def added(total: int | float, status: Any, field: str) -> int | float:
    """``total`` and a counter that the status may lack."""
    found = at(status, field) if status is not None else None
    return total if found is None else total + number(found, field)


def newest(before: Any, status: Any, field: str) -> Any:
    """The status's text, the one before where it has none."""
    found = at(status, field) if status is not None else None
    return before if is_empty(found) else found


def has_seen_newest(status: Any, generation: Any) -> bool:
    """Has the member seen the template's newest generation, and the controller there what the member has?"""
    sent, here, seen = (
        _or_zero(status, each) for each in ("resourceTemplateGeneration", "generation", "observedGeneration")
    )
    return same(sent, generation) and same(here, seen)


def _or_zero(status: Any, field: str) -> Any:
    found = at(status, field) if status is not None else None
    return 0 if found is None else found


def merged_conditions(items: Any) -> list[Any]:
    """Conditions of all members; those that agree in type, status and reason become one, with the messages of all."""
    merged: list[tuple[dict[str, Any], list[str]]] = []
    known: dict[tuple[Any, ...], list[str]] = {}
    for item in items:
        status = at(item, "status")
        found = at(status, "conditions") if status is not None else None
        for condition in numbered(found, "conditions") if found is not None else ():
            said = f"{text(at(item, 'clusterName'))}={text(at(condition, 'message'), 'message')}"
            key = tuple(_comparable(at(condition, field)) for field in ("type", "status", "reason"))
            if key in known:
                known[key].append(said)
            else:
                known[key] = [said]
                merged.append((own_map({"condition": condition}, "condition"), known[key]))
    return [{**condition, "message": ", ".join(said)} for condition, said in merged]


def _comparable(value: Any) -> Any:
    """A missing value agrees with a missing one."""
    return None if value is None else as_key(value)


def stamped(condition: dict[str, Any], before: Any, *stamps: str) -> dict[str, Any]:
    """The condition with the time of now in these fields, or the times of a condition ``before`` that says the same.

    A time that changes with each look would be written with each look.
    """
    said = before if isinstance(before, dict) and all(before.get(k) == v for k, v in condition.items()) else {}
    now = rfc3339()
    return {**condition, **{field: said.get(field) or now for field in stamps}}
