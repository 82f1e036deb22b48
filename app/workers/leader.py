"""Leadership by a lease in the database: controllers run in one process at a time, and move when it dies.

A process that stood still (SIGSTOP, a paused machine) may go on after somebody else took over, and in the middle of something.
Whatever it then writes asks :meth:`Leader.fence` first: nothing leaves for a member any more, and the database refuses its
transactions, which name the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NamedTuple, Protocol, final

import structlog

from app.store.interface import Lease, LeaseLost, Store, StoreUnavailable

from .liveness import identity, is_dead

log = structlog.get_logger(__name__)
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Durations(NamedTuple):
    """Seconds, as in Kubernetes' leader election: a lease outlives the deadline at which its holder has stopped working.

    Between the two a member is still being connected to at most (CONNECT_TIMEOUT), for a write begun before the deadline.
    """

    lease: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


class Work(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def _now() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


@final
class Leader:
    def __init__(
        self,
        store: Store,
        name: str,
        durations: Durations = Durations(),  # noqa: B008 - immutable
    ) -> None:
        self._store = store
        self._name = name
        self._work: Work
        self._durations = durations
        self.identity = identity()
        self.leading = False
        self._renewed = 0.0  # when the last successful attempt was begun: the lease may count from then on
        self._task: asyncio.Task[None] | None = None
        self._lease: Lease | None = None

    def start(self, work: Work) -> None:
        """``work`` runs whenever this process leads."""
        self._work = work
        self._task = asyncio.create_task(self._run())

    def fence(self) -> Lease:
        """The lease, to write under. To be asked right before each write; raises LeaseLost when it may be another's by now."""
        if not self.leading or self._lease is None or _now() >= self._renewed + self._durations.deadline:
            raise LeaseLost(f"the lease {self._name} is not held any more")
        return self._lease

    async def stop(self) -> None:
        """Stops the work, then lets others have it at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._resign()
        if self._lease is not None:
            lease, self._lease = self._lease, None
            with contextlib.suppress(StoreUnavailable, OSError, TimeoutError):
                async with asyncio.timeout(self._durations.retry):
                    await self._store.release_lease(lease)

    async def _run(self) -> None:
        while True:
            began = _now()
            try:
                await self._attempt(began)
            except (StoreUnavailable, OSError, TimeoutError) as error:
                log.warning("lease not renewed", lease=self._name, error=str(error) or type(error).__name__)
                if self.leading and _now() >= self._renewed + self._durations.deadline:
                    await self._resign()
            except Exception:
                log.exception("the work could not be begun", lease=self._name)
            await asyncio.sleep(self._durations.retry)

    async def _attempt(self, began: float) -> None:
        async with asyncio.timeout_at(self._patience(began)):
            lease = await self._acquire()
        # another token, or a process that stood still for longer than the lease: somebody else may have worked in between
        renewed = lease == self._lease and _now() < self._renewed + self._durations.lease
        self._lease = lease
        if lease is None or not renewed:
            await self._resign()
        if lease is None:
            return
        self._renewed = began
        if not self.leading:
            log.info("leading", lease=self._name, identity=self.identity)
            self.leading = True
            try:
                await self._work.start()
            except BaseException:
                await self._resign()
                raise

    async def _acquire(self) -> Lease | None:
        lease = await self._store.acquire_lease(self._name, self.identity, self._durations.lease)
        if lease is None:
            # killed on this machine a moment ago: its lease need not run out
            holder = await self._store.lease_holder(self._name)
            if is_dead(holder):
                log.info("taking over from a dead process", lease=self._name, holder=holder)
                lease = await self._store.acquire_lease(
                    self._name, self.identity, self._durations.lease, replacing=holder
                )
        return lease

    def _patience(self, began: float) -> float:
        """Until when an answer is waited for, on the loop's clock: a leader stops in time before its lease ends."""
        left = self._durations.deadline
        if self.leading:
            left = self._renewed + self._durations.deadline - began
        return asyncio.get_running_loop().time() + max(left, 0.0)

    async def _resign(self) -> None:
        if self.leading:
            self.leading = False
            log.info("not leading any more", lease=self._name)
            await self._work.stop()
