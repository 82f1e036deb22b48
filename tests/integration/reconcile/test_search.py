"""search.karmada.io over simulated members: what is cached, who may read it, and how it is read, changed and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, final

import httpx
import pytest

from kafila.api import multicluster
from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.api.proxy import MemberProxy
from kafila.authorization import build, follow
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.reconcile.karmada.member.manager import MemberConnection
from kafila.reconcile.karmada.search import controller
from kafila.registry import SYSTEM_ADMIN, Options, User
from kafila.registry.context import DeleteOptions
from kafila.search import rights, versions
from kafila.search.rights import MemberRights
from kafila.store.memory_search import MemorySearch
from tests.integration.api.conftest import Stream, configmap, failure

from .conftest import Lab

CACHE = "/apis/search.karmada.io/v1alpha1/search/cache"
PROXY = "/apis/search.karmada.io/v1alpha1/proxying/karmada/proxy"
MAPS = "/api/v1/namespaces/default/configmaps"
CACHED_FROM = "resource.karmada.io/cached-from-cluster"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MAPS_EVERYWHERE = {"apiVersion": "v1", "kind": "ConfigMap"}


@final
class Plane:
    """A federation, and its API over the cache."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.user = SYSTEM_ADMIN
        registry = lab.registry
        self.proxy = MemberProxy(registry, lab._transport)
        self.app = ObjectsApp(registry, build_shell({}), self.proxy, authorizer=build(follow(registry.cache)))
        self.proxy.here = self.app
        transport = httpx.ASGITransport(self._with_user, raise_app_exceptions=True)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api.test", headers={"user-agent": "t/1"})

    async def _with_user(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"user": self.user}
        await self.app(scope, receive, send)

    async def close(self) -> None:
        await self.client.aclose()
        await self.proxy.close()

    async def select(self, *selectors: Object, name: str = "found", **target: Any) -> None:
        """A registry, once everything that it selects is cached."""
        spec = {"targetCluster": target, "resourceSelectors": list(selectors)}
        api_version = "search.karmada.io/v1alpha1"
        await self.lab.create(
            {"apiVersion": api_version, "kind": "ResourceRegistry", "metadata": {"name": name}, "spec": spec}
        )
        await self.lab.until(lambda: self.lab.is_true(self.lab.get("ResourceRegistry", name), "Cached"))

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def found(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def items(self, path: str) -> list[tuple[str, str]]:
        return [where(item) for item in (await self.found(path))["items"]]

    def watch(self, path: str, query: str = "", user: User | None = None) -> Stream:
        return Stream(self.app, path, f"watch=true&{query}", {}, user or self.user)

    async def put(
        self, member: str, name: str, labels: dict[str, str] | None = None, namespace: str = "default"
    ) -> None:
        registry = self.lab.members[member].registry
        kind = registry.kind("", "v1", "configmaps")
        obj = configmap(name, at=member)
        obj["metadata"] |= {"namespace": namespace, "labels": labels or {}}
        await registry.create(kind, namespace, obj, Options(manager="user"))

    async def remove(self, member: str, name: str) -> None:
        registry = self.lab.members[member].registry
        await registry.delete(registry.kind("", "v1", "configmaps"), "default", name, DeleteOptions())

    async def holds(self, path: str, *expected: tuple[str, str]) -> None:
        """Waits until a list has just these: changes reach the cache a moment after the member has them."""
        async with asyncio.timeout(90):
            while sorted(await self.items(path)) != sorted(expected):
                await asyncio.sleep(0.01)


def where(item: Object) -> tuple[str, str]:
    return item["metadata"]["annotations"][CACHED_FROM], item["metadata"]["name"]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    found = await Lab().start()
    yield found
    await found.close()


@pytest.fixture
async def plane(lab: Lab) -> AsyncIterator[Plane]:
    await lab.join("m1", "m2")
    found = Plane(lab)
    for member in ("m1", "m2"):
        await found.put(member, "everywhere")
        await found.put(member, f"in-{member}", {"at": member})
    await found.select(MAPS_EVERYWHERE)
    yield found
    await found.close()


async def test_search_lists_what_is_in_all_clusters(plane: Plane) -> None:
    found = await plane.found(f"{CACHE}{MAPS}")
    assert (found["kind"], found["apiVersion"], found["metadata"]) == ("ConfigMapList", "v1", {})
    assert [where(item) for item in found["items"]] == [
        ("m1", "everywhere"),
        ("m1", "in-m1"),
        ("m2", "everywhere"),
        ("m2", "in-m2"),
    ]
    assert found["items"][0]["data"] == {"at": "m1"}
    assert await plane.items(f"{CACHE}{MAPS}/everywhere") == [("m1", "everywhere"), ("m2", "everywhere")]
    assert await plane.items(f"{CACHE}{MAPS}/none") == []
    assert await plane.items(f"{CACHE}/api/v1/configmaps?labelSelector=at%3Dm2") == [("m2", "in-m2")]
    assert await plane.items(f"{CACHE}/apis/apps/v1/deployments") == []  # not selected


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("cache/api/v1", 500),
        ("cache/nothing", 500),
        ("cache/api/v1/namespaces/default/pods/web/log", 500),
        ("cache/apis/none.example/v1/things", 500),
        ("cache/api/v1/configmaps?labelSelector=%3D%3D", 400),
        ("elsewhere/api/v1/configmaps", 500),
        ("opensearch/api/v1/configmaps", 501),
    ],
)
async def test_what_search_refuses(plane: Plane, path: str, code: int) -> None:
    answer = await plane.get(f"/apis/search.karmada.io/v1alpha1/search/{path}")
    assert answer.status_code == code, answer.text
    assert answer.json().get("error") or answer.json()["kind"] == "Status"


