"""A lease that is taken and renewed in a thread of its own: work that holds the event loop for long does not cost it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, final

import structlog

from kafila.store.interface import Lease, Leases, StoreUnavailable
from kafila.telemetry import fatal
from kafila.telemetry.tasks import cancelled

from .liveness import is_dead

log = structlog.get_logger(__name__)
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class Durations(NamedTuple):
    """Seconds, as in Kubernetes' leader election: a lease outlives the deadline at which its holder has stopped working.
    Whoever waits for it has taken over 15 s after the holder died: it asks again each ``retry``.

    Between the two a member is still being connected to at most (CONNECT_TIMEOUT), for a write begun before the deadline.
    ``stall``: an event loop that is held for longer will not come back, and loses the lease.
    """

    lease: float = 12.0
    deadline: float = 7.0
    retry: float = 2.0
    stall: float = 300.0


class Held(NamedTuple):
    lease: Lease
    since: float  # when the last successful attempt was begun: the lease may count from then on


@final
class Keeper:
    """``held`` is the lease as of the last attempt; whether it is still in time is for the reader to compare."""

    def __init__(
        self,
        leases: Callable[[], Leases],
        name: str,
        identity: str,
        durations: Durations,
        stalled_for: Callable[[], float],
        changed: Callable[[], None],
        refrains: Callable[[], str] = lambda: "",
    ) -> None:
        """``stalled_for``: seconds since the event loop turned. ``changed`` is called on the keeper's thread, and so is ``refrains``:
        why others should have the lease, "" when this process may."""
        self.held: Held | None = None
        self._leases = leases
        self._name = name
        self._identity = identity
        self._durations = durations
        self._stalled_for = stalled_for
        self._changed = changed
        self._refrains = refrains
        self._may_hold = False  # an attempt took the lease, or may have: its answer did not come
        self._trouble = ""
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Lets others have the lease at once."""
        self._ended = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, 2 * self._durations.deadline)

    def _keep(self) -> None:
        """Who does not know any more whether this process leads ends it: it would look alive, and lead never again."""
        try:
            asyncio.run(self._run())
        except BaseException as error:
            if not self._ended:
                fatal.end(f"nobody keeps the lease {self._name} any more", error)
            log.exception("lease not given back", lease=self._name)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        leases = self._leases()
        try:
            while not self._ended:
                attempt = asyncio.create_task(self._attempt(leases))
                stopping = asyncio.create_task(self._stopping.wait())
                await asyncio.wait({attempt, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await cancelled(attempt, stopping)  # who is to end does not wait for a database that does not answer
                self._changed()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._durations.retry):
                        await self._stopping.wait()
            self.held = None
            if self._may_hold:
                with contextlib.suppress(StoreUnavailable, OSError, TimeoutError):
                    async with asyncio.timeout(self._durations.retry):
                        await leases.release([self._name], self._identity)
        finally:
            await leases.close()

    async def _attempt(self, leases: Leases) -> None:
        began, stalled = now(), self._stalled_for()
        if stalled > self._durations.stall:
            self._log(f"the event loop has been held for {stalled:.0f} s")
            return
        if why := self._refrains():
            self._log(why)
            self.held = None
            if self._may_hold:
                self._may_hold = False
                with contextlib.suppress(StoreUnavailable, OSError, TimeoutError):
                    async with asyncio.timeout(self._durations.deadline):
                        await leases.release([self._name], self._identity)
            return
        try:
            async with asyncio.timeout(self._durations.deadline):
                lease = await self._acquire(leases)
        except (StoreUnavailable, OSError, TimeoutError) as error:
            self._log(str(error) or type(error).__name__)
            return
        except Exception:  # the thread has to live as long as the process
            log.exception("lease not renewed", lease=self._name)
            return
        self._log("")
        self.held = None if lease is None else Held(lease, began)

    async def _acquire(self, leases: Leases) -> Lease | None:
        self._may_hold = True
        lease = await leases.acquire(self._name, self._identity, self._durations.lease)
        if lease is None:
            # killed on this machine a moment ago: its lease need not run out
            holder = await leases.holder(self._name)
            if is_dead(holder):
                log.info("taking over from a dead process", lease=self._name, holder=holder)
                lease = await leases.acquire(self._name, self._identity, self._durations.lease, replacing=holder)
        self._may_hold = lease is not None
        return lease

    def _log(self, trouble: str) -> None:
        """Once when it begins and once when it is over."""
        if trouble and not self._trouble:
            log.warning("lease not renewed", lease=self._name, error=trouble)
        elif self._trouble and not trouble:
            log.info("lease asked for again", lease=self._name)
        self._trouble = trouble
