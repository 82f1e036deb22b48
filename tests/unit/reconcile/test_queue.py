from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from kafila.core.errors import StatusError
from kafila.reconcile.low_priority import PAUSE, RECENT, LowPriorityTurns
from kafila.reconcile.priority_queue import PriorityQueue
from kafila.reconcile.queue import Requeue, WorkQueue


class Bench:
    """A reconciler that can be held, and that fails as often as it is told."""

    def __init__(self, concurrency: int = 1, **options: Any) -> None:
        self.seen: list[str] = []
        self.running: Counter[str] = Counter()
        self.failures: dict[str, list[Exception]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.on_begin: Callable[[str], None] = lambda key: None
        self.queue: WorkQueue[str] = WorkQueue("test", self._work, concurrency, **options)

    async def _work(self, key: str) -> None:
        self.seen.append(key)
        self.on_begin(key)
        self.running[key] += 1
        assert self.running[key] == 1
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.failures.get(key):
                raise self.failures[key].pop(0)
        finally:
            self.running[key] -= 1

    async def turn(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def assert_at_least(delays: list[float], wanted: list[float]) -> None:
    """Longer where the processor was kept busy for longer than that (by the garbage collection, say)."""
    assert [max(pair) for pair in zip(delays, wanted, strict=True)] == delays


async def test_a_key_waits_once() -> None:
    bench = Bench()
    for key in ("a", "a", "b", "a"):
        bench.queue.add(key)
    assert len(bench.queue) == 2
    bench.queue.start()
    await bench.queue.idle()
    assert bench.seen == ["a", "b"]


async def test_added_while_worked_on_comes_again_once() -> None:
    bench = Bench(concurrency=4)
    bench.queue.start()
    bench.gate.clear()
    bench.queue.add("a")
    await bench.turn()
    for _ in range(3):
        bench.queue.add("a")
    await bench.turn()
    assert bench.seen == ["a"]
    bench.gate.set()
    await bench.queue.idle()
    assert bench.seen == ["a", "a"]


async def test_backlog_goes_last_unless_asked_for() -> None:
    bench = Bench()
    for key in ("old1", "old2", "old3"):
        bench.queue.add(key, background=True)
    bench.queue.add("new")
    bench.queue.add("old3")
    bench.queue.start()
    await bench.queue.idle()
    assert bench.seen == ["new", "old3", "old1", "old2"]


async def test_new_ones_find_a_place_while_the_backlog_hangs() -> None:
    bench = Bench(concurrency=4)
    bench.gate.clear()
    bench.queue.start()
    for number in range(10):
        bench.queue.add(f"old{number}", background=True)
    while len(bench.seen) < 2:
        await asyncio.sleep(0)
    await bench.turn()
    assert bench.seen == ["old0", "old1"]
    bench.queue.add("new")
    bench.queue.add("old9")
    await bench.turn()
    assert bench.seen == ["old0", "old1", "new", "old9"]
    await bench.queue.stop()


async def test_the_backlogs_of_all_queues_share_the_loop() -> None:
    """One key of them begins in each turn of the loop, and none waits for another's end."""
    one, other = Bench(concurrency=8), Bench(concurrency=8)
    for bench in (one, other):
        bench.gate.clear()
        bench.queue.start()
        for key in ("old1", "old2", "old3"):
            bench.queue.add(key, background=True)
    counts = []
    while len(one.seen) + len(other.seen) < 6:
        counts.append(len(one.seen) + len(other.seen))
        await asyncio.sleep(0)
    assert {after - before for before, after in pairwise(counts)} <= {0, 1}
    for bench in (one, other):
        await bench.queue.stop()


class Clock:
    """That of the event loop: it stands still until the test says otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def after(self, seconds: float) -> None:
        self._now += seconds
        for _ in range(20):
            await asyncio.sleep(0)


async def test_the_backlog_pauses_while_something_new_is_worked_on_and_goes_on_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    new, old = Bench(), Bench()
    new.gate.clear()
    new.queue.start()
    old.queue.start()
    new.queue.add("new")
    await new.turn()
    for key in ("old1", "old2", "old3"):
        old.queue.add(key, background=True)
    await clock.after(0.9 * PAUSE)
    assert old.seen == []
    for seen in (["old1"], ["old1", "old2"]):  # although the new one has not come to its end
        await clock.after(PAUSE)
        assert old.seen == seen
    new.gate.set()
    await new.queue.idle()
    await clock.after(PAUSE)
    assert old.seen == ["old1", "old2", "old3"]


async def test_low_priority_takes_a_third_of_the_loop_while_new_changes_are_recent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    turns, given = LowPriorityTurns(asyncio.get_running_loop()), list[int]()

    async def asked(number: int) -> None:
        turns.ask(lambda: given.append(number))
        await clock.after(0)

    for number in range(3):
        await asked(number)
        turns.spent(0.005)
    assert given == [0, 1, 2]  # nothing new: at once
    turns.new_begins()
    turns.new_ends()
    await clock.after(PAUSE)
    await asked(3)
    turns.spent(0.002)
    await asked(4)
    await clock.after(0.003)
    assert given[3:] == [3]
    await clock.after(0.0011)
    assert given[3:] == [3, 4]
    turns.spent(10.0)  # however long it was, the next one comes
    await asked(5)
    await clock.after(PAUSE + 0.0001)
    assert given[5:] == [5]
    await clock.after(RECENT)
    turns.spent(0.005)
    await asked(6)
    assert given[6:] == [6]


async def test_what_is_new_goes_before_the_turn_that_low_priority_would_have_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    turns, given = LowPriorityTurns(asyncio.get_running_loop()), list[int]()
    turns.new_begins()
    turns.new_ends()
    turns.spent(0.002)
    turns.ask(lambda: given.append(1))
    turns.new_begins()
    await clock.after(0.005)
    assert given == []
    turns.new_ends()
    await clock.after(0)
    assert given == [1]


async def test_steps_are_carried_out_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    turns, done = LowPriorityTurns(asyncio.get_running_loop()), list[int]()

    def steps() -> Iterator[None]:
        for number in range(3):
            done.append(number)
            yield

    turns.new_begins()
    going = asyncio.create_task(turns.carry_out(steps()))
    await clock.after(0)
    for number in range(3):
        assert len(done) == number + 1
        await clock.after(PAUSE)
    await going
    cancelled = asyncio.create_task(turns.carry_out(steps()))
    await clock.after(0)
    cancelled.cancel()
    await clock.after(PAUSE)
    assert cancelled.cancelled()
    assert done == [0, 1, 2, 0]


async def test_what_is_in_a_hurry_goes_first_among_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    new, old, other = Bench(), Bench(), Bench()
    new.gate.clear()
    new.queue.start()
    new.queue.add("new")
    await new.turn()
    began: list[str] = []
    for bench in (old, other):
        bench.queue.start()
        bench.on_begin = began.append
    for key in ("a1", "a2", "a3"):
        old.queue.add(key, background=True)
    for key in ("b1", "b2"):
        other.queue.add(key, background=True)
    await clock.after(0)
    other.queue.add("b2", first=True)
    other.queue.add("b2", background=True)  # it keeps its place
    old.queue.add("a2", first=True)
    for _ in range(5):
        await clock.after(PAUSE)
    assert began == ["b2", "a2", "b1", "a1", "a3"]
    old.queue.add("a2", first=True)
    old.queue.add("a4")
    await clock.after(0)
    assert began[5:] == ["a4"]  # which is new
    await clock.after(PAUSE)
    assert began[5:] == ["a4", "a2"]
    await new.queue.stop()


async def test_in_an_unhurried_queue_what_comes_by_itself_goes_before_what_is_enqueued_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    new, late = Bench(), Bench(unhurried=True)
    new.gate.clear()
    new.queue.start()
    new.queue.add("new")
    await new.turn()
    late.queue.start()
    for key in ("old1", "old2"):
        late.queue.add(key, background=True)
    late.queue.add("soon")
    await clock.after(0.9 * PAUSE)
    assert late.seen == []
    late.failures["soon"] = [Requeue(0, timed=True)]
    for _ in range(4):
        await clock.after(PAUSE)
    assert late.seen == ["soon", "soon", "old1", "old2"]
    await new.queue.stop()


async def test_what_comes_back_of_the_backlog_is_backlog() -> None:
    kinds: list[bool] = []
    ends: list[Exception | None] = [OSError("no"), Requeue(0), None]

    async def look(key: str) -> None:
        kinds.append(queue.is_low_priority(key))
        if error := ends.pop(0):
            raise error

    queue: WorkQueue[str] = WorkQueue("test", look)
    queue.start()
    queue.add("a", background=True)
    while ends:
        await asyncio.sleep(0)
    await queue.idle()
    assert kinds == [True, True, True]
    ends.append(None)
    queue.add_after("a", 0, background=True)
    queue.add_after("a", 0)  # now there is news
    while ends:
        await asyncio.sleep(0)
    assert kinds[3:] == [False]
    await queue.stop()


async def test_what_is_due_by_the_clock_is_low_priority_no_more() -> None:
    """It would stay that for ever, once it came with a relist: each look ends in the time of the next."""
    kinds: list[bool] = []

    async def look(key: str) -> None:
        kinds.append(queue.is_low_priority(key))
        raise Requeue(0, timed=True)

    queue: WorkQueue[str] = WorkQueue("test", look)
    queue.start()
    queue.add("a", background=True)
    while len(kinds) < 3:
        await asyncio.sleep(0)
    await queue.stop()
    assert kinds[:3] == [True, False, False]


async def test_new_work_that_waits_for_others_holds_up_no_backlog() -> None:
    waiting, old = Bench(concurrency=2, waits=True), Bench()
    waiting.gate.clear()
    waiting.queue.start()
    old.queue.start()
    waiting.queue.add("new")
    await waiting.turn()
    assert waiting.seen == ["new"]
    for key in ("old1", "old2"):
        old.queue.add(key, background=True)
    await old.turn()
    await old.turn()
    assert old.seen == ["old1", "old2"], "there was no pause"
    waiting.gate.set()
    await waiting.queue.idle()
    await waiting.queue.stop()


async def test_failures_come_back_later_each_time_and_then_start_anew() -> None:
    bench = Bench()
    bench.failures["a"] = [StatusError(500, "", "no")] * 3
    delays: list[float] = []
    original = bench.queue.add_after

    def noted(key: str, seconds: float, background: bool = False) -> None:
        delays.append(seconds)
        original(key, 0)

    bench.queue.add_after = noted  # type: ignore[method-assign]
    bench.queue.start()
    bench.queue.add("a")
    while len(bench.seen) < 4:
        await asyncio.sleep(0)
    assert_at_least(delays, [0.005, 0.01, 0.02])
    await bench.queue.idle()
    bench.failures["a"] = [Requeue(7.0)]
    bench.queue.add("a")
    while len(bench.seen) < 6:
        await asyncio.sleep(0)
    assert_at_least(delays, [0.005, 0.01, 0.02, 7.0])
    assert delays[-1] == 7.0


async def test_what_held_the_processor_for_long_and_failed_leaves_it_to_others_as_long() -> None:
    """A job of 20 s that fails would otherwise come again 5 ms later, and ten times before it waits for as long as it takes."""
    began: list[float] = []
    ended: list[float] = []

    async def work(key: str) -> None:
        began.append(time.monotonic())
        busy = time.thread_time() + 0.2
        while time.thread_time() < busy:
            pass
        ended.append(time.monotonic())
        if len(began) < 3:
            raise StatusError(503, "ServiceUnavailable", "no")
        done.set()

    done = asyncio.Event()
    queue: WorkQueue[str] = WorkQueue("test", work)
    queue.start()
    queue.add("slow")
    await done.wait()
    assert all(start - end >= 0.19 for end, start in zip(ended, began[1:], strict=False))
    await queue.stop()


async def test_what_others_did_while_a_key_waited_is_not_charged_to_it() -> None:
    """Everybody on the event loop has the same thread: whoever waits for a member would pay for all of them."""
    bench = Bench()
    bench.failures["a"] = [StatusError(503, "ServiceUnavailable", "no")]
    delays: list[float] = []
    original = bench.queue.add_after
    bench.queue.add_after = lambda key, s, background: (delays.append(s), original(key, 0))[1]  # type: ignore
    bench.gate.clear()
    bench.queue.start()
    bench.queue.add("a")
    await bench.turn()
    busy = time.thread_time() + 0.3
    while time.thread_time() < busy:
        pass
    bench.gate.set()
    while len(bench.seen) < 2:
        await asyncio.sleep(0)
    assert delays[0] < 0.2
    await bench.queue.stop()


async def test_a_failure_that_cannot_be_recorded_comes_back_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.failures["a"] = [StatusError(503, "ServiceUnavailable", "no")]

    def tell(key: str, error: Exception) -> None:
        raise ValueError("it cannot be told")

    bench.queue.on_failure = tell
    bench.queue.start()
    bench.queue.add("a")
    while len(bench.seen) < 2:
        assert bench.queue.busy(3600)
        await asyncio.sleep(0)
    await bench.queue.idle()
    assert "it cannot be told" in capsys.readouterr().out


async def test_a_key_whose_wait_somebody_else_cancelled_comes_back() -> None:
    """Only the queue's own end forgets it: what it waits for may be cancelled by others (a connection that is closed)."""
    waits: list[asyncio.Future[None]] = []
    told: list[Exception] = []

    async def wait(key: str) -> None:
        waits.append(asyncio.get_running_loop().create_future())
        if len(waits) == 1:
            await waits[0]

    queue: WorkQueue[str] = WorkQueue("test", wait)
    queue.on_failure = lambda key, error: told.append(error)
    queue.start()
    queue.add("a")
    while not waits:
        await asyncio.sleep(0)
    waits[0].cancel()
    while len(waits) < 2:
        assert queue.busy(3600)
        await asyncio.sleep(0)
    assert len(told) == 1
    await queue.stop()


async def test_delays_have_a_limit() -> None:
    bench = Bench(max_delay=0.02)
    bench.failures["a"] = [OSError("no")] * 5
    delays: list[float] = []
    original = bench.queue.add_after
    bench.queue.add_after = lambda key, s, background: (delays.append(s), original(key, 0))[1]  # type: ignore
    bench.queue.start()
    bench.queue.add("a")
    while len(bench.seen) < 6:
        await asyncio.sleep(0)
    assert_at_least(delays, [0.005, 0.01, 0.02, 0.02, 0.02])
    assert max(delays) == 0.02


async def test_the_first_delay_is_the_queue_s_own() -> None:
    bench = Bench(base_delay=1.0, max_delay=3.0)
    bench.failures["a"] = [OSError("no")] * 3
    delays: list[float] = []
    original = bench.queue.add_after
    bench.queue.add_after = lambda key, s, background: (delays.append(s), original(key, 0))[1]  # type: ignore
    bench.queue.start()
    bench.queue.add("a")
    while len(bench.seen) < 4:
        await asyncio.sleep(0)
    assert delays == [1.0, 2.0, 3.0]
    await bench.queue.stop()


async def test_the_earliest_time_wins() -> None:
    bench = Bench()
    bench.queue.start()
    bench.queue.add_after("a", 3600)
    bench.queue.add_after("a", 0)
    bench.queue.add_after("a", 1800)
    while not bench.seen:
        await asyncio.sleep(0)
    await bench.queue.idle()
    assert bench.seen == ["a"]
    assert not bench.queue.busy(7200)


async def test_one_that_fails_keeps_nobody_waiting() -> None:
    bench = Bench()
    bench.failures["bad"] = [OSError("no")] * 100
    bench.queue.start()
    for key in ("bad", "good"):
        bench.queue.add(key)
    await bench.queue.idle()
    assert "good" in bench.seen
    await bench.queue.stop()


async def test_stop_cancels_and_forgets_and_can_be_started_again() -> None:
    bench = Bench()
    bench.queue.start()
    bench.gate.clear()
    for key in ("a", "b", "a"):
        bench.queue.add(key)
    bench.queue.add_after("c", 0.5)
    await bench.turn()
    bench.queue.add("a")
    await bench.queue.stop()
    await bench.queue.idle()
    assert len(bench.queue) == 0
    assert not bench.queue.busy(3600)
    assert bench.running["a"] == 0
    bench.gate.set()
    bench.queue.add("d")
    assert bench.seen == ["a"]
    bench.queue.start()
    await bench.queue.idle()
    assert bench.seen == ["a", "d"]


@pytest.mark.parametrize("concurrency", [1, 3])
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["add", "background", "after", "yield"]))))
def test_every_change_is_looked_at_after_it_happened(concurrency: int, steps: list[tuple[str, str]]) -> None:
    async def run() -> None:
        changed: Counter[str] = Counter()
        known: dict[str, int] = {}
        running: set[str] = set()

        async def look(key: str) -> None:
            assert key not in running
            assert len(running) < concurrency
            running.add(key)
            known[key] = changed[key]
            await asyncio.sleep(0)
            running.discard(key)

        queue: WorkQueue[str] = WorkQueue("test", look, concurrency)
        queue.start()
        for key, how in steps:
            if how == "yield":
                await asyncio.sleep(0)
                continue
            changed[key] += 1
            if how == "after":
                queue.add_after(key, 0)
            else:
                queue.add(key, background=how == "background")
        while queue.busy(1):
            await asyncio.sleep(0)
        assert known == dict(changed)

    asyncio.run(run())


