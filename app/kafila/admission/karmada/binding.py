"""Bindings and Works: identities, and what is refused of a binding."""

from __future__ import annotations

import json
from typing import Any

from kafila.core.errors import FieldError
from kafila.core.feature_gates import MULTIPLE_POD_TEMPLATES_SCHEDULING, Gates
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.placement import constants

from .errors import refuse_if

_REFERENCE = ("apiVersion", "kind", "namespace", "name")


def ensure_id(new: Object, label: str) -> None:
    metadata = new["metadata"]
    labels = metadata.get("labels") or {}
    if not labels.get(label):
        metadata["labels"] = {**labels, label: new_uid()}


def admit_binding(new: Object, gates: Gates) -> None:
    """ResourceBinding. Quota is decided in ``quota``, because it writes."""
    text = (new["metadata"].get("annotations") or {}).get(constants.RB_DEPENDENCIES)
    if text is not None and not _is_reference_list(text):
        path = f"metadata.annotations.{constants.RB_DEPENDENCIES}"
        refuse_if([FieldError.invalid(path, text, "annotation value must be a valid JSON")])
    if MULTIPLE_POD_TEMPLATES_SCHEDULING in gates:
        refuse_if(_components((new.get("spec") or {}).get("components") or []))


def _is_reference_list(text: str) -> bool:
    try:
        listed = json.loads(text)
    except ValueError:
        return False
    if listed is None:
        return True
    return isinstance(listed, list) and all(item is None or _is_reference(item) for item in listed)


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and all(item.get(n) is None or isinstance(item[n], str) for n in _REFERENCE)


def _components(components: list[Object]) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    for index, component in enumerate(components):
        name, path = component.get("name") or "", f"spec.components[{index}].name"
        if not name:
            found.append(FieldError.invalid(path, name, "component names must be non-empty"))
        elif name in names:
            found.append(FieldError.invalid(path, name, "component names must be unique"))
        names.add(name)
    return found
