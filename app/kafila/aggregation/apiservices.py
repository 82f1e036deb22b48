"""APIServices: which group and version is served where. Follows the watch cache, so that a change counts at once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final, NamedTuple, final

from kafila.catalog.catalog import is_served_here
from kafila.core.conditions import conditions_of
from kafila.core.values import Object
from kafila.watch import Cache, Entry, Event

RESOURCE: Final = "apiservices.apiregistration.k8s.io"


class APIService(NamedTuple):
    """One that is served by a Service. ``authority``: PEM, empty for the system's roots."""

    name: str
    group: str
    version: str
    group_priority: int
    version_priority: int
    namespace: str  # of the Service
    service: str
    port: int
    authority: bytes
    insecure: bool
    available: bool

    @property
    def server_name(self) -> str:
        return f"{self.service}.{self.namespace}.svc"

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}"


def read(obj: Object) -> APIService | None:
    """None for one that is served here, and for one that nobody can use."""
    spec = obj.get("spec") or {}
    service, group, version = spec.get("service"), spec.get("group") or "", spec.get("version") or ""
    if not service or not group or not version:
        return None
    try:
        authority = base64.b64decode(spec.get("caBundle") or "", validate=True)
    except binascii.Error:
        return None
    return APIService(
        obj["metadata"]["name"],
        group,
        version,
        spec.get("groupPriorityMinimum") or 0,
        spec.get("versionPriority") or 0,
        service.get("namespace") or "",
        service.get("name") or "",
        service.get("port") or 443,
        authority,
        bool(spec.get("insecureSkipTLSVerify")),
        any(c.get("type") == "Available" and c.get("status") == "True" for c in conditions_of(obj)),
    )


@final
class Routes:
    """``revision`` rises with every change of what is to be found here."""

    def __init__(self, cache: Cache) -> None:
        self.revision = 0
        self._cache = cache
        self._by_version: dict[tuple[str, str], APIService] = {}
        self._listeners: list[Callable[[], None]] = []
        cache.listen(RESOURCE, self._observe)
        cache.on_reset(self._reload)
        self._reload()

    def __bool__(self) -> bool:
        return bool(self._by_version)

    def of(self, group: str, version: str) -> APIService | None:
        """Who serves it; None: it is served here, or by nobody."""
        return self._by_version.get((group, version))

    def gives_away(self, group: str) -> bool:
        """Whether another server answers for a version of it."""
        return any(given == group for given, _ in self._by_version)

    def all(self) -> list[APIService]:
        """In the order of discovery: groups and versions of high priority first."""
        found = list(self._by_version.values())
        highest: dict[str, int] = {}
        for service in found:
            highest[service.group] = max(highest.get(service.group, 0), service.group_priority)
        return sorted(found, key=lambda s: (-highest[s.group], s.group, -s.version_priority, s.version))

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _reload(self) -> None:
        self._by_version = {}
        for entry in self._cache.resource(RESOURCE).entries():
            self._put(entry)
        self._changed()

    def _observe(self, event: Event) -> None:
        before = dict(self._by_version)
        for entry in (event.old, event.last):
            if entry is not None:
                self._by_version = {key: s for key, s in self._by_version.items() if s.name != entry.key.name}
        if event.new is not None:
            self._put(event.new)
        if before != self._by_version:
            self._changed()

    def _put(self, entry: Entry) -> None:
        found = read(entry.decode())
        if found is not None and not is_served_here(found.group):
            self._by_version[found.group, found.version] = found

    def _changed(self) -> None:
        self.revision += 1
        for listener in self._listeners:
            listener()
