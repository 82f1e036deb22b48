"""What kafila top makes of metrics (:mod:`kafila.cli.top`)."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from kafila.cli.top import cores, mebibytes, percent, row_of, warnings_of

SOURCE = {"resource.karmada.io/query-from-cluster": "m1"}


def pod(*used: dict[str, str]) -> dict[str, Any]:
    containers = [{"name": str(number), "usage": each} for number, each in enumerate(used)]
    return {"metadata": {"name": "web", "namespace": "default", "annotations": SOURCE}, "containers": containers}


@pytest.mark.parametrize(
    ("used", "cpu", "memory"),
    [
        ([{"cpu": "25m", "memory": "16Mi"}], "25m", "16Mi"),
        ([{"cpu": "1", "memory": "1Gi"}, {"cpu": "500m", "memory": "512Mi"}], "1500m", "1536Mi"),
        ([{"cpu": "1n"}, {"memory": "1"}], "1m", "0Mi"),
        ([{"cpu": "much"}, {}], "0m", "0Mi"),
        ([], "0m", "0Mi"),
    ],
)
def test_containers_of_a_pod_are_added_up(used: list[dict[str, str]], cpu: str, memory: str) -> None:
    row = row_of(pod(*used))
    assert (row.namespace, row.name, row.cluster) == ("default", "web", "m1")
    assert (cores(row.cpu), mebibytes(row.memory)) == (cpu, memory)


@pytest.mark.parametrize(
    ("there", "shown"),
    [
        ({("m1", "n1"): {"cpu": "4", "memory": "8Gi"}}, ("25%", "12%")),
        ({("m1", "n1"): {"cpu": "0"}}, ("<unknown>", "<unknown>")),
        ({("m2", "n1"): {"cpu": "4", "memory": "8Gi"}}, ("<unknown>", "<unknown>")),
        ({}, ("<unknown>", "<unknown>")),
    ],
)
def test_a_node_by_what_it_has(there: Any, shown: tuple[str, str]) -> None:
    node = {"metadata": {"name": "n1", "annotations": SOURCE}, "usage": {"cpu": "1", "memory": "1Gi"}}
    row = row_of(node, there)
    assert (percent(row.cpu, row.of_cpu), percent(row.memory, row.of_memory)) == shown


def test_warnings() -> None:
    given = CIMultiDict([("Warning", '299 - "cluster m1 is \\"away\\""'), ("warning", '299 - "two"'), ("Age", "1")])
    assert warnings_of(given) == ['cluster m1 is "away"', "two"]
    assert warnings_of({"Warning": '299 - "no"'}) == []
