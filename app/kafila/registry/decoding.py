"""Request objects: from what a client sent to a dict of the right shape, with unknown fields refused, warned of or ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from kafila.catalog.kind import Decode, Kind
from kafila.catalog.tables import definition_name
from kafila.core import errors
from kafila.core.errors import StatusError, bad_request
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.strict import strict_errors

from .context import Options

GO_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
NO_TYPE = "couldn't get version/kind; json parse error:"
YAML_ERRORS = "yaml: unmarshal errors:"  # a line for each comes after it
SCHEME = 'in scheme "pkg/runtime/scheme.go:111"'  # part of a text that clients know


def decode_object(kind: Kind, obj: Any, options: Options, duplicates: Sequence[str] = (), sent: bytes = b"") -> Object:
    """Checks type and version of ``obj`` and brings it into the schema's shape. ``duplicates`` are texts about fields that
    were given twice, ``sent`` is the body, for errors. Raises StatusError 400, and 422 for another kind of custom object."""
    if obj is None and not kind.custom:
        obj = {}
    if obj is None and kind.definition:
        raise unrecognized(kind, obj, "Object 'Kind' is missing in 'null'")
    if not isinstance(obj, dict):
        why = f"{NO_TYPE} json: cannot unmarshal {json_type(obj)} into Go value of type"
        raise unrecognized(kind, sent or obj, f"{why} {GO_TYPE_META}")
    check_type(kind, obj, sent)
    try:
        decoded, unknown = decoder_of(kind)(obj)
    except DecodeError as error:
        raise type_error(kind, obj, error) from error
    if kind.custom:
        unknown = sorted(unknown)  # as pruning tells them
    if unknown or duplicates:
        texts = strict_decoding_errors(unknown, duplicates, options, _in_order(kind, duplicates, sent))
        if texts:
            raise cannot_be_handled(kind, texts)
    return typed(kind, decoded)


def _in_order(kind: Kind, duplicates: Sequence[str], sent: bytes) -> Sequence[str] | None:
    """All findings as Go's decoder of a built-in type meets them; None where it does not find them all itself."""
    if kind.custom or not duplicates or duplicates[0].startswith(YAML_ERRORS):
        return None
    return strict_errors(kind.schema, sent)


def decoder_of(kind: Kind) -> Decode:
    return kind.decode or compile_decoder(kind.schema)


def typed(kind: Kind, decoded: Object) -> Object:
    """A decoded object with kind, apiVersion and at least empty metadata."""
    decoded["kind"], decoded["apiVersion"] = kind.kind, kind.api_version
    if decoded.get("metadata") is None:
        decoded["metadata"] = {}
    return decoded


def check_type(kind: Kind, obj: Object, sent: bytes = b"") -> None:
    """What is missing of kind and apiVersion is taken for granted for built-in kinds, as Kubernetes does."""
    api_version, name = obj.get("apiVersion"), obj.get("kind")
    if name == kind.kind and api_version == kind.api_version:
        return
    if kind.custom:
        _check_custom_type(kind, obj, api_version, name)
    else:
        check_known_type(kind.gvk, obj, sent)


def check_known_type(kind: GroupVersionKind, obj: Object, sent: bytes = b"") -> None:
    """The same for a type of Kubernetes' own. Raises StatusError 400."""
    api_version, name = obj.get("apiVersion"), obj.get("kind")
    if any(given is not None and not isinstance(given, str) for given in (api_version, name)):
        wrong = json_type(name if isinstance(api_version, (str, type(None))) else api_version)
        raise unrecognized(kind, sent or obj, f"json: cannot unmarshal {wrong} into Go value of type string")
    api_version, name = api_version or kind.api_version, name or kind.kind
    if name == kind.kind and api_version == kind.api_version:
        return
    group, _, version = api_version.rpartition("/")
    what = f'{name} in version "{version}" cannot be handled as a {kind.kind}'
    if definition_name(group, version, name) is None:
        raise bad_request(f'{what}: no kind "{name}" is registered for version "{api_version}" {SCHEME}')
    if name == kind.kind:
        raise wrong_version(kind, api_version)
    internal = kind.group.partition(".")[0] or "core"
    raise bad_request(f"{what}: converting ({version}.{name}) to ({internal}.{kind.kind}): unknown conversion")


def _check_custom_type(kind: Kind, obj: Object, api_version: Any, name: Any) -> None:
    if not isinstance(name, str) or not name:
        shown = json.dumps(obj, ensure_ascii=False)
        raise unrecognized(kind, shown.encode(), f"Object 'Kind' is missing in '{shown[:1000]}'")
    if api_version != kind.api_version:
        raise wrong_version(kind, api_version if isinstance(api_version, str) else "")
    found = [errors.FieldError.invalid("kind", name, f"must be {kind.kind}")]
    raise errors.invalid(kind.group, name, _name_of(obj), found)


def _name_of(obj: Object) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


_MISFIT = re.compile(r"json: cannot unmarshal (\w+)(?: \S+)? into Go struct field [^.]+\.(\S+) of type (.+)")
_JSON_TYPES = {"number": "integer", "bool": "boolean"}


def type_error(kind: Kind, obj: Object, error: DecodeError) -> StatusError:
    """A value of the wrong type. Custom objects are held against their OpenAPI schema, and the answer says so."""
    # of objects with a definition nothing but metadata is decoded by type
    match = _MISFIT.fullmatch(str(error)) if kind.custom and not kind.definition else None
    if match is None or match[2].startswith("metadata"):
        return cannot_be_handled(kind, str(error))
    given, path = _JSON_TYPES.get(match[1], match[1]), match[2]
    expected = next((t for go, t in _GO_TYPES if match[3].startswith(go)), "object")
    why = f'{path} in body must be of type {expected}: "{given}"'
    return errors.invalid(kind.group, kind.kind, _name_of(obj), [errors.FieldError.type_invalid(path, given, why)])


_GO_TYPES = (("[]", "array"), ("string", "string"), ("int", "integer"), ("bool", "boolean"), ("float", "number"))


def wrong_version(kind: Kind | GroupVersionKind, api_version: str) -> StatusError:
    return bad_request(
        f"the API version in the data ({api_version}) does not match the expected API version ({kind.api_version})"
    )


def cannot_be_handled(kind: Kind | GroupVersionKind, why: str) -> StatusError:
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def unrecognized(kind: Kind | GroupVersionKind, body: Any, why: str) -> StatusError:
    """A body of which not even the type can be read."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    shown = data[:30].decode("utf-8", "replace") if data.startswith(b"{") else data[:30].hex()
    shown = f"{shown} ..." if len(data) > 30 else shown or "<empty>"
    return bad_request(f"the object provided is unrecognized (must be of type {kind.kind}): {why} ({shown})")


def strict_decoding_errors(
    unknown: Sequence[str], duplicates: Sequence[str], options: Options, in_order: Sequence[str] | None = None
) -> str:
    """Unknown and duplicate fields: the text of an error when Strict; else "", with warnings when Warn.

    ``in_order``: what to say instead, where both were found in one go.
    """
    if options.field_validation == "Ignore":
        return ""
    texts = in_order if in_order is not None else [*duplicates, *(f'unknown field "{path}"' for path in unknown)]
    if options.field_validation == "Strict":
        return "strict decoding error: " + ", ".join(texts) if texts else ""
    for text in texts:
        head, *lines = text.splitlines()
        options.warn(line.strip() for line in (lines if head == YAML_ERRORS else [text]))
    return ""


def json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    names: dict[type, str] = {list: "array", dict: "object", str: "string"}
    return names.get(type(value), "number")