async def test_lists_and_objects_through_proxying(plane: Plane) -> None:
    listed = await plane.found(f"{PROXY}{MAPS}")
    assert [where(item) for item in listed["items"]] == await plane.items(f"{CACHE}{MAPS}")
    assert all(item["metadata"]["resourceVersion"].isdigit() for item in listed["items"])
    obj = await plane.found(f"{PROXY}{MAPS}/in-m2")
    assert where(obj) == ("m2", "in-m2")
    assert list(versions.parse(obj["metadata"]["resourceVersion"]).of) == ["m2"]
    status = failure(await plane.get(f"{PROXY}{MAPS}/everywhere"), 409, "Conflict")
    assert status["message"].endswith("ambiguous objects in clusters [m1, m2]")
    failure(await plane.get(f"{PROXY}{MAPS}/none"), 404, "NotFound")
    table = (await plane.get(f"{PROXY}{MAPS}", accept=TABLE)).json()
    assert [row["cells"][0] for row in table["rows"]] == ["everywhere", "in-m1", "everywhere", "in-m2"]
    one = (await plane.get(f"{PROXY}{MAPS}/in-m1", accept=TABLE)).json()
    assert [row["cells"][0] for row in one["rows"]] == ["in-m1"]
    yaml = await plane.get(f"{PROXY}{MAPS}", accept="application/yaml")
    assert yaml.text.count(CACHED_FROM) == 4
    metadata = await plane.get(
        f"{PROXY}{MAPS}", accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    )
    assert [where(item) for item in metadata.json()["items"]] == await plane.items(f"{CACHE}{MAPS}")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
async def test_pages_go_over_clusters(plane: Plane, limit: int) -> None:
    found, token, first = [], "", ""
    while True:
        page = await plane.found(f"{PROXY}{MAPS}?limit={limit}&continue={token}")
        assert 0 < len(page["items"]) <= limit
        found += [where(item) for item in page["items"]]
        first = first or page["metadata"]["resourceVersion"]
        assert page["metadata"]["resourceVersion"] == first
        if not (token := page["metadata"]["continue"]):
            break
    assert found == await plane.items(f"{CACHE}{MAPS}")


