"""Leadership by a lease in the database: controllers run in one process at a time, and move when it dies.

A process that stood still (SIGSTOP, a paused machine) may go on after somebody else took over, and in the middle of something.
Whatever it then writes asks :meth:`Leader.fence` first: nothing leaves for a member any more, and the database refuses its
transactions, which name the lease. A process that only works for long goes on: its lease is kept meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, final

import structlog
from prometheus_client import Gauge

from kafila.store.interface import Lease, LeaseLost, Store
from kafila.telemetry.tasks import cancelled

from .keeper import Durations, Held, Keeper, now
from .liveness import identity

log = structlog.get_logger(__name__)
LEADING = Gauge("leader_election_master_status", "1 in the process whose controllers run.", ["name"])


class Words(NamedTuple):
    """What is logged when it begins and ends."""

    begun: str
    ended: str


_LEADS: Final = Words("leading", "not leading any more")


class Work(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class Leader:
    def __init__(
        self,
        store: Store,
        name: str,
        durations: Durations = Durations(),  # noqa: B008 - immutable
        refrains: Callable[[], str] = lambda: "",
        me: str = "",
        words: Words = _LEADS,
    ) -> None:
        """``refrains``: why this process must not lead now, "" when it may; asked before each write, and in another thread.
        ``me``: its identity, where it has one already."""
        self._name = name
        self._words = words
        self._measure(0)
        self._work: Work
        self._durations = durations
        self._refrains = refrains
        self.identity = me or identity()
        self.leading = False
        self._lease: Lease | None = None  # under which the work was begun
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._turned = now()  # when the event loop last turned, for the keeper
        self._beat: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._keeper = Keeper(store.leases, name, self.identity, durations, self._stalled_for, self._log, refrains)

    def start(self, work: Work) -> None:
        """``work`` runs whenever this process leads."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._turn()
        self._task = asyncio.create_task(self._run())
        self._keeper.start()

    def fence(self) -> Lease:
        """The lease, to write under. To be asked right before each write; raises LeaseLost when it may be another's by now."""
        held = self._in_time()
        if not self.leading or held is None or held.lease != self._lease:
            raise LeaseLost(f"the lease {self._name} is not held any more")
        if why := self._refrains():
            raise LeaseLost(why)
        return held.lease

    async def stop(self) -> None:
        """Stops the work, then lets others have it at once."""
        if self._task is None:
            return
        await cancelled(self._task)
        await self._resign()
        await self._keeper.stop()
        if self._beat is not None:
            self._beat.cancel()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            pause = self._durations.retry
            held = self._in_time()
            refrains = self._refrains()
            if self.leading and (refrains or held is None or held.lease != self._lease):
                # out of time; or another token: somebody else may have worked in between
                await self._resign()
                continue
            if held is not None and not self.leading and not refrains:
                await self._begin(held.lease)
            elif held is not None and not refrains:
                pause = min(pause, held.since + self._durations.deadline - now())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0.0)):
                    await self._changed.wait()

    def _in_time(self) -> Held | None:
        held = self._keeper.held
        return held if held is not None and now() < held.since + self._durations.deadline else None

    async def _begin(self, lease: Lease) -> None:
        log.info(self._words.begun, lease=self._name, identity=self.identity)
        self._lease = lease
        self.leading = True
        self._measure(1)
        try:
            await self._work.start()
        except BaseException as error:
            await self._resign()
            if not isinstance(error, Exception):
                raise
            log.exception("the work could not be begun", lease=self._name)
            await asyncio.sleep(self._durations.retry)

    async def _resign(self) -> None:
        if self.leading:
            self.leading = False
            self._measure(0)
            log.info(self._words.ended, lease=self._name)
            try:
                await self._work.stop()
            except Exception:
                log.exception("the work could not be ended", lease=self._name)

    def _measure(self, leads: int) -> None:
        if self._words is _LEADS:
            LEADING.labels(self._name).set(leads)

    # -- called by the keeper's thread --------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._turned = now()
        self._beat = self._loop.call_later(self._durations.retry, self._turn)

    def _stalled_for(self) -> float:
        return now() - self._turned

    def _log(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(self._changed.set)