async def test_priority_goes_first_whether_new_or_backlog() -> None:
    order = {"urgent": 9, "soon": 5, "idle": -1}
    bench = Bench(priority=lambda key: order.get(key.rstrip("0123456789"), 0))
    bench.queue.start()
    for key in ("idle1", "old1"):
        bench.queue.add(key, background=key == "old1")
    for key in ("new1", "soon1", "new2", "urgent1"):
        bench.queue.add(key)
    bench.queue.add("soon2", background=True)
    bench.queue.add("old2", background=True)
    await bench.queue.idle()
    assert bench.seen == ["urgent1", "soon1", "soon2", "new1", "new2", "old1", "old2", "idle1"]


async def test_the_priority_of_a_key_that_waits_may_change() -> None:
    order: dict[str, int] = {}
    bench = Bench(priority=lambda key: order.get(key, 0))
    for key in ("a", "b", "c"):
        bench.queue.add(key)
    order.update(a=-1, c=1)
    for key in ("a", "b", "c"):
        bench.queue.add(key, background=True)
    assert len(bench.queue) == 3
    bench.queue.start()
    await bench.queue.idle()
    assert bench.seen == ["c", "b", "a"]


async def test_retries_that_are_due_together_go_by_priority() -> None:
    bench = Bench(priority=lambda key: int(key))
    bench.queue.start()
    for key in ("1", "3", "2"):
        bench.queue.add_after(key, 0)
    while len(bench.seen) < 3:
        await bench.turn()
    assert bench.seen == ["3", "2", "1"]


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-2, 2), st.sampled_from(["put", "discard", "pop"])))