async def test_selectors(plane: Plane) -> None:
    assert await plane.items(f"{PROXY}{MAPS}?labelSelector=at") == [("m1", "in-m1"), ("m2", "in-m2")]
    assert await plane.items(f"{PROXY}{MAPS}?labelSelector=at%21%3Dm1&limit=1") == [("m1", "everywhere")]
    assert await plane.items(f"{PROXY}{MAPS}?fieldSelector=metadata.name%3Din-m2") == [("m2", "in-m2")]
    assert await plane.items(f"{PROXY}{MAPS}?fieldSelector=metadata.name%3Din-m2&limit=1") == [("m2", "in-m2")]
    failure(await plane.get(f"{PROXY}{MAPS}?fieldSelector=data.at%3Dm1"), 400, "BadRequest")
    failure(await plane.get(f"{PROXY}{MAPS}?continue=abc"), 400, "BadRequest")


async def test_a_page_of_few_goes_on_however_far_the_next_one_is(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicluster, "PAGE", 1)
    kept = "fieldSelector=metadata.name%21%3Dm&"
    for name in ("a", "m", "z"):
        await plane.put("m1", name)
    expected = ["a", "everywhere", "in-m1", "z", "everywhere", "in-m2"]
    async with asyncio.timeout(90):
        while [name for _, name in await plane.items(f"{PROXY}{MAPS}?{kept}")] != expected:
            await asyncio.sleep(0.01)
    page = await plane.found(f"{PROXY}{MAPS}?{kept}limit=3")
    assert [item["metadata"]["name"] for item in page["items"]] == expected[:3]
    page = await plane.found(f"{PROXY}{MAPS}?{kept}limit=3&continue={page['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in page["items"]] == expected[3:]
    assert not page["metadata"]["continue"]


async def test_what_is_not_selected_is_the_control_planes(plane: Plane) -> None:
    found = await plane.found(f"{PROXY}/api/v1/namespaces/karmada-es-m1")
    assert found["metadata"]["name"] == "karmada-es-m1"
    assert CACHED_FROM not in found["metadata"].get("annotations", {})
    made = await plane.client.post(f"{PROXY}/api/v1/namespaces/default/secrets", json={"metadata": {"name": "s"}})
    assert made.status_code == 201, made.text
    assert plane.lab.get("Secret", "s")
    assert (await plane.get(f"{PROXY}/version")).json()["gitVersion"]
    failure(await plane.get(f"{PROXY}{PROXY}{MAPS}"), 400, "BadRequest")


async def test_objects_are_written_where_they_are(plane: Plane) -> None:
    failure(await plane.client.post(f"{PROXY}{MAPS}", json=configmap("new")), 405, "MethodNotAllowed")
    obj = await plane.found(f"{PROXY}{MAPS}/in-m2")
    obj["data"] = {"at": "changed"}
    answer = await plane.client.put(f"{PROXY}{MAPS}/in-m2", json=obj)
    assert answer.status_code == 200, answer.text
    written = plane.lab.in_member("m2", "ConfigMap", "in-m2")
    assert written["data"] == {"at": "changed"}
    assert CACHED_FROM not in written["metadata"].get("annotations", {})
    failure(await plane.client.put(f"{PROXY}{MAPS}/in-m2", json=obj), 409, "Conflict")  # it is an older one by now
    moved = await plane.found(f"{PROXY}{MAPS}/in-m2")
    moved["metadata"]["resourceVersion"] = versions.encode({"m1": 7})  # it was read while it was in m1
    failure(await plane.client.put(f"{PROXY}{MAPS}/in-m2", json=moved), 409, "Conflict")
    failure(await plane.client.delete(f"{PROXY}{MAPS}/everywhere"), 409, "Conflict")
    answer = await plane.client.delete(f"{PROXY}{MAPS}/in-m1")
    assert answer.status_code == 200, answer.text
    assert not plane.lab.in_member("m1", "ConfigMap", "in-m1")
    await plane.holds(f"{PROXY}{MAPS}", ("m1", "everywhere"), ("m2", "everywhere"), ("m2", "in-m2"))


async def test_a_namespace_and_clusters_are_selected(lab: Lab) -> None:
    await lab.join("m1", "m2")
    plane = Plane(lab)
    for namespace in ("default", "kube-public"):
        for member in ("m1", "m2"):
            await plane.put(member, "a", namespace=namespace)
    await plane.select({**MAPS_EVERYWHERE, "namespace": "kube-public"}, name="one", clusterNames=["m1"])
    assert await plane.items(f"{PROXY}/api/v1/configmaps") == [("m1", "a")]
    assert await plane.items(f"{PROXY}{MAPS}") == []
    await plane.select({**MAPS_EVERYWHERE, "namespace": "default"}, name="other")
    await plane.holds(f"{PROXY}/api/v1/configmaps", ("m1", "a"), ("m1", "a"), ("m2", "a"))
    await lab.delete("ResourceRegistry", "other")
    await plane.holds(f"{PROXY}/api/v1/configmaps", ("m1", "a"))
    await lab.delete("ResourceRegistry", "one")
    async with asyncio.timeout(90):  # nothing is kept that nobody selects
        while await lab.store.search.resources():
            await asyncio.sleep(0.01)
    await plane.close()


async def test_a_cluster_that_leaves_takes_its_rows_along(plane: Plane) -> None:
    stream = plane.watch(f"{PROXY}{MAPS}", "resourceVersion=0")
    for _ in range(4):
        assert (await stream.event())["type"] == "ADDED"
    await plane.lab.delete("Cluster", "m2")
    await plane.holds(f"{PROXY}{MAPS}", ("m1", "everywhere"), ("m1", "in-m1"))
    event = await stream.event()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)  # whoever watched has to list
    await stream.leave()


