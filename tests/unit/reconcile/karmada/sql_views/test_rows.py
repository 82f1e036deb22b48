"""kafila.reconcile.karmada.sql_views: objects as rows, whatever somebody has written into them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.reconcile.karmada.kinds import BINDINGS, WORKS
from kafila.reconcile.karmada.sql_views import values
from kafila.reconcile.karmada.sql_views.projection import Stored, projected, projected_events
from kafila.reconcile.karmada.sql_views.rows import Named, images, of_binding, of_cluster, of_event, of_object, of_work
from kafila.store.fleet import TABLES

POD = {"initContainers": [{"image": "a:1"}], "containers": [{"image": "b:2"}, {"image": "a:1"}, {"name": "none"}]}
STAMP = "2026-01-02T03:04:05Z"
AT = "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Pod", POD, ["a:1", "b:2"]),
        ("Deployment", {"template": {"spec": POD}}, ["a:1", "b:2"]),
        ("CronJob", {"jobTemplate": {"spec": {"template": {"spec": POD}}}}, ["a:1", "b:2"]),
        ("ConfigMap", {}, None),
        ("Deployment", {"template": {"spec": {"containers": "none"}}}, None),
        ("Deployment", {"template": {"spec": {"containers": [{"image": 5}, 7, {"image": "x\0y"}]}}}, ["xy"]),
        (
            "Pod",
            {"containers": [{"image": f"i{number}"} for number in range(100)]},
            [f"i{number}" for number in range(64)],
        ),
    ],
)
def test_images(kind: str, spec: Any, expected: Any) -> None:
    assert images(kind, spec) == expected


@pytest.mark.parametrize(
    ("kind", "spec", "status", "expected"),
    [
        ("Deployment", {"replicas": 3, "template": {}}, {"readyReplicas": 2}, (3, 2)),
        ("StatefulSet", {"replicas": 3, "template": {}}, {}, (3, 0)),
        ("DaemonSet", {"template": {}}, {"desiredNumberScheduled": 4, "numberReady": 1}, (4, 1)),
        ("Job", {"completions": 5, "template": {}}, {"succeeded": 2}, (5, 2)),
        ("Job", {"template": {}}, {}, (1, 0)),
        ("Pod", {}, {"conditions": [{"type": "Ready", "status": "True"}]}, (1, 1)),
        ("Pod", {}, {}, (1, 0)),
        ("ConfigMap", {}, {}, (None, None)),
        ("HorizontalPodAutoscaler", {"replicas": 3}, {}, (None, None)),
        ("Deployment", {"replicas": "3", "template": {}}, {}, (None, None)),
        ("Deployment", {"replicas": 1 << 70, "template": {}}, {}, (None, None)),
    ],
)
def test_wanted_and_ready(kind: str, spec: Any, status: Any, expected: Any) -> None:
    row = of_object(Named("", "x", "n", "o"), {"spec": spec, "status": status}, "v1", kind, 7, False)
    assert (row["wanted"], row["ready"]) == expected


def test_an_object() -> None:
    body = {
        "metadata": {"uid": "u", "labels": {"a": "b"}, "generation": 2, "creationTimestamp": STAMP},
        "data": {"k": "s"},
    }
    row = of_object(Named("", "secrets", "n", "o"), body, "v1", "Secret", 7, False)
    assert {key: value for key, value in row.items() if value not in (None, False)} == {
        "resource": "secrets",
        "cluster": "",
        "namespace": "n",
        "name": "o",
        "api_version": "v1",
        "kind": "Secret",
        "uid": "u",
        "labels": {"a": "b"},
        "generation": 2,
        "revision": 7,
        "created": AT,
    }
    assert of_object(Named("", "secrets", "n", "o"), body, "v1", "Secret", 7, True)["labels"] is None
    found = of_object(Named("m1", "/v1/pods", "n", "o"), {"apiVersion": "v1", "kind": "Pod"}, "", "", 7, False)
    assert (found["cluster"], found["api_version"], found["kind"]) == ("m1", "v1", "Pod")


BINDING: Any = {
    "metadata": {
        "namespace": "n",
        "name": "web-deployment",
        "labels": {"resourcebinding.karmada.io/permanent-id": "id"},
        "annotations": {"propagationpolicy.karmada.io/namespace": "n", "propagationpolicy.karmada.io/name": "p"},
        "creationTimestamp": STAMP,
    },
    "spec": {
        "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "web"},
        "replicas": 3,
        "clusters": [{"name": "m1", "replicas": 2}, {"name": "m2", "replicas": 1}],
        "requiredBy": [{"namespace": "n", "name": "other", "clusters": [{"name": "m3"}]}],
        "gracefulEvictionTasks": [{"fromCluster": "m4", "reason": "TaintUntolerated"}, {"fromCluster": "m1"}],
    },
    "status": {
        "conditions": [
            {"type": "Scheduled", "status": "True", "reason": "Success", "message": "ok", "lastTransitionTime": STAMP}
        ],
        "aggregatedStatus": [
            {"clusterName": "m1", "applied": True, "health": "Healthy", "status": {"readyReplicas": 2}},
            {"clusterName": "m2", "applied": False, "appliedMessage": "no"},
        ],
    },
}


def test_a_binding() -> None:
    row, placements = of_binding("n", "web-deployment", BINDING, False)
    assert row["policy"] == "n/p"
    assert (row["id"], row["scheduled"], row["reason"], row["since"]) == ("id", True, "Success", AT)
    columns = ("cluster", "why", "leaving", "replicas", "ready", "applied", "health", "message")
    assert [tuple(each[column] for column in columns) for each in placements] == [
        ("m4", "evicted: TaintUntolerated", True, None, None, False, None, None),
        ("m1", "policy n/p", False, 2, 2, True, "Healthy", None),
        ("m3", "required by n/other", False, None, None, False, None, None),
        ("m2", "policy n/p", False, 1, None, False, None, "no"),
    ]
    undecided, none = of_binding("n", "b", {"spec": {}}, False)
    assert (undecided["scheduled"], undecided["reason"], none) == (None, "NotScheduledYet", [])
    sealed, placements = of_binding("n", "web-deployment", BINDING, True)
    assert sealed["message"] is None
    assert [each["message"] for each in placements] == [None] * 4


def test_clusters_that_wait_for_their_turn_in_a_rollout() -> None:
    def waiting(rollout: Any) -> list[str]:
        spec = {"clusters": [{"name": f"m{number}"} for number in range(1, 5)]}
        tasks = [{"fromCluster": "m5", "reason": "no"}]
        binding = {"spec": {**spec, "gracefulEvictionTasks": tasks}, "status": {"rollout": rollout}}
        return [each["cluster"] for each in of_binding("n", "b", binding, True)[1] if each["waits"]]

    rows = [{"name": "m1", "phase": "Progressing", "revision": "a"}, {"name": "m2", "phase": "Pending"}]
    first = {"phase": "Progressing", "revision": "a", "clusters": [*rows, {"name": "m3", "phase": "Skipped"}]}
    assert waiting(first) == ["m2", "m3", "m4"]  # not what leaves m5
    assert waiting({**first, "stableRevision": "z"}) == ["m2"]
    assert waiting({**first, "phase": "Succeeded"}) == []
    for nothing in (None, {}, "no", {"phase": 5, "revision": "a"}, {"phase": "Progressing"}):
        assert waiting(nothing) == []
    assert waiting({"phase": "Failed", "revision": "a", "clusters": [{"name": []}, 7]}) == ["m1", "m2", "m3", "m4"]


def test_a_work() -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": "p"}, "spec": POD}
    failed = {"type": "Applied", "status": "False", "reason": "AppliedFailed", "message": "no"}
    work: Any = {
        "metadata": {"namespace": "karmada-es-m1", "name": "w"},
        "spec": {"workload": {"manifests": [manifest, {"kind": "ConfigMap"}]}},
        "status": {
            "conditions": [failed],
            "manifestStatuses": [{"identifier": {"ordinal": 1}, "health": "Healthy"}],
        },
    }
    rows = of_work("m1", "w", work, False)
    assert [(r["cluster"], r["work"], r["number"], r["namespace"], r["name"], r["health"]) for r in rows] == [
        ("m1", "w", 0, "n", "p", None),
        ("m1", "w", 1, "", None, "Healthy"),
    ]
    assert (rows[0]["applied"], rows[0]["reason"], rows[0]["images"]) == (False, "AppliedFailed", ["a:1", "b:2"])
    assert [(r["images"], r["message"]) for r in of_work("m1", "w", work, True)] == [(None, None)] * 2
    (nothing,) = of_work("m1", "w", {"spec": {"suspendDispatching": True}}, False)
    assert (nothing["number"], nothing["applied"], nothing["suspended"], nothing["reason"]) == (
        0,
        None,
        True,
        "NotAppliedYet",
    )


def test_a_cluster() -> None:
    cluster: Any = {
        "metadata": {"name": "m1", "labels": {"a": "b"}},
        "spec": {
            "syncMode": "Push",
            "zone": "z1",
            "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "l", "effect": "NoExecute"}],
        },
        "status": {
            "kubernetesVersion": "v1.33.7",
            "nodeSummary": {"totalNum": 2},
            "resourceSummary": {"allocatable": {"cpu": "3500m", "memory": "1Gi"}, "allocated": {"cpu": "1"}},
        },
    }
    row = of_cluster("m1", cluster, False)
    assert (row["ready"], row["version"], row["zones"]) == ("Unknown", "v1.33.7", ["z1"])
    assert row["taints"] == ["k=v:NoSchedule", "l:NoExecute"]
    assert (row["nodes"], row["nodes_ready"]) == (2, 0)
    assert (row["cpu"], row["cpu_used"], row["memory"]) == ("3.5", "1", "1073741824")


def test_an_event() -> None:
    event = {
        "involvedObject": {"kind": "Deployment", "name": "web"},
        "reason": "R",
        "message": "m" * 5000,
        "type": "Warning",
        "source": {"component": "c"},
        "count": 3,
        "firstTimestamp": STAMP,
    }
    row = of_event("n", "e", event, False)
    assert (row["kind"], row["name"], row["count"], row["first"], len(row["message"])) == (
        "Deployment",
        "web",
        3,
        AT,
        1024,
    )
    sealed = of_event("n", "e", event, True)
    assert (sealed["reason"], sealed["message"]) == (None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (STAMP, AT),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T05:04:05+02:00", AT),
        ("2026-02-30T03:04:05Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("2026-W01-1", None),
        ("", None),
        (5, None),
    ],
)
def test_times(given: Any, expected: Any) -> None:
    assert values.time(given) == expected


def test_labels_have_a_limit() -> None:
    assert values.labels({"a": "b" * (16 << 10)}) == {}
    assert values.labels({"a": "b", "c": 5, "d": "\0"}) == {"a": "b", "d": ""}
    assert values.labels(None) == {}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "apiVersion",
    "kind",
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "replicas",
    "template",
)
MORE = (
    "conditions",
    "clusters",
    "resource",
    "taints",
    "zones",
    "requiredBy",
    "gracefulEvictionTasks",
    "workload",
    "manifests",
)
PARTS = st.dictionaries(
    st.sampled_from(FIELDS + MORE), ANYTHING | st.lists(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
)


@given(
    st.dictionaries(
        st.sampled_from(["metadata", "spec", "status", "kind", "involvedObject", "series"]), ANYTHING | PARTS
    )
)
def test_whatever_is_written_a_row_comes_of_it_that_has_all_columns(obj: dict[str, Any]) -> None:
    """Also what no control plane stores: nothing raises, and every value is one that a database has."""
    body = orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS) if _is_json(obj) else b"{}"
    for resource, namespace in ((BINDINGS, "n"), (WORKS, "karmada-es-m1"), ("pods", "n")):
        for each in projected([Stored(Named("", resource, namespace, "o"), body, 1, "v1", "K")]):
            _check(each.table, each.rows)
    (events,) = projected_events([(Key("events", "n", "e"), body, False)])
    _check(events.table, events.rows)


def _is_json(obj: Any) -> bool:
    try:
        orjson.dumps(obj)
    except TypeError:
        return False
    return True


def _check(table: str, rows: Any) -> None:
    spec = TABLES[table]
    for row in rows:
        assert set(row) == {*spec.key, *spec.columns}
        assert b"\\u0000" not in orjson.dumps(row).replace(b"\\\\", b"")
        assert all(
            value is None or isinstance(value, bool) or not isinstance(value, int) or abs(value) < 1 << 63
            for value in row.values()
        )
