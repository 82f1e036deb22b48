"""How answers of several members become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.errors import StatusError
from kafila.core.quantity import Quantity, parse
from kafila.metricsadapter import merging
from kafila.metricsadapter.documents import custom_list, external_list, table
from kafila.metricsadapter.values import ExternalValue, MetricValue, Usage

AT = "2026-01-01T00:00:00Z"


def value(name: str, amount: str, window: int | None = None) -> MetricValue:
    return MetricValue({"kind": "Pod", "name": name}, "requests", None, AT, window, parse(amount))


def external(amount: str, **labels: str) -> ExternalValue:
    return ExternalValue("queue", tuple(sorted(labels.items())), AT, None, parse(amount))


def usage(name: str, cluster: str, namespace: str = "default", cpu: str = "25m") -> Usage:
    body = b'{"metadata":{"name":"%b"},"timestamp":"x","window":"10s","containers":[{"name":"a","usage":{"cpu":"%b","memory":"1Mi"}},{"name":"b","usage":{"cpu":"5m","memory":"2Mi"}}]}'
    return Usage(namespace, name, cluster, body % (name.encode(), cpu.encode()))


def test_usage_stands_side_by_side() -> None:
    found = merging.side_by_side([usage("b", "m1"), usage("a", "m2"), usage("a", "m1"), usage("c", "m1", "abc")])
    assert [(each.namespace, each.name, each.cluster) for each in found] == [
        ("abc", "c", "m1"),
        ("default", "a", "m1"),
        ("default", "a", "m2"),
        ("default", "b", "m1"),
    ]


def test_one_of_a_name() -> None:
    assert merging.only_one([usage("a", "m1")], "pods", "a").cluster == "m1"
    with pytest.raises(StatusError, match=r'^pods "a" not found$') as missing:
        merging.only_one([], "pods", "a")
    assert missing.value.code == 404
    why = r'^failed getting node: Operation cannot be fulfilled on nodes "a": the node\(a\) found in more than one clusters$'
    with pytest.raises(StatusError, match=why) as several:
        merging.only_one([usage("a", "m1"), usage("a", "m2")], "nodes", "a")
    assert (several.value.code, several.value.reason) == (500, "")


def test_values_of_one_object_are_added_to_the_first() -> None:
    (found,) = merging.one_value(
        [[value("web", "1", 5)], [], [value("web", "500m"), value("web", "2")]], "pods", "requests"
    )
    assert (str(found.value), found.window) == ("3500m", 5)


def test_values_by_object() -> None:
    found = merging.by_object([[value("b", "1"), value("a", "1", 5)], [value("a", "250m")]], "pods", "requests")
    assert [(each.described["name"], str(each.value), each.window) for each in found] == [
        ("a", "1250m", None),
        ("b", "1", None),
    ]


@pytest.mark.parametrize("answers", [[], [[]], [[], []]])
def test_a_metric_that_nobody_has(answers: list[list[MetricValue]]) -> None:
    for merge in (merging.one_value, merging.by_object):
        with pytest.raises(StatusError, match=r"^the server could not find the metric requests for jobs\.batch$"):
            merge(answers, "jobs.batch", "requests")


def test_external_values_by_their_labels() -> None:
    found = merging.by_labels(
        [[external("1", a="x"), external("5", a="y")], [external("2", a="x")]], "default", "queue"
    )
    assert [(each.labels, str(each.value)) for each in found] == [((("a", "x"),), "3"), ((("a", "y"),), "5")]
    assert merging.by_labels([[]], "default", "queue") == []
    with pytest.raises(StatusError, match=r"^the server could not find the metric queue for namespace default$"):
        merging.by_labels([], "default", "queue")


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(10**6), 10**6)), max_size=5), max_size=5))
def test_nothing_is_lost_or_doubled(said: list[list[tuple[str, int]]]) -> None:
    answers = [[value(name, "0")._replace(value=Quantity(amount)) for name, amount in each] for each in said]
    total = sum(amount for each in said for _, amount in each)
    if not any(answers):
        return
    assert sum(each.value.nano for each in merging.by_object(answers, "pods", "m")) == total
    assert merging.one_value(answers, "pods", "m")[0].value.nano == total


def test_documents() -> None:
    (newer,) = custom_list([value("web", "1", 60)], "v1beta2")["items"]
    assert newer == {
        "describedObject": {"kind": "Pod", "name": "web"},
        "metric": {"name": "requests", "selector": None},
        "timestamp": AT,
        "windowSeconds": 60,
        "value": "1",
    }
    (older,) = custom_list([value("web", "1", 60)], "v1beta1")["items"]
    assert older == {
        "describedObject": {"kind": "Pod", "name": "web"},
        "metricName": "requests",
        "timestamp": AT,
        "window": 60,
        "value": "1",
        "selector": None,
    }
    (found,) = external_list([external("7", a="x")], "v1beta1")["items"]
    assert found == {"metricName": "queue", "metricLabels": {"a": "x"}, "timestamp": AT, "value": "7"}


def test_a_table_has_a_column_for_each_resource() -> None:
    found = table([usage("a", "m1"), usage("b", "m1", cpu="1")], "PodMetrics", "metrics.k8s.io/v1beta1", "Object", "v1")
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert [row["cells"] for row in found["rows"]] == [["a", "30m", "3Mi", "10s"], ["b", "1005m", "3Mi", "10s"]]
    assert found["rows"][0]["object"]["kind"] == "PodMetrics"
    assert table([], "PodMetrics", "metrics.k8s.io/v1beta1", "", "v1")["rows"] == []


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3))))
def test_sorting_in_pieces_is_sorting(found: list[tuple[int, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "PIECE", 3)
        assert merging.in_order(found) == sorted(found)
        assert merging.in_order(found, lambda each: each[0]) == sorted(found, key=lambda each: each[0])
