"""The exchange of our certificate authority while serving: asked for by ``kafila certs rotate-ca``, followed by every process.

How things are stands in the store, in one object. Who asks changes that object; each process does what follows from it, now and
at each start, so that one that is killed at any moment goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

import orjson
import structlog

from kafila.core.errors import StatusError
from kafila.core.files import write_private
from kafila.identity import authority as rotation
from kafila.identity.authority import Authority, Refused
from kafila.identity.keys import AUTHORITY, replace_authority, stored_authority
from kafila.store.interface import GuardFailed, OutcomeUnknown, Store, StoreUnavailable
from kafila.store.sealing import CannotSeal, KeysNeeded
from kafila.watch import Cache, Event

log = structlog.get_logger(__name__)
PERIOD: Final = 1.0  # seconds between two looks
REQUEST: Final = "rotate-ca"  # what `kafila certs rotate-ca` asks for, in the folder of the certificates
ANSWER: Final = "rotate-ca.answer"
LARGEST: Final = 4096  # bytes of a request
ROTATED, ROLLED_BACK, FINISHED = (
    "CertificateAuthorityRotated",
    "CertificateAuthorityRolledBack",
    "CertificateAuthorityRotationFinished",
)
_REASONS: Final = {"rotate": ROTATED, "rollback": ROLLED_BACK, "finish": FINISHED}

Apply = Callable[[Authority], Awaitable[None]]  # raises OSError and whatever the store raises: it is called again


@final
class Rotation:
    """``apply`` is called with each state, until it succeeds."""

    def __init__(
        self, store: Store, cache: Cache, apply: Apply, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store, self._cache, self._apply, self._clock = store, cache, apply, clock
        self.folder: Path | None = None  # where requests are looked for
        self.record: Callable[[str, str], None] = lambda reason, message: None  # records an event
        self._applied: Authority | None = None
        self._changed = asyncio.Event()
        cache.listen(AUTHORITY.resource, self._observe)
        cache.on_reset(self._changed.set)

    def _observe(self, event: Event) -> None:
        if event.key == AUTHORITY:
            self._changed.set()

    def again(self) -> None:
        """What follows from the authority follows from more than that, which has changed."""
        self._applied = None
        self._changed.set()

    async def follow(self, applied: Authority) -> None:
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
        try:
            await self._take()
            await self._carry_out()
            authority, _ = stored_authority(self._cache)
            if rotation.is_over(authority, self._clock()):
                await self._change("finish", lambda before: rotation.finished(before))
        except (StoreUnavailable, OutcomeUnknown, GuardFailed, StatusError, KeysNeeded, CannotSeal, OSError) as error:
            log.warning("the authority's rotation is tried again", reason=str(error) or type(error).__name__)

    async def _take(self) -> None:
        authority, _ = stored_authority(self._cache)
        if authority != self._applied:
            await self._apply(authority)
            self._applied = authority
            log.info("certificate authority", now=rotation.described(authority))

    async def _carry_out(self) -> None:
        if self.folder is None:
            return
        request = _read(self.folder / REQUEST)
        if request is None:
            return
        identifier, action = str(request.get("id", "")), str(request.get("action", ""))
        answer: dict[str, Any] = {"id": identifier}
        try:
            await self._asked(action, request, identifier)
            answer["message"] = rotation.described(stored_authority(self._cache)[0])
        except Refused as error:
            answer["error"] = str(error)
        write_private(self.folder / ANSWER, orjson.dumps(answer))
        (self.folder / REQUEST).unlink(missing_ok=True)

    async def _asked(self, action: str, request: dict[str, Any], identifier: str) -> None:
        """Raises Refused."""
        if identifier and stored_authority(self._cache)[0].request == identifier:
            return  # it was carried out, and only the answer is missing
        now = self._clock()
        if action == "rotate":
            overlap = _overlap(request.get("overlap"))
            await self._change(action, lambda before: rotation.rotated(before, now, overlap, identifier))
        elif action == "rollback":
            await self._change(action, lambda before: rotation.rolled_back(before, now, identifier))
        elif action == "finish":
            await self._change(action, lambda before: rotation.finished(before, identifier))
        else:
            raise Refused(f'the request is for "{action[:100]}": must be one of {", ".join(_REASONS)}')

    async def _change(self, action: str, change: Callable[[Authority], Authority]) -> None:
        """Raises Refused, and what a commit raises."""
        await self._store.head()  # another process may have been asked
        before, entry = stored_authority(self._cache)
        after = change(before)
        if after._replace(request="") == before._replace(request=""):
            return
        await replace_authority(self._store, entry, after)
        await self._take()
        self.record(_REASONS[action], rotation.described(after))


def _overlap(given: object) -> timedelta:
    """Of seconds. Raises Refused."""
    if isinstance(given, int | float) and 0 < given <= rotation.LONGEST_OVERLAP.total_seconds():
        return timedelta(seconds=given)
    raise Refused(f"the overlap must be more than 0 s and at most {rotation.LONGEST_OVERLAP.days} days")


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
