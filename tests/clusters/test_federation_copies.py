"""Copies in real members: what hides that they are there, what the member adds to them, and what a rollout waits for."""

from __future__ import annotations

import json

import pytest
from cluster_federation import Federation
from cluster_harness import Member, wait_until

NAMESPACE = "copies"


@pytest.fixture(scope="module", autouse=True)
def _namespace(federation: Federation, member1: Member) -> None:
    federation.kubectl("create", "namespace", NAMESPACE)
    federation.eventually("it is in the member", lambda: in_member(member1, "namespace", NAMESPACE) != {})
    wait_until("its account", lambda: in_member(member1, "serviceaccount", "default") != {}, member1.controllers)


def in_member(member: Member, kind: str, name: str, *more: str) -> dict:
    text = member.kubectl("get", kind, name, f"-n{NAMESPACE}", "--ignore-not-found", "-o", "json", *more)
    return json.loads(text) if text else {}


def obj(api_version: str, kind: str, name: str, **fields) -> dict:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **fields}


def policy(selected: dict, conflict_resolution: str = "Abort") -> dict:
    reference = {"apiVersion": selected["apiVersion"], "kind": selected["kind"], "name": selected["metadata"]["name"]}
    spec = {
        "resourceSelectors": [reference],
        "placement": {"clusterAffinity": {"clusterNames": ["member1"]}},
        "conflictResolution": conflict_resolution,
    }
    name = f"{selected['kind']}-{selected['metadata']['name']}".lower()
    return obj("policy.karmada.io/v1alpha1", "PropagationPolicy", name, spec=spec)


def apply_in(member: Member, *objects: dict) -> None:
    member.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def aggregated(plane: Federation, template: dict) -> dict:
    binding = f"{template['metadata']['name']}-{template['kind'].lower()}"
    found = plane.get("resourcebinding", binding, f"-n{NAMESPACE}").get("status", {}).get("aggregatedStatus") or [{}]
    return found[0]


def refusing(name: str) -> list[dict]:
    """A policy of the member that lets nobody create it again."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "not this one"}],
    }
    group = "admissionregistration.k8s.io/v1"
    metadata = {"metadata": {"name": "never"}}
    return [
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", **metadata, "spec": spec},
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            **metadata,
            "spec": {"policyName": "never", "validationActions": ["Deny"]},
        },
    ]


SERVICE = obj("v1", "Service", "web", spec={"type": "NodePort", "ports": [{"port": 80, "nodePort": 31080}]})
QUOTA = obj("v1", "ResourceQuota", "full", spec={"hard": {"count/secrets": "1"}})
SECRET = obj("v1", "Secret", "counted", stringData={"a": "1"})
CONFIG = obj("v1", "ConfigMap", "guarded", data={"a": "1"})


@pytest.mark.parametrize(("template", "around"), [(SERVICE, []), (SECRET, [QUOTA]), (CONFIG, refusing("guarded"))])
def test_a_refusal_to_create_does_not_hide_that_it_is_there(
    federation: Federation, member1: Member, template: dict, around: list[dict]
) -> None:
    kind, name = template["kind"], template["metadata"]["name"]
    apply_in(member1, template)
    if around:
        apply_in(member1, *around)
    again = json.dumps(template)
    wait_until("refused", lambda: _refusal(member1, again), member1.apiserver)
    assert "already exists" not in _refusal(member1, again)
    federation.apply(policy(template), template)
    federation.eventually("it says so", lambda: "already exists" in aggregated(federation, template)["appliedMessage"])
    federation.apply(policy(template, "Overwrite"))
    federation.eventually("it is adopted", lambda: aggregated(federation, template)["applied"])
    assert in_member(member1, kind, name)["metadata"]["labels"]["karmada.io/managed"] == "true"
    federation.kubectl("delete", kind, name, f"-n{NAMESPACE}")
    federation.eventually("it is gone", lambda: in_member(member1, kind, name) == {})
    for each in around:
        member1.kubectl("delete", "-f", "-", stdin=json.dumps(each))


def _refusal(member: Member, manifest: str) -> str:
    """What the member says to whoever creates it, nothing when it takes it."""
    try:
        member.kubectl("create", "-f", "-", stdin=manifest)
    except RuntimeError as error:
        text = str(error)
        return "" if "AlreadyExists" in text else text
    return ""


def test_what_the_member_added_to_a_pod_stays_and_a_new_image_arrives(federation: Federation, member1: Member) -> None:
    """Also what a LimitRange gave it, which every Pod without limits of its own gets."""
    limits = [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "10m"}}]
    apply_in(member1, obj("v1", "LimitRange", "limits", spec={"limits": limits}))
    pod = obj("v1", "Pod", "it", spec={"containers": [{"name": "c", "image": "nginx:1"}]})
    federation.apply(policy(pod), pod)
    federation.eventually("it runs", lambda: in_member(member1, "pod", "it")["spec"]["nodeName"] != "")
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}
    toleration = [{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "theirs", "operator": "Exists"}}]
    patch = ("patch", "pod", "it", f"-n{NAMESPACE}")
    member1.kubectl(*patch, "--subresource=ephemeralcontainers", "--type=strategic", "-p", json.dumps(debug))
    member1.kubectl(*patch, "--type=json", "-p", json.dumps(toleration))
    federation.kubectl("set", "image", "pod/it", "c=nginx:2", f"-n{NAMESPACE}")
    federation.eventually(
        "the image is there", lambda: in_member(member1, "pod", "it")["spec"]["containers"][0]["image"] == "nginx:2"
    )
    federation.eventually("it is applied", lambda: aggregated(federation, pod)["applied"])
    spec = in_member(member1, "pod", "it")["spec"]
    assert [each["name"] for each in spec["ephemeralContainers"]] == ["debug"]
    assert "theirs" in [each.get("key") for each in spec["tolerations"]]
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "1"}
    federation.kubectl("delete", "pod", "it", f"-n{NAMESPACE}")
    member1.kubectl("delete", "limitrange", "limits", f"-n{NAMESPACE}")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_rollout_is_waited_for(federation: Federation, kind: str) -> None:
    spec = {
        "selector": {"matchLabels": {"app": "it"}},
        "template": {
            "metadata": {"labels": {"app": "it"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}], "terminationGracePeriodSeconds": 0},
        },
    }
    counted = {} if kind == "DaemonSet" else {"replicas": 1}
    named = {"serviceName": "it"} if kind == "StatefulSet" else {}
    workload = obj("apps/v1", kind, "it", spec={**spec, **counted, **named})
    federation.apply(policy(workload), workload)
    what = (f"{kind.lower()}/it", f"-n{NAMESPACE}")
    federation.kubectl("rollout", "status", *what, "--timeout=120s")
    federation.kubectl("set", "image", *what, "c=nginx:2")
    federation.kubectl("rollout", "status", *what, "--timeout=120s")
    assert federation.get(*what)["status"]["observedGeneration"] == federation.get(*what)["metadata"]["generation"]
    federation.kubectl("delete", *what)