@given(steps)
def test_a_line_is_sorted_by_priority_then_arrival(done: list[tuple[str, int, str]]) -> None:
    line: PriorityQueue[str] = PriorityQueue()
    model: list[tuple[int, int, str]] = []
    for arrival, (key, priority, step) in enumerate(done):
        known = next((place for place in model if place[2] == key), None)
        if step == "put":
            changed = known is None or known[0] != -priority
            assert line.put(key, priority) is changed
            if changed:
                model = sorted([*(place for place in model if place is not known), (-priority, arrival, key)])
        elif step == "discard":
            line.discard(key)
            model = [place for place in model if place is not known]
        elif model:
            assert line.pop() == model.pop(0)[2]
        else:
            with pytest.raises(IndexError):
                line.pop()
        assert len(line) == len(model)
        assert all((key in line) == any(place[2] == key for place in model) for key in "abcd")


async def test_waiting_and_work_are_measured() -> None:
    """With client-go's buckets: a dashboard for Kubernetes' queues shows ours."""
    done = asyncio.Event()

    async def reconcile(key: str) -> None:
        done.set()

    queue: WorkQueue[str] = WorkQueue("measured", reconcile)
    queue.add("a")
    queue.start()
    await asyncio.wait_for(done.wait(), 30)
    await queue.idle()
    await queue.stop()
    for metric in ("workqueue_queue_duration_seconds", "workqueue_work_duration_seconds"):
        assert REGISTRY.get_sample_value(f"{metric}_count", {"name": "measured"}) == 1
        assert REGISTRY.get_sample_value(f"{metric}_bucket", {"name": "measured", "le": "10.0"}) == 1
        assert REGISTRY.get_sample_value(f"{metric}_bucket", {"name": "measured", "le": "1e-08"}) == 0


