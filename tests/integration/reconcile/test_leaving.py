"""``kafila unjoin`` of a cluster that cannot be asked: it says what stays there, or changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.core.errors import StatusError
from kafila.members.client import MemberClient
from kafila.members.join import JoinError, Joining, join
from kafila.members.transport import ASGITransport
from kafila.members.unjoin import unjoin
from kafila.metricsadapter.members import LEFT_OUT
from kafila.registry import SYSTEM_ADMIN
from kafila.registry.codec import encode_body
from kafila.store.interface import Transaction, Write

from .conftest import Lab

CONFIG = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]


@pytest.fixture
async def placed(make_lab: type[Lab]) -> AsyncIterator[Lab]:
    """Two clusters with a Deployment and a ConfigMap."""
    lab = await make_lab(cluster_failure_threshold=0.0, cluster_success_threshold=0.0).start()
    try:
        await lab.join("m1", "m2")
        await lab.create(lab.deployment())
        await lab.create(lab.policy("web", "m1", "m2"))
        await lab.create(lab.config())
        await lab.create(lab.policy("settings", "m1", "m2", select=CONFIG))
        await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m1", "m2"])
        await lab.until(lambda: lab.in_clusters("Deployment", "web") == ["m1", "m2"])
        await lab.rest()
        yield lab
    finally:
        await lab.close()


@pytest.fixture
async def plane(placed: Lab) -> MemberClient:
    return plane_of(placed)


def plane_of(lab: Lab) -> MemberClient:
    app = ObjectsApp(lab.registry, build_shell({}))
    return MemberClient("plane", "https://plane", transport=ASGITransport(app, {"user": SYSTEM_ADMIN}))


def cut(lab: Lab, name: str) -> Any:
    """The cluster does not answer any more. Returns what mends it."""
    connection = lab.controllers.member_manager.get(name)
    assert connection is not None
    transport: Any = connection.client._transport
    app = transport.app

    async def nowhere(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionError("no route to host")

    transport.app = nowhere
    return lambda: setattr(transport, "app", app)


async def lost(lab: Lab, name: str) -> Any:
    mend = cut(lab, name)
    await lab.until(lambda: not lab.is_true(lab.get("Cluster", name), "Ready"), f"{name} is not ready")
    return mend


async def test_nothing_is_changed_while_copies_cannot_be_taken_back(placed: Lab, plane: MemberClient) -> None:
    await lost(placed, "m1")
    said: list[str] = []
    with pytest.raises(
        JoinError, match=r"objects placed there would stay there for good\. Nothing was changed"
    ) as raised:
        await unjoin(plane, None, "m1", wait=0.1, report=said.append)
    assert "no route to host" in str(raised.value)
    assert not placed.get("Cluster", "m1")["metadata"].get("deletionTimestamp")
    assert "successfully" not in "".join(said)
    assert placed.in_clusters("ConfigMap", "settings") == ["m1", "m2"]


async def test_it_goes_on_when_the_cluster_is_back(placed: Lab, plane: MemberClient) -> None:
    mend = await lost(placed, "m1")
    waiting = asyncio.Event()
    task = asyncio.create_task(unjoin(plane, None, "m1", wait=60, report=lambda line: waiting.set()))
    await waiting.wait()
    mend()
    await task
    assert placed.get("Cluster", "m1") == {}
    assert placed.in_clusters("ConfigMap", "settings") == ["m2"]
    assert placed.in_clusters("Deployment", "web") == ["m2"]


async def test_force_says_what_stays_and_how_to_remove_it(placed: Lab, plane: MemberClient) -> None:
    await lost(placed, "m1")
    said: list[str] = []
    await unjoin(plane, None, "m1", wait=60, force=True, report=said.append)
    assert placed.get("Cluster", "m1") == {}
    assert placed.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
    at = next(n for n, line in enumerate(said) if "objects stay in cluster m1" in line)
    for copy in ("ConfigMap/settings", "Deployment.v1.apps/web"):
        assert any(line.startswith(f"  kubectl delete -n default {copy}") for line in said[at:])
    assert not any("Removed from cluster" in line for line in said)
    await placed.until(lambda: left_behind(placed), "it is told on the Cluster as well, for whoever used another tool")
    assert any("stays in cluster m1" in message for message in left_behind(placed))


def left_behind(lab: Lab) -> list[str]:
    return [message for _, reason, message, _ in lab.events("Cluster", "m1") if reason == "CopyLeftBehind"]


async def test_a_ready_cluster_leaves_and_what_left_it_is_listed(placed: Lab, plane: MemberClient) -> None:
    LEFT_OUT.labels("m1").inc()  # in one process with an API server
    said: list[str] = []
    await unjoin(plane, None, "m1", wait=60, report=said.append)
    assert said[0] == "Waiting for the cluster object m1 to be deleted"
    at = said.index("Removed from cluster m1:")
    assert {"  -n default ConfigMap: settings", "  -n default Deployment.v1.apps: web"} <= set(said[at:])
    assert not any("stay" in line for line in said)
    assert said[-1] == "cluster(m1) is unjoined successfully"
    assert placed.in_clusters("ConfigMap", "settings") == ["m2"]
    # nor is it measured any more, by whatever part: a member that left must not raise an alarm
    measured = {(m.name, s.labels.get("member_cluster")) for m in REGISTRY.collect() for s in m.samples}
    assert ("cluster_ready_state", "m2") in measured
    assert [name for name, cluster in measured if cluster == "m1"] == []


async def test_a_member_that_gives_nothing_back_is_left_in_the_end(make_lab: type[Lab]) -> None:
    """It is ready, and refuses: the Cluster goes after its time, and says what stays there and why."""
    lab = await make_lab(cluster_leave_timeout=1.0).start()
    try:
        await lab.join("m1")
        await lab.create(lab.config())
        await lab.create(lab.policy("settings", "m1", select=CONFIG))
        await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m1"])
        await lab.rest()
        connection = lab.controllers.member_manager.get("m1")
        assert connection is not None
        transport: Any = connection.client._transport
        app = transport.app

        async def refusing(scope: Any, receive: Any, send: Any) -> None:
            if scope["method"] != "DELETE":
                return await app(scope, receive, send)
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"a webhook is down"})

        transport.app = refusing
        said: list[str] = []
        await unjoin(plane_of(lab), None, "m1", wait=60, report=said.append)
        assert lab.get("Cluster", "m1") == {}
        at = next(n for n, line in enumerate(said) if "objects stay in cluster m1" in line)
        (line,) = [line for line in said[at:] if "kubectl delete -n default ConfigMap/settings" in line]
        assert line.endswith("a webhook is down")
        assert said[-1] == "cluster(m1) is unjoined successfully"
    finally:
        await lab.close()


async def test_a_binding_that_nobody_moves_does_not_hold_a_cluster(make_lab: type[Lab]) -> None:
    lab = await make_lab(cluster_leave_timeout=1.0).start()
    try:
        await lab.join("m1")
        binding = {
            "apiVersion": "work.karmada.io/v1alpha2",
            "kind": "ResourceBinding",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "resource": {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "namespace": "default"},
                "clusters": [{"name": "m1"}],
                "schedulerName": "another",
            },
        }
        await lab.create(binding)
        await lab.delete("Cluster", "m1")
        await lab.until(lambda: lab.get("Cluster", "m1") == {}, "the cluster is gone")
    finally:
        await lab.close()


async def test_the_control_plane_does_not_join_itself(placed: Lab, plane: MemberClient) -> None:
    wanted = Joining("self", "https://plane")
    with pytest.raises(JoinError, match="this cluster is the control plane itself"):
        await join(plane_of(placed), plane, wanted)
    assert placed.get("Cluster", "self") == {}
    assert {account["metadata"]["name"] for account in placed.list("ServiceAccount")} == {"default"}


async def test_nor_does_another_tool_join_it_to_itself(placed: Lab) -> None:
    own = placed.get("Namespace", "kube-system")["metadata"]["uid"]
    cluster = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "self"}}
    with pytest.raises(StatusError, match="this is the control plane itself") as raised:
        await placed.create({**cluster, "spec": {"syncMode": "Push", "apiEndpoint": "https://a", "id": own}})
    assert raised.value.code == 422


@pytest.mark.parametrize("url", ["ftp://m9.internal", "https://m9.internal:99999", "https://u:p@m9.internal"])
async def test_a_stored_url_that_is_not_taken_any_more_holds_no_cluster(lab: Lab, url: str) -> None:
    """Its finalizer, its taints and its status are written all the same; nobody may write such a URL anew."""
    cluster = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "m9"},
        "spec": {"syncMode": "Push", "apiEndpoint": "https://m9.internal", "proxyURL": "http://proxy"},
    }
    await lab.create(cluster)
    await lab.rest()
    stored = lab.registry.cache.get("clusters.cluster.karmada.io", "", "m9")
    assert stored is not None
    body = (
        encode_body(stored.decode()).replace(b"https://m9.internal", url.encode()).replace(b"http://proxy", b"ftp://p")
    )
    await lab.store.commit(Transaction((), (Write(stored.key, body, stored.meta.uid),)))
    await lab.rest()
    await lab.change("Cluster", "m9", lambda obj: obj["metadata"].update(labels={"a": "b"}))
    with pytest.raises(StatusError, match="apiEndpoint"):
        await lab.change("Cluster", "m9", lambda obj: obj["spec"].update(apiEndpoint="gopher://m9"))
    await lab.delete("Cluster", "m9")
    await lab.until(lambda: lab.get("Cluster", "m9") == {}, "the cluster is gone")
