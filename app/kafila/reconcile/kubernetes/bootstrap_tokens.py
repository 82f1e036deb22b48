"""Bootstrap tokens: what who joins is told is signed with each of them, and they go when they expire (kube-controller-manager's
bootstrapsigner and tokencleaner controllers)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, final

import structlog

from kafila.core import bootstrap_tokens as tokens
from kafila.core.bootstrap_tokens import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, KUBECONFIG, SIGNATURE, BootstrapToken
from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.watch import Entry, Event

log = structlog.get_logger(__name__)
OPTIONS: Final = Options(manager="kube-controller-manager")
MOST: Final = 1000  # tokens that are signed with: each costs a line of a ConfigMap that strangers read


def _is_token(key: Key) -> bool:
    return key.namespace == tokens.NAMESPACE and key.name.startswith(tokens.PREFIX)


@final
class BootstrapSigner(QueueController[str]):
    """The key is always that of the ConfigMap."""

    name = "bootstrapsigner"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("", "v1", "configmaps")
        registry.cache.listen("configmaps", self._observe)
        registry.cache.listen("secrets", self._observe_secret)

    def resync(self) -> None:
        self.queue.add(CLUSTER_INFO)

    def _observe(self, event: Event) -> None:
        if event.key.namespace == CLUSTER_INFO_NAMESPACE and event.key.name == CLUSTER_INFO:
            self.queue.add(CLUSTER_INFO)

    def _observe_secret(self, event: Event) -> None:
        if _is_token(event.key):
            self.queue.add(CLUSTER_INFO)

    async def _reconcile(self, key: str) -> None:
        entry = self._registry.cache.get("configmaps", CLUSTER_INFO_NAMESPACE, CLUSTER_INFO)
        if entry is None or entry.meta.deletionTimestamp:
            return
        found = [token for token in self._tokens() if not token.has_expired()]
        if signed(entry.decode(), found) is not None:
            await self._registry.modify(
                self._kind, CLUSTER_INFO_NAMESPACE, CLUSTER_INFO, lambda obj: signed(obj, found) or obj, OPTIONS
            )
        ends = [end for token in found if (end := token.expires()) is not None]
        if ends:
            raise Requeue(max(min(ends) - time.time(), 0.0) + 0.001, timed=True)

    def _tokens(self) -> Iterator[BootstrapToken]:
        return _signing(self._registry.cache.resource("secrets").entries(tokens.NAMESPACE))


def _signing(secrets: Iterator[Entry]) -> Iterator[BootstrapToken]:
    count = 0
    for entry in secrets:
        if not _is_token(entry.key) or entry.meta.deletionTimestamp:
            continue
        token = tokens.read(entry.decode())
        if token is not None and tokens.SIGNING in token.usages:
            count += 1
            if count > MOST:
                log.warning("too many bootstrap tokens: the rest is not signed with", most=MOST)
                return
            yield token


def signed(config: Object, found: list[BootstrapToken]) -> Object | None:
    """With a signature of each token and no others; None when it is so already."""
    data: dict[str, str] = config.get("data") or {}
    content = data.get(KUBECONFIG, "")
    kept = {name: value for name, value in data.items() if not name.startswith(SIGNATURE)}
    new = kept | ({SIGNATURE + t.identifier: tokens.signature(content, t) for t in found} if content else {})
    return {**config, "data": new} if new != data else None


@final
class TokenCleaner(QueueController[Key]):
    name = "tokencleaner"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("", "v1", "secrets")
        registry.cache.listen("secrets", self._observe)

    def resync(self) -> None:
        for entry in self._registry.cache.resource("secrets").entries(tokens.NAMESPACE):
            if _is_token(entry.key):
                self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.new is not None and _is_token(event.key):
            self.queue.add(event.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        token = tokens.read(entry.decode()) if entry is not None else None
        ends = token.expires() if token is not None else None
        if entry is None or entry.meta.deletionTimestamp or ends is None:
            return
        if (left := ends - time.time()) > 0:
            raise Requeue(left + 0.001, timed=True)
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision))
        with ignoring_not_found():
            await self._registry.delete(self._kind, key.namespace, key.name, options)
            log.info("bootstrap token expired", token=key.name.removeprefix(tokens.PREFIX))
