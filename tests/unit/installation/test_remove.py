"""kafila.installation.remove: a namespace goes only with what init made."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.installation.host import InstallationError
from kafila.installation.manifests import OURS
from kafila.installation.remove import remove
from kafila.members.client import MemberClient
from kafila.members.transport import ASGITransport

CLUSTERS = "/apis/postgresql.cnpg.io/v1/namespaces/n/clusters"
PODS, CLAIMS = "/api/v1/namespaces/n/pods", "/api/v1/namespaces/n/persistentvolumeclaims"
API_POD = ("kafila-api-0", {"app.kubernetes.io/name": "kafila", "app.kubernetes.io/instance": "kafila"})


class Host:
    """Lists by path; the namespace is there."""

    def __init__(self, namespace: dict[str, str], **lists: list[tuple[str, dict[str, str]]]) -> None:
        self.namespace = namespace
        self.lists = {CLUSTERS: lists.get("clusters"), PODS: lists.get("pods"), CLAIMS: lists.get("claims")}
        self.deleted: list[str] = []

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        path = scope["path"]
        kind = {CLUSTERS: "Cluster", PODS: "Pod", CLAIMS: "PersistentVolumeClaim"}.get(path, "Other")
        found: Any = {
            "kind": f"{kind}List",
            "apiVersion": "v1",
            "metadata": {},
            "items": [
                {"metadata": {"name": n, "namespace": "n", "uid": n, "labels": labels}}
                for n, labels in self.lists.get(path) or ()
            ],
        }
        if path == "/api/v1/namespaces/n":
            found = {"kind": "Namespace", "metadata": {"name": "n", "uid": "n", "labels": self.namespace}}
        if scope["method"] == "DELETE":
            self.deleted.append(path)
            for each, prefix in ((each, f"{each}/") for each in self.lists):
                if path.startswith(prefix):
                    self.lists[each] = None
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": orjson.dumps(found)})


async def purge(host: Host, *, dry_run: bool = False) -> list[str]:
    client, said = MemberClient("h", "https://h", transport=ASGITransport(host)), []
    await remove(client, "n", purge_data=True, purge_namespace=True, wait=1.0, dry_run=dry_run, report=said.append)
    return said


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"pods": [API_POD, ("db-0", {"app": "db"})]}, "pod/db-0"),
        ({"claims": [("data-db-0", {})]}, "persistentvolumeclaim/data-db-0"),
        (
            {"claims": [("mine-1", {"cnpg.io/cluster": "mine"})], "clusters": [("kafila-db", OURS)]},
            "persistentvolumeclaim/mine-1",
        ),
    ],
)
async def test_a_database_of_the_users_is_not_deleted(lists: Any, named: str, dry_run: bool) -> None:
    host = Host(OURS, **lists)
    with pytest.raises(InstallationError) as refused:
        await purge(host, dry_run=dry_run)
    assert str(refused.value).startswith(f"--purge-namespace: {named} in namespace n is not of kafila init")
    assert host.deleted == []


async def test_what_is_ours_goes_with_it() -> None:
    of_cluster = {"cnpg.io/cluster": "kafila-db"}
    host = Host(
        OURS,
        pods=[API_POD, ("kafila-db-1", of_cluster)],
        claims=[("kafila-db-1", of_cluster)],
        clusters=[("kafila-db", OURS)],
    )
    assert "namespace/n deleted" in await purge(host)
    assert host.deleted == [f"{CLUSTERS}/kafila-db", "/api/v1/namespaces/n"]


async def test_a_namespace_that_stays_is_not_looked_into() -> None:
    host = Host({}, pods=[("db-0", {})])
    assert await purge(host) == ["namespace/n stays: kafila init did not make it"]
