from typing import Any

import pytest

from kafila.core.resources import GroupVersionKind
from kafila.placement.detector.match import (
    Priority,
    best_policy,
    choose_policy,
    is_skipped,
    is_skipped_object,
    preempting,
    selector_priority,
)
from tests.unit.placement.objects import deployment, policy, selector


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Priority.ALL),
        ({"namespace": "default"}, Priority.ALL),
        ({"namespace": "other"}, Priority.MISMATCH),
        ({"name": "nginx"}, Priority.NAME),
        ({"name": "other"}, Priority.MISMATCH),
        ({"labelSelector": {"matchLabels": {"app": "nginx"}}}, Priority.LABEL_SELECTOR),
        ({"labelSelector": {}}, Priority.LABEL_SELECTOR),
        ({"labelSelector": {"matchLabels": {"app": "x"}}}, Priority.MISMATCH),
        ({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Bad"}]}}, Priority.MISMATCH),
        # With a name the labels do not matter.
        ({"name": "nginx", "labelSelector": {"matchLabels": {"app": "x"}}}, Priority.NAME),
        ({"kind": "StatefulSet"}, Priority.MISMATCH),
        ({"api_version": "apps/v1beta1"}, Priority.MISMATCH),
    ],
)
def test_implicit_priority(fields: dict[str, Any], expected: Priority) -> None:
    assert selector_priority(deployment(), selector(**fields)) == expected


def named(found: Any) -> str | None:
    return None if found.policy is None else found.policy["metadata"]["name"]


@pytest.mark.parametrize("reverse", [False, True])
def test_explicit_then_implicit_then_name(reverse: bool) -> None:
    every, exact = [selector()], [selector(name="nginx")]

    def best(*policies: Any) -> str | None:
        return named(best_policy(deployment(), policies[::-1] if reverse else policies))

    assert best(policy("a", resourceSelectors=exact), policy("b", resourceSelectors=every, priority=1)) == "b"
    assert best(policy("a", resourceSelectors=every), policy("b", resourceSelectors=exact)) == "b"
    assert best(policy("b", resourceSelectors=every), policy("a", resourceSelectors=every)) == "a"
    assert best(policy("a", resourceSelectors=[selector(kind="Job")])) is None


def test_every_loser_has_a_reason() -> None:
    found = best_policy(
        deployment(),
        [
            policy("a", resourceSelectors=[selector(kind="Job")]),
            policy("b", resourceSelectors=[selector()]),
            policy("c", resourceSelectors=[selector(name="nginx")]),
            policy("d", resourceSelectors=[selector(name="nginx")]),
            policy("e", resourceSelectors=[selector(name="nginx")], priority=-1),
        ],
    )
    assert named(found) == "c"
    assert dict(found.lost) == {
        "default/a": "its resource selectors do not match",
        "default/b": "default/c selects the resource more precisely",
        "default/d": "default/c comes first by name",
        "default/e": "priority -1 is lower than 0 of default/c",
    }


def test_namespaced_policies_come_first() -> None:
    wide = policy("wide", "", resourceSelectors=[selector(name="nginx")], priority=100)
    narrow = policy("narrow", resourceSelectors=[selector()])
    elsewhere = policy("elsewhere", "other", resourceSelectors=[selector()])
    found = choose_policy(deployment(), [narrow, elsewhere], [wide])
    assert named(found) == "narrow"
    assert dict(found.lost)["wide"] == "PropagationPolicy default/narrow comes first"
    assert named(choose_policy(deployment(), [elsewhere], [wide])) == "wide"


def test_skipped_kinds_and_objects() -> None:
    assert is_skipped(GroupVersionKind("work.karmada.io", "v1alpha2", "ResourceBinding"))
    assert is_skipped(GroupVersionKind("", "v1", "Event"))
    assert is_skipped(GroupVersionKind("coordination.k8s.io", "v1", "Lease"))
    assert not is_skipped(GroupVersionKind("multicluster.x-k8s.io", "v1alpha1", "ServiceExport"))
    assert not is_skipped(GroupVersionKind("", "v1", "ConfigMap"))
    assert is_skipped_object("Secret", "kube-system", "x")
    assert is_skipped_object("Secret", "karmada-es-member1", "x")
    assert not is_skipped_object("Secret", "my-kube-stuff", "x")
    assert is_skipped_object("ConfigMap", "kube-system", "extension-apiserver-authentication", ())


EXACT = [selector(name="nginx")]


@pytest.mark.parametrize(
    ("claimed", "others", "winner"),
    [
        (policy("low", resourceSelectors=EXACT), [policy("high", resourceSelectors=EXACT, priority=1, preemption="Always")], "high"),
        # without asking, without a higher priority, without naming the template, and at its end nobody preempts
        (policy("low", resourceSelectors=EXACT), [policy("high", resourceSelectors=EXACT, priority=1)], None),
        (policy("b", resourceSelectors=EXACT), [policy("a", resourceSelectors=EXACT, preemption="Always")], None),
        (policy("low", resourceSelectors=EXACT), [policy("all", resourceSelectors=[selector()], priority=1, preemption="Always")], None),
        # the highest of several
        (
            policy("low", resourceSelectors=EXACT),
            [policy(n, resourceSelectors=EXACT, priority=p, preemption="Always") for n, p in (("a", 1), ("b", 3), ("c", 2))],
            "b",
        ),
        # a cluster-wide policy never takes from a namespaced one
        (policy("low", resourceSelectors=EXACT), [policy("wide", "", resourceSelectors=EXACT, priority=9, preemption="Always")], None),
        (policy("wide", "", resourceSelectors=EXACT, priority=9), [policy("own", resourceSelectors=EXACT, preemption="Always")], "own"),
        (
            policy("wide", "", resourceSelectors=EXACT),
            [policy("wider", "", resourceSelectors=EXACT, priority=1, preemption="Always")],
            "wider",
        ),
    ],
)  # fmt: skip
def test_who_preempts(claimed: Any, others: list[Any], winner: str | None) -> None:
    every = [claimed, *others]
    own = [p for p in every if p["metadata"].get("namespace")]
    wide = [p for p in every if not p["metadata"].get("namespace")]
    taking = preempting(deployment(), claimed, own, wide)
    assert (None if taking is None else taking["metadata"]["name"]) == winner


def test_a_policy_that_ends_preempts_nothing() -> None:
    ending = policy("high", resourceSelectors=EXACT, priority=1, preemption="Always")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert preempting(deployment(), policy("low", resourceSelectors=EXACT), [ending], []) is None
