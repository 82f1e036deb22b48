"""`kafila.reconcile.karmada.member.work_status`"""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.rollout.gate import COND_REVISION
from kafila.placement.rollout.revision import REVISION
from kafila.reconcile.karmada.member.work_status import Outcome, Seen, to_reflect, work_of, work_status

from .around_works import KEY, in_member, work

Object = dict[str, Any]
APPLIED, FAILED = Outcome(1, 1, (), False), Outcome(1, 1, ("no",), False)
REPORTED: Any = Seen({"metadata": {"name": "web"}}, {"status": {"readyReplicas": 1}})  # type: ignore[typeddict-item]


def conditions(status: Object) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status["conditions"]}


@pytest.mark.parametrize(
    ("spec", "outcome", "expected"),
    [
        ({}, None, {"Dispatching": "True"}),
        ({}, APPLIED, {"Dispatching": "True", "Applied": "True"}),
        ({}, FAILED, {"Dispatching": "True", "Applied": "False"}),
        ({"suspendDispatching": True}, APPLIED, {"Dispatching": "False"}),
    ],
)
def test_conditions(spec: Object, outcome: Outcome | None, expected: dict[str, str]) -> None:
    assert conditions(work_status(work(**spec), outcome, None, lambda manifest: False)) == expected


@pytest.mark.parametrize(
    ("outcome", "seen", "gone", "kept"),
    [
        (APPLIED, REPORTED, False, [{"status": {"readyReplicas": 1}}]),
        (APPLIED, None, False, ["before"]),  # not observed yet
        (FAILED, None, False, ["before"]),  # the copy runs on
        (FAILED, None, True, None),
        (None, None, True, ["before"]),
    ],
)
def test_what_was_reported_is_kept_as_long_as_there_may_be_a_copy(
    outcome: Outcome | None, seen: Seen | None, gone: bool, kept: list[Any] | None
) -> None:
    known = work(status={"manifestStatuses": ["before"]})
    assert work_status(known, outcome, seen, lambda manifest: gone).get("manifestStatuses") == kept


@pytest.mark.parametrize(
    ("spec", "outcome", "ours", "reflected"),
    [
        ({}, APPLIED, True, True),
        ({}, APPLIED, False, True),  # just taken over: the marks are on their way
        ({}, FAILED, True, True),
        ({}, FAILED, False, False),  # somebody else's
        ({}, None, True, False),
        ({"suspendDispatching": True}, APPLIED, True, False),
    ],
)
def test_whose_status_the_work_gets(spec: Object, outcome: Outcome | None, ours: bool, reflected: bool) -> None:
    observed = in_member() if ours else {"metadata": {"name": "web"}}
    assert (to_reflect(work(**spec), outcome, lambda manifest: observed) is observed) == reflected


def test_an_outcome_that_is_stored_was_recorded() -> None:
    stored = work(status=work_status(work(), FAILED, None, lambda manifest: False))
    assert FAILED.is_recorded(stored)
    assert not APPLIED.is_recorded(stored)
    assert not FAILED.is_recorded(work())


def test_an_object_says_which_work_it_comes_from() -> None:
    assert work_of(in_member()) == (KEY.namespace, KEY.name)
    assert work_of({"metadata": {}}) == ("", "")


def test_the_revision_that_the_status_is_of_is_said_as_long_as_a_rollout_brings_it() -> None:
    seen = Seen({"metadata": {"annotations": {REVISION: "a1"}}}, REPORTED.status)
    stored = work(status=work_status(work(), APPLIED, seen, lambda manifest: False))
    assert conditions(stored["status"]) == {"Dispatching": "True", "Applied": "True", COND_REVISION: "True"}
    assert conditions(work_status(stored, APPLIED, None, lambda manifest: False))[COND_REVISION] == "True"
    assert COND_REVISION not in conditions(work_status(stored, APPLIED, REPORTED, lambda manifest: False))
