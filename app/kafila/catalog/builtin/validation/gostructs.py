"""Values as Go prints its internal structs: by the names of their fields, and all of them."""

from __future__ import annotations

from typing import Any

from kafila.catalog.tables import schema_of
from kafila.machinery.schema import Schema

# types of k8s.io/apimachinery are the same inside, and print as they are sent
_SENT = "io.k8s.apimachinery."
# names that are not the JSON name with a capital
_NAMES = {
    "apiGroups": "APIGroups",
    "seLinuxOptions": "SELinuxOptions",
    "csi": "CSI",
    "nfs": "NFS",
    "fc": "FC",
    "rbd": "RBD",
    "iscsi": "ISCSI",
}
_ZEROS: dict[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0, "int-or-string": 0}


def go_struct(definition: str, value: Any) -> Any:
    """``value`` of the type of that name (``api.batch.v1.SuccessPolicy``), which is decoded."""
    return _printed(schema_of(f"io.k8s.{definition}"), value)


def _printed(schema: Schema, value: Any) -> Any:
    if schema.kind == "list" and schema.items is not None:
        return None if value is None else [_printed(schema.items, item) for item in value]
    if schema.kind == "map" and schema.items is not None and isinstance(value, dict):
        return {key: _printed(schema.items, value[key]) for key in sorted(value)}
    if schema.kind != "struct" or schema.name.startswith(_SENT) or not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, field in schema.fields.items():
        if key == "metadata":  # embedded
            out.update(value.get(key) or {})
            continue
        name = _NAMES.get(key) or key[0].upper() + key[1:]
        given = value.get(key)
        out[name] = _zero(schema, key, field) if given is None else _printed(field, given)
    return out


def _zero(owner: Schema, key: str, field: Schema) -> Any:
    """A pointer is null, anything else its zero."""
    if key in owner.drop_zero or key in owner.always:
        if field.kind == "struct":
            return _printed(field, {}) if owner.always.get(key) is not None else None
        return _ZEROS.get(field.kind)
    return None
