from __future__ import annotations

import pytest

from kafila.reconcile.karmada.template.steps.find_orphans import find_orphans

from .given import Given, placed, state, work


@pytest.mark.parametrize(
    ("spec", "orphans"),
    [
        ({}, ["m2", "m3"]),
        ({"gracefulEvictionTasks": [{"fromCluster": "m2"}]}, ["m3"]),  # it stays until the eviction is over
        ({"requiredBy": [{"clusters": [{"name": "m3"}]}]}, ["m2"]),  # a workload there needs it
    ],
)
def test_works_where_the_binding_is_no_longer(spec: dict, orphans: list[str]) -> None:  # type: ignore[type-arg]
    works = [work("m1"), work("m2"), work("m3")]
    before = state(placed("m1", **spec), works=works)._replace(reporting=[each.obj for each in works])
    after = find_orphans(before, Given())
    assert [each.cluster for each in after.orphans] == orphans
    left = [each.obj for each in works if each.cluster not in orphans]
    assert after.reporting == left, "what is deleted in the same run is not in the status that it writes"


def test_works_where_the_namespace_may_not_be() -> None:
    binding = placed("m1", "m2")
    binding["metadata"]["namespace"] = "team"
    after = find_orphans(state(binding, works=[work("m1"), work("m2")]), Given(allowed=frozenset({"m1"})))
    assert [each.cluster for each in after.orphans] == ["m2"]