def measured_as(name: str) -> set[str]:
    """The metrics that have lines of a queue or controller."""
    return {
        metric.name
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if name in (sample.labels.get("name"), sample.labels.get("controller"))
    }


async def test_a_queue_that_is_closed_is_measured_no_more() -> None:
    """One for each member: their names would add up. What they share stays."""

    async def reconcile(key: str) -> None:
        if key == "bad":
            raise OSError(key)

    for also in ((), ("of-all-members",)):
        queue: WorkQueue[str] = WorkQueue("of/member", reconcile, base_delay=60, also=also)
        queue.add("good")
        queue.add("bad")
        queue.start()
        await queue.idle()
        assert measured_as("of/member")
        await queue.close()
        assert measured_as("of/member") == set()
    assert REGISTRY.get_sample_value("workqueue_adds_total", {"name": "of-all-members"}) == 2
    labels = {"controller": "of-all-members", "result": "error"}
    assert REGISTRY.get_sample_value("controller_runtime_reconcile_total", labels) == 1
    assert REGISTRY.get_sample_value("workqueue_depth", {"name": "of-all-members"}) == 0


async def test_a_queue_of_the_same_name_is_measured_again() -> None:
    async def reconcile(key: str) -> None: ...

    for _ in range(2):
        queue: WorkQueue[str] = WorkQueue("of/returning", reconcile)
        queue.add("a")
        queue.start()
        await queue.idle()
        assert REGISTRY.get_sample_value("workqueue_adds_total", {"name": "of/returning"}) == 1
        await queue.close()
        await queue.close()
