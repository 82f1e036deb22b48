"""Reading JSONSchemaProps."""

from __future__ import annotations

from typing import Any, Final

Props = dict[str, Any]

META: Final = frozenset({"apiVersion", "kind", "metadata"})
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_MAP_KEYS: Final = "x-kubernetes-list-map-keys"
MAP_TYPE: Final = "x-kubernetes-map-type"
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
RULES: Final = "x-kubernetes-validations"
QUANTORS: Final = ("allOf", "anyOf", "oneOf")


def properties(props: Props) -> dict[str, Props]:
    return props.get("properties") or {}


def items(props: Props) -> Props | None:
    """The schema of a list's elements, None when there is no single one."""
    found = props.get("items")
    return found if isinstance(found, dict) else None


def additional(props: Props) -> Props | None:
    """The schema of members that have no property of their own; None also for a bare ``true``."""
    found = props.get("additionalProperties")
    return found if isinstance(found, dict) else None


def has_additional(props: Props) -> bool:
    return props.get("additionalProperties") not in (None, False)


def member(props: Props | None, name: str) -> Props | None:
    """The schema of one member of an object."""
    if props is None:
        return None
    found = properties(props).get(name)
    return found if found is not None else additional(props)


def children(props: Props) -> list[Props]:
    """The schemas directly below that describe values (not those below allOf, anyOf, oneOf and not)."""
    found = [*properties(props).values()]
    found += [one for one in (additional(props), items(props)) if one is not None]
    return found


def anywhere(props: Props | None, wanted: str) -> bool:
    """Whether a keyword stands in the schema or below it."""
    if props is None:
        return False
    return bool(props.get(wanted)) or any(anywhere(child, wanted) for child in children(props))
