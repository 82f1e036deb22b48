"""List and watch of one resource in a member: what is there, and a call for everything that changed.

Level-triggered: a callback says *that* an object changed; what must be done follows from its state. The stream may repeat and
may skip intermediate states, but never the last one. That an object left (``Change.after`` None) may mean that it was deleted or that
it lost the label we select by: who acts on it must GET it first and compare the uid.

A member may be away at any time. Then the informer waits and tries again with growing pauses; what it knows stays available
meanwhile. After a cut it resumes where it was. After an absence it lists: the member may have been restored to an older state, and
its API server says nothing at all to a watch from a resourceVersion that is still to come.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, NamedTuple, final

import structlog

from kafila.core.errors import StatusError
from kafila.core.rates import Backoff
from kafila.core.values import Object
from kafila.placement import constants

from .client import MemberClient, WatchEvent
from .transport import Unreachable, UnusableAnswer

log = structlog.get_logger(__name__)

MANAGED = f"{constants.MANAGED}={constants.TRUE}"
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 30.0
ENTRY = 600  # bytes in memory for an object of which little is kept
QUICK_END = 1.0  # a watch that ended sooner, and empty, counts as a failure: no hot loops


class Name(NamedTuple):
    namespace: str
    name: str


class Seen(NamedTuple):
    """What is kept of an object."""

    uid: str
    resource_version: str
    kept: Any


class Change(NamedTuple):
    name: Name
    before: Seen | None
    after: Seen | None


def without_managed_fields(obj: Object) -> Object:
    obj["metadata"].pop("managedFields", None)
    return obj


@final
class Informer:
    """``path`` is the collection's. ``keep`` reduces an object to what its users need; ``on_change`` must be quick (it queues).

    ``resume`` starts watching after that resourceVersion without a list: then only what changed since is known. ``on_relist`` is
    called when a list other than the first begins: from then on only what is listed and watched counts. Run ``run`` as a task.
    """

    def __init__(
        self,
        client: MemberClient,
        path: str,
        on_change: Callable[[Change], None],
        *,
        selector: str = MANAGED,
        field_selector: str = "",
        keep: Callable[[Object], Any] = without_managed_fields,
        resume: str = "",
        on_relist: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.path = path
        self.synced = asyncio.Event()
        self.resource_version = resume
        self.error = ""  # why it is not following at the moment
        self._client = client
        self._on_change = on_change
        self._on_relist = on_relist
        self._keep = keep
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, jitter)
        self._query = {
            name: value for name, value in (("labelSelector", selector), ("fieldSelector", field_selector)) if value
        }
        self._known: dict[Name, Seen] = {}
        self._reached = resume  # the newest resourceVersion seen, also before a list
        if resume:
            self.synced.set()

    def get(self, namespace: str, name: str) -> Seen | None:
        return self._known.get(Name(namespace, name))

    def __len__(self) -> int:
        return len(self._known)

    def items(self) -> list[tuple[Name, Seen]]:
        return list(self._known.items())

    async def run(self) -> None:
        """Follows until it is cancelled."""
        while True:
            try:
                if not self.resource_version:
                    await self._list()
                await self._watch()
            except StatusError as error:
                if error.code == 410:  # what we saw last is compacted: start anew, at once the first time
                    self.start_anew()
                await self._rest(f"{error.code} {error.message}")
            except UnusableAnswer as error:
                self._client.faults.record(f"GET {self.path}", str(error), asyncio.get_running_loop().time())
                self.start_anew()
                await self._rest(str(error))
            except Unreachable as error:
                await self._rest(str(error))
            except Exception as error:  # a fault in what handles the objects must not end the following for good
                log.exception("informer stumbled", member=self._client.name, path=self.path)
                self.start_anew()
                await self._rest(f"{type(error).__name__}: {error}")

    def start_anew(self) -> None:
        """With a list, the next time."""
        self.resource_version = ""

    async def _rest(self, why: str) -> None:
        self.error = why
        failed_before = self._backoff.failures > 0
        loop = asyncio.get_running_loop()
        known_away = self._client.breaker.remaining(loop.time())
        if failed_before or known_away:
            self.start_anew()
        await asyncio.sleep(max(self._backoff.failed(), known_away))

    def _follows(self) -> None:
        self.error = ""
        self._backoff.reset()

    async def _list(self) -> None:
        present: set[Name] = set()
        version = ""
        if self._reached:
            self._on_relist()
        async for items, listed in self._client.pages(self.path, query=self._query):
            version = listed
            for obj in items:
                present.add(self._put(obj))
            await asyncio.sleep(0)  # a page may be big; others want the loop
        for name in [name for name in self._known if name not in present]:
            self._drop(name)
        if _is_lower(version, self._reached):
            log.warning(
                "resourceVersions went back",
                member=self._client.name,
                path=self.path,
                before=self._reached,
                now=version,
            )
        self.resource_version = self._reached = version
        self.synced.set()

    async def _watch(self) -> None:
        started = asyncio.get_running_loop().time()
        heard = False
        async for event in self._client.watch(self.path, self.resource_version, query=self._query):
            heard = True
            self._apply(event)
            self._follows()
        if not heard and asyncio.get_running_loop().time() - started < QUICK_END:
            await self._rest("the watch ended at once")

    def _apply(self, event: WatchEvent) -> None:
        metadata = event.object.get("metadata") or {}
        if not metadata.get("resourceVersion") or not (metadata.get("name") or event.type == "BOOKMARK"):
            raise UnusableAnswer(f"an event of GET {self.path} is of an object without name or resourceVersion")
        if _is_lower(metadata["resourceVersion"], self.resource_version):
            raise StatusError(410, "Expired", "the member's resourceVersions went back")
        if event.type == "DELETED":
            self._drop(_name(metadata))
        elif event.type != "BOOKMARK":
            self._put(event.object)
        self.resource_version = self._reached = metadata["resourceVersion"]

    def _put(self, obj: Object) -> Name:
        metadata = obj.get("metadata") or {}
        if not metadata.get("name") or not metadata.get("resourceVersion"):
            raise UnusableAnswer(f"the answer to GET {self.path} has an object without name or resourceVersion")
        name = _name(metadata)
        before = self._known.get(name)
        uid, version = metadata.get("uid", ""), metadata["resourceVersion"]
        if before is None or before.resource_version != version or before.uid != uid:
            self._replace(name, before, Seen(uid, version, self._reduced(obj)))
        return name

    def _reduced(self, obj: Object) -> Any:
        """Raises UnusableAnswer for an object that is not of its kind's shape."""
        try:
            return self._keep(obj)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"[:200]
            raise UnusableAnswer(f"the answer to GET {self.path} has an object of another shape: {why}") from None

    def _drop(self, name: Name) -> None:
        # with ``resume`` an object may leave that was never seen here; it is reported all the same
        self._replace(name, self._known.get(name), None)

    def _replace(self, name: Name, before: Seen | None, after: Seen | None) -> None:
        if after is not None:
            self._check_room(before, after)
        self._remember(name, after)
        try:
            self._on_change(Change(name, before, after))
        except BaseException:
            self._remember(name, before)  # nobody took notice of it, so it will be reported again
            raise

    def _check_room(self, before: Seen | None, after: Seen) -> None:
        """Raises UnusableAnswer when the member would make us keep too much."""
        limits = self._client.limits
        if before is None and len(self._known) >= limits.objects:
            raise UnusableAnswer(f"{self.path} has more than {limits.objects} objects")
        if self._client.kept + _size(after) - _size(before) > limits.kept:
            raise UnusableAnswer(f"with {self.path} more than {limits.kept} bytes of objects would be kept")

    def keep_instead(self, obj: Object) -> None:
        """Keeps something else of an object that was asked for apart, since more or less is needed of it now. One of another version than
        the one that is known is passed over: the stream is ahead of the answer, or brings it. Raises UnusableAnswer."""
        metadata = obj.get("metadata") or {}
        if not metadata.get("name"):
            raise UnusableAnswer(f"the answer to GET {self.path} has an object without name or resourceVersion")
        name = _name(metadata)
        seen = self._known.get(name)
        if seen is not None and (seen.uid, seen.resource_version) == (
            metadata.get("uid", ""),
            metadata.get("resourceVersion"),
        ):
            self._replace(name, seen, seen._replace(kept=self._reduced(obj)))

    def forget(self) -> None:
        """What is known is not needed any more."""
        for name in list(self._known):
            self._remember(name, None)

    def _remember(self, name: Name, seen: Seen | None) -> None:
        self._client.kept += _size(seen) - _size(self._known.get(name))
        if seen is None:
            self._known.pop(name, None)
        else:
            self._known[name] = seen


def _size(seen: Seen | None) -> int:
    """Some bytes: of a whole object those of its text."""
    if seen is None:
        return 0
    return ENTRY + (len(seen.kept) if isinstance(seen.kept, bytes) else 0)


def _is_lower(version: str, than: str) -> bool:
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def _name(metadata: Object) -> Name:
    return Name(metadata.get("namespace", ""), metadata["name"])