async def test_a_member_that_is_away_keeps_its_objects_and_says_so(plane: Plane) -> None:
    cached = plane.lab.store.search._cached["/v1/configmaps", "m2"]
    cached.state = cached.state._replace(trouble="no route to host", at=1_000_000_000.0)
    for path in (f"{PROXY}{MAPS}", f"{CACHE}{MAPS}"):
        answer = await plane.get(path)
        assert len(answer.json()["items"]) == 4
        said = "cluster m2 is not followed at the moment (no route to host): its configmaps are those of 2001-09-09T01:46:40Z"
        assert answer.headers["warning"] == f'299 - "{said}"'


async def test_a_registry_says_what_is_wrong(plane: Plane) -> None:
    lab = plane.lab
    spec = {
        "targetCluster": {},
        "resourceSelectors": [{"apiVersion": "example.io/v1", "kind": "Thing"}],
        "backendStore": {"openSearch": {"addresses": ["https://127.0.0.1:1"]}},
    }
    api_version = "search.karmada.io/v1alpha1"
    await lab.create({"apiVersion": api_version, "kind": "ResourceRegistry", "metadata": {"name": "odd"}, "spec": spec})
    await lab.until(lambda: said(lab, "odd")["reason"] == "Unreachable")
    odd = lab.get("ResourceRegistry", "odd")
    cached = lab.condition(odd, "Cached")
    assert (cached["status"], cached["reason"]) == ("False", "NotFollowed")
    assert cached["message"] == "Thing of example.io/v1 is no kind that this control plane serves"
    await lab.until(lambda: lab.events("ResourceRegistry", "odd"))
    assert ("Warning", "NotFollowed") in [event[:2] for event in lab.events("ResourceRegistry", "odd")]


def said(lab: Lab, name: str) -> Object:
    """Of its backend store."""
    return lab.condition(lab.get("ResourceRegistry", name), "BackendStoreReady") or {"reason": ""}


