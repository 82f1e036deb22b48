"""What every namespace has: the ServiceAccount ``default`` and the ConfigMap ``kube-root-ca.crt`` (controllers serviceaccount and
root-ca-certificate-publisher of kube-controller-manager)."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.registry import Options, Registry
from kafila.registry.decoding import decode_object
from kafila.watch import Entry, Event

OPTIONS = Options(manager="kube-controller-manager")


class _InEveryNamespace(QueueController[str]):
    """One object of a fixed name in each namespace that does not end; it comes back when somebody deletes it."""

    about = "namespaces"

    def __init__(self, registry: Registry, resource: str, named: str) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("", "v1", resource)
        self._named = named
        registry.cache.listen("namespaces", self._observe_namespace)
        registry.cache.listen(resource, self._observe)

    def resync(self) -> None:
        for entry in self._registry.cache.resource("namespaces").entries():
            self.queue.add(entry.key.name, background=True)

    def _observe_namespace(self, event: Event) -> None:
        if event.new is not None and not event.new.meta.deletionTimestamp:
            self.queue.add(event.key.name)

    def _observe(self, event: Event) -> None:
        if event.key.name == self._named and (event.new is None or self._is_wrong(event.new)):
            self.queue.add(event.key.namespace)

    async def _reconcile(self, key: str) -> None:
        namespace = self._registry.cache.get("namespaces", "", key)
        if namespace is None or namespace.meta.deletionTimestamp:
            return
        entry = self._registry.cache.get(self._kind.resource, key, self._named)
        if entry is None:
            await self._create(key)
        elif self._is_wrong(entry):
            await self._registry.modify(self._kind, key, self._named, self._corrected, OPTIONS)

    async def _create(self, namespace: str) -> None:
        head = {"apiVersion": "v1", "kind": self._kind.kind, "metadata": {"name": self._named, "namespace": namespace}}
        try:
            obj = decode_object(self._kind, self._corrected(head), OPTIONS)
            await self._registry.create(self._kind, namespace, obj, OPTIONS)
        except StatusError as error:
            if not error.is_already_exists and not self._ends(namespace):
                raise

    def _ends(self, name: str) -> bool:
        namespace = self._registry.cache.get("namespaces", "", name)
        return namespace is None or bool(namespace.meta.deletionTimestamp)

    def _is_wrong(self, entry: Entry) -> bool:
        return False

    @abstractmethod
    def _corrected(self, obj: Object) -> Object: ...


@final
class DefaultServiceAccounts(_InEveryNamespace):
    name = "serviceaccount"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry, "serviceaccounts", "default")

    def _corrected(self, obj: Object) -> Object:
        return obj


@final
class RootCAPublisher(_InEveryNamespace):
    name = "root-ca-cert-publisher"

    def __init__(self, registry: Registry, authority: bytes) -> None:
        """``authority``: PEM of what the server's certificate is checked with; without it nothing is published."""
        self._data = {"ca.crt": authority.decode()}
        super().__init__(registry, "configmaps", "kube-root-ca.crt")

    def publish(self, authority: bytes) -> None:
        """From now on this, in every namespace."""
        self._data = {"ca.crt": authority.decode()}
        self.resync()

    async def _reconcile(self, key: str) -> None:
        if self._data["ca.crt"]:
            await super()._reconcile(key)

    def _is_wrong(self, entry: Entry) -> bool:
        return bool(self._data["ca.crt"]) and entry.decode().get("data") != self._data

    def _corrected(self, obj: Object) -> Object:
        annotations = {"kubernetes.io/description": "The CA of this API server, for clients that use a token."}
        metadata = obj["metadata"]
        metadata["annotations"] = annotations | (metadata.get("annotations") or {})
        return {**obj, "data": dict(self._data)}
