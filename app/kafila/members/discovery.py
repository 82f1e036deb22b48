"""Which APIs a member serves: for the Cluster's status, and to find the path of a kind.

Asks for aggregated discovery (two requests, answered 304 while nothing changed) and, from servers that do not have it, group by group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, final
from urllib.parse import quote

from kafila.core.errors import StatusError
from kafila.core.resources import GroupVersionKind

from .answers import status_error
from .client import MemberClient, resource_path
from .shapes import mapping
from .transport import Unreachable, UnusableAnswer

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


MOST: Final = 10_000  # resources of a server: they stand in its Cluster's status
LONGEST: Final = 316  # characters: a group's name, a slash and a version
T = TypeVar("T")


class APIResource(NamedTuple):
    api_version: str
    name: str  # plural
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        return resource_path(self.api_version, self.name, namespace if self.namespaced else "", name, subresource)


class Served(NamedTuple):
    """``resources`` without subresources; ``complete`` False when some group did not answer."""

    resources: tuple[APIResource, ...]
    complete: bool

    def enablements(self) -> list[dict[str, Any]]:
        """``status.apiEnablements`` of a Cluster, sorted as Karmada sorts it."""
        groups: dict[str, list[dict[str, str]]] = {}
        for resource in sorted(self.resources, key=lambda r: r.name):
            groups.setdefault(resource.api_version, []).append({"name": resource.name, "kind": resource.kind})
        return [{"groupVersion": version, "resources": groups[version]} for version in sorted(groups)]


@final
class Discovery:
    """What one member serves, remembered. ``refresh`` asks again and is cheap while nothing changed."""

    def __init__(self, client: MemberClient) -> None:
        self._client = client
        self._tags: dict[str, str] = {}
        self._parts: dict[str, Served] = {}
        self._kinds: dict[GroupVersionKind, APIResource] = {}
        self._asking = asyncio.Lock()

    async def refresh(self) -> Served:
        """Raises Unreachable or StatusError when the member does not even list its groups."""
        async with self._asking:
            parts = [await self._part("/api"), await self._part("/apis")]
        served = Served(tuple(r for part in parts for r in part.resources), all(part.complete for part in parts))
        self._kinds = {_gvk(resource): resource for resource in served.resources}
        return served

    async def find(self, gvk: GroupVersionKind) -> APIResource | None:
        """Where the objects of a kind are; asks the member again when the kind is not known (a new CRD)."""
        if gvk not in self._kinds:
            await self.refresh()
        return self._kinds.get(gvk)

    async def _part(self, root: str) -> Served:
        headers = [("Accept", AGGREGATED)]
        if tag := self._tags.get(root):
            headers.append(("If-None-Match", tag))
        with self._client.judging(f"GET {root}"):
            status, answered, body = await self._client.exchange("GET", root, headers=headers)
            if status == 304 and root in self._parts:
                return self._parts[root]
            if status == 200:
                document = mapping(body, f"GET {root}")
                if document.get("kind") == "APIGroupDiscoveryList":
                    part = self._parts[root] = _read(root, lambda: aggregated(document))
        if status != 200:
            raise status_error(status, body)
        if document.get("kind") != "APIGroupDiscoveryList":
            return await self._one_by_one(root, document)
        tag = answered.get("ETag") or answered.get("etag") or ""
        if tag and part.complete:
            self._tags[root] = tag
        else:
            self._tags.pop(root, None)
        return part

    async def _one_by_one(self, root: str, document: dict[str, Any]) -> Served:
        with self._client.judging(f"GET {root}"):
            versions = _read(root, lambda: _versions(root, document))
        found: list[APIResource] = []
        complete = True
        for version in versions:
            path = f"{root}/{quote(version)}"
            try:
                listed = await self._client.get(path)
                with self._client.judging(f"GET {path}"):
                    found += _read(path, lambda version=version, listed=listed: _listed(version, listed))  # type: ignore[misc]
            except (StatusError, Unreachable):
                complete = False
            if len(found) > MOST:
                raise UnusableAnswer(f"below {root} there are more than {MOST} resources")
        return Served(tuple(found), complete)


def _read(root: str, read: Callable[[], T]) -> T:
    """Raises UnusableAnswer for a document of another shape, or of more than any API has."""
    try:
        found = read()
        resources = found.resources if isinstance(found, Served) else found
        assert isinstance(resources, (list, tuple))
        if len(resources) > MOST or any(not _is_sound(each) for each in resources):
            raise ValueError(f"more than {MOST} entries, or names that are none")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnusableAnswer(
            f"the answer to GET {root} is no discovery: {type(error).__name__}: {error}"[:512]
        ) from None
    return found


def _is_sound(found: Any) -> bool:
    texts = (found,) if isinstance(found, str) else (found.api_version, found.name, found.kind, *found.verbs)
    return all(isinstance(text, str) and len(text) <= LONGEST for text in texts)


def _versions(root: str, document: dict[str, Any]) -> list[str]:
    if root == "/api":
        return list(document.get("versions") or ())
    return [v["groupVersion"] for group in document.get("groups") or () for v in group["versions"]]


def _listed(version: str, document: dict[str, Any]) -> list[APIResource]:
    return [
        APIResource(version, r["name"], r["kind"], bool(r.get("namespaced")), tuple(r.get("verbs") or ()))
        for r in document.get("resources") or ()
        if "/" not in r["name"]
    ]


def aggregated(document: dict[str, Any]) -> Served:
    """An ``APIGroupDiscoveryList``. A group version that is Stale could not be asked by the member itself."""
    found: list[APIResource] = []
    complete = True
    for group in document.get("items") or ():
        name = group["metadata"].get("name") or ""
        for version in group.get("versions") or ():
            api_version = f"{name}/{version['version']}" if name else version["version"]
            if version.get("freshness") == "Stale":
                complete = False
            for resource in version.get("resources") or ():
                kind = (resource.get("responseKind") or {}).get("kind", "")
                if not kind:  # served for its subresources only
                    continue
                namespaced = resource.get("scope") == "Namespaced"
                verbs = tuple(resource.get("verbs") or ())
                found.append(APIResource(api_version, resource["resource"], kind, namespaced, verbs))
    return Served(tuple(found), complete)


def _gvk(resource: APIResource) -> GroupVersionKind:
    group, _, version = resource.api_version.rpartition("/")
    return GroupVersionKind(group, version, resource.kind)
