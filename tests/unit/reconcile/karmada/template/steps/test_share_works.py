from __future__ import annotations

from kafila.placement.work.shared import SharedWorks
from kafila.reconcile.karmada.template.steps.find_orphans import find_orphans
from kafila.reconcile.karmada.template.steps.share_works import share_works

from .given import Given, placed, state, work


def test_works_that_others_have_written_count_where_its_own_are_missing() -> None:
    own, others = work("m1"), work("m2")
    facts = Given(named=([others], {"m3"}))
    after = share_works(state(placed("m1", "m2", "m3"), works=[own]), facts)
    assert facts.asked_names == [{"m2", "m3"}]
    assert after.works == (own, others)
    assert after.reporting == [own.obj, others.obj]
    assert after.taken == {"m3"}


def test_what_others_are_ending_reports_no_status() -> None:
    ending = work("m1")
    ending.obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    after = share_works(state(placed("m1")), Given(named=([ending], ())))
    assert (after.works, after.reporting) == ((ending,), [])


def test_what_another_binding_needs_is_left_to_it() -> None:
    other = {**placed("m2"), "metadata": {"name": "other", "namespace": "elsewhere"}}
    left, kept = work("m2"), work("m3")
    after = share_works(state(placed("m1"), works=[left, kept], shares=SharedWorks([other])), Given())
    assert after.works == (kept,)


def test_where_its_namespace_may_not_be_another_bindings_work_stays() -> None:
    """The namespace may not use m2 any more, and its binding does not know yet."""
    other = {**placed("m2"), "metadata": {"name": "other", "namespace": "elsewhere"}}
    facts = Given(allowed=frozenset({"m1"}), named=([], ()))
    shared, own = work("m2"), work("m1")
    asked = state(placed("m1", "m2"), works=[own, shared], shares=SharedWorks([other]))
    after = find_orphans(share_works(asked, facts), facts)
    assert (after.works, after.orphans) == ((own,), ())
    assert facts.asked_names in ([], [set()])  # nor is it looked for by its name
