"""The shards of member clusters that this process has, and how it comes by them and lets go of them.

A process registers by a lease that it keeps; its shards are leases that count as long as its registration does. Each process reads who
is there and who holds what, and takes and gives what :mod:`.sharing` says: nobody has to be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, final

import structlog
from prometheus_client import Counter, Gauge

from kafila.reconcile.controller import Controller
from kafila.reconcile.karmada.member.shards import Concerns
from kafila.registry import Registry
from kafila.registry.transactions import Fence
from kafila.store.interface import Lease, LeaseLost, Leases, Store, StoreUnavailable
from kafila.telemetry.tasks import cancelled

from .liveness import is_dead, shares_members
from .sharing import SHARDS, Plan, plan, shard_of, weights_of

log = structlog.get_logger(__name__)
REGISTRATIONS: Final = "workers/"  # and the identity of a process
_SHARDS: Final = "members/"  # and the number of a shard
CONTROLLERS: Final = "controllers"  # the lease of whoever leads
PERIOD: Final = 1.0  # seconds between two looks at who has what
PATIENCE: Final = 10.0  # seconds that ends of connections are waited for; what is written later is refused
GOODBYE: Final = 2.0  # seconds that the database has at the end
HELD: Final = Gauge("kafila_member_shards", f"Shards of member clusters, of {SHARDS}, that this process has.")
MOVED: Final = Counter("kafila_member_shards_moved_total", "Shards that this process took, gave back or lost.", ["how"])


@final
class HeldShards:
    """See :class:`kafila.reconcile.karmada.member.shards.Shards`. ``fence``: of this process's registration."""

    def __init__(self, registry: Registry, fence: Fence) -> None:
        self._fence = fence
        self._leases: dict[int, Lease] = {}
        self._registries = [registry.fenced_by(partial(self._fence_of, shard)) for shard in range(SHARDS)]
        self._listeners: list[Callable[[Concerns], None]] = []
        HELD.set(0)

    @property
    def leases(self) -> Mapping[int, Lease]:
        return self._leases

    def holds(self, cluster: str) -> bool:
        return shard_of(cluster) in self._leases

    def registry(self, cluster: str) -> Registry:
        return self._registries[shard_of(cluster)]

    def listen(self, changed: Callable[[Concerns], None]) -> None:
        self._listeners.append(changed)

    def begin(self, leases: Mapping[int, Lease]) -> None:
        self._change({**self._leases, **leases}, leases)

    def end(self, shards: Collection[int]) -> None:
        self._change({shard: lease for shard, lease in self._leases.items() if shard not in shards}, shards)

    def _change(self, leases: dict[int, Lease], changed: Collection[int]) -> None:
        self._leases = leases
        HELD.set(len(leases))
        if changed:
            for listener in self._listeners:
                listener(among(changed))

    def _fence_of(self, shard: int) -> Lease:
        """Raises LeaseLost: without the registration no shard counts."""
        self._fence()
        lease = self._leases.get(shard)
        if lease is None:
            raise LeaseLost("the cluster is another process's by now")
        return lease


def among(shards: Collection[int]) -> Concerns:
    return lambda cluster: shard_of(cluster) in shards


class Manager(Protocol):
    async def left(self, concerns: Concerns) -> None:
        """Returns once none of these clusters is connected any more."""


