from __future__ import annotations

from typing import NoReturn
from unittest import mock

from kafila.placement import constants
from kafila.placement.interpreter import NATIVE, InterpretError
from kafila.placement.work.build import Overrides
from kafila.reconcile.karmada.template.steps.build_works import build_works
from kafila.reconcile.karmada.template.steps.state import State

from .given import Given, placed, state, stored_work


def built(asked: State) -> State:
    """And stored."""
    after = build_works(asked, Given())
    return asked._replace(before=asked.binding, works=tuple(stored_work(each.work) for each in after.changed))


def test_one_for_each_cluster() -> None:
    after = build_works(state(binding=placed("m1", "m2")), Given())
    assert [each.cluster for each in after.changed] == ["m1", "m2"]
    assert all(each.stored is None for each in after.changed)
    assert [event.reason for event in after.events] == [constants.EVENT_SYNC_WORK]


def test_what_is_stored_already_is_not_written_or_recorded_again() -> None:
    after = build_works(built(state(binding=placed("m1"))), Given())
    assert (after.changed, after.events, after.failures) == ((), (), {})


def test_only_those_that_differ_are_written() -> None:
    known = built(state(binding=placed("m1", "m2")))
    binding = placed("m1", "m2")
    binding["spec"]["clusters"][1]["replicas"] = 5
    (changed,) = build_works(known._replace(binding=binding), Given()).changed
    assert changed.cluster == "m2"
    assert changed.stored is known.works[1]
    assert changed.work["spec"]["workload"]["manifests"][0]["spec"]["replicas"] == 5


def test_a_cluster_that_cannot_be_overridden_keeps_the_others_from_nothing() -> None:
    rule = {
        "targetCluster": {"clusterNames": ["m1"]},
        "overriders": {"plaintext": [{"path": "/spec/none/of/these", "operator": "replace", "value": 1}]},
    }
    policy = {
        "metadata": {"name": "op", "namespace": "default"},
        "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "overrideRules": [rule]},
    }
    after = build_works(state(placed("m1", "m2")), Given(overriding=Overrides((), [policy])))
    assert [each.cluster for each in after.changed] == ["m2"]
    assert list(after.failures) == ["m1"]
    assert after.interpreted
    assert [event.type for event in after.events] == ["Warning", "Warning"]


def test_an_interpreter_that_fails_is_asked_again() -> None:
    def fails(obj: object, replicas: int) -> NoReturn:
        raise InterpretError("no answer")

    interpreter = mock.create_autospec(NATIVE)
    interpreter.revise_replica.side_effect = fails
    after = build_works(state(placed("m1")), Given(interpreter=interpreter))
    assert (after.failures, after.retry) == ({"m1": "no answer"}, "interpreter")


def test_what_is_purged_goes_before_anything_is_made() -> None:
    known = built(state(binding=placed("m1")))
    task = {"fromCluster": "m1", "purgeMode": "Directly"}
    binding = placed("m2", gracefulEvictionTasks=[task])
    after = build_works(known._replace(binding=binding), Given())
    assert (after.changed, after.events) == ((), ())
