"""Which backend stores ResourceRegistries name, what each of them shall have, and what is said of it in their status."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, final
from urllib.parse import urlsplit

import orjson

from kafila.core.conditions import condition
from kafila.core.values import AnyObject, Object
from kafila.reconcile.karmada.clusters import Clusters
from kafila.registry import Registry
from kafila.registry.transactions import Fence
from kafila.search.opensearch import BackendError, Credentials, OpenSearch
from kafila.search.selection import Registries, Selected, kinds_of, wanted
from kafila.watch import Event

from .exporter import Exporter, Which

BACKEND: Final = "BackendStoreReady"
WRITING: Final = "Writing"


class Backend(NamedTuple):
    """An OpenSearch as registries name it: those that name the same one share it."""

    addresses: tuple[str, ...]
    secret: tuple[str, str]  # namespace and name; empty: none

    @property
    def id(self) -> str:
        return hashlib.sha256(orjson.dumps([self.addresses, self.secret])).hexdigest()[:32]

    @property
    def host(self) -> str:
        return urlsplit(self.addresses[0]).netloc.rpartition("@")[2] if self.addresses else ""


def backend_of(spec: AnyObject) -> Backend | None:
    """None: it names none."""
    found = (spec.get("backendStore") or {}).get("openSearch")
    if found is None:
        return None
    reference = found.get("secretRef") or {}
    secret = reference.get("namespace") or "", reference.get("name") or ""
    return Backend(tuple(found.get("addresses") or ()), secret if all(secret) else ("", ""))


def credentials_of(secret: AnyObject) -> Credentials:
    """Of a Secret. Raises BackendError."""
    data = secret.get("data") or {}
    try:
        username, password, authority = (
            base64.b64decode(data.get(name) or "", validate=True) for name in ("username", "password", "ca.crt")
        )
        return Credentials(username.decode(), password.decode(), authority)
    except (binascii.Error, UnicodeDecodeError):
        raise BackendError(
            "SecretUnusable", "username, password or ca.crt of the Secret is no text in base64"
        ) from None


@final
class Backends:
    """``changed`` is called when what is said of a registry may be another."""

    def __init__(
        self, registry: Registry, clusters: Clusters, registries: Registries, changed: Callable[[], None]
    ) -> None:
        self._registry = registry
        self._clusters = clusters
        self._registries = registries
        self._changed = changed
        self._exporters: dict[Backend, Exporter] = {}
        self._wanted: dict[Backend, Mapping[Which, Selected]] = {}
        registry.cache.listen("secrets", self._observe_secret)

    def _observe_secret(self, event: Event) -> None:
        for backend, exporter in self._exporters.items():
            if backend.secret == (event.key.namespace, event.key.name):
                exporter.reconnect()

    def look(self) -> None:
        """Clusters or kinds are others: something else may be wanted."""
        self._wanted.clear()
        for exporter in self._exporters.values():
            exporter.look()

    async def adjust(self) -> None:
        """To what registries name now. Raises StoreUnavailable."""
        named = {found for spec in self._registries.specs.values() if (found := backend_of(spec)) is not None}
        for backend in [backend for backend in self._exporters if backend not in named]:
            await self._exporters.pop(backend).stop()
        await self._registry.store.search.exports.keep([backend.id for backend in named])
        for backend in sorted(named.difference(self._exporters)):
            self._exporters[backend] = self._exporter(backend)
        self.look()

    def _exporter(self, backend: Backend) -> Exporter:
        return Exporter(
            backend.id,
            backend.host,
            self._registry.store.search,
            lambda: self._connect(backend),
            lambda: self._wanted_of(backend),
            self._changed,
        )

    async def stop(self) -> None:
        while self._exporters:
            await self._exporters.popitem()[1].stop()

    def _connect(self, backend: Backend) -> OpenSearch:
        """Raises BackendError. Without its Secret nothing is sent."""
        fence = self._registry.transactions.fence
        if not any(backend.secret):
            return _opened(backend, Credentials(), fence)
        namespace, name = backend.secret
        entry = self._registry.cache.get("secrets", namespace, name)
        if entry is None:
            raise BackendError("SecretNotFound", f'secrets "{name}" not found in the namespace "{namespace}"')
        return _opened(backend, credentials_of(entry.decode()), fence)

    def _wanted_of(self, backend: Backend) -> Mapping[Which, Selected]:
        if backend not in self._wanted:
            specs = [spec for spec in self._registries.specs.values() if backend_of(spec) == backend]
            self._wanted[backend] = self._selected(specs)
        return self._wanted[backend]

    def _selected(self, specs: Iterable[AnyObject]) -> dict[Which, Selected]:
        specs, kind_of = list(specs), kinds_of(self._registry.catalog)
        return {
            (resource, cluster["metadata"]["name"]): each
            for cluster in self._clusters.ordered()
            if not self._clusters.is_leaving(cluster["metadata"]["name"])
            for resource, each in wanted(specs, cluster, kind_of).items()
        }

    # -- status --------------------------------------------------------------------------------------------------------

    def condition(self, spec: AnyObject) -> Object | None:
        """What is said of the registry: nothing, where it names no backend store."""
        backend = backend_of(spec)
        if backend is None:
            return None
        exporter = self._exporters.get(backend)
        if exporter is None:
            return _not_ready(WRITING, "it was not looked at yet")
        if exporter.trouble is not None:
            return _not_ready(exporter.trouble.reason, exporter.trouble.text)
        selected = self._selected([spec])
        if pending := exporter.pending(selected):
            resource, cluster = pending[0]
            more = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
            return _not_ready(WRITING, f"{resource} of cluster {cluster}{more} are not all written yet")
        if refused := sum(exporter.refused[which] for which in selected):
            return _not_ready("DocumentsRefused", f"{refused} documents were refused: {exporter.why_refused}")
        text = "everything of it that is cached is in OpenSearch, and what changes is written there"
        return condition(BACKEND, "True", "Written", text)


def _not_ready(reason: str, text: str) -> Any:
    return condition(BACKEND, "False", reason, text)


def _opened(backend: Backend, credentials: Credentials, fence: Fence | None) -> OpenSearch:
    """Raises BackendError."""
    try:
        return OpenSearch(backend.addresses, credentials, fence)
    except ValueError as error:
        raise BackendError("AddressUnusable", str(error)) from None
