"""What is observed of real members, of different Kubernetes versions."""

from __future__ import annotations

import asyncio
import json

import pytest
from cluster_harness import Member, Members, Options

from kafila.catalog.version import KUBERNETES_VERSION
from kafila.core.resources import GroupVersionKind
from kafila.members.discovery import Discovery
from kafila.members.health import cluster_status, observe
from kafila.members.informer import Informer
from kafila.members.resource_summary import ResourceSummary, node_facts, pod_facts
from tests.versions import OLDER_MINORS


def counted(member: Member) -> dict[str, str]:
    """What a member holds when nobody but the test's Pod asks for something; {} while some are leaving."""
    pods = json.loads(member.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    leaving = any("deletionTimestamp" in pod["metadata"] for pod in pods)
    return {} if leaving else {"cpu": "1500m", "memory": "1Gi", "pods": str(len(pods))}


async def test_a_member_is_summed_up(member1: Member) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asks", "labels": {"app": "asks"}},
        "spec": {
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}]
        },
    }
    member1.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    member1.kubectl("wait", "pod/asks", "--for=condition=Ready", "--timeout=60s")
    client = member1.client()
    resource_summary = ResourceSummary()
    nodes = Informer(
        client,
        "/api/v1/nodes",
        lambda c: resource_summary.node(c.name.name, c.after and c.after.kept),
        selector="",
        keep=node_facts,
    )
    pods = Informer(
        client,
        "/api/v1/pods",
        lambda c: resource_summary.pod(c.before and c.before.kept, c.after and c.after.kept),
        selector="",
        keep=pod_facts,
    )
    tasks = [asyncio.create_task(informer.run()) for informer in (nodes, pods)]
    await asyncio.wait_for(asyncio.gather(nodes.synced.wait(), pods.synced.wait()), 60)
    async with asyncio.timeout(90):  # pods of earlier tests may still be going
        while (running := await asyncio.to_thread(counted, member1)) != resource_summary.resource_summary().get(
            "allocated"
        ):
            await asyncio.sleep(0.1)

    observation = await observe(client, Discovery(client), resource_summary)
    status, history = cluster_status({}, observation, now=1000.0)

    assert history.ready == "True"
    assert status["kubernetesVersion"] == KUBERNETES_VERSION
    assert status["nodeSummary"] == {"totalNum": 2, "readyNum": 2}
    assert status["resourceSummary"]["allocatable"]["cpu"] == "128"
    assert status["resourceSummary"]["allocatable"]["memory"] == "512Gi"
    assert status["resourceSummary"]["allocated"] == running
    assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [
        ("CompleteAPIEnablements", "True", "Complete"),
        ("Ready", "True", "ClusterReady"),
    ]
    versions = [group["groupVersion"] for group in status["apiEnablements"]]
    assert versions == sorted(versions)
    apps = next(group for group in status["apiEnablements"] if group["groupVersion"] == "apps/v1")
    assert {"name": "deployments", "kind": "Deployment"} in apps["resources"]
    assert not any("/" in resource["name"] for resource in apps["resources"])

    member1.kubectl("delete", "pod", "asks")
    while pods.get("default", "asks") is not None:
        await asyncio.sleep(0.01)
    assert "cpu" not in resource_summary.resource_summary().get("allocated", {})
    for task in tasks:
        task.cancel()
    await client.close()


async def test_the_path_of_a_kind_is_found(member1: Member) -> None:
    client = member1.client()
    discovery = Discovery(client)
    deployment = await discovery.find(GroupVersionKind("apps", "v1", "Deployment"))
    assert deployment is not None
    assert deployment.path("ns", "web", "scale") == "/apis/apps/v1/namespaces/ns/deployments/web/scale"
    role = await discovery.find(GroupVersionKind("rbac.authorization.k8s.io", "v1", "ClusterRole"))
    assert role is not None
    assert role.path("ignored", "admin") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin"
    assert await discovery.find(GroupVersionKind("example.io", "v1", "Widget")) is None
    first = await discovery.refresh()
    assert await discovery.refresh() == first  # the member answers 304
    await client.close()


@pytest.mark.long
@pytest.mark.parametrize("version", OLDER_MINORS)
async def test_older_members_are_observed_alike(lab: Members, version: str) -> None:
    if not (lab.bin / version).is_dir():
        pytest.skip(f"Kubernetes {version} is not built (build.sh --older)")
    (member,) = lab.start(f"old-{version.replace('.', '-')}", options=Options(light=True, version=version))
    client = member.client()
    observation = await observe(client, Discovery(client))
    status, _ = cluster_status({}, observation, now=1000.0)
    assert status["kubernetesVersion"].startswith(f"v{version}.")
    assert {c["status"] for c in status["conditions"]} == {"True"}
    await client.close()
    member.stop()


async def test_nobody_answers() -> None:
    from cluster_harness import free_ports

    from kafila.members.client import MemberClient

    client = MemberClient("away", f"https://127.0.0.1:{free_ports(1)[0]}")
    observation = await observe(client, Discovery(client))
    status, _ = cluster_status({}, observation, now=1000.0)
    assert status["conditions"][0]["reason"] == "ClusterNotReachable"
    await client.close()
