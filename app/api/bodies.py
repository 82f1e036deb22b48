"""Request bodies: reading them with a limit, and decoding JSON, YAML and protobuf into plain dicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from app.catalog.kind import Kind
from app.catalog.protobuf import codec
from app.core import errors
from app.machinery import yaml
from app.machinery.duplicates import find_duplicates
from app.machinery.protobuf import ProtobufError, decode_envelope

from .negotiation import PROTOBUF
from .request import Request

LIMIT = 3 * 1024 * 1024
MAX_DEPTH_ERROR = "Recursion limit reached"
ACCEPTED = ("application/json", "application/yaml", PROTOBUF)
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Document(NamedTuple):
    value: Any
    duplicates: tuple[str, ...] = ()


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises StatusError 413 above 3 MiB."""
    message = await receive()
    body = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > LIMIT:
            raise errors.request_entity_too_large(LIMIT)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        part = message.get("body", b"")
        size += len(part)
        if size > LIMIT:
            raise errors.request_entity_too_large(LIMIT)
        parts.append(part)
    return b"".join(parts)


def decode_document(request: Request, kind: Kind | None, strict: bool) -> Document:
    """The body as plain JSON. ``strict``: also look for duplicate fields. Raises StatusError 400, 415."""
    media_type = request.media_type or "application/json"
    if media_type == "application/json":
        return decode_json(request.body, kind, strict)
    if media_type in ("application/yaml", "application/apply-patch+yaml"):
        return decode_yaml(request.body, kind)
    if media_type == PROTOBUF and (kind is None or not kind.custom):
        return Document(decode_protobuf(request.body))
    accepted = ACCEPTED[:2] if kind is not None and kind.custom else ACCEPTED
    raise errors.unsupported_media_type(accepted)


def decode_json(body: bytes, kind: Kind | None, strict: bool) -> Document:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(_cannot(kind, f"couldn't get version/kind; json parse error: {error}")) from error
    return Document(value, tuple(find_duplicates(body, value)) if strict else ())


def decode_yaml(body: bytes, kind: Kind | None) -> Document:
    try:
        value, duplicates = yaml.load(body)
    except ValueError as error:
        raise errors.bad_request(_cannot(kind, f"error converting YAML to JSON: {error}")) from error
    return Document(value, tuple(duplicates))


def decode_protobuf(body: bytes) -> dict[str, Any]:
    try:
        api_version, name, raw = decode_envelope(body)
        group, _, version = api_version.rpartition("/")
        found = codec(group, version, name)
        if found is None:
            raise errors.bad_request(f'no kind "{name}" is registered for version "{api_version}"')
        value = found.decode(raw)
    except ProtobufError as error:
        raise errors.bad_request(f"unable to decode protobuf: {error}") from error
    value["apiVersion"], value["kind"] = api_version, name
    return value


def _cannot(kind: Kind | None, why: str) -> str:
    return why if kind is None else f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
