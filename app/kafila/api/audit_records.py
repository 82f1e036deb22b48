"""``GET …/auditrecords``: who changed what, newest first, from the table that the journal fills.

Who may list them in a namespace sees what was changed there, whatever else he may read; a Secret's values nobody sees.
"""

from __future__ import annotations

import base64
import math
import time
from typing import Any, Final

import orjson

from kafila.audit.events import micro_time
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.resources import Key
from kafila.core.selectors import FieldRequirement
from kafila.core.values import Object
from kafila.registry import Registry
from kafila.registry.reading import Page
from kafila.store.audit import AuditQuery, AuditRow
from kafila.store.interface import StoreUnavailable
from kafila.watch import Entry

from .object_responses import accept_of, check_form, list_response
from .objects import list_options
from .request import Request
from .responses import Response

MOST: Final = 500  # records of a page
FIELDS: Final = ("user", "verb", "resource", "objectName")
_QUERY_FIELDS: Final = {"user": "user", "verb": "verb", "resource": "resource", "objectName": "name"}


async def list_(registry: Registry, kind: Kind, request: Request) -> Response:
    """Field selectors: ``user``, ``verb``, ``resource``, ``objectName``, each with ``=``. Parameters: ``sinceTime`` (RFC 3339),
    ``sinceSeconds``. Raises StatusError 400, 406, 410, 503."""
    accept = accept_of(request, kind)
    check_form(accept, kind, request, True)
    options = list_options(request)
    if options.labels is not None and not options.labels.empty:
        raise errors.bad_request("audit records have no labels: use a field selector")
    asked = AuditQuery(
        since=_since(request),
        limit=min(options.limit or MOST, MOST),
        namespace=options.namespace or None,
        before=_before(options.token),
        **_wanted(options.fields),
    )
    try:
        found = await registry.store.audit_rows(asked)
    except StoreUnavailable as error:
        raise errors.storage_unreachable(error) from error
    entries = [
        Entry(Key(kind.resource, row.namespace, row.id), 0, orjson.dumps(document_of(row))) for row in found.rows
    ]
    token = "" if found.before is None else _token(found.before)
    return await list_response(kind, Page(entries, registry.cache.revision, token), accept, request)


def _since(request: Request) -> float:
    """Unix seconds; 0: all there are."""
    text, seconds = request.query.get("sinceTime", ""), request.number("sinceSeconds")
    if text and seconds is not None:
        raise errors.bad_request("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if seconds is not None:
        return max(time.time() - max(seconds, 0), 0.0)
    try:
        found = parse_rfc3339(text) if text else 0.0
    except (ValueError, OverflowError):
        raise errors.bad_request(f'sinceTime "{text[:64]}" is no time as in RFC 3339') from None
    return max(found, 0.0)


def _wanted(fields: tuple[FieldRequirement, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields:
        if field.field not in _QUERY_FIELDS:
            raise errors.bad_request(
                f'"{field.field}" is not a known field selector: only {", ".join(map(repr, FIELDS))}'.replace("'", '"')
            )
        if field.operator == "!=":
            raise errors.bad_request(f"{field.field} is selected with = only")
        found[_QUERY_FIELDS[field.field]] = field.value
    return found


def _token(before: tuple[float, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(before)).decode()


def _before(token: str) -> tuple[float, str] | None:
    """Raises StatusError 400."""
    if not token:
        return None
    try:
        at, identifier = orjson.loads(base64.urlsafe_b64decode(token))
        if isinstance(at, float) and isinstance(identifier, str) and 0 <= at < 1e11 and math.isfinite(at):
            return at, identifier[:1024].replace("\0", "")
    except (ValueError, TypeError):
        pass
    raise errors.bad_request("continue key is not valid: it is not one of audit records")


def document_of(row: AuditRow) -> Object:
    """As it is served, without kind and apiVersion."""
    said: dict[str, Any] = orjson.loads(row.changes)
    metadata = {"name": row.id.replace("/", "-"), "namespace": row.namespace, "creationTimestamp": rfc3339(row.at)}
    document = {
        "time": micro_time(row.at),
        "user": row.username,
        "impersonatedUser": row.acting,
        "verb": row.verb,
        "resource": row.resource,
        "subresource": row.subresource,
        "objectName": row.name,
        "path": said.get("path"),
        "code": row.code,
        "source": row.source,
        "userAgent": row.agent,
        "outcome": said.get("outcome", ""),
        "objects": said.get("objects"),
        "changes": said.get("fields"),
        "moreChanges": said.get("more"),
    }
    kept = {name: value for name, value in document.items() if value not in ("", None)}
    return {"metadata": {name: value for name, value in metadata.items() if value}, **kept}
