"""Request objects: from what a client sent to a dict of the right shape, with strict, warned or ignored leftovers."""

from __future__ import annotations

from typing import Any

from app.catalog.kind import Kind
from app.core.errors import StatusError, bad_request
from app.machinery.decode import DecodeError, compile_decoder

from .context import Options

Object = dict[str, Any]


def decode_object(kind: Kind, obj: Any, options: Options, duplicates: list[str] | None = None) -> Object:
    """Checks type and version of ``obj`` and brings it into the schema's shape. Raises StatusError 400."""
    if not isinstance(obj, dict):
        raise cannot_be_handled(
            kind, f"json: cannot unmarshal {_json_type(obj)} into Go value of type map[string]interface {{}}"
        )
    api_version, name = obj.get("apiVersion"), obj.get("kind")
    if not name:
        if api_version or kind.custom:
            raise bad_request(f"Object 'Kind' is missing in '{_short(obj)}'")
    elif name != kind.kind or api_version != kind.api_version:
        _check_type(kind, api_version, name)
    try:
        decoded, unknown = compile_decoder(kind.schema)(obj)
    except DecodeError as error:
        raise cannot_be_handled(kind, str(error)) from error
    if unknown or duplicates:
        report_leftovers(kind, unknown, duplicates or [], options)
    decoded["kind"], decoded["apiVersion"] = kind.kind, kind.api_version
    metadata = decoded.get("metadata")
    if metadata is None:
        decoded["metadata"] = {}
    return decoded


def _check_type(kind: Kind, api_version: Any, name: Any) -> None:
    if api_version != kind.api_version:
        raise bad_request(
            f"the API version in the data ({api_version or ''}) does not match the expected API version ({kind.api_version})"
        )
    raise bad_request(
        f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        f"converting ({api_version}, Kind={name}) to ({kind.gvk}): unknown conversion"
        if not kind.custom
        else f"{name} in version {api_version!r} does not match the expected kind {kind.kind}"
    )


def cannot_be_handled(kind: Kind, why: str) -> StatusError:
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def report_leftovers(kind: Kind, unknown: list[str], duplicates: list[str], options: Options) -> None:
    """Unknown and duplicate fields: an error when Strict, a warning header when Warn, nothing when Ignore."""
    if options.field_validation == "Ignore":
        return
    texts = [f'unknown field "{path}"' for path in unknown] + [f'duplicate field "{path}"' for path in duplicates]
    if options.field_validation == "Strict":
        raise cannot_be_handled(kind, "strict decoding error: " + ", ".join(texts))
    options.warnings.extend(texts)


def _json_type(value: Any) -> str:
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    return "number"


def _short(obj: Object) -> str:
    import orjson

    return orjson.dumps(obj).decode()[:200]
