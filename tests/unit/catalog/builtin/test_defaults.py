"""What the server fills in and keeps, checked against answers of kube-apiserver 1.36."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kafila.catalog.builtin import strategy_for
from kafila.catalog.builtin.defaults.pods import pull_policy
from kafila.catalog.catalog import load_catalog
from kafila.core.resources import GroupVersionKind


def strategy(gvk: str):
    group, version, kind = gvk.split("/")
    return strategy_for(GroupVersionKind(group, version, kind))


def defaulted(gvk: str, **fields: Any) -> dict[str, Any]:
    obj = {"metadata": {"name": "x", "namespace": "default", "uid": "U"}, **fields}
    strategy(gvk).default(obj)
    return obj


def test_a_deployment():
    template = {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    assert defaulted("apps/v1/Deployment", spec={"template": template})["spec"] == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "nginx",
                        "imagePullPolicy": "Always",
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }
                ],
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            }
        },
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/a/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
        ("Not A Name", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policy(image, policy):
    assert pull_policy(image) == policy


def test_a_pod_asks_for_its_limits_and_its_ports_on_the_host():
    spec = {
        "hostNetwork": True,
        "serviceAccount": "robot",
        "containers": [
            {"image": "a:1", "resources": {"limits": {"cpu": "1.0001"}}, "ports": [{"containerPort": 80}]},
        ],
        "volumes": [{"name": "e"}, {"name": "c", "configMap": {"name": "c"}}],
    }
    pod = defaulted("/v1/Pod", spec=spec)["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == {"limits": {"cpu": "1001m"}, "requests": {"cpu": "1001m"}}
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]
    assert pod["serviceAccountName"] == "robot"
    assert pod["enableServiceLinks"] is True
    assert pod["volumes"] == [
        {"name": "e", "emptyDir": {}},
        {"name": "c", "configMap": {"name": "c", "defaultMode": 420}},
    ]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({"podIP": "1.1.1.1"}, {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]}),
        ({"podIPs": [{"ip": "1.1.1.1"}]}, {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]}),
        ({"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.2"}]}, {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]}),
        ({"podIPs": [{}]}, {"podIPs": [{}]}),  # Go leaves out what is empty
    ],
)
def test_addresses_of_a_pod(status: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert defaulted("/v1/Pod", spec={"containers": []}, status=status)["status"] == wanted


def test_services():
    service = defaulted("/v1/Service", spec={"ports": [{"port": 80}]})["spec"]
    assert service == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
    }
    balanced = defaulted("/v1/Service", spec={"type": "LoadBalancer", "sessionAffinity": "ClientIP"})["spec"]
    assert balanced["externalTrafficPolicy"] == "Cluster"
    assert balanced["allocateLoadBalancerNodePorts"] is True
    assert balanced["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_what_is_written_as_text_ends_up_in_a_secrets_data():
    secret = defaulted("/v1/Secret", data={"a": "eA=="}, stringData={"a": "b", "c": "ü"})
    assert secret["data"] == {"a": "Yg==", "c": "w7w="}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


def test_jobs_select_their_own_pods():
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}
    job = defaulted("batch/v1/Job", spec={"template": template})
    strategy("batch/v1/Job").prepare_for_create(job)
    labels = {
        "app": "a",
        "job-name": "x",
        "batch.kubernetes.io/job-name": "x",
        "controller-uid": "U",
        "batch.kubernetes.io/controller-uid": "U",
    }
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert job["metadata"]["labels"] == labels
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "U"}}
    assert (job["spec"]["completions"], job["spec"]["parallelism"], job["spec"]["backoffLimit"]) == (1, 1, 6)
    assert defaulted("batch/v1/Job", spec={"parallelism": 3})["spec"].get("completions") is None


def test_namespaces():
    namespace = defaulted("/v1/Namespace")
    strategy("/v1/Namespace").prepare_for_create(namespace)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}


def test_apiservices_always_have_a_status():
    """As Go writes it; one of an extension server's has conditions when somebody has looked at the server."""
    kind = strategy("apiregistration.k8s.io/v1/APIService")
    extension = defaulted("apiregistration.k8s.io/v1/APIService", spec={"service": {"name": "n", "namespace": "s"}})
    kind.prepare_for_create(extension)
    assert extension["status"] == {}
    local = defaulted("apiregistration.k8s.io/v1/APIService", spec={"version": "v1"})
    kind.prepare_for_create(local)
    assert [condition["reason"] for condition in local["status"]["conditions"]] == ["Local"]


