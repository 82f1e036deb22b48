"""What is known of a template and one of its bindings, and what the steps so far have decided about them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import Decision, Event
from kafila.placement.types import Binding, PropagationPolicy, Work
from kafila.placement.work.build import NO_VERSIONS
from kafila.placement.work.shared import ALONE, SharedWorks
from kafila.placement.work.status import NO_FAILURES
from kafila.watch import Entry

from .facts import Facts, StoredQuota, StoredWork


class ChangedWork(NamedTuple):
    work: Work
    stored: StoredWork | None  # None: it is new

    @property
    def cluster(self) -> str:
        return constants.cluster_of(self.work["metadata"]["namespace"])


class Reservation(NamedTuple):
    """What the binding takes of a FederatedResourceQuota. ``used``: by all bindings, with this one."""

    quota: StoredQuota
    used: dict[str, str]


class State(NamedTuple):
    """Never changed: a step returns another. Do not change the objects in it either, they may be cached."""

    template: Object
    policy: PropagationPolicy | None  # None: what the policy says stands in the binding, which stays as it is
    before: Binding | None  # the binding as it is stored
    binding: Binding  # the binding as it is to be; the same object as ``before`` when there is nothing to write
    works: Sequence[StoredWork] = ()
    shares: SharedWorks = ALONE  # the object's other bindings, with which it shares its Works
    keep_version: bool = False  # the binding goes on naming the version of the template that it names

    events: tuple[Event, ...] = ()  # to be recorded
    decision: Decision | None = None
    reason: RescheduleReason = RescheduleReason.NONE
    reporting: Sequence[Work] = ()  # Works whose status counts
    versions: Mapping[str, Object] = NO_VERSIONS  # by cluster, the template as it is there during a rollout
    waiting: frozenset[str] = frozenset()  # clusters whose Work stays as it is: their turn has not come
    revision: Object | None = None  # of the template, to be kept
    given_up: tuple[Entry, ...] = ()  # revisions that nobody needs any more
    wake: float | None = None  # seconds until a rollout has to be looked at again
    taken: Container[str] = ()  # clusters where Karmada's name for the Work is another object's
    changed: tuple[ChangedWork, ...] = ()  # to be written
    orphans: tuple[StoredWork, ...] = ()  # Works to be deleted
    interpreted: bool = True  # whoever interprets the kind could say how all Works shall be
    failures: Mapping[str, str] = NO_FAILURES  # by cluster, why there is no Work as it should be
    refused: bool = False  # a Work, by whoever admits or validates it
    record: Object | None = None  # of the decision, when there is a new one to store
    reservations: tuple[Reservation, ...] = ()

    @property
    def retry(self) -> str:
        """Why it has to be tried again: "", backoff, unschedulable, interpreter or refused."""
        if not self.interpreted:
            return "interpreter"
        if self.decision is not None and self.decision.retry:
            return self.decision.retry
        return "refused" if self.refused else ""


NO_BINDING = cast(Binding, {})  # before the first step has built one
Step = Callable[[State, Facts], State]


def run_steps(steps: Iterable[Step], state: State, facts: Facts) -> State:
    for step in steps:
        state = step(state, facts)
    return state
