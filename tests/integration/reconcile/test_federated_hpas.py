"""FederatedHPA over simulated members: a workload in two clusters follows what the control plane's metrics API says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, final

import pytest

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.api.proxy import MemberProxy
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.karmada.federatedhpa.controller import SOURCE, FederatedHPAs

from .metrics_server import MetricsServer, pod_metrics

ANSWERS = Path(__file__).parents[2] / "differential/karmada/answers"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"


@final
class Scaled:
    """A lab with members m1 and m2, and what their pods use: ``cpu`` each."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.cpu = "100m"
        self.server = lab.api.app = MetricsServer()
        self.server.answers[PODS] = lambda: pod_metrics(self.pods(), self.cpu)

    def pods(self) -> list[Object]:
        members = self.lab.members.values()
        return [pod for member in members for pod in self.lab.list("Pod", member.registry)]

    async def deployed(self, replicas: int = 4, **placement: Any) -> None:
        divided = {
            "replicaSchedulingType": "Divided",
            "replicaDivisionPreference": "Weighted",
            "weightPreference": {
                "staticWeightList": [{"targetCluster": {"clusterNames": [name]}, "weight": 1} for name in ("m1", "m2")]
            },
        }
        await self.lab.create(self.lab.policy("policy", "m1", "m2", scheduling=placement or divided))
        await self.lab.create(self.lab.deployment(replicas=replicas, cpu="200m"))
        copies = replicas if not placement else 2 * replicas
        await self.lab.until(lambda: len(self.pods()) == copies, "the pods run")

    def hpa(self, name: str = "web") -> Object:
        return self.lab.get("FederatedHPA", name)

    def condition(self, kind: str, name: str = "web") -> tuple[str, str, str]:
        found = self.lab.condition(self.hpa(name), kind)
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def replicas(self) -> int:
        return self.lab.get("Deployment", "web")["spec"]["replicas"]


def autoscaler(name: str = "web", **spec: Any) -> Object:
    target = {"type": "Utilization", "averageUtilization": 50}
    return {
        "apiVersion": "autoscaling.karmada.io/v1alpha1",
        "kind": "FederatedHPA",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            **spec,
        },
    }


@pytest.fixture
async def scaled(make_lab: Any) -> AsyncIterator[Scaled]:
    async with make_lab.running("m1", "m2", horizontal_pod_autoscaler_sync_period=0.2) as lab:
        yield Scaled(lab)


async def test_more_load_more_replicas_in_all_clusters(scaled: Scaled) -> None:
    await scaled.deployed(4)
    scaled.cpu = "150m"  # 75 per cent of what is requested
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.replicas() == 6, "six replicas")
    await scaled.lab.until(lambda: scaled.lab.placed("web-deployment") == {"m1": 3, "m2": 3})
    text = "New size: 6; reason: cpu resource utilization (percentage of request) above target"
    events = lambda: [each[:3] for each in scaled.lab.events("FederatedHPA", "web")]  # noqa: E731
    await scaled.lab.until(lambda: ("Normal", "SuccessfulRescale", text) in events())
    (event,) = [e for e in scaled.lab.list("Event") if e["reason"] == "SuccessfulRescale"]
    assert event["source"]["component"] == "federatedHPA-controller"

    scaled.cpu = "100m"
    await scaled.lab.until(lambda: scaled.hpa()["status"].get("currentReplicas") == 6, "it has settled")
    await scaled.lab.until(lambda: scaled.condition("AbleToScale")[1] == "ReadyForNewScale")
    status = scaled.hpa()["status"]
    assert status["desiredReplicas"] == 6
    assert status["lastScaleTime"]
    current = {"averageUtilization": 50, "averageValue": "100m"}
    assert status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    assert [c["type"] for c in status["conditions"]] == ["AbleToScale", "ScalingActive", "ScalingLimited"]
    name = "cpu resource utilization (percentage of request)"
    text = f"the HPA was able to successfully calculate a replica count from {name}"
    assert scaled.condition("ScalingActive") == ("True", "ValidMetricFound", text)
    text = "the desired count is within the acceptable range"
    assert scaled.condition("ScalingLimited") == ("False", "DesiredWithinRange", text)
    path, query = scaled.server.asked[-1]
    assert path == PODS
    assert query == {"labelSelector": ["app=web"]}


