"""What a process with controllers is among others: one that leads or stands by, and one of those that have members shared out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, final

from kafila.registry import Registry
from kafila.settings.settings import Settings
from kafila.store.interface import Store

from .keeper import Durations
from .leader import Leader, Words
from .liveness import called, identity
from .shards import CONTROLLERS, REGISTRATIONS, HeldShards, Sharing
from .sharing import shard_of

if TYPE_CHECKING:
    from .controllers import Controllers

WORKER_DIED: Final = "WorkerDied"  # the reason of an event on a Cluster
_REGISTERED: Final = Words("registered as a worker", "not registered as a worker any more")


@final
class Worker:
    """``registry``: for controllers that are led; ``members_registry``, ``shards``: for those of members, None where whoever leads has
    every member."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        settings: Settings,
        refrains: Callable[[], str] = lambda: "",
        durations: Durations = Durations(),  # noqa: B008 - immutable
    ) -> None:
        """``refrains``, ``durations``: as for :class:`.leader.Leader`."""
        me = identity(settings.share_members)
        self._store = store
        self.leader = Leader(store, CONTROLLERS, durations, refrains, me)
        self.registry = registry.fenced_by(self.leader.fence)
        self.shards: HeldShards | None = None
        self.members_registry: Registry | None = None
        self._registration: Leader | None = None
        self._controllers: Controllers
        if settings.share_members:
            registration = self._registration = Leader(store, REGISTRATIONS + me, durations, refrains, me, _REGISTERED)
            self.shards = HeldShards(registry, registration.fence)
            self.members_registry = registry.fenced_by(registration.fence)

    def start(self, controllers: Controllers) -> None:
        self._controllers = controllers
        if self._registration is not None and self.shards is not None:
            sharing = Sharing(
                self._store,
                self._registration.identity,
                self.shards,
                controllers.members,
                controllers.member_manager,
                controllers.members_recorder,
                self._pushed,
                self._taken_over,
            )
            self._registration.start(sharing)
        self.leader.start(controllers)

    async def stop(self) -> None:
        """What others are to do they may do at once."""
        await self.leader.stop()
        if self._registration is not None:
            await self._registration.stop()

    def _pushed(self) -> Iterator[str]:
        """Clusters that are work for whoever has them: of others an agent takes care."""
        for name, cluster in self._controllers.clusters.by_name.items():
            if cluster["spec"].get("syncMode") == "Push":
                yield name

    def _taken_over(self, gone: Mapping[int, str]) -> None:
        by_name = self._controllers.clusters.by_name
        for name in self._pushed() if gone else ():
            if (before := gone.get(shard_of(name))) is not None:
                text = (
                    f"{called(before)}, which worked on this cluster, is gone: {called(self.leader.identity)} goes on"
                )
                self._controllers.members_recorder.event(by_name[name], "Warning", WORKER_DIED, text)
