"""What the comparison leaves out and what it keeps."""

from __future__ import annotations

import re

import pytest
from compare import Known, compare, equal_at, load_known
from normal import Names, event_text, leaves, normal
from run import HERE
from scenario import load

POLICY, TEMPLATE, ID = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")


def names() -> Names:
    known = Names()
    labels = {"propagationpolicy.karmada.io/permanent-id": ID}
    known.learn("control plane", "PropagationPolicy/d-x/p", _object("PropagationPolicy", POLICY, labels=labels))
    known.learn("control plane", "ConfigMap/d-x/it", _object("ConfigMap", TEMPLATE, labels=labels))
    known.learn("member1", "ConfigMap/d-x/it", _object("ConfigMap", TEMPLATE.replace("2", "4")))
    return known


def _object(kind: str, uid: str, **metadata: object) -> dict:
    return {"kind": kind, "metadata": {"name": "x", "uid": uid, **metadata}}


def test_ids_become_names() -> None:
    assert names().text(f"{POLICY} {ID}") == "<uid of PropagationPolicy/d-x/p> <id of PropagationPolicy/d-x/p>"
    assert names().text(TEMPLATE.replace("2", "4")) == "<uid of member1 ConfigMap/d-x/it>"
    assert names().text("00000000-0000-4000-8000-000000000000") == "<some uid>"


def test_times_and_versions_go_and_the_rest_stays() -> None:
    binding = {
        "kind": "ResourceBinding",
        "metadata": {
            "name": "it-configmap",
            "namespace": "d-x",
            "uid": POLICY,
            "resourceVersion": "7",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["b", "a"],
            "annotations": {"made": "at 2026-01-01T00:00:00.123456Z"},
        },
        "spec": {"resource": {"name": "it", "resourceVersion": "5"}, "replicas": 2},
        "status": {
            "schedulerObservedGeneration": 2,
            "conditions": [{"type": "Scheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }
    assert normal(binding, Names()) == {
        "metadata": {"finalizers": ["a", "b"], "annotations": {"made": "at <time>"}},
        "spec": {"resource": {"name": "it", "resourceVersion": "<version>"}, "replicas": 2},
        "status": {
            "schedulerObservedGeneration": "<behind>",
            "conditions": {"Scheduled": {"status": "True", "lastTransitionTime": "<time>"}},
        },
    }


def test_an_event_is_a_line() -> None:
    event = {
        "involvedObject": {"kind": "ConfigMap", "namespace": "d-x", "name": "it"},
        "type": "Normal",
        "reason": "ApplyPolicySucceed",
        "message": "done",
        "source": {"component": "resource-detector"},
        "count": 3,
    }
    assert event_text(event, Names()) == "ConfigMap/d-x/it: Normal ApplyPolicySucceed by resource-detector: done"


def test_leaves_tell_empty_from_absent() -> None:
    assert leaves({"a": {}, "b": [1, {"c": None}]}) == {"|a": "{}", "|b|0": "1", "|b|1|c": "null"}


def test_a_comparison_counts_what_differs_and_what_is_known() -> None:
    theirs = [{"step": "apply", "is": {}}, {"step": "rest", "is": {"a": 1, "b": 2, "c": 3}}]
    ours = [{"step": "apply", "is": {"code": 400}}, {"step": "rest", "is": {"a": 1, "b": 3, "d": 4}}]
    known = [Known("because", re.compile("it"), re.compile(r"rest\|b$"))]
    found = compare("it", theirs, ours, known)
    assert (found.known, [d.path for d in found.differences]) == (
        1,
        ["1 apply|code", "2 rest|c", "2 rest|d"],
    )
    assert compare("other", theirs, ours, known).known == 0
    assert not equal_at("it", 1, theirs, ours[1]["is"], known)
    assert equal_at("it", 1, theirs, {"a": 1, "b": 9, "c": 3}, known)


def test_known_differences_have_a_reason_each() -> None:
    assert all(len(one.reason) > 20 for one in load_known(HERE / "known.yaml"))


def test_scenarios_end_at_rest_and_fill_in_their_namespace() -> None:
    scenarios = {scenario.name: scenario for scenario in load(HERE / "scenarios")}
    assert all(scenario.steps[-1]["verb"] == "rest" for scenario in scenarios.values())
    rule = scenarios["cluster-scoped-template"].steps[0]["what"]["metadata"]["name"]
    assert rule == "d-cluster-scoped-template.reader"


def test_too_many_known_differences_are_refused(tmp_path) -> None:
    (tmp_path / "known.yaml").write_text("- {reason: r, path: p}\n" * 16)
    with pytest.raises(AssertionError, match="at most 15"):
        load_known(tmp_path / "known.yaml")


def test_what_is_empty_on_one_side_differs_by_what_the_other_has() -> None:
    """An event that only one of them has is known to differ, or is not; that there are others beside it makes no difference."""
    known = [Known("told later", re.compile(".*"), re.compile("Unselected"))]
    theirs = [{"step": "rest", "is": {"events": {}}}]

    def ours(*lines: str) -> list[dict]:
        return [{"step": "rest", "is": {"events": {line: {} for line in lines}}}]

    assert compare("one", theirs, ours("Unselected"), known).equal
    (found,) = compare("one", theirs, ours("Unselected", "Failed"), known).differences
    assert (found.path, found.karmada, found.kafila) == ("1 rest|events|Failed", None, "{}")
    (found,) = compare("one", theirs, [{"step": "rest", "is": {}}], known).differences
    assert found.path in ("1 rest", "1 rest|events")