class Recorder(Protocol):
    def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class Sharing:
    """Runs ``controllers`` for the shards that are this process's share, while it is registered as ``identity``."""

    def __init__(
        self,
        store: Store,
        identity: str,
        shards: HeldShards,
        controllers: Sequence[Controller],
        manager: Manager,
        recorder: Recorder,
        clusters: Callable[[], Iterable[str]],
        taken_over: Callable[[Mapping[int, str]], None] = lambda gone: None,
    ) -> None:
        """``clusters``: those that are work; ``taken_over``: is told of shards whose process has died, and of which it was."""
        self._store = store
        self._identity = identity
        self._shards = shards
        self._controllers = controllers
        self._manager = manager
        self._recorder = recorder
        self._clusters = clusters
        self._taken_over = taken_over
        self._leases: Leases
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    async def start(self) -> None:
        self._leases = self._store.leases()
        self._recorder.start()
        await self._look()  # controllers begin with what they have by then
        for controller in self._controllers:
            await controller.start()
        self._task = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Others have the shards at once."""
        await cancelled(self._task)
        self._task = None
        for controller in reversed(self._controllers):
            await controller.stop()
        given = list(self._shards.leases)
        self._shards.end(given)
        MOVED.labels("given").inc(len(given))
        try:
            async with asyncio.timeout(GOODBYE):
                await self._leases.release(list(map(_name, given)), self._identity)
        except (StoreUnavailable, OSError, TimeoutError) as error:
            log.info("shards not given back: they are free when the registration is over", error=str(error))
        await self._leases.close()
        await self._recorder.stop()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            await self._look()

    async def _look(self) -> None:
        """What cannot be had now is had at the next look: meanwhile everybody keeps what he has."""
        try:
            await self._share()
        except (StoreUnavailable, OSError, TimeoutError) as error:
            self._log(str(error) or type(error).__name__)
        except Exception:
            log.exception("member clusters not shared out")
        else:
            self._log("")

    async def _share(self) -> None:
        async with asyncio.timeout(PATIENCE):
            found = {lease.name: lease for lease in await self._leases.held()}
            workers = await self._alive(found)
        if self._identity not in workers:
            return  # whoever keeps the registration will see to it
        holders = {shard: found[name].holder for shard in range(SHARDS) if (name := _name(shard)) in found}
        wanted = self._plan(found.get(CONTROLLERS), holders, workers)
        lost = [shard for shard, lease in self._shards.leases.items() if found.get(lease.name) != lease]
        await self._end(lost)
        mine = [shard for shard, holder in holders.items() if holder == self._identity]
        begin = [*wanted.take, *(shard for shard in mine if shard not in {*wanted.give, *self._shards.leases})]
        taken = await self._take(begin, holders, workers) if begin else {}
        await self._end(wanted.give)
        if wanted.give:
            async with asyncio.timeout(PATIENCE):
                await self._leases.release(list(map(_name, wanted.give)), self._identity)
        if taken or wanted.give or lost:
            moved = {"taken": len(taken), "given": len(wanted.give), "lost": len(lost)}
            for how, number in moved.items():
                MOVED.labels(how).inc(number)
            log.info("member clusters shared out", shards=len(self._shards.leases), workers=len(workers), **moved)

    def _plan(self, leader: Lease | None, holders: Mapping[int, str], workers: Collection[str]) -> Plan:
        if leader is not None and not shares_members(leader.holder):
            # it is told not to share, or of a version that does not: it has every member
            return Plan([], [shard for shard, holder in holders.items() if holder == self._identity])
        return plan(weights_of(self._clusters()), holders, workers, self._identity)

    async def _alive(self, found: Mapping[str, Lease]) -> set[str]:
        """Processes that are registered. Those that died on this machine a moment ago need not be waited for."""
        workers: set[str] = set()
        for name, lease in found.items():
            if not name.startswith(REGISTRATIONS):
                continue
            if is_dead(lease.holder):
                log.info("taking over from a dead process", lease=name, holder=lease.holder)
                await self._leases.release([name], lease.holder)
            else:
                workers.add(lease.holder)
        return workers

    async def _take(
        self, wanted: Sequence[int], holders: Mapping[int, str], workers: Collection[str]
    ) -> Mapping[int, Lease]:
        """Those that nobody else was quicker to take."""
        names = {_name(shard): shard for shard in wanted}
        async with asyncio.timeout(PATIENCE):
            found = await self._leases.take(list(names), REGISTRATIONS, self._identity)
        taken = {names[name]: lease for name, lease in found.items()}
        begun = self._task is not None
        self._shards.begin(taken)
        if begun:  # who has only just started knows nothing of before
            self._taken_over({s: holder for s in taken if (holder := holders.get(s)) and holder not in workers})
        return taken

    async def _end(self, shards: Collection[int]) -> None:
        if not shards:
            return
        self._shards.end(shards)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._manager.left(among(shards))
        except TimeoutError:
            log.warning("connections of clusters that go to another process do not end", shards=len(shards))

    def _log(self, trouble: str) -> None:
        """Once when it begins and once when it is over."""
        if trouble and not self._trouble:
            log.warning("who has which member clusters is not known", error=trouble)
        elif self._trouble and not trouble:
            log.info("who has which member clusters is known again")
        self._trouble = trouble


def _name(shard: int) -> str:
    return f"{_SHARDS}{shard}"
