"""Optional parts in company: what each does alone it does beside every other, over a handful of workloads.

Each part that is on must have its say, nothing may fail
unforeseen, and a second look at everything must write nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final, final

import pytest
from structlog.testing import capture_logs

from kafila.core.values import Object

from .test_customizations import customization
from .test_interpreter_webhooks import Webhook, configuration, hook, patch
from .test_scheduling_facts import DYNAMIC, Estimator, estimator

__all__ = ["estimator", "hook"]
PARTS: Final = {  # and the gate that each needs
    "estimator": "",
    "scripts": "",
    "webhooks": "",
    "quota": "FederatedQuotaEnforcement",
    "overcommit": "SchedulingOvercommitProtection",
    "priority": "PriorityBasedScheduling",
    "components": "MultiplePodTemplatesScheduling",
    "affinity": "WorkloadAffinity",
    "failover": "Failover",
    "dependencies": "PropagateDeps",
    "every other gate": "",
}
OTHER_GATES: Final = [
    "ResourceQuotaEstimate",
    "StatefulFailoverInjection",
    "PropagationPolicyPreemption",
    "MultiClusterService",
    "CustomizedClusterResourceModeling",
]
Company = frozenset[str]  # the parts that are on


def few_with_every_pair(parts: list[str]) -> list[Company]:
    """Rows in which every pair of parts is both on, both off, and each without the other: chosen greedily, always the same."""
    missing = {(a, on_a, b, on_b) for a, b in itertools.combinations(parts, 2) for on_a in (0, 1) for on_b in (0, 1)}
    rows = []
    while missing:
        row: dict[str, int] = {}
        for part in parts:
            gains = [
                sum((a, row[a], part, on) in missing for a in row)
                + sum(m[2:] == (part, on) or m[:2] == (part, on) for m in missing) / 1e6
                for on in (0, 1)
            ]
            row[part] = int(gains[1] >= gains[0])
        missing -= {(a, row[a], b, row[b]) for a, b in itertools.combinations(parts, 2)}
        rows.append(frozenset(part for part, on in row.items() if on))
    return rows


ALL: Final[Company] = frozenset(PARTS)
OFTEN: Final = ["estimator", "scripts", "webhooks", "quota", "overcommit", "priority"]  # each with each other one alone
COMPANIES: Final = [frozenset(pair) for pair in itertools.combinations(OFTEN, 2)]
COMPANIES.extend(row for row in [ALL, Company(), *few_with_every_pair(list(PARTS))] if row not in COMPANIES)
PAIRS: Final = [frozenset(pair) for pair in itertools.combinations(PARTS, 2)]
MORE: Final = [company for company in (*PAIRS, *(ALL - pair for pair in PAIRS)) if company not in COMPANIES]
REPLICAS: Final = 6
SHARES: Final = {"m1": 2, "m2": 4}  # as the estimators say
NEEDS: Final = "return obj.spec.replicas, {resourceRequest = {cpu = '110m'}}"
SCRIPTS: Final = {
    "InterpretReplica": f"function GetReplicas(obj) {NEEDS} end",
    "ReviseReplica": "function ReviseReplica(obj, desired) obj.spec.replicas = desired return obj end",
}


def gates(parts: Company) -> str:
    on = {gate: part in parts for part, gate in PARTS.items() if gate}
    on |= dict.fromkeys(OTHER_GATES, "every other gate" in parts)
    return ",".join(f"{gate}={str(value).lower()}" for gate, value in on.items())


def workloads(lab: Any) -> list[Object]:
    """A Deployment, a StatefulSet and a Job, divided by room; a ConfigMap everywhere; and what the Deployment needs."""
    web = lab.deployment("web", REPLICAS, "100m")
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "needed"}}]
    db = lab.deployment("db", REPLICAS, "100m")
    db = {**db, "kind": "StatefulSet", "spec": {**db["spec"], "serviceName": "db"}}
    return [web, db, lab.config("settings", all="yes"), lab.config("needed")]


def wanted(lab: Any, parts: Company) -> list[Object]:
    """Policies for them, and whatever the parts are told by."""
    more: Object = {}
    if "dependencies" in parts:
        more["propagateDeps"] = True
    if "priority" in parts:
        more["schedulePriority"] = {"priorityClassSource": "KubePriorityClass", "priorityClassName": "urgent"}
    if "failover" in parts:
        more["propagateDeps"] = True
        more["failover"] = {
            "application": {"decisionConditions": {"tolerationSeconds": 300}, "purgeMode": "Graciously"}
        }
    placement: Object = {}
    if "affinity" in parts:
        placement["workloadAffinity"] = {"affinity": {"groupByLabelKey": "team"}}
    apps = [
        {"apiVersion": "apps/v1", "kind": kind, "name": name}
        for kind, name in (("Deployment", "web"), ("StatefulSet", "db"))
    ]
    everywhere = [{"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"all": "yes"}}}]
    found = [
        lab.policy("divided", select=apps, scheduling=DYNAMIC, placement=placement, **more),
        lab.policy("everywhere", select=everywhere),
    ]
    if "priority" in parts:
        urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}}
        found.append({**urgent, "value": 1000})
    if "quota" in parts:
        spec = {"overall": {"cpu": "100"}}
        quota = {"apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota"}
        found.append({**quota, "metadata": {"name": "team", "namespace": "default"}, "spec": spec})
    if "scripts" in parts:
        found.append(customization("scripts", "Deployment", **SCRIPTS))
    return found


def used(parts: Company) -> str:
    by_hooks = 120 if "webhooks" in parts else 100
    by_scripts = 110 if "scripts" in parts else by_hooks
    return f"{REPLICAS * (by_scripts + by_hooks)}m"


@final
class Federation:
    def __init__(self, lab: Any, estimator: Estimator, hook: Webhook, parts: Company) -> None:
        self.lab, self.estimator, self.hook, self.parts = lab, estimator, hook, parts

    async def prepare(self) -> None:
        lab = self.lab
        if "estimator" in self.parts:
            for cluster in SHARES:
                await lab.create(address(cluster, self.estimator.port))
        if "webhooks" in self.parts:
            self.hook.answers = {
                "InterpretReplica": lambda q: {
                    "replicas": q["object"]["spec"]["replicas"],
                    "replicaRequirements": {"resourceRequest": {"cpu": "120m"}},
                },
                "ReviseReplica": lambda q: patch({"op": "replace", "path": "/spec/replicas", "value": q["replicas"]}),
            }
            rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "kinds": ["Deployment", "StatefulSet"]}
            rules = [{**rule, "operations": ["InterpretReplica", "ReviseReplica"]}]
            await lab.create(configuration(self.hook, rules=rules))
        await lab.join(*SHARES)
        for obj in wanted(lab, self.parts):
            await lab.create(obj)

    def check(self) -> None:
        """Each workload is where it belongs, whole, and as whoever is on says."""
        lab, parts = self.lab, self.parts
        for name, kind, script in (("web", "Deployment", True), ("db", "StatefulSet", False)):
            placed = lab.placed(f"{name}-{kind.lower()}")
            assert sum(placed.values()) == REPLICAS, lab.describe()
            if "estimator" in parts and "affinity" not in parts:
                assert placed == SHARES
            for cluster, replicas in placed.items():
                assert lab.in_member(cluster, kind, name)["spec"]["replicas"] == replicas
            spec = lab.get("ResourceBinding", f"{name}-{kind.lower()}")["spec"]
            needs = spec["replicaRequirements"]["resourceRequest"]["cpu"]
            assert needs == ("110m" if script and "scripts" in parts else "120m" if "webhooks" in parts else "100m")
            assert spec.get("schedulePriority") == ({"priority": 1000} if "priority" in parts else None)
            assert lab.get(kind, name)["status"]["readyReplicas"] == REPLICAS
        assert lab.in_clusters("ConfigMap", "settings") == list(SHARES)
        deps = sorted(lab.placed("web-deployment")) if "dependencies" in parts else []
        assert lab.in_clusters("ConfigMap", "needed") == deps
        if "quota" in parts:
            assert lab.get("FederatedResourceQuota", "team")["status"]["overallUsed"] == {"cpu": used(parts)}
        told = [
            event for kind, name in (("Deployment", "web"), ("StatefulSet", "db")) for event in lab.events(kind, name)
        ]
        assert not [event for event in told if event[0] == "Warning"]
        assert bool(self.estimator.asked) == ("estimator" in parts)


def address(cluster: str, port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"karmada-scheduler-estimator-{cluster}", "namespace": "karmada-system"},
        "spec": {"type": "ExternalName", "externalName": "127.0.0.1", "ports": [{"port": 10352, "targetPort": port}]},
    }


@pytest.fixture
async def federation(
    make_lab: Any, estimator: Any, hook: Webhook, request: pytest.FixtureRequest
) -> AsyncIterator[Federation]:
    parts: Company = request.param
    estimator.answers = {cluster.encode(): replicas for cluster, replicas in SHARES.items()}
    options: Object = {}
    if "estimator" in parts:
        options = {"enable_scheduler_estimator": True, "scheduler_estimator_timeout": 60.0}
    lab = await make_lab(feature_gates=gates(parts), **options).start()
    try:
        yield Federation(lab, estimator, hook, parts)
    finally:
        await lab.close()


LONG: Final = [pytest.param(company, marks=pytest.mark.long) for company in MORE]


@pytest.mark.parametrize(
    "federation", [*COMPANIES, *LONG], indirect=True, ids=lambda parts: "+".join(sorted(parts)) or "none"
)
async def test_they_do_together_what_they_do_alone(federation: Federation) -> None:
    lab = federation.lab
    with capture_logs() as lines:
        await federation.prepare()
        for obj in workloads(lab):
            await lab.create(obj)
        await lab.rest()
        federation.check()
        await lab.counted()
        revision = await lab.rest()
        lab.resync_controllers()
        assert await lab.rest() == revision, lab.log_after(revision)
    assert not [line for line in lines if line["event"] == "reconcile failed unexpectedly"]
