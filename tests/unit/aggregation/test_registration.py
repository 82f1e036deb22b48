"""Which APIServices are made for what is served here, and what becomes of them."""

from __future__ import annotations

import pytest

from kafila.aggregation.registration import LABEL, Managed, Step, local, served_by, step
from kafila.catalog.catalog import Catalog, group_priority, load_catalog
from kafila.core.values import Object

GROUP = "example.com"


def one(label: str | None, version_priority: int = 100) -> Object:
    made = local(GROUP, "v1", Managed.ALWAYS)
    made["spec"]["versionPriority"] = version_priority
    made["metadata"]["labels"] = {LABEL: label} if label else {}
    return made


ABSENT = None
FREE, ON_START, ALWAYS = one(None, 7), one("onstart", 7), one("true", 7)


@pytest.mark.parametrize(
    ("wanted", "current", "synced", "was_there", "expected"),
    [
        (None, ABSENT, False, False, None),
        (None, FREE, False, True, None),
        (None, one("something else", 7), False, True, None),
        (None, ON_START, False, False, None),
        (None, ON_START, False, True, Step.DELETE),
        (None, ON_START, True, True, None),
        (None, ALWAYS, False, False, Step.DELETE),
        (None, ALWAYS, True, True, Step.DELETE),
        ("onstart", ABSENT, False, False, Step.CREATE),
        ("onstart", ABSENT, True, False, None),
        ("onstart", FREE, False, True, None),
        ("onstart", ON_START, False, False, None),
        ("onstart", ON_START, False, True, Step.UPDATE),
        ("onstart", ON_START, True, True, None),
        ("onstart", ALWAYS, False, True, Step.UPDATE),
        ("onstart", ALWAYS, True, True, None),
        ("true", ABSENT, False, False, Step.CREATE),
        ("true", ABSENT, True, True, Step.CREATE),
        ("true", FREE, True, True, None),
        ("true", ON_START, False, False, None),
        ("true", ON_START, False, True, Step.UPDATE),
        ("true", ON_START, True, True, None),
        ("true", ALWAYS, True, False, Step.UPDATE),
        ("true", one("true"), False, True, None),
    ],
)
def test_what_is_done(
    wanted: str | None, current: Object | None, synced: bool, was_there: bool, expected: Step | None
) -> None:
    assert step(one(wanted) if wanted else None, current, synced, was_there) is expected


def test_what_the_server_registers_of_its_own() -> None:
    found = served_by(load_catalog())
    labels = {name: obj["metadata"]["labels"][LABEL] for name, obj in found.items()}
    assert labels["v1."] == labels["v1.apps"] == labels["v1alpha1.cluster.karmada.io"] == "onstart"
    assert labels["v1alpha1.policy.karmada.io"] == labels["v1alpha2.work.karmada.io"] == "true"
    assert not any(name.endswith(("apiregistration.k8s.io", "search.karmada.io")) for name in found)
    assert found["v1."]["spec"] == {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}
    assert found["v2.autoscaling"]["spec"]["versionPriority"] == 30
    policy = found["v1alpha1.policy.karmada.io"]["spec"]
    assert (policy["groupPriorityMinimum"], policy["versionPriority"]) == (1000, 100)
    assert served_by(Catalog([])) == {}


def test_where_groups_stand() -> None:
    groups = ("apiregistration.k8s.io", "apps", "resource.k8s.io", "cluster.karmada.io", "policy.karmada.io", GROUP)
    assert [group_priority(group) for group in groups] == [20_000, 17_800, 16_200, 2000, 1000, 1000]
