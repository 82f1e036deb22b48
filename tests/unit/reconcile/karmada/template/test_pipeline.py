"""The order of things: facts, decisions, the commit, and what comes behind it. What is decided is tested step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import pytest

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector.binding import BindingError
from kafila.placement.interpreter import NATIVE, Interpreter
from kafila.placement.scheduler.cluster_snapshot import ClusterSnapshot
from kafila.placement.scheduler.schedule import SchedulingContext
from kafila.reconcile.facts import FactsNeeded
from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.pipeline import Pipeline
from kafila.reconcile.karmada.template.steps.facts import Facts, StoredWork
from kafila.reconcile.karmada.template.steps.state import ChangedWork, State
from kafila.watch import Entry
from tests.unit.placement.objects import binding, deployment, policy

from .steps.given import Given, placed, work

T = TypeVar("T")
KIND = cast(Kind, "Deployment")
STORED = cast(Entry, "the entry of the binding")


class Around:
    """Everything around a pipeline, which writes down what it is asked to do."""

    def __init__(self, facts: Facts, before: Object | None = None, works: Sequence[StoredWork] = ()) -> None:
        self.given = facts
        self.before = before
        self.works = works
        self.refuses: dict[str, str] = {}
        self.did: list[str] = []
        self.states: list[State] = []
        self.items: list[Object] = []
        self.missed_while_deleting = False
        self.pipeline = Pipeline(self, self, self, self, self)

    async def decide(self, compute: Callable[[Interpreter], T], size: int = 0) -> T:
        self.did.append("decide")
        while True:
            try:
                return compute(NATIVE)
            except FactsNeeded as needed:
                await needed.fetch()

    def facts(self) -> Callable[[Interpreter], Facts]:
        return lambda interpreter: self.given

    async def read_ahead(self, template: Object) -> None: ...

    def size_of(self, kind: Kind, template: Object) -> int:
        return 0

    def binding(self, entry: Entry) -> Object:
        assert self.before is not None
        return self.before

    async def works_of(self, binding: Entry) -> Sequence[StoredWork]:
        return self.works

    async def stage_works(self, works: Iterable[ChangedWork], size: int) -> tuple[list[Any], dict[str, str]]:
        return [each.cluster for each in works if each.cluster not in self.refuses], self.refuses

    async def commit(self, state: State, existing: Entry | None, works: Sequence[Any] = ()) -> bool:
        self.did.append(f"commit {', '.join(works)}".rstrip())
        self.states.append(state)
        return False

    async def delete_works(self, entries: Iterable[Any]) -> None:
        self.did += [f"delete {entry}" for entry in entries]

    async def delete_orphans(self, entries: Iterable[Any]) -> bool:
        self.did += [f"delete {entry}" for entry in entries]
        return self.missed_while_deleting

    @contextlib.contextmanager
    def storing(self, key: Key, before: Object | None, binding: Object) -> Iterator[None]:
        self.did.append(f"store {key.name}")
        yield
        self.did.append("stored")

    def settled(self, key: Key, before: Object | None, binding: Object) -> None:
        self.did.append(f"settled {key.name}")

    async def write_status(self, kind: Kind, template: Object, binding: Object, items: list[Object]) -> None:
        self.did.append("write status")
        self.items = items


async def test_a_new_template_gets_its_binding_and_works_in_one_commit() -> None:
    around = Around(Given())
    outcome = await around.pipeline.run(KIND, deployment(), policy(), None, EnqueueReason.USER)
    assert outcome == ("", False, None)
    assert around.did == ["decide", "store nginx-deployment", "commit m1, m2", "stored", "write status"]
    (state,) = around.states
    assert [each["name"] for each in state.binding["spec"]["clusters"]] == ["m1", "m2"]


async def test_works_go_after_the_commit_where_the_binding_is_no_longer() -> None:
    around = Around(Given(), placed("m1"), [work("m1"), work("m9")])
    await around.pipeline.run(KIND, deployment(), None, STORED, EnqueueReason.DEPENDENCY)
    assert around.did[-2:] == ["delete entry of nginx-687f7fb96f", "write status"]
    assert [each.cluster for each in around.states[0].orphans] == ["m9"]


async def test_a_work_that_somebody_wrote_while_it_was_deleted_is_looked_at_again() -> None:
    around = Around(Given(), placed("m1"), [work("m1"), work("m9")])
    around.missed_while_deleting = True
    assert (await around.pipeline.run(KIND, deployment(), None, STORED, EnqueueReason.DEPENDENCY)).missed


async def test_a_fact_that_takes_time_is_fetched_and_the_steps_are_run_again() -> None:
    class Asked(FactsNeeded):
        async def fetch(self) -> None:
            given.is_there = True

    class Slow(Given):
        is_there = False

        def scheduling_context(self, binding: Object, snapshot: ClusterSnapshot) -> SchedulingContext:
            if not self.is_there:
                raise Asked
            return super().scheduling_context(binding, snapshot)

    given = Slow()
    around = Around(given)
    await around.pipeline.run(KIND, deployment(), policy(), None, EnqueueReason.USER)
    assert len(around.states[0].changed) == 2
    assert [event.reason for event in around.states[0].events].count("ApplyPolicySucceed") == 1


async def test_after_a_start_the_binding_names_the_version_that_changed_works_are_made_of() -> None:
    around = Around(Given())
    await around.pipeline.run(KIND, deployment(), policy(), None, EnqueueReason.USER)
    old = around.states[0].binding
    resource = {**old["spec"]["resource"], "resourceVersion": "1"}
    around.before = {**old, "spec": {**old["spec"], "resource": resource}}
    around.did.clear()
    await around.pipeline.run(KIND, deployment(), policy(), STORED, EnqueueReason.START)
    assert around.did[:2] == ["decide", "decide"]
    assert around.states[1].binding["spec"]["resource"]["resourceVersion"] == "7"


async def test_a_refused_work_is_recorded_and_tried_again() -> None:
    around = Around(Given())
    around.refuses = {"m2": "too large"}
    outcome = await around.pipeline.run(KIND, deployment(), policy(), None, EnqueueReason.USER)
    assert outcome.retry == "refused"
    assert "commit m1" in around.did
    assert around.states[0].failures == {"m2": "too large"}


async def test_what_cannot_be_decided_writes_nothing() -> None:
    around = Around(
        Given(), {**binding(2), "metadata": {**binding(2)["metadata"], "ownerReferences": [{"controller": True}]}}
    )
    with pytest.raises(BindingError):
        await around.pipeline.run(KIND, deployment(), policy(), STORED, EnqueueReason.USER)
    assert around.did == ["decide"]


async def test_a_report_of_the_members_decides_nothing() -> None:
    around = Around(Given(), placed("m1"), [work("m1")])
    await around.pipeline.aggregate(KIND, deployment(), STORED)
    assert around.did == ["commit", "settled nginx-deployment", "write status"]
    assert [item["clusterName"] for item in around.items] == ["m1"]


async def test_during_a_rollout_a_report_of_the_members_leads_to_a_decision() -> None:
    rollout = {"revision": "b2", "phase": "Progressing"}
    known = placed("m1")
    around = Around(Given(), {**known, "status": {"rollout": rollout}}, [work("m1")])
    assert (await around.pipeline.aggregate(KIND, deployment(), STORED)).missed
    around.before = {**known, "status": {"rollout": {**rollout, "phase": "Succeeded"}}}
    assert not (await around.pipeline.aggregate(KIND, deployment(), STORED)).missed
