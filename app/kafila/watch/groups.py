"""Watchers that ask alike and have seen the same: their changes are selected, encoded and joined once for all of them.

A watcher that has caught up hands itself over to a group and gets nothing more itself; the group writes to its client by ``push``. It
comes back when it has something to do for itself (a bookmark, the end), or when its client does not keep up: then it goes on alone
from where it is, at its client's pace, until it has caught up again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Final, final

from .cache import Cache
from .watcher import Change, Watcher

SHORTEST_PAUSE: Final = (
    0.005  # seconds between two rounds: a stream costs per write, not per event; the first goes at once
)
LONGEST_PAUSE: Final = 0.05
SHARE: Final = 0.1  # of the event loop, at most, for one group
CAPACITY: Final = 100  # watchers in a group: a round must not hold the loop

Push = Callable[[bytes], bool]  # False: the client does not keep up, and nothing was written
Encode = Callable[[list[Change]], tuple[bytes, int]]  # what is written for the first of them, and how many those are


@final
class Group:
    """Waits for changes in place of its watchers, with their position."""

    def __init__(self, key: Hashable, cache: Cache, like: Watcher, encode: Encode) -> None:
        self.key = key
        self.name, self.namespace = like.name, like.namespace
        self._cache = cache
        self._encode = encode
        self._eyes = Watcher(cache, like.resource, like.position, like.namespace, like.name, like.matches)
        self._clients: dict[Watcher, Push] = {}
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._clients)

    def wake(self) -> None:
        if self._next is None:
            pause = self._not_before - self._loop.time()
            self._next = self._loop.call_later(pause, self._round) if pause > 0 else self._loop.call_soon(self._round)

    def add(self, watcher: Watcher, push: Push) -> bool:
        """Whether the watcher has seen what the others have."""
        if self._next is not None:  # they have not been sent yet what it knows
            self._round()
        if self._eyes.position != watcher.position:
            return False
        self._clients[watcher] = push
        return True

    def remove(self, watcher: Watcher) -> None:
        if self._clients.pop(watcher, None) is not None:
            watcher.position = self._eyes.position

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _round(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        began = time.thread_time()
        before = self._eyes.position
        changes = self._eyes.at_hand()
        if changes is None:  # not in memory, or of another history: each sees for itself
            self._send_all_off(before)
            return
        if changes:
            try:
                data, count = self._encode(changes)
            except BaseException:
                self._send_all_off(before)
                raise
            if count < len(changes):
                self._eyes.position = changes[count - 1].entry.revision
            for watcher, push in list(self._clients.items()):
                if not push(data):
                    self._send_off(watcher, before)
            pause = (time.thread_time() - began) / SHARE
            self._not_before = self._loop.time() + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)
        if self._eyes.position < self._cache.seen(self._eyes.resource):
            self._not_before = 0.0
            self.wake()

    def _send_all_off(self, position: int) -> None:
        for watcher in list(self._clients):
            self._send_off(watcher, position)

    def _send_off(self, watcher: Watcher, position: int) -> None:
        del self._clients[watcher]
        watcher.position = position
        watcher.wake()


@final
class Groups:
    """The groups of one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._groups: dict[Hashable, list[Group]] = {}

    async def serve(self, key: Hashable, watcher: Watcher, push: Push, encode: Encode, timeout: float) -> None:
        """Serves the client of a watcher that has caught up, until the watcher is woken or ``timeout`` seconds are over.

        Watchers with the same ``key`` have the same selection and encode alike. Returns at once when ``watcher`` has still something to read.
        """
        group = self._join(key, watcher, push, encode)
        if group is None:
            return
        try:
            with watcher.aside():
                await watcher.woken(timeout)
        finally:
            self._leave(group, watcher)

    def _join(self, key: Hashable, watcher: Watcher, push: Push, encode: Encode) -> Group | None:
        if not watcher.has_caught_up():
            return None
        alike = self._groups.setdefault(key, [])
        group = next((group for group in alike if len(group) < CAPACITY), None)
        if group is None:
            group = Group(key, self._cache, watcher, encode)
            alike.append(group)
            self._cache.resource(watcher.resource).waiters.add(group)
        if group.add(watcher, push):
            return group
        if not len(group):
            self._close(group, watcher.resource)
        return None

    def _leave(self, group: Group, watcher: Watcher) -> None:
        group.remove(watcher)
        if not len(group):
            self._close(group, watcher.resource)

    def _close(self, group: Group, resource: str) -> None:
        alike = self._groups.get(group.key, [])
        if group not in alike:  # closed by another that it sent off
            return
        alike.remove(group)
        if not alike:
            del self._groups[group.key]
        group.close()
        self._cache.resource(resource).waiters.remove(group)
