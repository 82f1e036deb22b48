"""Secrets of the type ``kubernetes.io/service-account-token``: filled while their account is there, and gone with it
(kube-controller-manager's serviceaccount-token controller)."""

from __future__ import annotations

import base64
from typing import final

from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.identity.tokens import Tokens
from kafila.reconcile.controller import QueueController
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.watch import Entry, Event

OPTIONS = Options(manager="kube-controller-manager")
TYPE = "kubernetes.io/service-account-token"
ACCOUNT, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


@final
class AccountTokens(QueueController[Key]):
    name = "serviceaccount-token"

    def __init__(self, registry: Registry, tokens: Tokens | None, authority: bytes) -> None:
        """``tokens``: None where this process has no keys; it fills nothing then."""
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._tokens = tokens
        self._authority = authority
        self._kind = registry.kind("", "v1", "secrets")
        self._of_account: dict[tuple[str, str], set[Key]] = {}
        registry.cache.listen("secrets", self._observe)
        registry.cache.listen("serviceaccounts", self._observe_account)

    def publish(self, authority: bytes) -> None:
        """From now on this is ``ca.crt``, in every Secret of a token."""
        self._authority = authority
        self.resync()

    def keys_changed(self) -> None:
        """Of tokens."""
        self.resync()

    def resync(self) -> None:
        self._of_account.clear()
        for entry in self._registry.cache.resource("secrets").entries():
            self._note(entry, background=True)

    def _observe(self, event: Event) -> None:
        if event.old is not None and (account := _account_of(event.old)):
            self._of_account.get((event.key.namespace, account), set()).discard(event.key)
        if event.new is not None:
            self._note(event.new)

    def _note(self, entry: Entry, background: bool = False) -> None:
        if account := _account_of(entry):
            self._of_account.setdefault((entry.key.namespace, account), set()).add(entry.key)
            self.queue.add(entry.key, background=background)

    def _observe_account(self, event: Event) -> None:
        if event.old is None or event.new is None or event.old.meta.uid != event.new.meta.uid:
            for key in self._of_account.get((event.key.namespace, event.key.name), ()):
                self.queue.add(key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if self._tokens is None or entry is None or entry.meta.deletionTimestamp:
            return
        name = _account_of(entry)
        if not name or entry.decode().get("type") != TYPE:
            return
        account = self._registry.cache.get("serviceaccounts", key.namespace, name)
        uid = (entry.meta.annotations or {}).get(UID)
        if account is None or (uid and uid != account.meta.uid):
            await self._delete(entry)
            return
        wanted = account.meta.uid
        if self._filled(entry.decode(), name, wanted) is not None:
            await self._registry.modify(
                self._kind, key.namespace, key.name, lambda obj: self._filled(obj, name, wanted) or obj, OPTIONS
            )

    async def _delete(self, entry: Entry) -> None:
        """The revision that was read."""
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision))
        with ignoring_not_found():
            await self._registry.delete(self._kind, entry.key.namespace, entry.key.name, options)

    def _filled(self, secret: Object, account: str, uid: str) -> Object | None:
        """None where nothing is missing. A token that is there stays: others have a copy of it. One that nobody believes any
        more, because its key was exchanged, is not worth that."""
        assert self._tokens is not None
        metadata, data = secret["metadata"], dict(secret.get("data") or {})
        wanted = {"ca.crt": _encoded(self._authority), "namespace": _encoded(metadata["namespace"].encode())}
        missing = {name: value for name, value in wanted.items() if value and data.get(name) != value}
        if not data.get("token") or self._tokens.is_of_retired_key(_decoded(data["token"])):
            token = self._tokens.issue_legacy(metadata["namespace"], account, uid, metadata["name"])
            missing["token"] = _encoded(token.encode())
        annotations = metadata.get("annotations") or {}
        if not missing and annotations.get(UID) == uid:
            return None
        return {**secret, "metadata": {**metadata, "annotations": {**annotations, UID: uid}}, "data": data | missing}


def _account_of(entry: Entry) -> str:
    return (entry.meta.annotations or {}).get(ACCOUNT, "")


def _decoded(text: str) -> str:
    """ "" for what is none."""
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
