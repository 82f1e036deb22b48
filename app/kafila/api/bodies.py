"""Request bodies: reading them with a limit, and decoding JSON, YAML and protobuf into plain dicts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.catalog.tables import schema_of
from kafila.core import errors
from kafila.core.resources import GroupVersionKind
from kafila.machinery import amount, yaml
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.duplicates import find_duplicates
from kafila.machinery.gojson import syntax_error
from kafila.machinery.protobuf import ProtobufError, decode_envelope
from kafila.registry.decoding import GO_TYPE_META, NO_TYPE, SCHEME, YAML_ERRORS, json_type, unrecognized
from kafila.registry.threads import in_thread

from .negotiation import PROTOBUF
from .request import Request

LIMIT = 3 * 1024 * 1024
MAGIC = b"k8s\0"  # before every protobuf document
ACCEPTED = ("application/json", "application/yaml", PROTOBUF)
DELETE_OPTIONS = GroupVersionKind("", "v1", "DeleteOptions")
Receive = Callable[[], Awaitable[dict[str, Any]]]
T = TypeVar("T")
Typed = Kind | GroupVersionKind


class Disconnected(ConnectionError):
    """The client has left before its request was complete."""


class Document(NamedTuple):
    """``duplicates``: what to say about fields that were given twice."""

    value: Any
    duplicates: tuple[str, ...] = ()
    raw: bytes = b""  # as it was sent, for errors that show it


async def read_body(receive: Receive, timeout: float, slow: Callable[[], None] | None = None) -> bytes:
    """The whole body, which has ``timeout`` seconds to come; ``slow`` is called when it has to be waited for.

    Raises StatusError 413 above 3 MiB, 504, Disconnected."""
    part, more = await _receive(receive)
    if not more and len(part) <= LIMIT:
        return part
    if slow is not None:
        slow()
    try:
        async with asyncio.timeout(timeout):
            return await _read_rest(receive, part, more)
    except TimeoutError:
        raise errors.timeout("request did not complete within the allotted timeout") from None


async def _read_rest(receive: Receive, part: bytes, more: bool) -> bytes:
    parts, size = [part], len(part)
    while size <= LIMIT and more:
        part, more = await _receive(receive)
        parts.append(part)
        size += len(part)
    if size > LIMIT:
        raise errors.request_entity_too_large(LIMIT)
    return b"".join(parts)


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message.get("body", b""), bool(message.get("more_body"))


async def read_in_thread(request: Request, read: Callable[[], T]) -> T:
    """What ``read`` makes of the body, in a thread when it is big. Raises StatusError 429 where too many of them wait."""
    return await in_thread(len(request.body), read, refusable=True)


def decode_document(request: Request, kind: Kind, strict: bool) -> Document:
    """The body as plain JSON. ``strict``: also look for duplicate fields. Raises StatusError 400, 415."""
    media_type = request.media_type or "application/json"
    if media_type == "application/json" and request.has_sound_media_type:
        return decode_json(request.body, kind, strict)
    if media_type == "application/yaml":
        return decode_yaml(request.body, kind)
    if media_type == PROTOBUF and not kind.custom:
        return Document(decode_protobuf(request.body, kind))
    raise errors.unsupported_media_type(ACCEPTED[:2] if kind.custom else ACCEPTED)


def decode_json(body: bytes, kind: Typed, strict: bool) -> Document:
    amount.check_json(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        sound = body.decode("utf-8", "replace").encode()
        if sound != body:  # Go reads what is no UTF-8 as U+FFFD
            return decode_json(sound, kind, strict)
        why = f"{NO_TYPE} {syntax_error(body) or error}"
        raise unrecognized(kind, body, why) from error
    found = find_duplicates(body, value) if strict else ()
    return Document(value, tuple(f'duplicate field "{path}"' for path in found) if found else (), body)


def decode_yaml(body: bytes, kind: Typed) -> Document:
    try:
        value, duplicates = yaml.load(body)
    except ValueError as error:
        raise unrecognized(kind, body, str(error)) from error
    text = "\n  ".join((YAML_ERRORS, *duplicates))
    return Document(value, (text,) if duplicates else (), body)


def decode_protobuf(body: bytes, kind: Typed) -> dict[str, Any]:
    if not body.startswith(MAGIC):
        prefix = " ".join(map(str, MAGIC))
        why = f"provided data does not appear to be a protobuf message, expected prefix [{prefix}]"
        raise unrecognized(kind, body, why)
    try:
        api_version, name, raw = decode_envelope(body)
        group, _, version = api_version.rpartition("/")
        found = codec(group, version, name)
        if found is None:
            raise errors.bad_request(f'no kind "{name}" is registered for version "{api_version}" {SCHEME}')
        value = found.decode(raw)
    except ProtobufError as error:
        raise unrecognized(kind, body, "unexpected EOF") from error
    if len(body) > amount.FEW:
        amount.check(value)
    value["apiVersion"], value["kind"] = api_version, name
    return value


def decode_delete_options(request: Request) -> dict[str, Any] | None:
    """The DeleteOptions in a body, None without one. Raises StatusError 400, 415."""
    if not request.body:
        return None
    media_type = request.media_type or "application/json"
    if media_type == "application/json":
        value = _plain_options(request.body)
    elif media_type == "application/yaml":
        value = decode_yaml(request.body, DELETE_OPTIONS).value
    elif media_type == PROTOBUF:
        value = decode_protobuf(request.body, DELETE_OPTIONS)
    else:
        raise errors.unsupported_media_type(ACCEPTED)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise errors.bad_request(
            f"{NO_TYPE} json: cannot unmarshal {json_type(value)} into Go value of type {GO_TYPE_META}"
        )
    name = value.get("kind")
    if name not in (None, "", "DeleteOptions"):
        raise errors.bad_request(f'no kind "{name}" is registered for version "{value.get("apiVersion", "")}" {SCHEME}')
    try:
        return compile_decoder(schema_of("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"))(value)[0]
    except DecodeError as error:
        raise errors.bad_request(str(error)) from error


def _plain_options(body: bytes) -> Any:
    amount.check_json(body)
    try:
        return orjson.loads(body.decode("utf-8", "replace"))
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"{NO_TYPE} {syntax_error(body) or error}") from error