async def test_nothing_is_sent_without_the_secret_that_is_named(lab: Lab) -> None:
    """When it comes, or says something else, it is tried again."""
    store = {"addresses": ["https://127.0.0.1:1"], "secretRef": {"namespace": "default", "name": "writer"}}
    spec = {"targetCluster": {}, "resourceSelectors": [MAPS_EVERYWHERE], "backendStore": {"openSearch": store}}
    api_version = "search.karmada.io/v1alpha1"
    await lab.create({"apiVersion": api_version, "kind": "ResourceRegistry", "metadata": {"name": "r"}, "spec": spec})
    await lab.until(lambda: said(lab, "r")["reason"] == "SecretNotFound")
    assert said(lab, "r")["message"] == 'secrets "writer" not found in the namespace "default"'
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "writer", "namespace": "default"}}
    await lab.create({**secret, "data": {"username": "/w=="}})
    await lab.until(lambda: said(lab, "r")["reason"] == "SecretUnusable")
    await lab.change("Secret", "writer", lambda obj: obj.update(data={"username": "dQ=="}))
    await lab.until(lambda: said(lab, "r")["reason"] == "Unreachable")
    await lab.until(lambda: ("Warning", "Unreachable") in [e[:2] for e in lab.events("ResourceRegistry", "r")])
    await lab.change("ResourceRegistry", "r", lambda obj: obj["spec"].pop("backendStore"))
    await lab.until(lambda: not said(lab, "r")["reason"])


async def test_who_leads_next_goes_on_without_a_list(plane: Plane) -> None:
    lab = plane.lab
    before = {state.cluster: state for state in await lab.store.search.resources()}
    await plane.close()
    await lab.restart()
    again = Plane(lab)
    await again.put("m1", "later")
    expected = [("m1", "everywhere"), ("m2", "everywhere"), ("m1", "in-m1"), ("m2", "in-m2"), ("m1", "later")]
    await again.holds(f"{PROXY}{MAPS}", *expected)
    after = {state.cluster: state for state in await lab.store.search.resources()}
    assert {c: state.oldest for c, state in before.items()} == {c: state.oldest for c, state in after.items()}
    assert after["m1"].version > before["m1"].version
    await again.close()


async def test_what_another_process_took_is_taken_back_by_who_leads(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "TAKING_BACK", 0.0)
    await plane.lab.store.search.take_over("/v1/configmaps", "m1", [], 1)
    await plane.put("m1", "seen-by-nobody")  # the follower finds that it is not the writer any more
    await plane.put("m1", "later")
    expected = [("m1", "everywhere"), ("m2", "everywhere"), ("m1", "in-m1"), ("m2", "in-m2"), ("m1", "later")]
    await plane.holds(f"{PROXY}{MAPS}", *expected, ("m1", "seen-by-nobody"))


async def test_a_cluster_that_is_reached_in_another_way_is_followed_on(plane: Plane) -> None:
    """From pull to push mode: the new connection may be there before the one through the tunnel has ended."""
    lab = plane.lab
    search = lab.queue("search")._reconcile.__self__
    old = search._connections["m1"]
    client = MemberClient("m1", transport=lab._transport(lab.get("Cluster", "m1")))
    new = MemberConnection(client, old._reached_by)
    search.connected(new)
    await lab.rest()
    await search.disconnected(old)
    await plane.put("m1", "later")
    expected = [("m1", "everywhere"), ("m2", "everywhere"), ("m1", "in-m1"), ("m2", "in-m2"), ("m1", "later")]
    await plane.holds(f"{PROXY}{MAPS}", *expected)
    await search.disconnected(old)  # of another one's followers it ends none
    assert search._followers["/v1/configmaps", "m1"].goes_over(new.client)


# -- rights ------------------------------------------------------------------------------------------------------------


