"""How objects are answered: in which form and encoding, one or many of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.core import errors
from kafila.machinery import protobuf, yamlout
from kafila.registry.codec import all_shown, decode_entry, item_bytes, shown, wire_bytes
from kafila.registry.reading import Page
from kafila.registry.threads import in_thread
from kafila.watch import Entry

from . import tables
from .negotiation import Accepted, accepted
from .request import Request
from .responses import CHUNK, Made, Response, encoded, to_yaml

SLICE = 250  # objects encoded before other requests get a turn


def accept_of(request: Request, kind: Kind) -> Accepted:
    target = request.target
    listed = target is not None and not target.name and request.method in ("GET", "HEAD")
    return accepted(request.header(b"accept"), bool(kind.protobuf) and not kind.custom, listed)


def check_form(accept: Accepted, kind: Kind, request: Request, listed: bool) -> None:
    """Metadata of an object and of a list are different forms. Raises StatusError 400, 406."""
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        if include not in ("", "None", "Metadata", "Object"):
            why = "must be 'Metadata', 'Object', 'None', or empty"
            found = errors.FieldError.invalid("includeObject", include, why)
            raise errors.bad_request(f"Unable to convert to Table as requested: {found}")
    elif accept.form == "PartialObjectMetadata" and listed:
        raise errors.StatusError(
            406,
            "NotAcceptable",
            f"you requested {accept.form}, but the requested object is a list ({_go_type(kind)}List)",
        )
    elif accept.form == "PartialObjectMetadataList" and not listed:
        raise errors.StatusError(
            406,
            "NotAcceptable",
            f"you requested {accept.form}, but the requested object is not a list ({_go_type(kind)})",
        )


def _go_type(kind: Kind) -> str:
    if kind.custom:
        return "*unstructured.Unstructured"
    return f"*{kind.group.partition('.')[0] or 'core'}.{kind.kind}"


async def object_response(kind: Kind, entry: Entry, accept: Accepted, request: Request, status: int = 200) -> Response:
    if not accept.form and accept.encoding == "json" and kind.from_storage is None:
        return Response(status, wire_bytes(kind, entry))
    entry = await shown(kind, entry)
    return await in_thread(len(entry.body), lambda: _object_response(kind, entry, accept, request, status))


async def created_response(kind: Kind, entry: Entry, accept: Accepted, request: Request) -> Response:
    created = kind.strategy.created
    if created is not None:
        entry = Entry(entry.key, entry.revision, created(entry.body))
    return await object_response(kind, entry, accept, request, 201)


def _object_response(kind: Kind, entry: Entry, accept: Accepted, request: Request, status: int) -> Response:
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        body = tables.table(kind, [entry], accept, include, {"resourceVersion": str(entry.revision)})
    elif accept.form:
        return encoded(tables.partial(entry.decode(), accept.version), accept, status)
    elif accept.encoding == "protobuf":
        found = codec(*kind.gvk)
        assert found is not None
        raw = found.encode(decode_entry(kind, entry))
        return Response(status, protobuf.envelope(kind.api_version, kind.kind, raw), accept.content_type)
    else:
        body = wire_bytes(kind, entry)
    if accept.encoding == "yaml":
        return Response(status, to_yaml(body), accept.content_type)
    return Response(status, body)


async def list_response(kind: Kind, page: Page, accept: Accepted, request: Request) -> Response:
    if kind.converter is not None:
        page = page._replace(entries=await all_shown(kind, page.entries))
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if kind.definition and not accept.form:
        metadata["continue"] = ""  # lists without a type of their own always have it
    if page.token:
        metadata["continue"] = page.token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    size = sum(len(entry.body) for entry in page.entries)
    if accept.form or accept.encoding != "json":
        await request.hold(size)
        return await in_thread(size, lambda: _converted_list(kind, page.entries, metadata, accept, request))
    pieces = _pieces(kind, page.entries, metadata, size)
    if size < CHUNK:
        return Response(200, b"".join(pieces))
    if kind.from_storage or kind.custom:
        return Response(200, Made(pieces, size))
    around = len(_head(kind, metadata)) + len(_TAIL) + max(len(page.entries) - 1, 0)
    return Response(200, Made(pieces, size + around, exact=True))


def _converted_list(
    kind: Kind, entries: list[Entry], metadata: dict[str, Any], accept: Accepted, request: Request
) -> Response:
    """A list that is not the stored objects as they are."""
    if accept.form == "Table":
        body = tables.table(kind, entries, accept, request.query.get("includeObject", ""), metadata)
    elif accept.form:
        return encoded(tables.partial_list(entries, accept.version, metadata), accept)
    elif accept.encoding == "protobuf":
        found = codec(kind.group, kind.version, kind.list_name)
        assert found is not None
        raw = found.encode({"metadata": metadata, "items": [decode_entry(kind, entry) for entry in entries]})
        return Response(200, protobuf.envelope(kind.api_version, kind.list_name, raw), accept.content_type)
    else:
        # read one by one: all of them at once would hold up everybody
        items = [orjson.loads(item_bytes(kind, entry)) for entry in entries]
        document = {"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": metadata, "items": items}
        return Response(200, yamlout.dump(document), accept.content_type)
    if accept.encoding == "yaml":
        return Response(200, to_yaml(body), accept.content_type)
    return Response(200, body)


_TAIL = b"]}\n"


def _head(kind: Kind, metadata: dict[str, Any]) -> bytes:
    return b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.list_name.encode(),
        kind.api_version.encode(),
        orjson.dumps(metadata),
    )


def _pieces(kind: Kind, entries: list[Entry], metadata: dict[str, Any], size: int) -> Iterator[bytes]:
    """The list in pieces that are made and sent one by one: nobody waits for all of it, and nobody keeps it.
    ``size``: bytes of all entries."""
    stored = kind.from_storage is None and not kind.custom
    most = SLICE if stored else SLICE // 10  # what has to be worked out takes longer
    count = max(1, min(most, CHUNK * len(entries) // max(size, 1)))
    before = _head(kind, metadata)
    for start in range(0, max(len(entries), 1), count):
        some = entries[start : start + count]
        items = [entry.body for entry in some] if stored else [item_bytes(kind, entry) for entry in some]
        yield b"".join((before, b",".join(items), b"" if start + count < len(entries) else _TAIL))
        before = b","
