"""Who waits for changes of a resource."""

from __future__ import annotations

from typing import Protocol, final


class Waiter(Protocol):
    """``name`` and ``namespace`` say what it may concern ("" for all)."""

    namespace: str
    name: str

    def wake(self) -> None: ...


@final
class Waiters:
    """Who waits for changes, by namespace and name, so that a change wakes only those it may concern."""

    __slots__ = ("_all", "_named", "_namespaces")

    def __init__(self) -> None:
        self._all: set[Waiter] = set()
        self._namespaces: dict[str, set[Waiter]] = {}
        self._named: dict[tuple[str, str], set[Waiter]] = {}

    def _bucket(self, waiter: Waiter) -> set[Waiter]:
        if waiter.name:
            return self._named.setdefault((waiter.namespace, waiter.name), set())
        if waiter.namespace:
            return self._namespaces.setdefault(waiter.namespace, set())
        return self._all

    def add(self, waiter: Waiter) -> None:
        self._bucket(waiter).add(waiter)

    def remove(self, waiter: Waiter) -> None:
        self._bucket(waiter).discard(waiter)
        if waiter.name and not self._named[(waiter.namespace, waiter.name)]:
            del self._named[(waiter.namespace, waiter.name)]
        elif waiter.namespace and not waiter.name and not self._namespaces[waiter.namespace]:
            del self._namespaces[waiter.namespace]

    def wake(self, namespace: str, name: str) -> None:
        for waiter in self._all:
            waiter.wake()
        if self._namespaces:
            for waiter in self._namespaces.get(namespace, ()):
                waiter.wake()
        if self._named:
            for waiter in self._named.get((namespace, name), ()):
                waiter.wake()
            if namespace:
                for waiter in self._named.get(("", name), ()):
                    waiter.wake()

    def wake_all(self) -> None:
        for bucket in (self._all, *self._namespaces.values(), *self._named.values()):
            for waiter in bucket:
                waiter.wake()

    def __len__(self) -> int:
        return len(self._all) + sum(map(len, self._namespaces.values())) + sum(map(len, self._named.values()))
