"""ResourceQuota: what a write uses of the quotas of its namespace is written in the same transaction as the object.

The quota is guarded by its revision, so two processes can never give away the same share. What is freed is found by the
controller ``resourcequota`` (``reconcile/kubernetes/resource_quotas.py``), which counts again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, final
from weakref import WeakValueDictionary

import orjson

from kafila.admission import Admission
from kafila.admission.plugins.quota.check import Exceeded, charged
from kafila.admission.plugins.quota.evaluators import Evaluator, evaluator_of
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.pod_resources import Amounts
from kafila.core.values import Object
from kafila.store.interface import GuardFailed
from kafila.watch import Cache, Entry

from .allocation import Allocation
from .asking import finished
from .codec import decode_entry
from .context import Change, Options
from .prepare import prepare_update

RESOURCE: Final = "resourcequotas"
NAME: Final = "ResourceQuota"  # of the plugin
OPTIONS: Final = Options(manager="kube-apiserver")
ATTEMPTS: Final = 16  # while other processes use the same quotas
Commit = Callable[[Change], Awaitable[Entry]]


@final
class Quotas:
    def __init__(self, cache: Cache, catalog: Catalog, admission: Admission) -> None:
        kind = catalog.storage_kind(RESOURCE)
        assert kind is not None
        self._on = NAME in admission.plugins
        self._kind = kind
        self._cache = cache
        self._admission = admission
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def bound(self, kind: Kind, namespace: str) -> bool:
        """Whether some quota of the namespace is about this kind."""
        if not self._on or not kind.namespaced or not self._cache.resource(RESOURCE).objects:
            return False
        evaluator = evaluator_of(kind.resource)
        return evaluator is not None and bool(self._bounding(namespace, evaluator))

    def turn(self, namespace: str) -> asyncio.Lock:
        """Writes that use the same quotas are committed one after the other, and do not each find that another was faster."""
        turn = self._turns.get(namespace)
        if turn is None:
            turn = self._turns[namespace] = asyncio.Lock()
        return turn

    async def committed(
        self, kind: Kind, change: Change, existing: Entry | None, subresource: str, commit: Commit
    ) -> Entry:
        """Carries out ``change`` with what it uses of quotas: the last that a write is asked, after all webhooks.

        Raises StatusError, and GuardFailed for other guards than those of quotas.
        """
        namespace = change.writes[0].key.namespace
        new, old = orjson.loads(change.body), existing.decode() if existing is not None else None
        async with self.turn(namespace):
            for _ in range(ATTEMPTS):
                extra = self._charge(kind, namespace, new, old, subresource)
                full = change._replace(guards=(*change.guards, *extra.guards), writes=(*change.writes, *extra.writes))
                try:
                    return await commit(full)
                except GuardFailed as failed:
                    if failed.guard not in extra.guards:
                        raise
                    await self._cache.wait_for_consistent_read()  # another process was faster
        raise errors.conflict(kind.group, kind.plural, new["metadata"]["name"])

    def _charge(self, kind: Kind, namespace: str, new: Object, old: Object | None, subresource: str) -> Allocation:
        evaluator = evaluator_of(kind.resource)
        assert evaluator is not None
        entries = {entry.key.name: entry for entry in self._bounding(namespace, evaluator)}
        quotas = (decode_entry(self._kind, entry) for entry in entries.values())
        try:
            found = charged(quotas, evaluator, new, old, subresource, time.time())
        except Exceeded as exceeded:
            raise errors.forbidden(kind.group, kind.plural, new["metadata"]["name"], str(exceeded)) from None
        changes = [self._with_usage(entries[quota["metadata"]["name"]], quota, used) for quota, used in found]
        guards = (guard for change in changes for guard in change.guards)
        return Allocation(tuple(guards), tuple(write for change in changes for write in change.writes))

    def _with_usage(self, entry: Entry, quota: Object, used: Amounts) -> Change:
        shown = {name: str(amount) for name, amount in used.items()}
        new = {**quota, "metadata": dict(quota["metadata"]), "status": {**quota["status"], "used": shown}}
        return finished(prepare_update(self._kind, entry, quota, new, OPTIONS, "status", admission=self._admission))

    def _bounding(self, namespace: str, evaluator: Evaluator) -> list[Entry]:
        """The quotas of a namespace that bound something of this resource, by name."""
        entries = self._cache.resource(RESOURCE).entries(namespace)
        found = [entry for entry in entries if any(map(evaluator.bounds, _hard(entry)))]
        return sorted(found, key=lambda entry: entry.key.name)


def _hard(entry: Entry) -> Object:
    hard: Object = (entry.decode().get("status") or {}).get("hard") or {}
    return hard