async def test_no_metrics_are_told_and_nothing_is_scaled(scaled: Scaled) -> None:
    del scaled.server.answers[PODS]
    await scaled.deployed(2)
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.condition("ScalingActive")[0] == "False")
    why = (
        "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource "
        "metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
    )
    text = f"the HPA was unable to compute the replica count: {why}"
    assert scaled.condition("ScalingActive") == ("False", "FailedGetResourceMetric", text)
    assert scaled.condition("AbleToScale")[:2] == ("True", "SucceededGetScale")
    assert scaled.hpa()["status"]["currentReplicas"] == 2
    assert scaled.replicas() == 2
    whole = f"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}"

    def said() -> set[tuple[str, str]]:
        return {(reason, message) for _, reason, message, _ in scaled.lab.events("FederatedHPA", "web")}

    await scaled.lab.until(
        lambda: {("FailedGetResourceMetric", why), ("FailedComputeMetricsReplicas", whole)} <= said()
    )


async def test_a_target_that_is_none(scaled: Scaled) -> None:
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.condition("AbleToScale")[0] == "False")
    text = 'the HPA controller was unable to get the target reference object: deployments.apps "web" not found'
    assert scaled.condition("AbleToScale") == ("False", "FailedGetScaleTargetRef", text)

    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "cluster-admin"}
    await scaled.lab.create(autoscaler("outside", scaleTargetRef=role))  # it has no namespace: nobody's in this one
    await scaled.lab.until(lambda: scaled.condition("AbleToScale", "outside")[0] == "False")
    text = 'clusterroles.rbac.authorization.k8s.io "cluster-admin" not found'
    assert scaled.condition("AbleToScale", "outside")[1:] == (
        "FailedGetScaleTargetRef",
        f"the HPA controller was unable to get the target reference object: {text}",
    )

    await scaled.lab.create(scaled.lab.deployment(cpu="200m"))
    await scaled.lab.until(lambda: scaled.condition("AbleToScale")[1] == "FailedGetBinding")
    text = "the HPA controller was unable to get the binding by scaleTargetRef: no label of policy permanent-id found"
    assert scaled.condition("AbleToScale")[2] == text
    await scaled.lab.create(scaled.lab.policy("policy", "m1"))
    await scaled.lab.until(lambda: scaled.condition("ScalingActive")[0] == "True", "it is scaled once it is placed")


async def test_its_bounds_hold_whatever_the_metrics_say(scaled: Scaled) -> None:
    await scaled.deployed(4)
    await scaled.lab.create(autoscaler(minReplicas=1, maxReplicas=3))
    await scaled.lab.until(lambda: scaled.replicas() == 3)
    text = "New size: 3; reason: Current number of replicas above Spec.MaxReplicas"
    await scaled.lab.until(lambda: text in [e[2] for e in scaled.lab.events("FederatedHPA", "web")])


async def test_duplicated_replicas_are_counted_once(scaled: Scaled) -> None:
    await scaled.deployed(2, replicaSchedulingType="Duplicated")
    scaled.cpu = "200m"  # twice the target, in both clusters
    await scaled.lab.create(autoscaler(maxReplicas=4))
    await scaled.lab.until(lambda: scaled.replicas() == 4)
    await scaled.lab.until(lambda: len(scaled.pods()) == 8)


async def test_two_autoscalers_of_one_workload(scaled: Scaled) -> None:
    await scaled.deployed(2)
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.condition("ScalingActive")[0] == "True")
    assert scaled.condition("kafila.io/SoleAutoscaler")[0] == ""
    await scaled.lab.create(autoscaler("other"))
    await scaled.lab.until(lambda: scaled.condition("ScalingActive", "other")[1] == "AmbiguousSelector")
    text = "pods by selector app=web are controlled by multiple HPAs: [{other default} {web default}]"
    assert scaled.condition("ScalingActive", "other")[2] == text
    await scaled.lab.until(lambda: scaled.condition("kafila.io/SoleAutoscaler")[1] == "ContradictingAutoscalers")
    assert 'FederatedHPA "other"' in scaled.condition("kafila.io/SoleAutoscaler")[2]

    def elsewhere(obj: Object) -> None:
        obj["spec"]["scaleTargetRef"]["name"] = "not-there"

    await scaled.lab.change("FederatedHPA", "other", elsewhere)
    await scaled.lab.until(lambda: scaled.condition("AbleToScale", "other")[1] == "FailedGetScaleTargetRef")
    await scaled.lab.until(lambda: scaled.condition("ScalingActive")[0] == "True", "one that has no target is no rival")
    await scaled.lab.until(lambda: scaled.condition("kafila.io/SoleAutoscaler")[0] == "")


