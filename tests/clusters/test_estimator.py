"""Karmada's own scheduler-estimator beside two real members: what it alone knows decides, for a workload that a script describes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_estimators import client_flags, estimator_of, write_credentials
from cluster_federation import Federation, federation_alone, replicas
from cluster_harness import Member, Members

SSD = ["member2-node-1", "member2-node-2"]  # where pods with this selector fit
SCRIPT = """
local kube = require("kube")
function GetReplicas(obj)
  return obj.spec.replicas, kube.accuratePodRequirements(obj.spec.template)
end
"""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estimators")
    write_credentials(folder)
    return folder


@pytest.fixture(scope="module")
def estimators(lab: Members, member1: Member, member2: Member, credentials: Path) -> Iterator[dict[str, dict]]:
    """Their Services by member."""
    with contextlib.ExitStack() as ending:
        services = {
            each.name: ending.enter_context(estimator_of(lab, each, credentials)) for each in (member1, member2)
        }
        member2.kubectl("label", "nodes", *SSD, "disk=ssd")
        ending.callback(member2.kubectl, "label", "nodes", *SSD, "disk-")
        yield services


@pytest.fixture(scope="module")
def plane(
    lab: Members, member1: Member, member2: Member, estimators: dict[str, dict], credentials: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Federation]:  # fmt: skip
    flags = ("--enable-scheduler-estimator", "--scheduler-estimator-timeout=30", *client_flags(credentials))
    with federation_alone(lab, *flags, keep_logs_in=tmp_path_factory.mktemp("serve")) as plane:
        for member in (member1, member2):
            plane.apply(estimators[member.name])
            plane.join(member)
            # what is decided before a member's nodes are summed up is not decided anew when they are
            plane.eventually("nodes are summed up", lambda name=member.name: has_room(plane, name))
        yield plane
        for name in list(plane.joined):
            plane.unjoin(name)


def has_room(plane: Federation, cluster: str) -> bool:
    summary = plane.get("cluster", cluster)["status"].get("resourceSummary") or {}
    return "cpu" in (summary.get("allocatable") or {})


def test_a_script_and_estimators_decide_together(plane: Federation, member1: Member, member2: Member) -> None:
    plane.apply(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "deployments"},
            "spec": {
                "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "customizations": {"replicaResource": {"luaScript": SCRIPT}},
            },
        },
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "PropagationPolicy",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}],
                "placement": {
                    "replicaScheduling": {
                        "replicaSchedulingType": "Divided",
                        "replicaDivisionPreference": "Weighted",
                        "weightPreference": {"dynamicWeight": "AvailableReplicas"},
                    }
                },
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 9,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "nodeSelector": {"disk": "ssd"},
                        "containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "1"}}}],
                    },
                },
            },
        },
    )
    # by the summaries both have the same room: only estimators know which nodes have the label
    plane.eventually("divided by nodes", lambda: [replicas(each, "web") for each in (member1, member2)] == [-1, 9])
    log = plane.process.log.read_text()
    assert "estimator not heard" not in log
    assert "unexpectedly" not in log
    plane.kubectl("delete", "deployment/web", "propagationpolicy/web", "resourceinterpretercustomization/deployments")
    for member in (member1, member2):
        plane.eventually("gone", lambda member=member: not member.kubectl("get", "deploy", "web", "--ignore-not-found"))
