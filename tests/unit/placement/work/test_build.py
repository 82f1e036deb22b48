import copy
from typing import Any

import pytest

from kafila.core import feature_gates as gates
from kafila.placement.work.build import (
    Overrides,
    blocking_works,
    build_works,
    namespace_should_be_synced,
    namespace_work,
    orphans,
    synced_event,
    targets_of,
)
from kafila.placement.work.labels import strip
from kafila.placement.work.prune import prune
from tests.unit.placement.objects import DUPLICATED, binding, cluster, deployment, divided, policy

CLUSTERS = {name: cluster(name) for name in ("m1", "m2", "m3")}


def bound(*clusters: tuple[str, int], **spec: Any) -> dict[str, Any]:
    spec.setdefault("placement", {"replicaScheduling": DUPLICATED})
    return binding(2, clusters=[{"name": name, "replicas": count} for name, count in clusters], **spec)


def manifest(work: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = work["spec"]["workload"]["manifests"][0]
    return found


def test_a_work_for_every_target() -> None:
    template, made = deployment(), bound(("m1", 3), ("m2", 1))
    before = copy.deepcopy((template, made))
    plan = build_works(made, template, CLUSTERS)
    assert (template, made) == before
    assert plan.errors == {}
    first, second = plan.works
    assert first["metadata"] == {
        "name": "nginx-687f7fb96f",
        "namespace": "karmada-es-m1",
        "labels": {
            "resourcebinding.karmada.io/permanent-id": "id-of-binding",
            "work.karmada.io/permanent-id": first["metadata"]["labels"]["work.karmada.io/permanent-id"],
        },
        "annotations": {
            "resourcebinding.karmada.io/namespace": "default",
            "resourcebinding.karmada.io/name": "nginx-deployment",
            "work.karmada.io/conflict-resolution": "abort",
        },
        "finalizers": ["karmada.io/execution-controller"],
    }
    assert first["spec"]["suspendDispatching"] is False
    assert first["spec"]["preserveResourcesOnDeletion"] is False
    assert manifest(first)["spec"]["replicas"] == 3
    assert manifest(second)["spec"]["replicas"] == 1
    ids = {work["metadata"]["labels"]["work.karmada.io/permanent-id"] for work in plan.works}
    assert len(ids) == 2


def test_the_manifest_is_stamped() -> None:
    work = build_works(bound(("m1", 2)), deployment(), CLUSTERS).works[0]
    meta = manifest(work)["metadata"]
    assert set(meta) == {"name", "namespace", "labels", "annotations"}
    assert meta["labels"]["karmada.io/managed"] == "true"
    assert meta["labels"]["work.karmada.io/permanent-id"] == work["metadata"]["labels"]["work.karmada.io/permanent-id"]
    notes = meta["annotations"]
    assert notes["resourcetemplate.karmada.io/uid"] == "uid-of-template"
    assert notes["resourcetemplate.karmada.io/generation"] == "3"
    assert notes["work.karmada.io/name"] == "nginx-687f7fb96f"
    assert notes["work.karmada.io/namespace"] == "karmada-es-m1"
    assert notes["work.karmada.io/conflict-resolution"] == "abort"
    assert notes["resourcetemplate.karmada.io/managed-annotations"] == ",".join(sorted(notes))
    assert notes["resourcetemplate.karmada.io/managed-labels"] == ",".join(sorted(meta["labels"]))


@pytest.mark.parametrize(
    ("annotation", "policy_says", "expected"),
    [
        (None, None, "abort"),
        (None, "Overwrite", "overwrite"),
        ("overwrite", "Abort", "overwrite"),
        ("abort", "Overwrite", "abort"),
        ("nonsense", "Overwrite", "overwrite"),
    ],
)
def test_conflict_resolution(annotation: str | None, policy_says: str | None, expected: str) -> None:
    template = deployment()
    if annotation:
        template["metadata"]["annotations"] = {"work.karmada.io/conflict-resolution": annotation}
    made = bound(("m1", 1), **({"conflictResolution": policy_says} if policy_says else {}))
    work = build_works(made, template, CLUSTERS).works[0]
    assert work["metadata"]["annotations"]["work.karmada.io/conflict-resolution"] == expected
    assert manifest(work)["metadata"]["annotations"]["work.karmada.io/conflict-resolution"] == expected


def test_an_existing_work_keeps_what_others_put_there() -> None:
    made = bound(("m1", 2))
    work = build_works(made, deployment(), CLUSTERS).works[0]
    stored = copy.deepcopy(work)
    stored["metadata"].update(uid="u", resourceVersion="5")
    stored["metadata"]["labels"].update({"work.karmada.io/permanent-id": "given", "other": "x"})
    stored["metadata"]["annotations"]["note"] = "y"
    stored["metadata"]["finalizers"].append("another/one")
    stored["status"] = {"conditions": []}
    again = build_works(made, deployment(), CLUSTERS, existing={"m1": stored}).works[0]
    assert again["metadata"]["labels"]["other"] == "x"
    assert again["metadata"]["annotations"]["note"] == "y"
    assert again["metadata"]["finalizers"] == ["another/one", "karmada.io/execution-controller"]
    assert again["status"] == {"conditions": []}
    assert manifest(again)["metadata"]["labels"]["work.karmada.io/permanent-id"] == "given"
    assert build_works(made, deployment(), CLUSTERS, existing={"m1": again}).works[0] is again


def test_one_failure_does_not_stop_the_others() -> None:
    made = bound(("gone", 1), ("m1", 1), ("m2", 1))
    deleting = {"metadata": {"name": "w", "namespace": "karmada-es-m2", "deletionTimestamp": "x"}}
    bad = policy(
        "bad",
        overrideRules=[
            {
                "targetCluster": {"clusterNames": ["m1"]},
                "overriders": {"plaintext": [{"path": "/x", "operator": "remove"}]},
            }
        ],
    )
    plan = build_works(made, deployment(), CLUSTERS, Overrides((), (bad,)), {"m2": deleting})
    assert plan.works == []
    assert plan.errors["gone"] == 'clusters.cluster.karmada.io "gone" not found'
    assert plan.ending["m2"] == "work karmada-es-m2/w is being deleted"
    assert plan.override_events == [
        ("Warning", "ApplyOverridePolicyFailed", "Apply override policy(default/bad) for cluster(m1) failed.")
    ]
    assert plan.error.startswith("[clusters.cluster")
    assert synced_event(made, plan.error)[:2] == ("Warning", "SyncWorkFailed")
    assert synced_event(made)[2] == "Sync work of ResourceBinding(default/nginx-deployment) successful."


def test_overrides_come_last_and_are_noted() -> None:
    fixed = policy(
        "op",
        overrideRules=[{"overriders": {"plaintext": [{"path": "/spec/replicas", "operator": "replace", "value": 7}]}}],
    )
    work = build_works(bound(("m1", 2)), deployment(), CLUSTERS, Overrides((), (fixed,))).works[0]
    assert manifest(work)["spec"]["replicas"] == 7
    assert work["metadata"]["annotations"]["policy.karmada.io/applied-overrides"] == (
        '[{"policyName":"op","overriders":{"plaintext":[{"path":"/spec/replicas","operator":"replace","value":7}]}}]'
    )


def test_required_by_parents_and_duplicates() -> None:
    spec = bound(("m1", 2), requiredBy=[{"clusters": [{"name": "m1", "replicas": 9}, {"name": "m3"}]}])["spec"]
    assert targets_of(spec) == [{"name": "m1", "replicas": 2}, {"name": "m3"}]


def test_suspension() -> None:
    made = bound(("m1", 1), ("m2", 1), suspension={"dispatchingOnClusters": {"clusterNames": ["m2"]}})
    assert [w["spec"]["suspendDispatching"] for w in build_works(made, deployment(), CLUSTERS).works] == [False, True]
    made["spec"]["suspension"] = {"dispatching": True}
    made["spec"]["preserveResourcesOnDeletion"] = True
    works = build_works(made, deployment(), CLUSTERS).works
    assert all(work["spec"]["suspendDispatching"] and work["spec"]["preserveResourcesOnDeletion"] for work in works)


def job(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"}, "spec": spec}


def test_completions_of_a_divided_job() -> None:
    made = bound(("m1", 1), ("m2", 2), placement={"replicaScheduling": divided()})
    works = build_works(made, job(parallelism=3, completions=10, ttlSecondsAfterFinished=5), CLUSTERS).works
    assert [manifest(work)["spec"] for work in works] == [
        {"parallelism": 1, "completions": 3},
        {"parallelism": 2, "completions": 7},
    ]
    made["spec"]["placement"] = {}
    works = build_works(made, job(parallelism=3, completions=10), CLUSTERS).works
    assert [manifest(work)["spec"]["completions"] for work in works] == [10, 10]


def completions(targets: list[tuple[str, int]], existing: list[dict[str, Any]], **spec: Any) -> dict[str, int]:
    made = bound(*targets, placement={"replicaScheduling": divided()})
    wanted = job(**{"parallelism": 8, "completions": 8, **spec})
    known = {work["metadata"]["namespace"].removeprefix("karmada-es-"): work for work in existing}
    works = build_works(made, wanted, CLUSTERS, existing=known).works
    return {w["metadata"]["namespace"][-2:]: manifest(w)["spec"]["completions"] for w in works}


def test_what_a_lost_cluster_had_to_complete_goes_to_new_ones() -> None:
    """Completions of a Job that is there are immutable."""
    first = bound(("m1", 4), ("m2", 4), placement={"replicaScheduling": divided()})
    works = build_works(first, job(parallelism=8, completions=8), CLUSTERS).works
    assert completions([("m1", 4), ("m2", 4)], works) == {"m1": 4, "m2": 4}
    assert completions([("m1", 4), ("m3", 4)], works) == {"m1": 4, "m3": 4}
    assert completions([("m1", 6), ("m3", 2)], works) == {"m1": 4, "m3": 4}
    assert completions([("m1", 6), ("m2", 1), ("m3", 1)], works) == {"m1": 4, "m2": 4, "m3": 0}
    # nobody new
    assert completions([("m1", 8)], works) == {"m1": 4}
    made = bound(("m1", 8), placement={"replicaScheduling": divided()})
    known = {"m1": works[0]}
    left = "4 of 8 completions are left over"
    assert build_works(made, job(parallelism=8, completions=8), CLUSTERS, existing=known).error.startswith(left)
    # an indexed one may grow together with its parallelism
    indexed = bound(("m1", 8), placement={"replicaScheduling": divided()})
    wanted = job(parallelism=8, completions=8, completionMode="Indexed")
    plan = build_works(indexed, wanted, CLUSTERS, existing=known)
    assert (manifest(plan.works[0])["spec"]["completions"], plan.error) == (8, "")
    # an override has the last word: what it asked for is not what was decided
    known["m1"]["metadata"]["annotations"] = {"policy.karmada.io/applied-overrides": '[{"path":"/spec/completions"}]'}
    assert completions([("m1", 8)], [known["m1"]]) == {"m1": 8}


def test_labels_of_a_failed_cluster_move_along() -> None:
    task = {
        "fromCluster": "m2",
        "purgeMode": "Directly",
        "preservedLabelState": {"state": "x"},
        "clustersBeforeFailover": ["m2"],
    }
    made = bound(("m1", 2), gracefulEvictionTasks=[task])
    injected = frozenset({gates.STATEFUL_FAILOVER_INJECTION})
    work = build_works(made, deployment(), CLUSTERS, gates=injected).works[0]
    assert manifest(work)["metadata"]["labels"]["state"] == "x"
    assert "state" not in manifest(build_works(made, deployment(), CLUSTERS).works[0])["metadata"]["labels"]
    task["clustersBeforeFailover"] = ["m1"]
    work = build_works(made, deployment(), CLUSTERS, gates=injected).works[0]
    assert "state" not in manifest(work)["metadata"]["labels"]


def work_in(name: str) -> dict[str, Any]:
    return {"metadata": {"name": "w", "namespace": f"karmada-es-{name}"}}


def test_orphans_and_what_must_go_first() -> None:
    tasks = [{"fromCluster": "m2", "purgeMode": "Directly"}, {"fromCluster": "m3", "purgeMode": "Gracefully"}]
    made = bound(("m1", 2), requiredBy=[{"clusters": [{"name": "m4"}]}], gracefulEvictionTasks=tasks)
    works = [work_in(f"m{index}") for index in range(1, 6)]
    assert orphans(made, works) == [works[1], works[4]]
    assert blocking_works(made, works) == [works[1]]
    assert blocking_works(bound(("m1", 2)), works) == []


def test_namespaces() -> None:
    template = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "foo", "uid": "u", "finalizers": ["x"]},
        "spec": {"finalizers": ["kubernetes"]},
    }
    work, events = namespace_work(template, cluster("m1"))
    assert work["metadata"]["ownerReferences"][0]["kind"] == "Namespace"
    assert work["metadata"]["name"].startswith("foo-")
    assert list(work["metadata"]["labels"]) == ["work.karmada.io/permanent-id"]
    assert "annotations" not in work["metadata"]
    assert list(work["spec"]) == ["workload"]
    assert "finalizers" not in manifest(work)["metadata"]
    assert events == ()
    assert namespace_work(template, cluster("m1"), existing=work)[0] is work
    assert namespace_should_be_synced(template)
    template["metadata"]["labels"] = {"namespace.karmada.io/skip-auto-propagation": "True"}  # type: ignore[index]
    assert not namespace_should_be_synced(template)
    assert not namespace_should_be_synced({"metadata": {"name": "default"}})
    assert not namespace_should_be_synced({"metadata": {"name": "karmada-system"}})


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (
            {"kind": "X", "status": {}, "metadata": {"name": "a", "uid": "u", "finalizers": [], "managedFields": []}},
            {"kind": "X", "metadata": {"name": "a"}},
        ),
        (
            {"kind": "Deployment", "metadata": {"annotations": {"deployment.kubernetes.io/revision": "1", "a": "b"}}},
            {"kind": "Deployment", "metadata": {"annotations": {"a": "b"}}},
        ),
        (
            {"kind": "Service", "spec": {"clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4"], "a": 1}},
            {"kind": "Service", "spec": {"a": 1}},
        ),
        ({"kind": "Service", "spec": {"clusterIP": "None"}}, {"kind": "Service", "spec": {"clusterIP": "None"}}),
        (
            {
                "kind": "Secret",
                "type": "kubernetes.io/service-account-token",
                "data": {"token": "x"},
                "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u"}},
            },
            {
                "kind": "Secret",
                "type": "kubernetes.io/service-account-token",
                "data": None,
                "metadata": {"annotations": {}},
            },
        ),
        (
            {
                "kind": "ServiceAccount",
                "metadata": {"name": "sa"},
                "secrets": [{"name": "sa-token-1"}, {"name": "sa-token-2"}, {"name": "x"}],
            },
            {"kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "x"}]},
        ),
        (  # a deletion that was refused, or approved of, is written to no member, and begins no rollout
            {
                "kind": "Namespace",
                "metadata": {"annotations": {"kafila.io/held-withdrawal": "a", "kafila.io/approved-withdrawal": "b"}},
            },
            {"kind": "Namespace", "metadata": {"annotations": {}}},
        ),
        (
            {"kind": "PersistentVolumeClaim", "metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}}},
            {"kind": "PersistentVolumeClaim", "metadata": {"annotations": {}}},
        ),
        (
            {
                "kind": "Job",
                "spec": {
                    "ttlSecondsAfterFinished": 1,
                    "selector": {"matchLabels": {"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u"}},
                    "template": {"metadata": {"labels": {"job-name": "j", "app": "a"}}},
                },
            },
            {
                "kind": "Job",
                "spec": {"selector": {"matchLabels": {}}, "template": {"metadata": {"labels": {"app": "a"}}}},
            },
        ),
        (
            {"kind": "Job", "spec": {"manualSelector": True, "selector": {"matchLabels": {"controller-uid": "u"}}}},
            {"kind": "Job", "spec": {"manualSelector": True, "selector": {"matchLabels": {"controller-uid": "u"}}}},
        ),
    ],
)
def test_pruning(obj: dict[str, Any], expected: dict[str, Any]) -> None:
    assert prune(obj) == expected


def test_what_stays_in_a_member_loses_our_marks() -> None:
    work = build_works(bound(("m1", 2)), deployment(), CLUSTERS).works[0]
    meta = strip(manifest(work))["metadata"]
    assert meta["labels"] == {"app": "nginx"}
    assert meta["annotations"] == {"work.karmada.io/conflict-resolution": "abort"}


@pytest.mark.parametrize(
    ("namespace", "kept"),
    [("default", {"clusterpropagationpolicy.karmada.io/name": "c"}), ("", {"propagationpolicy.karmada.io/name": "p"})],
)
def test_what_stays_loses_the_claim_of_the_policy_of_its_scope(namespace: str, kept: dict[str, str]) -> None:
    """Karmada takes off one claim only, by whether the object is in a namespace."""
    notes = {"clusterpropagationpolicy.karmada.io/name": "c", "propagationpolicy.karmada.io/name": "p"}
    stripped = strip({"metadata": {"name": "it", "namespace": namespace, "annotations": notes}})
    assert stripped["metadata"]["annotations"] == kept
