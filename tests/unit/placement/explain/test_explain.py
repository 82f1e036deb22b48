"""What ``kafila why`` says: the sentence that a reader needs, for every way in which an object is not where it should be."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import bulk_deletion, constants
from kafila.placement.explain import Evidence, Report, Warned, explain
from kafila.placement.scheduler.decision_record import decision_record
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import SchedulingContext, schedule, with_result, with_status
from kafila.placement.withdrawal import HELD, LABELS, mark
from tests.unit.placement.objects import PP_ID, binding, cluster, deployment, policy, selector

READY = [{"type": "Ready", "status": "True"}]


def member(name: str, **spec: Any) -> Object:
    made = cluster(name, **spec)
    made["status"]["conditions"] = READY
    return made


def claimed(**policy_spec: Any) -> tuple[Object, Object]:
    made = policy("pp", resourceSelectors=[selector(name="nginx")], **policy_spec)
    template = deployment()
    template["metadata"]["labels"][PP_ID] = "id-of-pp"
    template["metadata"]["annotations"] = {constants.PP_NAMESPACE: "default", constants.PP_NAME: "pp"}
    return template, made


def work(cluster: str, *conditions: Object, **spec: Any) -> Object:
    metadata = {"name": "nginx-1", "namespace": f"karmada-es-{cluster}"}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)}}


def applied(status: str = "True", message: str = "") -> Object:
    return {"type": "Applied", "status": status, "message": message}


def report_of(
    clusters: list[Object], placement: Object, works: list[Object] = (), health: str = "Healthy", **more: Any
) -> Report:  # type: ignore[assignment]
    only, now = more.pop("cluster", ""), more.pop("now", 0.0)
    template, chosen = claimed(placement=placement)
    made = binding(2, placement, **more)
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    decision = schedule(made, clusters)
    status = with_status(made, decision, 1)
    status["aggregatedStatus"] = [
        {"clusterName": each["metadata"]["name"], "health": health, "status": {"replicas": 2, "readyReplicas": 1}}
        for each in clusters
    ]
    made = {**with_result(made, decision), "status": status}
    evidence = Evidence(
        "Deployment", "default", "nginx", template, [chosen], binding=made, clusters=clusters, works=works, now=now
    )
    return explain(evidence, only)


def test_not_there() -> None:
    assert explain(Evidence("Deployment", "default", "nginx")).summary == "It does not exist in the control plane."


@pytest.mark.parametrize(
    ("kind", "namespace", "api_version", "said"),
    [
        ("ConfigMap", "kube-system", "v1", "namespace kube-system stays in the control plane"),
        ("Work", "default", "work.karmada.io/v1alpha1", "Work is a kind that stays in the control plane"),
    ],
)
def test_never_propagated(kind: str, namespace: str, api_version: str, said: str) -> None:
    template = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": namespace}}
    report = explain(Evidence(kind, namespace, "a", template))
    assert report.summary == "It is never propagated."
    assert said in report.policy_why


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (policy("a", resourceSelectors=[selector(name="ngin")]), "selects the name ngin"),
        (
            policy("a", namespace="prod", resourceSelectors=[selector()]),
            "a PropagationPolicy selects in its own namespace only, which is prod",
        ),
        (
            policy("a", resourceSelectors=[selector(api_version="apps/v1beta1")]),
            "selects apiVersion apps/v1beta1, it has apps/v1",
        ),
        (policy("a", resourceSelectors=[selector("deployment")]), "selects kind 'deployment', it is 'Deployment'"),
        (policy("a", resourceSelectors=[selector(labelSelector={"matchLabels": {"a": "b"}})]), "selects labels a=b"),
    ],
)
def test_a_near_miss_says_what_keeps_it_from_matching(found: Object, said: str) -> None:
    report = explain(Evidence("Deployment", "default", "nginx", deployment(), [found]))
    assert [(str(each.policy), each.reason) for each in report.lost] == [
        (f"PropagationPolicy {found['metadata']['namespace']}/a", said)
    ]
    assert "{apiVersion: apps/v1, kind: Deployment, name: nginx}" in report.advice[0].remedy


def test_the_nearest_policy_comes_first() -> None:
    far = policy("a", namespace="prod", resourceSelectors=[selector(name="other")])
    near = policy("b", resourceSelectors=[selector(name="other")])
    report = explain(Evidence("Deployment", "default", "nginx", deployment(), [far, near]))
    assert [str(each.policy) for each in report.lost] == ["PropagationPolicy default/b", "PropagationPolicy prod/a"]


def test_waiting_for_overrides() -> None:
    template, chosen = claimed(dependentOverrides=["images"])
    report = explain(Evidence("Deployment", "default", "nginx", template, [chosen]))
    assert report.advice[0].problem == "The policy waits for OverridePolicy images (spec.dependentOverrides)."


def test_all_is_well() -> None:
    report = report_of([member("m1"), member("m2")], {}, [work("m1", applied()), work("m2", applied())])
    assert report.summary == "Placed in 2 of 2 clusters, 4 replicas; all as wanted."
    assert report.policy_why == "selects it by name, priority 0, has claimed it"
    assert [(row.name, row.state, row.replicas, row.status) for row in report.clusters] == [
        ("m1", "Healthy", 2, "1/2 ready"),
        ("m2", "Healthy", 2, "1/2 ready"),
    ]
    assert report.advice == []


def test_no_cluster_fits() -> None:
    clusters = [
        member("m1", taints=[{"key": "a", "effect": "NoSchedule"}]),
        member("m2", region="east"),
        member("m3", taints=[{"key": constants.TAINT_UNSCHEDULABLE, "effect": "NoSchedule"}], region="north"),
    ]
    field = {"matchExpressions": [{"key": "region", "operator": "NotIn", "values": ["east"]}]}
    report = report_of(clusters, {"clusterAffinity": {"fieldSelector": field}})
    assert report.summary.startswith("Not scheduled, NoClusterFit: 0/3 clusters are available: ")
    assert [advice.problem for advice in report.advice] == [
        "m1: TaintToleration: had untolerated taint {a:NoSchedule}.",
        "m2: ClusterAffinity: region NotIn [east] wanted, it has east.",
        "m3: TaintToleration: had untolerated taint {cluster.karmada.io/unschedulable:NoSchedule}.",
    ]
    assert "karmadactl taint clusters m1 a:NoSchedule-" in report.advice[0].remedy
    assert report.advice[2].remedy == "m3 is cordoned: karmadactl uncordon m3."


def test_too_little_room() -> None:
    dynamic = {
        "replicaSchedulingType": "Divided",
        "replicaDivisionPreference": "Weighted",
        "weightPreference": {"dynamicWeight": "AvailableReplicas"},
    }
    report = report_of([member("m1", pods="1")], {"replicaScheduling": dynamic})
    assert report.summary.startswith("Not scheduled, Unschedulable: ")
    assert "2 replicas are wanted; free room:" in report.advice[0].problem


@pytest.mark.parametrize(
    ("made", "state", "said"),
    [
        ([], "Waiting", "there is no Work yet"),
        ([work("m1", suspendDispatching=True)], "Suspended", "dispatching is suspended"),
        ([work("m1", applied("False", "exceeded quota: small"))], "Failed", "refused it: exceeded quota: small"),
        ([work("m1", applied())], "Unhealthy", "applied, but not healthy"),
    ],
)
def test_what_a_member_makes_of_it(made: list[Object], state: str, said: str) -> None:
    report = report_of([member("m1")], {}, made, health="Unhealthy")
    assert report.clusters[0].state == state
    assert said in report.advice[0].problem
    assert report.summary == "Placed in 1 of 1 clusters, 2 replicas; 0 of 1 as wanted."


def test_one_cluster_with_its_checks() -> None:
    clusters = [member("m1"), member("m2")]
    report = report_of(clusters, {"clusterAffinity": {"exclude": ["m2"]}}, [work("m1", applied())], cluster="m2")
    assert [row.name for row in report.clusters] == ["m2"]
    assert report.clusters[0].checks[0] == (
        "ClusterAffinity",
        "cluster(s) did not match the placement cluster affinity constraint",
    )
    assert [reason for _, reason in report.clusters[0].checks[1:]] == ["", ""]
    assert report.advice[0].problem == "m2: ClusterAffinity: named in exclude."


def test_leaving() -> None:
    task = {"fromCluster": "m2", "producer": "TaintManager", "reason": "TaintUntolerated"}
    works = [work("m1", applied()), work("m2", applied())]
    report = report_of([member("m1"), member("m2")], {}, works, gracefulEvictionTasks=[task])
    row = next(row for row in report.clusters if row.name == "m2")
    assert (row.state, row.why) == (
        "Leaving",
        "evicted by TaintManager (TaintUntolerated); stays until the others are healthy",
    )


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"purgeMode": "Directly"}, "is removed there before the next cluster gets it"),
        ({"purgeMode": "Gracefully", "gracePeriodSeconds": 9}, "stays until the others are healthy, 9 s at most"),
        ({"purgeMode": "Never", "suppressDeletion": True}, "stays until its task says suppressDeletion: false"),
    ],
)
def test_when_an_evicted_copy_goes(task: Object, why: str) -> None:
    task = {"fromCluster": "m2", "producer": "p", "reason": "ApplicationFailure", **task}
    works = [work("m1", applied()), work("m2", applied())]
    report = report_of([member("m1"), member("m2")], {}, works, gracefulEvictionTasks=[task])
    row = next(row for row in report.clusters if row.name == "m2")
    assert row.why == f"evicted by p (ApplicationFailure); {why}"
    waits = [each for each in report.advice if each.problem.startswith("m2: the copy stays there until somebody")]
    assert bool(waits) == (task["purgeMode"] == "Never")


def test_an_unhealthy_copy_will_leave() -> None:
    failover = {"application": {"decisionConditions": {"tolerationSeconds": 60}}}
    report = report_of(
        [member("m1")], {}, [work("m1", applied())], health="Unhealthy", failover=failover, propagateDeps=True
    )
    (row,) = report.clusters
    assert (row.state, row.why) == (
        "Unhealthy",
        "leaves this cluster when it has been unhealthy for 60 s (spec.failover.application)",
    )


def test_evictions_that_wait_for_an_approval() -> None:
    held = member("m1")
    held["metadata"] |= {"generation": 4, "annotations": {"kafila.io/held-withdrawal": "4: 20000 objects leave m1"}}
    advice = report_of([held], {}, [work("m1", applied())]).advice[0]
    assert advice.problem == "m1: evictions wait for an approval: 20000 objects leave m1."
    assert advice.remedy == "kafila approve cluster m1, or take the taint away."


def test_a_cluster_whose_labels_wait_for_an_approval() -> None:
    held = member("m1")
    held["metadata"] |= {"generation": 4, "labels": {"env": "test"}}
    held["metadata"]["annotations"] = {LABELS.annotation: mark(held, "2000 objects leave m1", LABELS)}
    advice = report_of([held], {}, [work("m1", applied())]).advice[0]
    stays = "m1 is not what policies mean any more, and what is there stays until that is approved"
    assert advice.problem == f"{stays}: 2000 objects leave m1."
    assert advice.remedy == "kafila approve cluster m1, or make its labels and spec what they were."


def test_deletions_that_wait_for_an_approval() -> None:
    template, chosen = claimed(placement={})
    home = {"metadata": {"name": "default", "annotations": {HELD: bulk_deletion.mark("much goes", 1_000)}}}
    advice = explained(template, chosen, home=home, now=1_001).advice[0]
    assert advice.problem == "Deletions in namespace default wait for an approval: much goes."
    assert advice.remedy == "kafila approve namespace default, and delete again."
    assert not any("Deletions" in each.problem for each in explained(template, chosen, home=home, now=9_001).advice)


def test_evictions_that_may_halt_because_many_clusters_fail() -> None:
    clusters = [member(name) for name in ("m1", "m2", "m3", "m4")]
    for failing in clusters[1:]:
        failing["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    works = [work(f"m{number}", applied()) for number in range(1, 5)]
    stays = {"clusterTolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 60}]}
    assert not any("not Ready:" in advice.problem for advice in report_of(clusters, stays, works).advice)
    clusters[0]["spec"] = {"taints": [{"key": "a", "effect": "NoExecute"}]}
    told = [advice.problem for advice in report_of(clusters, stays, works).advice]
    assert (
        told[0] == "m1: 3 of 4 clusters are not Ready: above --unhealthy-cluster-threshold evictions slow down or halt."
    )


def test_an_edit_that_waits_for_an_approval() -> None:
    template, chosen = claimed(placement={})
    chosen["metadata"] |= {"generation": 2, "annotations": {"kafila.io/held-withdrawal": "2: much leaves"}}
    report = explained(template, chosen)
    assert report.advice[0].problem == (
        "The policy's last edit waits for an approval: much leaves. Objects keep the placement that they had."
    )
    assert report.advice[0].remedy.startswith("kafila approve propagationpolicy ")


def test_in_no_cluster_but_those_that_it_leaves() -> None:
    """What is chosen is empty, and the copy waits in eviction."""
    task = {"fromCluster": "m2", "producer": "TaintManager", "reason": "TaintUntolerated"}
    clusters = [member("m2", taints=[{"key": "a", "effect": "NoExecute"}])]
    report = report_of(clusters, {}, [work("m2", applied())], gracefulEvictionTasks=[task])
    assert report.summary.startswith("Not scheduled, NoClusterFit: ")
    assert report.summary.endswith(" It is still in m2, which it leaves.")
    assert "in no cluster" not in report.summary


def explained(template: Object, chosen: Object, **evidence: Any) -> Report:
    made = binding(2, {}, clusters=[{"name": "m1", "replicas": 2}])
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    found = Evidence("Deployment", "default", "nginx", template, [chosen], binding=made, clusters=[member("m1")])
    return explain(replace(found, works=[work("m1", applied())], **evidence))


def test_its_policy_does_not_select_it_any_more() -> None:
    template, _ = claimed()
    former = policy("pp", resourceSelectors=[selector(labelSelector={"matchLabels": {"team": "blue"}})])
    report = explained(template, former)
    assert (str(report.policy), report.policy_why) == (
        "PropagationPolicy default/pp",
        "has placed it and does not select it any more (selects labels team=blue); what it placed stays",
    )
    assert report.summary == "Placed in 1 of 1 clusters, 2 replicas; all as wanted."
    assert "kubectl delete resourcebinding -n default nginx-deployment" in report.advice[0].remedy
    unclaimed = explained(deployment(), former)
    assert unclaimed.policy is None
    assert unclaimed.advice[0].problem == "No policy selects it any more; its copies stay where they are."


def override(name: str, version: str, namespace: str = "default", called: str = "nginx") -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "spec": {"resourceSelectors": [selector(api_version=version, name=called)]}}


def test_overrides_that_apply_and_that_miss_it_by_a_version() -> None:
    found = [
        override("right", "apps/v1"),
        override("old", "apps/v1beta1", ""),
        override("other", "apps/v1", called="else"),
    ]
    report = explained(*claimed(), overrides=found)
    assert [(str(each.policy), each.applies, each.reason) for each in report.overrides] == [
        ("OverridePolicy default/right", True, "applies to it"),
        (
            "ClusterOverridePolicy old",
            False,
            "does not apply: selects apiVersion apps/v1beta1, it has apps/v1",
        ),
    ]
    assert "write apiVersion: apps/v1" in report.advice[0].remedy


def test_a_quota_is_no_webhook() -> None:
    template, chosen = claimed()
    denied = 'admission webhook "resourcebinding.karmada.io" denied the request: FederatedResourceQuota(default/q) is exceeded'
    made = binding(2, {})
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    condition = {"type": "Scheduled", "status": "False", "reason": "QuotaExceeded", "message": denied}
    made["status"] = {"conditions": [condition]}
    report = explain(Evidence("Deployment", "default", "nginx", template, [chosen], binding=made))
    assert (
        report.summary
        == "Not scheduled, QuotaExceeded: FederatedResourceQuota(default/q) is exceeded. It is in no cluster."
    )
    assert "webhook" not in report.advice[0].problem


def test_a_policy_that_could_not_be_applied_says_why() -> None:
    warned = Warned("2026-01-01T12:00:00Z", "ApplyPolicyFailed", "Apply policy(default/pp) failed: too large")
    template, chosen = claimed()
    report = explain(Evidence("Deployment", "default", "nginx", template, [chosen], warnings=[warned]))
    assert report.summary == "It is in no cluster: the policy could not be applied."
    assert report.advice[0].problem == warned.message


def test_a_work_that_cannot_be_written_says_why() -> None:
    template, chosen = claimed()
    made = binding(2, {}, clusters=[{"name": "m1", "replicas": 2}])
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    item = {"clusterName": "m1", "appliedMessage": f"{constants.MESSAGE_NO_WORK}it is too large"}
    made["status"] = {"aggregatedStatus": [item]}
    evidence = Evidence("Deployment", "default", "nginx", template, [chosen], binding=made, clusters=[member("m1")])
    (row,) = explain(evidence).clusters
    assert (row.state, row.why) == ("Failed", "the Work cannot be written: it is too large")


def test_completions_that_no_cluster_can_be_asked_for_are_explained() -> None:
    """A Job that lost a cluster; what it asks of the other one cannot be changed there."""
    template, chosen = claimed()
    template |= {"apiVersion": "batch/v1", "kind": "Job"}
    chosen["spec"]["resourceSelectors"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": "nginx"}]
    template["spec"] = {"parallelism": 8, "completions": 8}
    placement = {"replicaScheduling": {"replicaSchedulingType": "Divided"}}
    made = binding(8, placement, clusters=[{"name": "m1", "replicas": 8}])
    made["metadata"] = {"name": "nginx-job", "namespace": "default", "labels": {PP_ID: "x"}}
    made["status"] = {"aggregatedStatus": [{"clusterName": "m1", "health": "Healthy"}]}

    def explained_with(completions: int) -> Report:
        manifest = {"kind": "Job", "spec": {"completions": completions}}
        there = work("m1", applied(), workload={"manifests": [manifest]})
        clusters = [member("m1"), member("m2")]
        return explain(
            Evidence("Job", "default", "nginx", template, [chosen], binding=made, clusters=clusters, works=[there])
        )

    left_over = (
        "4 of 8 completions are left over: every cluster chosen has a Job already, whose completions cannot be changed."
    )
    report = explained_with(4)
    assert report.summary == f"Placed in 1 of 2 clusters, 8 replicas; 1 of 1 as wanted. {left_over}"
    assert [each.problem for each in report.advice] == [left_over]
    assert "WorkloadRebalancer" in report.advice[0].remedy
    report = explained_with(8)
    assert (report.summary, report.advice) == ("Placed in 1 of 2 clusters, 8 replicas; all as wanted.", [])


def test_available_replicas_that_are_known_or_not() -> None:
    attempt = {"clusters": [{"name": "m1", "score": 0, "available": 7, "chosen": True}, {"name": "m2", "score": 0}]}
    decision = {"scheduling": {"result": "Success", "time": "t", "trigger": "Always", "attempts": [attempt]}}
    report = explained(*claimed(), decision=decision)
    assert [(row.name, row.available) for row in report.clusters] == [("m1", 7), ("m2", None)]


def test_programs_get_fields() -> None:
    decision = {
        "scheduling": {"result": "Success", "time": "t", "trigger": "Always", "message": "m", "placed": "m1:2"},
        "history": [{"time": "s", "result": "NoClusterFit", "trigger": "PlacementChanged"}],
    }
    document = asdict(explained(*claimed(), decision=decision, warnings=[Warned("t", "SyncFailed", "no")]))
    assert document["subject"] == {"kind": "Deployment", "namespace": "default", "name": "nginx"}
    assert document["policy"] == {"kind": "PropagationPolicy", "namespace": "default", "name": "pp"}
    assert document["decision"] == decision["scheduling"]
    assert document["history"] == decision["history"]
    assert document["warnings"] == [{"time": "t", "reason": "SyncFailed", "message": "no"}]


def test_how_urgent_it_is() -> None:
    assert report_of([member("m1")], {}, schedulePriority={"priority": 7}).division == (
        "Duplicated: each chosen cluster gets all 2 replicas; schedule priority 7"
    )
    assert "priority" not in report_of([member("m1")], {}, schedulePriority={}).division


def test_what_follows_workloads_of_several_namespaces() -> None:
    """A cluster-scoped object without a policy of its own, and with one."""

    def follower(where: str, *clusters: str) -> Object:
        parent = {"namespace": where, "name": "web", "clusters": [{"name": each, "replicas": 2} for each in clusters]}
        items = [{"clusterName": each, "health": "Healthy", "applied": True} for each in clusters]
        return {
            "metadata": {"namespace": where, "name": "reader-clusterrole"},
            "spec": {"requiredBy": [parent]},
            "status": {"aggregatedStatus": items},
        }

    template = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}}
    clusters = [member(each) for each in ("m1", "m2", "m3")]
    works = [work(each, applied()) for each in ("m1", "m2")]
    evidence = Evidence(
        "ClusterRole",
        "",
        "reader",
        template,
        clusters=clusters,
        works=works,
        attached=[follower("a", "m1"), follower("b", "m1", "m2")],
    )
    report = explain(evidence)
    assert report.decided == "follows the bindings that need it: a/web, b/web"
    assert report.summary == "Placed in 2 of 3 clusters; all as wanted."
    own = {"metadata": {"name": "reader-clusterrole"}, "spec": {"placement": {}, "clusters": [{"name": "m3"}]}}
    report = explain(replace(evidence, binding=own, works=[*works, work("m3", applied())]))
    assert report.summary == "Placed in 3 of 3 clusters; all as wanted."


@pytest.mark.parametrize(("applied_there", "state"), [([applied()], "Unknown"), ([], "Waiting")])
def test_a_member_that_is_not_seen_is_explained_before_it_counts_as_not_ready(
    applied_there: list[Object], state: str
) -> None:
    lost = member("a")
    heartbeat = {
        "type": "kafila.io/Heartbeat",
        "status": "False",
        "message": "not seen since 2026-01-01T00:00:00Z: no route to host",
        "lastTransitionTime": "2026-01-01T00:00:05Z",
    }
    lost["status"]["conditions"] = [*READY, heartbeat]
    report = report_of(
        [lost, member("b")], {}, [work("a", *applied_there), work("b", applied())], now=1767225605.0 + 12
    )
    row = next(row for row in report.clusters if row.name == "a")
    assert (row.state, row.why) == (state, "the cluster is not seen for 12 s: no route to host")
    assert report.summary.endswith("1 of 2 as wanted.")
    assert report.advice[0].problem == "a is not seen for 12 s: no route to host"


# -- for somebody who may not read everything ----------------------------------------------------------------------------

WITHHELD = ("clusteroverridepolicies", "clusterpropagationpolicies", "clusters", "decisions", "works")


@pytest.mark.parametrize(
    ("item", "state", "why"),
    [
        ({}, "Waiting", "nothing is reported yet"),
        ({"applied": True, "health": "Healthy"}, "Healthy", ""),
        ({"applied": True}, "Applied", ""),
        ({"applied": False, "appliedMessage": "exceeded quota: team"}, "Failed", "exceeded quota: team"),
    ],
)
def test_without_works_the_binding_tells(item: Object, state: str, why: str) -> None:
    template, chosen = claimed(placement={})
    made = binding(2, {}, clusters=[{"name": "m1", "replicas": 2}])
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    scheduled = {"type": "Scheduled", "status": "True"}
    items = [{"clusterName": "m1", **item}] if item else []
    made["status"] = {"conditions": [scheduled], "aggregatedStatus": items}
    report = explain(Evidence("Deployment", "default", "nginx", template, [chosen], binding=made, withheld=WITHHELD))
    assert [(row.name, row.state, row.why) for row in report.clusters] == [("m1", state, why)]
    assert report.summary.startswith("Placed in 1 clusters, 2 replicas;")
    assert report.withheld == list(WITHHELD)
    assert not any("kafila serve" in each.remedy or "kafila join" in each.remedy for each in report.advice)


def test_a_policy_that_one_may_not_read_is_not_said_to_be_none() -> None:
    template = deployment()
    evidence = Evidence("Deployment", "default", "nginx", template, withheld=WITHHELD)
    report = explain(evidence)
    assert report.summary == "It is in no cluster: no policy that you may read selects it."
    template["metadata"]["labels"][constants.CPP_PERMANENT_ID] = "x"
    template["metadata"]["annotations"] = {constants.CPP_NAME: "everywhere"}
    report = explain(evidence)
    assert (str(report.policy), report.policy_why) == (
        "ClusterPropagationPolicy everywhere",
        "has claimed it; you may not read it",
    )


def test_where_the_namespace_may_use_no_cluster_that_fits() -> None:
    clusters, placement = [member("m1"), member("m2")], {"clusterAffinity": {"clusterNames": ["m1"]}}
    template, chosen = claimed(placement=placement)
    made = binding(2, placement)
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    decision = schedule(made, clusters, SchedulingContext(allowed=frozenset({"m2"})))
    made = {**made, "status": with_status(made, decision, 1)}
    record = decision_record(made, template, decision, RescheduleReason.PLACEMENT_CHANGED, 1, None)
    report = explain(
        Evidence(
            "Deployment",
            "default",
            "nginx",
            template,
            [chosen],
            binding=made,
            decision=record,
            clusters=clusters,
        )
    )
    assert "m1: AllowedClusters: are not allowed for the namespace." in [each.problem for each in report.advice]
    assert any("placement.kafila.io/allowed-clusters" in each.remedy for each in report.advice)
    assert {row.name: row.state for row in report.clusters} == {"m1": "Rejected", "m2": "Rejected"}


def test_what_a_multi_cluster_service_has_claimed_is_no_policys() -> None:
    template, chosen = claimed()
    template["metadata"]["labels"] = {**template["metadata"]["labels"], constants.CLAIMED_BY: constants.MCS_KIND}
    template["metadata"]["annotations"] = {constants.MCS_NAMESPACE: "default", constants.MCS_NAME: "nginx"}
    evidence = Evidence("Deployment", "default", "nginx", template, [chosen])
    report = explain(evidence)
    assert report.summary == "It is never propagated."
    assert "another controller has claimed it" in report.policy_why
    made = binding(2, {"clusterAffinity": {"clusterNames": ["m1"]}})
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default"}
    report = explain(replace(evidence, binding=made, clusters=[member("m1")]))
    assert str(report.policy) == "MultiClusterService default/nginx"
    assert report.policy_why == "has claimed it: it says where it goes, and no policy does"
    assert [str(each.policy) for each in report.lost] == ["PropagationPolicy default/pp"]
