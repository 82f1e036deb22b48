"""The exchange of a key of ours while serving: asked for by ``kafila certs``, followed by every process.

How things are stands in the store, in one object. Who asks changes that object; each process does what follows from it, now and
at each start, so that one that is killed at any moment goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
import structlog

from kafila.core.errors import StatusError
from kafila.core.files import write_private
from kafila.core.resources import Key
from kafila.identity.authority import Refused
from kafila.identity.keys import replace
from kafila.store.interface import GuardFailed, OutcomeUnknown, Store, StoreUnavailable
from kafila.store.sealing import CannotSeal, KeysNeeded
from kafila.watch import Cache, Entry, Event

log = structlog.get_logger(__name__)
PERIOD: Final = 1.0  # seconds between two looks
LARGEST: Final = 4096  # bytes of a request
ACTIONS: Final = ("rotate", "rollback", "finish")
DUE: Final = "due"  # what nobody asks for but the time

T = TypeVar("T")
Apply = Callable[[T], Awaitable[None]]  # raises OSError and whatever the store raises: it is called again


class Subject(Protocol[T]):
    """What is exchanged. ``file``: what asks for it, in the folder of the certificates."""

    key: Key
    what: str
    file: str

    def stored(self, cache: Cache) -> tuple[T, Entry]: ...  # raises KeysNeeded

    def body(self, state: T) -> dict[str, Any]: ...

    def described(self, state: T) -> str: ...

    def request(self, state: T) -> str: ...

    def asked(self, before: T, action: str, request: dict[str, Any], now: datetime, identifier: str) -> T:
        """Raises Refused."""
        ...

    def due(self, before: T, now: datetime) -> T | None: ...

    def reason(self, action: str, after: T) -> str:
        """Of the event. ``action``: one of those that are asked for, or ``DUE``."""
        ...


class Rotation(Generic[T]):
    """``apply`` is called with each state, until it succeeds."""

    def __init__(
        self,
        subject: Subject[T],
        store: Store,
        cache: Cache,
        apply: Apply[T],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._subject, self._store, self._cache, self._apply, self._clock = subject, store, cache, apply, clock
        self.folder: Path | None = None  # where requests are looked for
        self.record: Callable[[str, str], None] = lambda reason, message: None  # records an event
        self._applied: T | None = None
        self._changed = asyncio.Event()
        cache.listen(subject.key.resource, self._observe)
        cache.on_reset(self._changed.set)

    def _observe(self, event: Event) -> None:
        if event.key == self._subject.key:
            self._changed.set()

    def again(self) -> None:
        """What follows from it follows from more than that, which has changed."""
        self._applied = None
        self._changed.set()

    async def follow(self, applied: T) -> None:
        """For ever. ``applied``: what this process began with."""
        self._applied = applied
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self.look()

    async def look(self) -> None:
        """Does what is asked for or due. Nothing that goes wrong ends it: the next look is a new attempt."""
        subject = self._subject
        try:
            await self._take()
            await self._carry_out()
            if subject.due(subject.stored(self._cache)[0], self._clock()) is not None:
                await self._change(DUE, lambda before: subject.due(before, self._clock()) or before)
        except (StoreUnavailable, OutcomeUnknown, GuardFailed, StatusError, KeysNeeded, CannotSeal, OSError) as error:
            log.warning(f"the rotation of {subject.what} is tried again", reason=str(error) or type(error).__name__)

    async def _take(self) -> None:
        state, _ = self._subject.stored(self._cache)
        if state != self._applied:
            await self._apply(state)
            self._applied = state
            log.info(self._subject.what, now=self._subject.described(state))

    async def _carry_out(self) -> None:
        if self.folder is None:
            return
        request = _read(self.folder / self._subject.file)
        if request is None:
            return
        identifier, action = str(request.get("id", "")), str(request.get("action", ""))
        answer: dict[str, Any] = {"id": identifier}
        try:
            await self._asked(action, request, identifier)
            answer["message"] = self._subject.described(self._subject.stored(self._cache)[0])
        except Refused as error:
            answer["error"] = str(error)
        write_private(self.folder / f"{self._subject.file}.answer", orjson.dumps(answer))
        (self.folder / self._subject.file).unlink(missing_ok=True)

    async def _asked(self, action: str, request: dict[str, Any], identifier: str) -> None:
        """Raises Refused."""
        subject = self._subject
        if identifier and subject.request(subject.stored(self._cache)[0]) == identifier:
            return  # it was carried out, and only the answer is missing
        if action not in ACTIONS:
            raise Refused(f'the request is for "{action[:100]}": must be one of {", ".join(ACTIONS)}')
        now = self._clock()
        await self._change(action, lambda before: subject.asked(before, action, request, now, identifier))

    async def _change(self, action: str, change: Callable[[T], T]) -> None:
        """Raises Refused, and what a commit raises."""
        subject = self._subject
        await self._store.head()  # another process may have been asked
        before, entry = subject.stored(self._cache)
        after = change(before)
        if {**subject.body(after), "request": ""} == {**subject.body(before), "request": ""}:
            return
        await replace(self._store, entry, subject.body(after))
        await self._take()
        self.record(subject.reason(action, after), subject.described(after))


def _read(file: Path) -> dict[str, Any] | None:
    """None where nobody asks. Raises OSError for what cannot be read or taken away."""
    try:
        with file.open("rb") as opened:
            found = orjson.loads(opened.read(LARGEST))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    file.unlink(missing_ok=True)
    return None
