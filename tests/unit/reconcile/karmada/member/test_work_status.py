"""`kafila.reconcile.karmada.member.work_status`"""

from __future__ import annotations

from typing import Any

import pytest

from kafila.reconcile.karmada.member.work_status import Outcome, to_reflect, work_of, work_status

from .around_works import KEY, in_member, work

Object = dict[str, Any]
APPLIED, FAILED = Outcome(1, 1, (), False), Outcome(1, 1, ("no",), False)
REPORTED = [{"status": {"readyReplicas": 1}}]


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
    assert conditions(work_status(work(**spec), outcome, [], lambda manifest: False)) == expected


@pytest.mark.parametrize(
    ("outcome", "reflected", "gone", "kept"),
    [
        (APPLIED, REPORTED, False, REPORTED),
        (APPLIED, [], False, ["before"]),  # not observed yet
        (FAILED, [], False, ["before"]),  # the copy runs on
        (FAILED, [], True, None),
        (None, [], True, ["before"]),
    ],
)
def test_what_was_reported_is_kept_as_long_as_there_may_be_a_copy(
    outcome: Outcome | None, reflected: list[Object], gone: bool, kept: list[Any] | None
) -> None:
    known = work(status={"manifestStatuses": ["before"]})
    assert work_status(known, outcome, reflected, lambda manifest: gone).get("manifestStatuses") == kept


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
    stored = work(status=work_status(work(), FAILED, [], lambda manifest: False))
    assert FAILED.is_recorded(stored)
    assert not APPLIED.is_recorded(stored)
    assert not FAILED.is_recorded(work())


def test_an_object_says_which_work_it_comes_from() -> None:
    assert work_of(in_member()) == (KEY.namespace, KEY.name)
    assert work_of({"metadata": {}}) == ("", "")