async def allow(lab: Lab, registry: Any, user: str, namespace: str, rules: list[Object]) -> None:
    """A role, in one namespace or everywhere, and its binding."""
    group = "rbac.authorization.k8s.io"
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": f"{user}-may", **({"namespace": namespace} if namespace else {})}
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    role = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": dict(metadata), "rules": rules}
    reference = {"apiGroup": group, "kind": kind, "name": f"{user}-may"}
    binding = {"apiVersion": f"{group}/v1", "kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference}
    here, lab.registry = lab.registry, registry
    try:
        await lab.create(role)
        await lab.create({**binding, "subjects": subjects})
    finally:
        lab.registry = here


ANN = User("ann", ("system:authenticated",))


@pytest.fixture
async def teams(plane: Plane) -> Plane:
    """ann may search and use the proxy here, read ConfigMaps of m1, and of one namespace of m2."""
    lab = plane.lab
    searching = {"apiGroups": ["search.karmada.io"], "resources": ["search/api", "proxying/proxy"], "verbs": ["*"]}
    await allow(lab, lab.registry, "ann", "", [searching])
    reading = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    await allow(lab, lab.members["m1"].registry, "ann", "", reading)
    await allow(lab, lab.members["m2"].registry, "ann", "kube-public", reading)
    await plane.put("m2", "public", namespace="kube-public")
    await plane.holds(f"{PROXY}/api/v1/namespaces/kube-public/configmaps", ("m2", "public"))
    plane.user = ANN
    return plane


async def test_nobody_reads_what_the_member_does_not_let_him_read(teams: Plane) -> None:
    answer = await teams.get(f"{PROXY}{MAPS}")
    assert [where(item) for item in answer.json()["items"]] == [("m1", "everywhere"), ("m1", "in-m1")]
    assert "cluster m2 is left out" in answer.headers["warning"]
    assert list(versions.parse(answer.json()["metadata"]["resourceVersion"]).of) == ["m1"]
    assert await teams.items(f"{CACHE}{MAPS}") == [("m1", "everywhere"), ("m1", "in-m1")]
    assert await teams.items(f"{CACHE}{MAPS}/everywhere") == [("m1", "everywhere")]
    assert where(await teams.found(f"{PROXY}{MAPS}/everywhere")) == ("m1", "everywhere")  # not ambiguous for her
    failure(await teams.get(f"{PROXY}{MAPS}/in-m2"), 404, "NotFound")
    public = "/api/v1/namespaces/kube-public/configmaps"
    assert await teams.items(f"{PROXY}{public}") == [("m2", "public")]


async def test_who_may_nowhere_is_refused(teams: Plane) -> None:
    teams.user = SYSTEM_ADMIN
    await teams.select({"apiVersion": "v1", "kind": "Secret"}, name="secrets")
    teams.user = ANN
    for path in (f"{PROXY}/api/v1/secrets", f"{CACHE}/api/v1/secrets", f"{PROXY}/api/v1/secrets?watch=true"):
        status = failure(await teams.get(path), 403, "Forbidden")
        assert 'User "ann" cannot' in status["message"]
    failure(await teams.client.delete(f"{PROXY}{MAPS}/in-m1"), 403, "Forbidden")
    failure(await teams.get(f"{PROXY}/api/v1/namespaces"), 403, "Forbidden")  # of the control plane
    teams.user = User("eve", ("system:authenticated",))
    failure(await teams.get(f"{PROXY}{MAPS}"), 403, "Forbidden")
    failure(await teams.get(f"{CACHE}{MAPS}"), 403, "Forbidden")


@pytest.mark.parametrize("name", ["%00", "a%00b", "a" * 254])
async def test_of_names_that_nothing_has_nobody_is_asked(
    teams: Plane, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    cached = teams.lab.store.search._cached["/v1/configmaps", "m2"]
    cached.state = cached.state._replace(trouble="not for everybody")
    for each in (MemorySearch, MemberRights):
        method = {MemorySearch: "find", MemberRights: "_review"}[each]
        monkeypatch.setattr(each, method, lambda *given: asked.append(given))
    for user in (SYSTEM_ADMIN, ANN):
        teams.user = user
        answer = await teams.get(f"{PROXY}{MAPS}/{name}")
        failure(answer, 404, "NotFound")
        assert "warning" not in answer.headers
        failure(await teams.client.delete(f"{PROXY}{MAPS}/{name}"), 404, "NotFound")
        assert await teams.items(f"{PROXY}/api/v1/namespaces/{name}/configmaps") == []
        assert await teams.items(f"{PROXY}{MAPS}?fieldSelector=metadata.name%3D{name}") == []
        assert await teams.items(f"{CACHE}{MAPS}/{name}") == []
        stream = teams.watch(f"{PROXY}{MAPS}", f"fieldSelector=metadata.name%3D{name}&resourceVersion=0")
        await stream.start()
        assert stream.status == 200
        await stream.leave()
    assert not asked


async def test_watches_show_no_more_than_lists(teams: Plane) -> None:
    stream = teams.watch(f"{PROXY}{MAPS}", "resourceVersion=0")
    assert await stream.events(2) == [("ADDED", "everywhere"), ("ADDED", "in-m1")]
    await teams.put("m2", "hidden")
    await teams.put("m1", "shown")
    event = await stream.event()
    assert (event["type"], where(event["object"])) == ("ADDED", ("m1", "shown"))
    assert list(versions.parse(event["object"]["metadata"]["resourceVersion"]).of) == ["m1"]
    await stream.leave()


async def test_a_cluster_that_may_be_read_by_now_is_listed_anew(teams: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "DENIED_FOR", 0.0)
    stream = teams.watch(f"{PROXY}{MAPS}", "resourceVersion=0")
    assert await stream.events(2) == [("ADDED", "everywhere"), ("ADDED", "in-m1")]
    lab = teams.lab
    reading = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    await allow(lab, lab.members["m2"].registry, "ann", "", reading)
    await teams.put("m2", "new")
    event = await stream.event()
    assert (event["type"], event["object"]["reason"]) == ("ERROR", "Expired")
    assert event["object"]["message"] == "too old resource version: cluster m2 may be read by now"
    await stream.leave()


async def test_a_member_that_does_not_answer_is_waited_for_once(teams: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def silent(self: MemberRights, asked_for: object, cluster: str) -> None:
        asked.append(cluster)
        raise TimeoutError

    monkeypatch.setattr(MemberRights, "_review", silent)
    for name in ("one", "two", "three"):
        failure(await teams.get(f"{PROXY}{MAPS}/{name}"), 403, "Forbidden")
    assert sorted(asked) == ["m1", "m2"]


@pytest.mark.parametrize("form", ["path", "path and field", "field"])
async def test_who_may_watch_one_name_is_shown_that_one(teams: Plane, form: str) -> None:
    lab = teams.lab
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["list", "watch"]}
    teams.user = User("bob", ("system:authenticated",))
    searching = {"apiGroups": ["search.karmada.io"], "resources": ["proxying/proxy"], "verbs": ["*"]}
    await allow(lab, lab.registry, "bob", "", [searching])
    await allow(lab, lab.members["m1"].registry, "bob", "default", [rule])
    await teams.put("m1", "one")
    if form == "field":
        asked, query = MAPS, "fieldSelector=metadata.name%3Done&"
        async with asyncio.timeout(90):
            while await teams.items(f"{PROXY}{MAPS}?{query}") != [("m1", "one")]:
                await asyncio.sleep(0.01)
        failure(await teams.get(f"{CACHE}{MAPS}?{query}"), 403, "Forbidden")  # it reads no such selector
    else:
        asked = "/api/v1/watch/namespaces/default/configmaps/one"
        query = "fieldSelector=metadata.namespace%21%3Dother&" if form == "path and field" else ""
    failure(await teams.get(f"{PROXY}{MAPS}?fieldSelector=metadata.name%21%3Done"), 403, "Forbidden")
    failure(await teams.get(f"{PROXY}{MAPS}?watch=true&fieldSelector=metadata.name%3Dtwo"), 403, "Forbidden")
    stream = teams.watch(f"{PROXY}{asked}", f"{query}resourceVersion=0")
    assert await stream.events(1) == [("ADDED", "one")]
    await teams.put("m1", "other")
    await teams.remove("m1", "in-m1")
    await teams.remove("m1", "one")
    assert await stream.events(1) == [("DELETED", "one")]
    await stream.leave()


# -- watches -----------------------------------------------------------------------------------------------------------


async def test_selectors_of_a_watch(plane: Plane) -> None:
    stream = plane.watch(f"{PROXY}{MAPS}", "labelSelector=at%3Dm1&resourceVersion=0")
    assert await stream.events(1) == [("ADDED", "in-m1")]
    registry = plane.lab.members["m1"].registry
    kind = registry.kind("", "v1", "configmaps")

    async def labelled(name: str, **labels: str) -> None:
        def changed(obj: Object) -> Object:
            obj["metadata"]["labels"] = labels
            return obj

        await registry.modify(kind, "default", name, changed, Options(manager="user"))

    await labelled("everywhere", at="m1")
    assert await stream.events(1) == [("ADDED", "everywhere")]
    await labelled("everywhere", at="m1", more="yes")
    assert await stream.events(1) == [("MODIFIED", "everywhere")]
    await labelled("everywhere")
    assert await stream.events(1) == [("DELETED", "everywhere")]
    await labelled("everywhere", other="yes")
    await plane.remove("m1", "in-m1")
    assert await stream.events(1) == [("DELETED", "in-m1")]
    await stream.leave()


async def test_versions_that_nobody_can_go_on_from(plane: Plane) -> None:
    for given in ({"m1": 1}, {"m1": 10**9}, {"gone": 5}):
        stream = plane.watch(f"{PROXY}{MAPS}", f"resourceVersion={versions.encode(given)}")
        await stream.start()
        assert stream.status == 410, given
        await stream.leave()


async def test_a_watch_list(plane: Plane) -> None:
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    stream = plane.watch(f"{PROXY}{MAPS}", query)
    found = [await stream.event() for _ in range(5)]
    assert [event["type"] for event in found] == ["ADDED"] * 4 + ["BOOKMARK"]
    end = found[-1]["object"]["metadata"]
    assert end["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert sorted(versions.parse(end["resourceVersion"]).of) == ["m1", "m2"]
    # whoever is cut off in between begins again with what he did not get
    assert list(versions.parse(found[0]["object"]["metadata"]["resourceVersion"]).of) == []
    assert list(versions.parse(found[1]["object"]["metadata"]["resourceVersion"]).of) == ["m1"]
    await stream.leave()


async def test_a_watch_goes_on_where_a_list_was(plane: Plane) -> None:
    listed = await plane.found(f"{PROXY}{MAPS}")
    version = listed["metadata"]["resourceVersion"]
    assert sorted(versions.parse(version).of) == ["m1", "m2"]
    await plane.put("m1", "new")
    await plane.holds(f"{PROXY}{MAPS}?labelSelector=!at", ("m1", "everywhere"), ("m2", "everywhere"), ("m1", "new"))
    stream = plane.watch(f"{PROXY}{MAPS}", f"resourceVersion={version}")
    await stream.start()
    assert stream.status == 200, await stream.rest()
    event = await stream.event()
    assert (event["type"], where(event["object"])) == ("ADDED", ("m1", "new"))
    await plane.remove("m2", "in-m2")
    event = await stream.event()
    assert (event["type"], where(event["object"])) == ("DELETED", ("m2", "in-m2"))
    await stream.leave()


async def test_what_came_and_went_since_a_list_is_said_to_be_gone(plane: Plane) -> None:
    """A later page of the list may have had it."""
    version = (await plane.found(f"{PROXY}{MAPS}?limit=1"))["metadata"]["resourceVersion"]
    before = await plane.items(f"{PROXY}{MAPS}")
    await plane.put("m1", "brief")
    await plane.holds(f"{PROXY}{MAPS}", *before, ("m1", "brief"))
    await plane.remove("m1", "brief")
    await plane.holds(f"{PROXY}{MAPS}", *before)
    await plane.put("m1", "new", {"at": "nowhere"})
    await plane.holds(f"{PROXY}{MAPS}", *before, ("m1", "new"))
    stream = plane.watch(f"{PROXY}{MAPS}", f"resourceVersion={version}")
    assert await stream.events(2) == [("DELETED", "brief"), ("ADDED", "new")]
    await stream.leave()
    stream = plane.watch(f"{PROXY}{MAPS}", f"labelSelector=at%3Dm1&resourceVersion={version}")
    await stream.start()
    await plane.remove("m1", "in-m1")
    assert await stream.events(2) == [("DELETED", "brief"), ("DELETED", "in-m1")]  # never "new"
    await stream.leave()
