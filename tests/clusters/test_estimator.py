"""Karmada's own scheduler-estimator beside two real members: what it alone knows decides, for a workload that a script describes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_federation import Federation, federation_alone, replicas
from cluster_harness import LOOPBACK, Member, Members, Process, free_ports, wait_until

from kafila.identity.certificates import issue, new_authority

SSD = ["member2-node-1", "member2-node-2"]  # where pods with this selector fit
SCRIPT = """
local kube = require("kube")
function GetReplicas(obj)
  return obj.spec.replicas, kube.accuratePodRequirements(obj.spec.template)
end
"""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt; server.crt and client.crt with their keys."""
    folder = tmp_path_factory.mktemp("estimators")
    authority = new_authority("estimators")
    (folder / "ca.crt").write_bytes(authority.certificate)
    for name, hosts in (("server", [LOOPBACK]), ("client", [])):
        pair = issue(authority, name, hosts=hosts)
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)
    return folder


@pytest.fixture(scope="module")
def estimators(lab: Members, member1: Member, member2: Member, credentials: Path) -> Iterator[dict[str, int]]:
    """Their ports by member."""
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as ending:
        for member in (member1, member2):
            port, health = free_ports(2)
            flags = {
                "kubeconfig": member.kubeconfig,
                "cluster-name": member.name,
                "server-port": port,
                "grpc-auth-cert-file": credentials / "server.crt",
                "grpc-auth-key-file": credentials / "server.key",
                "grpc-client-ca-file": credentials / "ca.crt",
                "metrics-bind-address": 0,
                "health-probe-bind-address": f"{LOOPBACK}:{health}",
            }
            command = [lab.bin / "scheduler-estimator", *(f"--{name}={value}" for name, value in flags.items())]
            process = Process(f"{member.name}-estimator", command, member.folder / "estimator.log")
            process.start()
            ending.callback(process.stop)
            wait_until("an estimator", lambda port=port: listens(port), process)
            ports[member.name] = port
        member2.kubectl("label", "nodes", *SSD, "disk=ssd")
        ending.callback(member2.kubectl, "label", "nodes", *SSD, "disk-")
        yield ports


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture(scope="module")
def plane(
    lab: Members, member1: Member, member2: Member, estimators: dict[str, int], credentials: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Federation]:  # fmt: skip
    flags = (
        "--enable-scheduler-estimator",
        "--scheduler-estimator-timeout=30",
        f"--scheduler-estimator-ca-file={credentials / 'ca.crt'}",
        f"--scheduler-estimator-cert-file={credentials / 'client.crt'}",
        f"--scheduler-estimator-key-file={credentials / 'client.key'}",
    )
    with federation_alone(lab, *flags, keep_logs_in=tmp_path_factory.mktemp("serve")) as plane:
        for member in (member1, member2):
            plane.apply(service(member.name, estimators[member.name]))
            plane.join(member)
            # what is decided before a member's nodes are summed up is not decided anew when they are
            plane.eventually("nodes are summed up", lambda name=member.name: has_room(plane, name))
        yield plane
        for name in list(plane.joined):
            plane.unjoin(name)


def has_room(plane: Federation, cluster: str) -> bool:
    summary = plane.get("cluster", cluster)["status"].get("resourceSummary") or {}
    return "cpu" in (summary.get("allocatable") or {})


def service(cluster: str, port: int) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"karmada-scheduler-estimator-{cluster}", "namespace": "karmada-system"},
        "spec": {"type": "ExternalName", "externalName": LOOPBACK, "ports": [{"port": 10352, "targetPort": port}]},
    }


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
