"""From what people type (``deploy``, ``Deployment``, ``deployments.apps``) to a resource that a server has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from .answers import status_error
from .client import MemberClient
from .discovery import AGGREGATED, APIResource


class _Named(NamedTuple):
    resource: APIResource
    group: str
    version: str
    words: frozenset[str]


async def find_resource(client: MemberClient, typed: str) -> APIResource | None:
    """The first resource that the word names, in the server's own order of preference. Raises StatusError, Unreachable."""
    word, _, qualifier = typed.lower().partition(".")
    for root in ("/api", "/apis"):
        status, body = await client.request("GET", root, headers=[("Accept", AGGREGATED)])
        if status != 200:
            raise status_error(status, body)
        for named in _resources(orjson.loads(body)):
            if word in named.words and qualifier in _qualifiers(named):
                return named.resource
    return None


def _qualifiers(named: _Named) -> tuple[str, ...]:
    return "", named.group, f"{named.version}.{named.group}" if named.group else named.version


def _resources(document: dict[str, Any]) -> Iterator[_Named]:
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            for each in version.get("resources") or ():
                api_version = f"{name}/{version['version']}" if name else version["version"]
                kind = (each.get("responseKind") or {}).get("kind") or ""
                words = {
                    each["resource"],
                    each.get("singularResource") or "",
                    kind.lower(),
                    *(each.get("shortNames") or ()),
                }
                found = APIResource(
                    api_version,
                    each["resource"],
                    kind,
                    each.get("scope") == "Namespaced",
                    tuple(each.get("verbs") or ()),
                )
                yield _Named(found, name, version["version"], frozenset(words - {""}))
