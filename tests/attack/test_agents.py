"""An agent of a cluster, and whoever has a bootstrap token, do what these are for and nothing else (GHSA-mg7w-c9x2-xh7r)."""

from __future__ import annotations

import base64
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kafila.catalog.karmada import agent_roles as catalog
from kafila.core.agents import BOOTSTRAPPERS, GENERATOR
from kafila.core.values import Object
from kafila.reconcile.karmada.certificate.agent_csr_approving import AgentCSRApproving, recognized
from kafila.registry import SYSTEM_ADMIN, User
from kafila.settings.settings import Settings
from kafila.workers.admission import admission
from tests.integration.api.conftest import CATALOG, Api, configmap, failure
from tests.integration.api.test_certificate_requests import REQUESTS, pem, request
from tests.unit.identity.test_requests import request as asking

AGENT = User("system:karmada:agent:edge", ("system:karmada:agents", "system:authenticated"))
REGISTRAR = User(GENERATOR, ("system:karmada:agents", "system:authenticated"))
BOOTSTRAPPER = User("system:bootstrap:abcdef", (BOOTSTRAPPERS, "system:authenticated"))
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
SECRETS = "/api/v1/namespaces/karmada-cluster/secrets"
WORKS = "/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-{}/works"
POLICIES = "/apis/policy.karmada.io/v1alpha1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PULL = {"syncMode": "Pull", "apiEndpoint": "https://edge.internal"}


def named(name: str, **more: Any) -> Object:
    return {"metadata": {"name": name}, **more}


def work(name: str, labels: dict[str, str] | None = None) -> Object:
    manifest = {**configmap("settings"), "metadata": {"name": "settings", "namespace": "default"}}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"workload": {"manifests": [manifest]}}}


OF_A_BINDING = {"resourcebinding.karmada.io/permanent-id": "1"}


def agent_roles(cluster: str) -> list[Object]:
    return catalog.agent_roles(cluster, "karmada-cluster", f"karmada-es-{cluster}")


def typed(path: str, body: Object) -> Object:
    """Custom resources say what they are."""
    parts = path.strip("/").split("/")
    group, version = ("", parts[1]) if parts[0] == "api" else parts[1:3]
    kind = next(k.kind for k in CATALOG if (k.group, k.version, k.plural) == (group, version, parts[-1]))
    return {"apiVersion": f"{group}/{version}".strip("/"), "kind": kind, **body}


async def make(plane: Api, path: str, body: Object) -> Object:
    return await plane.made(path, typed(path, body))


def path_of(role: Object) -> str:
    namespace = role["metadata"].get("namespace")
    return f"{RBAC}/{f'namespaces/{namespace}/' if namespace else ''}{role['kind'].lower()}s"


@pytest.fixture
async def plane(api: Api) -> Api:
    """With the namespaces of two clusters, edge's agent registered, and a Work of a binding in both."""
    api.registry.staging.admission = admission(api.cache, CATALOG, Settings(), api.authorizer)
    for cluster in ("edge", "other"):
        await api.made("/api/v1/namespaces", named(f"karmada-es-{cluster}"))
        await make(api, WORKS.format(cluster), work("settings", OF_A_BINDING))
    for role in agent_roles("edge"):
        await api.made(path_of(role), role)
    return api


def refused(answer: Any) -> str:
    return failure(answer, 403, "Forbidden")["message"]


