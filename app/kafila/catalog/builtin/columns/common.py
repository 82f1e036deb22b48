"""What a row is, and how its cells are written: ages, lists that are cut, selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kafila.core.clock import human_duration, parse_rfc3339
from kafila.core.values import Object

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"
Cells = Callable[[Object, float], list[Any]]


class Row(NamedTuple):
    """How a kind is shown: ``columns`` as in ``"Name | Data:integer | Driver/name | Age^1"`` (names, types other than string,
    formats, priorities), and a function from ``(object, now)`` to one value for each."""

    columns: str
    cells: Cells


def name_of(obj: Object) -> str:
    return (obj.get("metadata") or {}).get("name") or ""


def spec_and_status(obj: Object) -> tuple[Object, Object]:
    return obj.get("spec") or {}, obj.get("status") or {}


def since(stamp: str | None, now: float) -> str:
    """The time between ``stamp`` and ``now`` as kubectl shows it."""
    if not stamp:
        return UNKNOWN
    try:
        return human_duration(now - parse_rfc3339(stamp))
    except ValueError:
        return UNKNOWN


def age(obj: Object, now: float) -> str:
    return since((obj.get("metadata") or {}).get("creationTimestamp"), now)


def at_most(items: Iterable[str], limit: int = 3) -> str:
    """The first ``limit`` items and how many more there are."""
    listed = list(items)
    text = ",".join(listed[:limit])
    return f"{text} + {len(listed) - limit} more..." if len(listed) > limit else text


def container_cells(containers: list[Object] | None) -> tuple[str, str]:
    """Names and images."""
    containers = containers or []
    return (
        ",".join(container.get("name") or "" for container in containers),
        ",".join(container.get("image") or "" for container in containers),
    )


def format_labels(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else NONE


def selector_text(selector: Object | None) -> str:
    """A label selector in the form of the command line, ordered by key."""
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for requirement in selector.get("matchExpressions") or ():
        key, operator = requirement.get("key") or "", requirement.get("operator") or ""
        values = ",".join(sorted(set(requirement.get("values") or ())))
        if operator in ("In", "NotIn"):
            parts.append((key, f"{key} {operator.lower()} ({values})"))
        elif operator == "DoesNotExist":
            parts.append((key, f"!{key}"))
        else:
            parts.append((key, key))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def format_selector(selector: Object | None) -> str:
    return selector_text(selector) or NONE


def yes_or_no(value: bool | None) -> str:
    return UNSET if value is None else str(bool(value))
