"""Works that somebody else deleted in clusters in pull mode: they are made again only a while later.

``karmadactl unregister`` deletes all Works of a cluster before the Cluster itself, and waits until it finds none. Whoever made
them again at once would keep it from ever leaving.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

import orjson

from kafila.core.resources import Key
from kafila.placement import constants
from kafila.watch import Cache, Entry, Event

from .kinds import WORKS

PAUSE: Final = 10.0  # seconds from the deletion of a Work until it may be made again
MOST: Final = 10_000  # Works of a cluster that are held; with more the first may be made again before their time
_REMEMBERED: Final = 10_000  # deletions of ours that are under way
_LABELS: Final = (
    constants.FRQ_NAMESPACE,
    constants.FRQ_NAME,
    constants.MCS_PERMANENT_ID,
    constants.MCS_NAMESPACE,
    constants.MCS_NAME,
)
_ANNOTATIONS: Final = (constants.RB_NAMESPACE, constants.RB_NAME, constants.CRB_NAME)
_LONGEST: Final = 253  # characters of a name


@final
class DeletedWorks:
    """``is_pulled``: whether a cluster that stays is in pull mode. Listens before those who make Works."""

    def __init__(self, cache: Cache, is_pulled: Callable[[str], bool]) -> None:
        self._is_pulled = is_pulled
        self._held: dict[
            str, OrderedDict[str, tuple[float, Event]]
        ] = {}  # by cluster and name: until when, how it went
        self._timers: dict[str, asyncio.TimerHandle] = {}  # of the first of each cluster
        self._ours: OrderedDict[tuple[Key, str], None] = OrderedDict()  # with UID; the newest last
        self._makers: list[Callable[[Event], None]] = []
        cache.listen(WORKS, self._observe)

    def replay(self, maker: Callable[[Event], None]) -> None:
        """``maker`` is told of each such deletion a second time, when the Work may be made again: by an event whose ``old`` has
        only what says for whom the Work was (:func:`_outline`)."""
        self._makers.append(maker)

    def holds(self, cluster: str, work: str) -> bool:
        """Whether it is too early to make a Work again."""
        return work in self._held.get(cluster, ())

    def by_us(self, work: Entry) -> None:
        """To be called before one of our controllers deletes it: it may be made again as soon as it is gone."""
        if self._is_pulled(constants.cluster_of(work.key.namespace)):
            self._ours[work.key, work.meta.uid] = None
            if len(self._ours) > _REMEMBERED:
                self._ours.popitem(last=False)

    def _observe(self, event: Event) -> None:
        space = event.key.namespace
        if not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            return
        cluster = constants.cluster_of(space)
        if event.new is not None:
            if event.old is None:
                self._held.get(cluster, OrderedDict()).pop(event.key.name, None)
            return
        last = event.old or event.last
        assert last is not None
        ours = (event.key, last.meta.uid) in self._ours
        self._ours.pop((event.key, last.meta.uid), None)
        if ours or not self._is_pulled(cluster):
            return
        held = self._held.setdefault(cluster, OrderedDict())
        held.pop(event.key.name, None)
        held[event.key.name] = asyncio.get_running_loop().time() + PAUSE, _outline(event.revision, last)
        if cluster not in self._timers:
            self._wait(cluster)
        if len(held) > MOST:
            _, (_, first) = held.popitem(last=False)
            self._tell(first)

    def _wait(self, cluster: str) -> None:
        loop = asyncio.get_running_loop()
        first, _ = next(iter(self._held[cluster].values()))
        self._timers[cluster] = loop.call_at(first, self._release, cluster)

    def _release(self, cluster: str) -> None:
        """All whose time is over, and no others."""
        del self._timers[cluster]
        held, now = self._held[cluster], asyncio.get_running_loop().time()
        due: list[Event] = []
        for name, (until, event) in list(held.items()):
            if until > now:
                break
            del held[name]
            due.append(event)
        if held:
            self._wait(cluster)
        else:
            del self._held[cluster]
        for event in due:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        for maker in self._makers:
            maker(event)


def _outline(revision: int, work: Entry) -> Event:
    """The deletion, with what makers look at. Whoever deletes may also have written it: nothing of it is large."""
    meta = work.meta
    metadata = {
        "name": work.key.name,
        "namespace": work.key.namespace,
        "labels": _names(meta.labels, _LABELS),
        "annotations": _names(meta.annotations, _ANNOTATIONS),
        "ownerReferences": [
            {"kind": owner.kind, "name": owner.name}
            for owner in (meta.ownerReferences or ())[:1]
            if owner.kind == "Namespace" and len(owner.name) <= _LONGEST
        ],
    }
    entry = Entry(work.key, 0, orjson.dumps({"metadata": metadata}))
    return Event(revision, entry, None, entry)


def _names(given: dict[str, str] | None, wanted: tuple[str, ...]) -> dict[str, str]:
    return {key: given[key] for key in wanted if key in given and len(given[key]) <= _LONGEST} if given else {}