async def test_an_agent_does_what_it_is_for(plane: Api) -> None:
    plane.user = AGENT
    await make(plane, CLUSTERS, named("edge", spec=PULL))
    await make(plane, LEASES.format("karmada-cluster"), named("edge"))
    for name in ("edge", "edge-impersonator"):
        await make(plane, SECRETS, named(name))
    path = f"{WORKS.format('edge')}/settings"
    found = (await plane.get(path)).json()
    applied = {"type": "Applied", "status": "True", "reason": "AppliedSuccessful", "message": ""}
    found["status"] = {"conditions": [{**applied, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    answer = await plane.put(f"{path}/status", found)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    found["metadata"]["finalizers"] = ["karmada.io/execution-controller"]
    assert (await plane.put(path, found)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CLUSTERS, named("second", spec=PULL)),
        (CLUSTERS, named("edge", spec={**PULL, "syncMode": "Push"})),
        (LEASES.format("karmada-cluster"), named("other")),
        (LEASES.format("default"), named("edge")),
        (LEASES.format("kube-system"), named("kube-scheduler")),
        (SECRETS, named("other")),
        (SECRETS, named("other-impersonator")),
        ("/api/v1/namespaces/kube-system/secrets", named("edge")),
        (WORKS.format("other"), work("mine")),
        (WORKS.format("edge"), work("mine", OF_A_BINDING)),
        (f"{POLICIES}/clusterpropagationpolicies", named("mine", spec={})),
        (f"{POLICIES}/namespaces/default/propagationpolicies", named("mine", spec={})),
        (f"{POLICIES}/clusteroverridepolicies", named("mine", spec={})),
        ("/api/v1/namespaces", named("mine")),
        ("/api/v1/namespaces/default/configmaps", configmap("mine")),
        (f"{RBAC}/clusterrolebindings", agent_roles("edge")[1]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_agent_makes_nothing_of_others(plane: Api, path: str, body: Object) -> None:
    plane.user = AGENT
    assert "edge" in refused(await plane.post(path, typed(path, body)))


def credentials(name: str, namespace: str = "karmada-cluster") -> Object:
    return {"namespace": namespace, "name": name}


async def test_an_agent_names_its_own_credentials_and_changes_nothing_else_of_its_cluster(plane: Api) -> None:
    await make(plane, CLUSTERS, named("other", spec=PULL))
    plane.user = AGENT
    await make(plane, CLUSTERS, named("edge", spec=PULL))
    for name in ("edge", "edge-impersonator"):
        await make(plane, SECRETS, named(name))
    path = f"{CLUSTERS}/edge"
    own: Object = {"secretRef": credentials("edge"), "impersonatorSecretRef": credentials("edge-impersonator")}
    for patch in (
        {"spec": {"apiEndpoint": "https://127.0.0.1"}},
        {"spec": {**own, "provider": "other"}},
        {"spec": {"syncMode": "Push"}},
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
        {"spec": {"secretRef": credentials("other")}},
        {"spec": {"secretRef": credentials("edge", "kube-system")}},
        {"spec": {"secretRef": credentials("edge-impersonator")}},
        {"metadata": {"labels": {"team": "a"}}},
        {"metadata": {"annotations": {"a": "b"}}},
    ):
        refused(await plane.patch(path, patch))
    answer = await plane.patch(path, {"spec": own})
    assert answer.status_code == 200, answer.text
    assert {field: answer.json()["spec"][field] for field in own} == own
    assert (await plane.patch(path, {"spec": own})).status_code == 200
    refused(await plane.patch(path, {"spec": {"secretRef": None}}))
    refused(await plane.patch(path, {"spec": {"secretRef": credentials("edge", "default")}}))
    refused(await plane.patch(f"{CLUSTERS}/other", {"spec": own}))


async def test_an_agent_reads_and_changes_nothing_of_others(plane: Api) -> None:
    await make(plane, CLUSTERS, named("other", spec=PULL))
    await make(plane, SECRETS, named("other"))
    plane.user = AGENT
    theirs = f"{WORKS.format('other')}/settings"
    for answer in (
        await plane.get(theirs),
        await plane.get(WORKS.format("other")),
        await plane.get("/apis/work.karmada.io/v1alpha1/works"),
        await plane.patch(f"{theirs}/status", {"status": {"conditions": []}}),
        await plane.delete(theirs),
        await plane.get(f"{SECRETS}/other"),
        await plane.get(SECRETS),
        await plane.delete(f"{CLUSTERS}/other"),
        await plane.patch(f"{CLUSTERS}/other", {"spec": {"taints": []}}),
        await plane.patch(f"{CLUSTERS}/other/status", {"status": {}}),
        await plane.get(f"{CLUSTERS}/other/proxy/api/v1/secrets"),
        await plane.get("/api/v1/secrets"),
        await plane.get(f"{POLICIES}/propagationpolicies"),
    ):
        refused(answer)


async def test_an_agent_changes_of_a_bindings_work_nothing_but_what_it_reports(plane: Api) -> None:
    plane.user = AGENT
    path = f"{WORKS.format('edge')}/settings"
    for change in (
        {"spec": {"workload": {"manifests": []}}},
        {"metadata": {"labels": {"resourcebinding.karmada.io/permanent-id": "2"}}},
        {"metadata": {"labels": {"resourcebinding.karmada.io/permanent-id": None}}},
        {"metadata": {"annotations": {"resourcebinding.karmada.io/name": "other"}}},
    ):
        found = (await plane.get(path)).json()
        for part, values in change["metadata"].items() if "metadata" in change else ():
            known = {**found["metadata"].get(part, {}), **values}
            found["metadata"][part] = {name: value for name, value in known.items() if value is not None}
        found["spec"] = change.get("spec", found["spec"])
        assert "and nothing else" in refused(await plane.put(path, found))


@pytest.mark.parametrize("status", [{"replicas": "many"}, [], "x", {"conditions": {"a": 1}}], ids=str)
async def test_a_status_that_is_none_of_its_kind_is_refused(plane: Api, status: Any) -> None:
    plane.user = AGENT
    identifier = {"ordinal": 0, "group": "apps", "version": "v1", "kind": "Deployment", "name": "web", "resource": ""}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    plane.user = SYSTEM_ADMIN
    made = work("web", OF_A_BINDING)
    made["spec"]["workload"]["manifests"] = [manifest]
    found = await make(plane, WORKS.format("edge"), made)
    plane.user = AGENT
    path = f"{WORKS.format('edge')}/web/status"
    found["status"] = {"manifestStatuses": [{"identifier": identifier, "status": {"replicas": 1}}]}
    answer = await plane.put(path, found)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    found["status"] = {"manifestStatuses": [{"identifier": identifier, "status": status}]}
    assert "manifestStatuses[0].status" in failure(await plane.put(path, found), 422, "Invalid")["message"]


@pytest.mark.parametrize("other", [{"kind": "Nope"}, {"version": "v2"}, {"group": "x"}, {"name": "y"}], ids=str)
async def test_a_status_of_what_is_not_in_the_work_is_refused(plane: Api, other: Object) -> None:
    plane.user = AGENT
    path = f"{WORKS.format('edge')}/settings"
    found = (await plane.get(path)).json()
    identifier = {"ordinal": 0, "version": "v1", "kind": "ConfigMap", "name": "settings", "namespace": "default"}
    identifier["resource"] = ""
    found["status"] = {"manifestStatuses": [{"identifier": identifier, "health": "Healthy"}]}
    answer = await plane.put(f"{path}/status", found)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    found["status"] = {"manifestStatuses": [{"identifier": {**identifier, **other}, "status": {"used": 1}}]}
    assert "no manifest of this Work" in failure(await plane.put(f"{path}/status", found), 422, "Invalid")["message"]


async def test_who_registers_a_cluster_writes_the_roles_of_its_agent_and_no_others(plane: Api) -> None:
    plane.user = REGISTRAR
    await make(plane, "/api/v1/namespaces", named("karmada-es-new"))
    made = agent_roles("new")
    for role in made:
        await plane.made(path_of(role), role)
    cluster_role, to_agent = agent_roles("evil")[:2]
    await plane.made(path_of(cluster_role), cluster_role)
    worse = agent_roles("worse")[0]
    somebody = {"kind": "User", "name": "evil", "apiGroup": "rbac.authorization.k8s.io"}
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    admin = {**to_agent["roleRef"], "name": "cluster-admin"}
    aggregated = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    for role in (
        {**worse, "rules": [everything]},
        {**worse, "rules": [*worse["rules"], {**everything, "resources": ["secrets"]}]},
        {**cluster_role, "metadata": {"name": "mine"}},
        {**worse, "metadata": {**worse["metadata"], "labels": aggregated}},
        {**to_agent, "subjects": [somebody]},
        {**to_agent, "subjects": [*to_agent["subjects"], somebody]},
        {**to_agent, "roleRef": admin},
        {**to_agent, "metadata": {"name": "mine"}, "roleRef": {**admin, "name": "system:karmada:agent-rbac-generator"}},
        {**made[4], "metadata": {**made[4]["metadata"], "namespace": "karmada-es-other"}},
        {**made[2], "metadata": {**made[2]["metadata"], "namespace": "kube-system"}},
    ):
        refused(await plane.post(path_of(role), role))


async def test_who_registers_a_cluster_does_nothing_else(plane: Api) -> None:
    await plane.made(REQUESTS, request())
    plane.user = REGISTRAR
    role = f"{RBAC}/clusterroles/{agent_roles('edge')[0]['metadata']['name']}"
    for answer in (
        await plane.post("/api/v1/namespaces", named("mine")),
        await plane.post(CLUSTERS, typed(CLUSTERS, named("mine", spec=PULL))),
        await plane.get("/api/v1/secrets"),
        await plane.get(f"{WORKS.format('edge')}/settings"),
        await plane.patch(role, {"rules": []}),
        await plane.delete(role),
        await plane.delete(f"{CLUSTERS}/edge"),
        await plane.get(CLUSTERS),
        await plane.delete(f"{REQUESTS}/somebody"),
    ):
        refused(answer)


UNFIT = {
    "rbac-generator": "would be who registers clusters",
    "edge-impersonator": "would be those of cluster edge",
    "karmada-agent-edge": "would be that of the agents of cluster edge",
}


@pytest.mark.parametrize("name", UNFIT)
async def test_no_cluster_in_pull_mode_has_a_name_whose_agent_would_be_somebody_else(plane: Api, name: str) -> None:
    plane.user = SYSTEM_ADMIN
    answer = failure(await plane.post(CLUSTERS, typed(CLUSTERS, named(name, spec=PULL))), 422, "Invalid")
    assert UNFIT[name] in answer["message"]
    await plane.made("/api/v1/namespaces", named(f"karmada-es-{name}"))
    plane.user = REGISTRAR
    for role in agent_roles(name):
        assert (await plane.post(path_of(role), role)).status_code in (403, 404)  # there is no role to be bound


class Told:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, about: Object, type: str, reason: str, message: str) -> None:
        self.messages.append(message)


async def approved(plane: Api, user: User, name: str) -> tuple[bool, list[str]]:
    """Whether the certificate with which one is ``name`` is approved without anybody, and what is said of it."""
    plane.user, told = SYSTEM_ADMIN, Told()
    usages = ["client auth", "digital signature", "key encipherment"]
    body = request(request=pem(asking(name, ("system:karmada:agents",))), usages=usages)
    plane.user = user
    await plane.made(REQUESTS, body)
    controller = AgentCSRApproving(plane.registry, plane.authorizer, cast(Any, told))
    await controller._reconcile("somebody")
    plane.user = SYSTEM_ADMIN
    found = (await plane.get(f"{REQUESTS}/somebody")).json()
    await plane.delete(f"{REQUESTS}/somebody")
    return bool(found.get("status", {}).get("conditions")), told.messages


@pytest.mark.parametrize("name", ["edge-impersonator", "karmada-agent-edge"])
async def test_no_certificate_is_approved_for_such_an_agent(plane: Api, name: str) -> None:
    assert await approved(plane, BOOTSTRAPPER, "system:karmada:agent:new") == (True, [])
    found, (message,) = await approved(plane, BOOTSTRAPPER, f"system:karmada:agent:{name}")
    assert not found
    assert UNFIT[name] in message


async def test_a_request_with_two_names_is_not_approved(plane: Api) -> None:
    found, _ = await approved(plane, BOOTSTRAPPER, "system:kube-controller-manager,system:karmada:agent:new")
    assert not found


async def test_who_registers_needs_a_token_each_time(plane: Api) -> None:
    assert (await approved(plane, AGENT, AGENT.name))[0]
    assert (await approved(plane, BOOTSTRAPPER, GENERATOR))[0]
    itself = {"username": GENERATOR, "request": base64.b64encode(_of_the_registrar()).decode()}
    spec = {**request()["spec"], **itself, "usages": ["client auth", "digital signature"]}
    assert [found.subresource for found in recognized({"spec": spec})] == ["clusteragent"]


def _of_the_registrar() -> bytes:
    return asking(GENERATOR, ("system:karmada:agents",)).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CLUSTERS, named("mine", spec=PULL)),
        (LEASES.format("karmada-cluster"), named("edge")),
        (SECRETS, named("edge")),
        (WORKS.format("edge"), work("mine")),
        ("/api/v1/namespaces/default/configmaps", configmap("mine")),
        (REQUESTS, request()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_who_registers_writes_nothing_else_whatever_roles_allow(plane: Api, path: str, body: Object) -> None:
    role = agent_roles("edge")[0] | {"metadata": {"name": "all"}}
    role["rules"] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    await plane.made(f"{RBAC}/clusterroles", role)
    await plane.made(f"{RBAC}/clusterrolebindings", catalog.binding("all", "all", "User", GENERATOR))
    plane.user = REGISTRAR
    assert "who registers" in refused(await plane.post(path, typed(path, body)))


async def test_an_agents_own_lease_is_never_the_heartbeat_of_a_cluster(plane: Api) -> None:
    plane.user = AGENT
    leases = LEASES.format("karmada-cluster")
    assert "no Lease of others" in refused(await plane.post(leases, typed(leases, named("karmada-agent-edge"))))
    await make(plane, LEASES.format("default"), named("karmada-agent-edge"))


async def test_of_a_cluster_in_push_mode_no_agent_has_anything(plane: Api) -> None:
    """Its roles are left of a registration before."""
    push = {**PULL, "syncMode": "Push"}
    for name in ("edge", "edge-impersonator"):
        await make(plane, SECRETS, named(name))
    await make(plane, CLUSTERS, named("edge", spec=push))
    plane.user = AGENT
    path = f"{WORKS.format('edge')}/settings"
    for answer in (
        await plane.get(f"{SECRETS}/edge"),
        await plane.get(f"{SECRETS}/edge-impersonator"),
        await plane.patch(f"{SECRETS}/edge", {"data": {}}),
        await plane.get(path),
        await plane.get(WORKS.format("edge")),
        await plane.delete(path),
        await plane.post(WORKS.format("edge"), typed(WORKS, work("mine"))),
        await plane.patch(f"{CLUSTERS}/edge/status", {"status": {}}),
        await plane.delete(f"{CLUSTERS}/edge"),
    ):
        assert "Push mode" in refused(answer)
    plane.user = SYSTEM_ADMIN
    await plane.delete(f"{CLUSTERS}/edge")
    plane.user = AGENT
    assert (await plane.get(f"{SECRETS}/edge")).status_code == 200


async def test_a_secret_that_is_of_another_cluster_is_not_read_as_ones_own(plane: Api) -> None:
    await make(plane, CLUSTERS, named("edge-impersonator", spec={**PULL, "syncMode": "Push"}))
    plane.user = AGENT
    refused(await plane.post(SECRETS, typed(SECRETS, named("edge-impersonator"))))
    plane.user = SYSTEM_ADMIN
    await make(plane, SECRETS, named("edge-impersonator"))
    plane.user = AGENT
    assert "it is of cluster edge-impersonator" in refused(await plane.get(f"{SECRETS}/edge-impersonator"))