def test_daemon_sets_count_the_changes_of_their_template():
    kind = strategy("apps/v1/DaemonSet")
    old = defaulted("apps/v1/DaemonSet", spec={"template": {"spec": {}}})
    kind.prepare_for_create(old)
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["nodeName"] = "n"
    kind.prepare_for_update(new, old)
    key = "deprecated.daemonset.template.generation"
    assert (old["metadata"]["annotations"][key], new["metadata"]["annotations"][key]) == ("1", "2")


def test_an_annotation_raises_a_deployments_generation():
    old = {"metadata": {"generation": 3}}
    new = {"metadata": {"generation": 3, "annotations": {"a": "b"}}}
    strategy("apps/v1/Deployment").prepare_for_update(new, old)
    assert new["metadata"]["generation"] == 4


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        (
            {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
            {"type": "ClusterIP"},
            {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
        ),
        (
            {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
            {"type": "ExternalName", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
            {"type": "ExternalName"},
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]},
            {"type": "NodePort", "ports": [{"port": 80}]},
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]},
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}], "externalTrafficPolicy": "Cluster"},
            {"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30000}], "externalTrafficPolicy": "Cluster"},
            {"type": "ClusterIP", "ports": [{"port": 80}]},
        ),
    ],
)
def test_a_service_keeps_what_was_allocated(before, sent, after):
    new = {"spec": sent}
    strategy("/v1/Service").prepare_for_update(new, {"spec": before})
    assert new["spec"] == after


@pytest.mark.parametrize(
    ("gvk", "fields"),
    [
        ("/v1/PriorityClass", None),
        ("/v1/Pod", ("spec",)),
        ("/v1/ConfigMap", None),
        ("/v1/Service", None),
        ("apps/v1/Deployment", ("spec",)),
        ("scheduling.k8s.io/v1/PriorityClass", ()),
        ("admissionregistration.k8s.io/v1/MutatingWebhookConfiguration", ("webhooks",)),
        ("no.such/v1/Kind", None),
    ],
)
def test_generations(gvk, fields):
    assert strategy(gvk).generation_fields == fields


def test_rules_of_kinds():
    assert strategy("coordination.k8s.io/v1/Lease").create_on_update
    assert not strategy("coordination.k8s.io/v1/Lease").unconditional_update
    assert strategy("/v1/Pod").graceful
    assert strategy("/v1/Pod").returns_deleted_object
    assert not strategy("apps/v1/Deployment").returns_deleted_object
    assert strategy("rbac.authorization.k8s.io/v1/Role").name_rule("system:a", False) == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"podCIDR": "10.0.0.0/24"}, {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}),
        (
            {"podCIDRs": ["10.0.0.0/24", "fd00::/64"]},
            {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"]},
        ),
        ({"podCIDRs": [""]}, {"podCIDRs": [""]}),  # no empty field that the next write takes away again
    ],
)
def test_the_ranges_of_a_node(given: dict[str, Any], wanted: dict[str, Any]):
    spec = defaulted("/v1/Node", spec=given)["spec"]
    assert {name: spec[name] for name in wanted} == wanted
    assert spec.keys() - {"taints"} == wanted.keys()


class _Watched(dict[str, Any]):
    """Knows whether anybody has asked for its metadata."""

    asked = False

    def _ask(self, key: object) -> None:
        self.asked = self.asked or key == "metadata"

    def get(self, key: str, default: Any = None) -> Any:
        self._ask(key)
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._ask(key)
        return super().setdefault(key, default)

    def __getitem__(self, key: str) -> Any:
        self._ask(key)
        return super().__getitem__(key)


def test_defaults_that_depend_on_metadata_say_so() -> None:
    """Where nothing but metadata was changed by a policy, only these are filled in once more."""
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"template": pods, "jobTemplate": {"spec": {"template": pods}}, "scaleTargetRef": {"kind": "x", "name": "y"}}
    reading = set()
    for kind in load_catalog():
        for given in ({}, {"spec": spec}, {"spec": pods["spec"]}):
            obj = _Watched(
                {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}} | copy.deepcopy(given)
            )
            kind.strategy.default(obj)
            if obj.asked:
                reading.add(kind.gvk)
    assert reading == {kind.gvk for kind in load_catalog() if kind.strategy.default_reads_metadata}
