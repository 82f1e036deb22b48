"""Our interpreters of third-party kinds against Karmada's scripts: their own test cases, and the same answers to what was made of these."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafila.placement.interpreter import Operation
from kafila.placement.interpreter.sources import RULES
from tests.differential import third_party as parties

# what somebody may write where something else belongs
ODD = st.sampled_from(
    [0, 1, 3, 2.5, -1, True, False, "", "x", "7", "True", "Failed", "Ready", [], {}, ["x"], {"a": "x"}, [{}]]
)
FIELDS = {
    Operation.RETAIN: "retained",
    Operation.COMPONENT: "components",
    Operation.REVISE_REPLICA: "revised",
    Operation.AGGREGATE_STATUS: "aggregatedStatus",
    Operation.REFLECT_STATUS: "status",
    Operation.HEALTH: "healthy",
    Operation.DEPENDENCY: "dependencies",
}
EXCLUDED = "{{EXCLUDE}}"


@pytest.fixture(scope="session")
def customizations(programs: Path) -> Path:
    return programs.parent / "customizations"


def test_every_kind_and_operation_of_karmada_is_here(customizations: Path) -> None:
    known = {str(file.parent.relative_to(customizations)) for file in customizations.glob("*/*/*/customizations.yaml")}
    assert known == set(parties.THIRD_PARTY)
    theirs = {(kind, each) for kind in known for each in RULES if parties.has_script(customizations, kind, each)}
    assert theirs == set(parties.ROWS)


@pytest.mark.parametrize(("kind", "operation"), parties.ROWS)
def test_karmadas_own_cases(customizations: Path, kind: str, operation: Operation) -> None:
    for case in parties.cases(customizations, kind, operation):
        answer = parties.ours(operation, case.arguments)
        assert answer != parties.REFUSED, case.name
        for expected, found in outputs(case, answer):
            without_times = EXCLUDED in repr(expected)
            assert parties.comparable(found, without_times=without_times) == parties.comparable(
                expected, without_times=without_times
            ), case.name


def outputs(case: parties.Case, answer: Any) -> list[tuple[Any, Any]]:
    """Expected and found, as far as the case says what it expects."""
    output = case.output
    if case.operation is Operation.REPLICA:
        return [
            (output[field], found)
            for field, found in zip(("replica", "requires"), answer, strict=True)
            if field in output
        ]
    field = FIELDS[case.operation]
    if field not in output:
        return []
    if case.operation is Operation.AGGREGATE_STATUS:
        return [(output[field].get("status"), answer)]
    return [(output[field], answer)]


ASKED = [(kind, operation) for kind, operation in parties.ROWS if operation is not Operation.AGGREGATE_STATUS]


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        pytest.param(kind, operation, marks=() if index % 6 == 0 else pytest.mark.long)
        for index, (kind, operation) in enumerate(ASKED)
    ],
)
def test_karmadactl_answers_the_same(customizations: Path, tmp_path: Path, kind: str, operation: Operation) -> None:
    karmadactl = customizations.parent / "bin" / "karmadactl"
    # the first case that it has an answer to, with a name: karmadactl takes no object without one
    for case in parties.cases(customizations, kind, operation):
        ours = parties.ours(operation, case.arguments)
        if (case.arguments[0].get("metadata") or {}).get("name") and parties.theirs(
            customizations, kind, operation, case.arguments
        ) == ours:
            break
    else:
        return
    file = customizations / kind / "customizations.yaml"
    theirs = parties.of_karmadactl(karmadactl, file, tmp_path, case)
    expected = list(ours) if operation is Operation.REPLICA else [ours]
    assert parties.comparable(theirs) == parties.comparable(expected)


@pytest.mark.parametrize(("kind", "operation"), parties.ROWS)
def test_the_same_answer_to_the_same_question(customizations: Path, kind: str, operation: Operation) -> None:
    for case in parties.cases(customizations, kind, operation):
        assert_same(customizations, kind, operation, case.arguments)


@pytest.mark.parametrize(("kind", "operation"), parties.ROWS)
def test_the_same_answer_to_what_is_odd(customizations: Path, kind: str, operation: Operation) -> None:
    ask_odd_questions(customizations, kind, operation, 10)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "operation"), parties.ROWS)
def test_the_same_answer_to_much_that_is_odd(customizations: Path, kind: str, operation: Operation) -> None:
    ask_odd_questions(customizations, kind, operation, 400)


def ask_odd_questions(customizations: Path, kind: str, operation: Operation, count: int) -> None:
    questions = parties.questions(customizations, kind, operation)

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        arguments = copy.deepcopy(data.draw(st.sampled_from(questions)))
        for _ in range(data.draw(st.integers(1, 3))):
            mutate(data, arguments)
        assert_same(customizations, kind, operation, arguments)

    ask()


def assert_same(folder: Path, kind: str, operation: Operation, arguments: tuple[Any, ...]) -> None:
    arguments = without_old_failures(kind, operation, arguments)
    theirs = parties.theirs(folder, kind, operation, arguments)
    ours = parties.ours(operation, arguments)
    if ours != parties.REFUSED and theirs == parties.REFUSED and (kind, operation) in parties.KINDER:
        return
    if operation is Operation.REVISE_REPLICA and has_negative_replicas(theirs):
        return  # by Karmada's rounding
    assert parties.comparable(ours, without_times=True) == parties.comparable(theirs, without_times=True)


def without_old_failures(kind: str, operation: Operation, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Karmada adds the failures of HelmReleases to what the template has already; here they are those of the members."""
    if not kind.endswith("/HelmRelease") or operation is not Operation.AGGREGATE_STATUS:
        return arguments
    obj = copy.deepcopy(arguments[0])
    for field in ("failures", "upgradeFailures", "installFailures"):
        if isinstance(obj.get("status"), dict) and field in obj["status"]:
            obj["status"][field] = 0
    return obj, arguments[1]


def has_negative_replicas(revised: Any) -> bool:
    if isinstance(revised, dict):
        return any(
            has_negative_replicas(each) or (key == "replicas" and isinstance(each, int | float) and each < 0)
            for key, each in revised.items()
        )
    return isinstance(revised, list) and any(map(has_negative_replicas, revised))


def mutate(data: st.DataObject, arguments: tuple[Any, ...]) -> None:
    """Another value, or none, somewhere in an object; never its kind, its names and its namespace, which the API server vouches for."""
    places = [place for each in arguments for place in mutable(each)]
    if not places:
        return
    container, key = data.draw(st.sampled_from(places))
    if isinstance(container, dict) and data.draw(st.booleans()):
        del container[key]
    else:
        odd = copy.deepcopy(data.draw(ODD))
        # an empty list that two components share is refused for being in two places, not for what it is
        container[key] = 0 if key == "priorityClassName" and odd in ([], {}) else odd


def mutable(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    found = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        here = (*path, key)
        if here[0] in ("apiVersion", "kind") or here[0] == "metadata" or here[-1] == "clusterName":
            continue
        if not (isinstance(value, list) and not path):  # an item of aggregatedStatus
            found.append((value, key))
        found += mutable(each, here)
    return found
