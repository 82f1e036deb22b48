from __future__ import annotations

from kafila.reconcile.karmada.template.steps.record_decision import record_decision
from kafila.reconcile.karmada.template.steps.schedule_binding import schedule_binding
from kafila.reconcile.karmada.template.steps.state import State
from tests.unit.placement.objects import binding, policy, selector

from .given import Given, state


def scheduled() -> State:
    return schedule_binding(state(binding=binding(2)), Given())


def test_without_a_decision_there_is_nothing_to_record() -> None:
    asked = state(binding=binding(2))
    assert record_decision(asked, Given()) is asked


def test_the_decision_and_the_policies_that_lost() -> None:
    rival = policy("rival", resourceSelectors=[selector()])
    record = record_decision(scheduled(), Given(policies=([policy(), rival], ()))).record
    assert record is not None
    assert (record["kind"], record["metadata"]["namespace"]) == ("Decision", "default")
    assert record["scheduling"]["placed"] == "m1:2 m2:2"
    assert record["policy"]["name"] == "pp"
    assert [each["policy"] for each in record["policy"]["lost"]] == ["default/rival"]


def test_one_that_says_so_already_is_not_written_again() -> None:
    record = record_decision(scheduled(), Given()).record
    assert record_decision(scheduled(), Given(record=record)).record is None