async def test_an_autoscaler_in_the_members_contradicts(scaled: Scaled) -> None:
    await scaled.deployed(2)
    select = [{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}]
    await scaled.lab.create(scaled.lab.policy("hpas", "m1", select=select))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "members", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3},
    }
    await scaled.lab.create(hpa)
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.condition("kafila.io/SoleAutoscaler")[0] == "False")
    assert 'HorizontalPodAutoscaler "members"' in scaled.condition("kafila.io/SoleAutoscaler")[2]

    def elsewhere(obj: Object) -> None:
        obj["spec"]["scaleTargetRef"]["name"] = "other"

    await scaled.lab.change("HorizontalPodAutoscaler", "members", elsewhere)
    await scaled.lab.until(lambda: scaled.condition("kafila.io/SoleAutoscaler")[0] == "")


async def test_metrics_of_the_members_through_our_own_api(scaled: Scaled) -> None:
    """Nobody stands in for the metrics API: kafila's own sums up what the simulated members tell (25m for each pod)."""
    members = MemberProxy(scaled.lab.registry, scaled.lab._transport, scaled.lab.settings.answers)
    members.here = scaled.lab.api.app = ObjectsApp(scaled.lab.registry, DeferredMetaRoutes({}), members)
    await scaled.deployed(4)
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    await scaled.lab.create(autoscaler(behavior=at_once))
    await scaled.lab.until(lambda: scaled.replicas() == 1, "a quarter of the target")
    (metric,) = scaled.hpa()["status"]["currentMetrics"]
    assert metric["resource"]["current"] == {"averageUtilization": 12, "averageValue": "25m"}


async def test_as_karmada_itself_has_answered(scaled: Scaled) -> None:
    """The status and the event of an autoscaler without a target, as the differential tests have recorded them of Karmada."""
    recorded = json.loads((ANSWERS / "refused-federated-hpas.json").read_text())[-1]["is"]
    (name,) = [name for name in recorded["control plane"] if name.endswith("/good")]
    wanted = recorded["control plane"][name]
    await scaled.lab.create({**autoscaler("good"), "spec": wanted["spec"]})
    await scaled.lab.until(lambda: scaled.condition("AbleToScale", "good")[0] == "False")
    status = scaled.hpa("good")["status"]
    conditions = {each.pop("type"): {**each, "lastTransitionTime": "<time>"} for each in status["conditions"]}
    assert {**status, "conditions": conditions} == wanted["status"]
    await scaled.lab.until(lambda: scaled.lab.events("FederatedHPA", "good"))
    said = {
        f"{name}: {kind} {reason} by {SOURCE}: {text}"
        for kind, reason, text, _ in scaled.lab.events("FederatedHPA", "good")
    }
    assert said == {event for event in recorded["events"] if event.startswith(name)}


async def test_a_cluster_whose_pods_nobody_knows_counts_in_nothing(scaled: Scaled) -> None:
    """Its replicas without its pods would look as if half of the load had gone."""
    await scaled.deployed(4)
    (controller,) = [each for each in scaled.lab.controllers._controllers if isinstance(each, FederatedHPAs)]
    pods = controller._targets._pods
    pods.disconnected("m2", pods._members["m2"])
    scaled.cpu = "200m"  # twice the target
    await scaled.lab.create(autoscaler())
    await scaled.lab.until(lambda: scaled.replicas() == 8)


async def test_looks_are_of_low_priority_only_once_after_a_start(scaled: Scaled) -> None:
    await scaled.lab.create(autoscaler())
    (controller,) = [each for each in scaled.lab.controllers._controllers if isinstance(each, FederatedHPAs)]
    await controller.stop()
    kinds: list[bool] = []
    look_at = controller._look_at

    async def look(key: Key, obj: Object) -> bool:
        kinds.append(controller.queue.is_low_priority(key))
        scaled.lab.look()
        return await look_at(key, obj)

    controller._look_at = look  # type: ignore[method-assign]
    await controller.start()
    await scaled.lab.until(lambda: len(kinds) >= 2)
    assert kinds[:2] == [True, False]
