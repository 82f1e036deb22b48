"""Whole objects inside of objects (x-kubernetes-embedded-resource): their apiVersion, kind and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.core.errors import FieldError
from kafila.core.metadata import validate_object_meta
from kafila.core.names import dns1035_label, path_segment
from kafila.core.resources import split_api_version
from kafila.machinery.decode import DecodeError, Decoder

from .props import EMBEDDED, META, Props, additional, anywhere, items, properties

Visit = Callable[[dict[str, Any], str, bool], None]


class EmbeddedError(ValueError):
    """An embedded object whose metadata cannot be read at all."""

    def __init__(self, found: FieldError) -> None:
        super().__init__(str(found))


def compile_embedded(props: Props | None, meta: Decoder) -> Embedded | None:
    """``meta`` decodes ObjectMeta. None when the schema embeds nothing."""
    return Embedded(props, meta) if props is not None and anywhere(props, EMBEDDED) else None


class Embedded:
    def __init__(self, props: Props, meta: Decoder) -> None:
        self._props = props
        self._meta = meta

    def coerce(self, obj: dict[str, Any]) -> list[str]:
        """Brings the metadata of embedded objects into shape; returns paths of what was dropped. Raises EmbeddedError."""
        unknown: list[str] = []

        def coerce_one(value: dict[str, Any], path: str, root: bool) -> None:
            for name in ("apiVersion", "kind"):
                if name in value and not isinstance(value[name], str):
                    raise EmbeddedError(FieldError.invalid(_join(path, name), value[name], "must be a string"))
            if "metadata" in value:
                where = _join(path, "metadata")
                try:
                    value["metadata"], dropped = self._meta(value["metadata"])
                except DecodeError as error:
                    raise EmbeddedError(FieldError.invalid(where, value["metadata"], str(error))) from error
                unknown.extend(f"{where}.{name}" for name in dropped)

        _visit(self._props, obj, "", coerce_one)
        return sorted(unknown)

    def validate(self, obj: dict[str, Any]) -> list[FieldError]:
        found: list[FieldError] = []
        _visit(self._props, obj, "", lambda value, path, root: _validate(value, path, found))
        return found


def _visit(props: Props | None, value: Any, path: str, visit: Visit) -> None:
    if props is None:
        return
    if isinstance(value, dict):
        if props.get(EMBEDDED):
            visit(value, path, not path)
        known, others = properties(props), additional(props)
        for name, item in value.items():
            if props.get(EMBEDDED) and name in META:
                continue
            if name in known:
                _visit(known[name], item, _join(path, name), visit)
            elif others is not None:
                _visit(others, item, f"{path}[{name}]", visit)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _visit(items(props), item, f"{path}[{i}]", visit)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _validate(value: dict[str, Any], path: str, found: list[FieldError]) -> None:
    for name in ("apiVersion", "kind"):
        if name not in value:
            found.append(FieldError.required(_join(path, name)))
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if api_version == "":
        found.append(FieldError.invalid(_join(path, "apiVersion"), api_version, "must not be empty"))
    elif isinstance(api_version, str):
        try:
            split_api_version(api_version)
        except ValueError:
            why = f"unexpected GroupVersion string: {api_version}"
            found.append(FieldError.invalid(_join(path, "apiVersion"), api_version, why))
    if kind == "":
        found.append(FieldError.invalid(_join(path, "kind"), kind, "must not be empty"))
    elif isinstance(kind, str) and (reasons := dns1035_label(kind.lower())):
        why = "may have mixed case, but should otherwise match: " + ",".join(reasons)
        found.append(FieldError.invalid(_join(path, "kind"), kind, why))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        named = {**metadata, "name": metadata.get("name") or "fakename"}
        rule = validate_object_meta({"metadata": named}, bool(named.get("namespace")), path_segment)
        found += [FieldError(e.reason, _join(path, e.field), e.value, e.detail) for e in rule]
