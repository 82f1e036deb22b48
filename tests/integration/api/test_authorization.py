"""Who may do what over HTTP: roles and bindings decide, at once, and in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.registry import SYSTEM_ADMIN, User

from .conftest import APPLY_PATCH, Api, configmap, deployment, failure

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ANN = User("ann", ("team", "system:authenticated"))
NOBODY = User("system:anonymous", ("system:unauthenticated",))
MAPS = "/api/v1/namespaces/default/configmaps"


def role(name: str, *rules: Object, kind: str = "ClusterRole", **more: Any) -> Object:
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    return {**head, "rules": list(rules), **more}


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Object:
    found: Object = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return found | ({"resourceNames": names.split()} if names else {})


def binding(
    name: str, role: str, user: str = "ann", kind: str = "ClusterRoleBinding", of: str = "ClusterRole"
) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": role},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }


async def grant(api: Api, *rules: Object, namespace: str = "default", name: str = "granted") -> None:
    """To ann, by the administrator; she asks from then on."""
    api.user = SYSTEM_ADMIN
    where = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
    await api.made(f"{RBAC}/clusterroles", role(name, *rules))
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    await api.made(f"{where}/{kind.lower()}s", binding(name, name, kind=kind))
    api.user = ANN


def message(answer: Any) -> str:
    return failure(answer, 403, "Forbidden")["message"]


async def test_refusals_are_kubernetes_own(api: Api) -> None:
    api.user = ANN
    who = 'User "ann" cannot'
    answer = await api.get("/apis/apps/v1/namespaces/y/deployments")
    assert failure(answer, 403, "Forbidden") == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'deployments.apps is forbidden: {who} list resource "deployments" in API group "apps" in the namespace "y"',
        "reason": "Forbidden",
        "details": {"group": "apps", "kind": "deployments"},
        "code": 403,
    }
    asked = {
        ("GET", "/api/v1/nodes/n1"): f'nodes "n1" is forbidden: {who} get resource "nodes" in API group "" at the cluster scope',
        ("GET", "/api/v1/namespaces/x"): f'namespaces "x" is forbidden: {who} get resource "namespaces" in API group "" in the namespace "x"',
        ("PATCH", f"{MAPS}/a"): f'configmaps "a" is forbidden: {who} patch resource "configmaps" in API group "" in the namespace "default"',
        ("DELETE", MAPS): f'configmaps is forbidden: {who} deletecollection resource "configmaps" in API group "" in the namespace "default"',
        ("GET", f"{MAPS}?watch=1"): f'configmaps is forbidden: {who} watch resource "configmaps" in API group "" in the namespace "default"',
        ("GET", f"{MAPS}?fieldSelector=metadata.name%3Da"): f'configmaps "a" is forbidden: {who} list resource "configmaps" in API group "" in the namespace "default"',
        ("PUT", "/apis/apps/v1/namespaces/y/deployments/d/scale"): f'deployments.apps "d" is forbidden: {who} update resource "deployments/scale" in API group "apps" in the namespace "y"',
        ("POST", "/api/v1/namespaces/y/pods/p/exec"): f'pods "p" is forbidden: {who} create resource "pods/exec" in API group "" in the namespace "y"',
        ("GET", "/apis/cluster.karmada.io/v1alpha1/clusters/m1/proxy/api/v1/secrets"): f'clusters.cluster.karmada.io "m1" is forbidden: {who} get resource "clusters/proxy" in API group "cluster.karmada.io" at the cluster scope',
        ("GET", "/apis/none.example/v1/things"): f'things.none.example is forbidden: {who} list resource "things" in API group "none.example" at the cluster scope',
        ("GET", "/metrics"): f'forbidden: {who} get path "/metrics"',
        ("GET", "/"): f'forbidden: {who} get path "/"',
        ("POST", "/apis"): f'forbidden: {who} post path "/apis"',
    }  # fmt: skip
    for (method, path), said in asked.items():
        assert message(await api.ask(method, path)) == said


async def test_names_are_shown_as_go_shows_them(api: Api) -> None:
    api.user = User('a"<b>&\n', ("system:authenticated",))
    said = message(await api.get("/api/v1/nodes"))
    assert (
        said
        == r'nodes is forbidden: User "a\"&lt;b&gt;&amp;\n" cannot list resource "nodes" in API group "" at the cluster scope'
    )


async def test_who_is_nobody_sees_health_and_version(api: Api) -> None:
    api.user = NOBODY
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await api.get(path)).status_code == 200, path
    for path in ("/api", "/apis", "/api/v1", "/openapi/v2", "/metrics", "/api/v1/namespaces"):
        assert (await api.get(path)).status_code == 403, path


async def test_who_is_somebody_sees_discovery_and_asks_about_himself(api: Api) -> None:
    api.user = ANN
    for path in ("/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v2", "/openapi/v3"):
        assert (await api.get(path)).status_code == 200, path
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    await api.made("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {**review, "spec": spec})
    other = {**review, "kind": "SubjectAccessReview", "spec": {**spec, "user": "bob"}}
    assert message(await api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", other))


async def test_what_is_granted_counts_with_the_next_request(api: Api) -> None:
    api.user = ANN
    assert (await api.get(MAPS)).status_code == 403
    await grant(api, rule("list create", "configmaps"))
    assert (await api.get(MAPS)).status_code == 200
    await api.made(MAPS, configmap("a"))
    assert (await api.get(f"{MAPS}/a")).status_code == 403
    assert (await api.get("/api/v1/configmaps")).status_code == 403, "in its namespace alone"
    api.user = SYSTEM_ADMIN
    await api.delete(f"{RBAC}/namespaces/default/rolebindings/granted")
    api.user = ANN
    assert (await api.get(MAPS)).status_code == 403


async def test_single_objects(api: Api) -> None:
    await grant(api, rule("get list watch update", "configmaps", names="a"), rule("create", "configmaps"))
    await api.made(MAPS, configmap("a"))
    await api.made(MAPS, configmap("b"))
    assert (await api.get(f"{MAPS}/a")).status_code == 200
    assert (await api.get(f"{MAPS}/b")).status_code == 403
    assert (await api.get(MAPS)).status_code == 403
    listed = await api.get(f"{MAPS}?fieldSelector=metadata.name%3Da")
    assert [item["metadata"]["name"] for item in listed.json()["items"]] == ["a"]
    stream = await api.watch(MAPS, "fieldSelector=metadata.name%3Da").start()
    assert await stream.events(1) == [("ADDED", "a")]
    await stream.leave()


async def test_subresources_have_to_be_named(api: Api) -> None:
    await grant(api, rule("get update patch create", "deployments", "apps"))
    await api.made("/apis/apps/v1/namespaces/default/deployments", deployment("d"))
    path = "/apis/apps/v1/namespaces/default/deployments/d"
    assert (await api.patch(f"{path}/scale", {"spec": {"replicas": 2}})).status_code == 403
    assert (await api.patch(f"{path}/status", {"status": {"replicas": 2}})).status_code == 403
    await grant(api, rule("patch", "*/scale", "apps"), name="scaler")
    assert (await api.patch(f"{path}/scale", {"spec": {"replicas": 2}})).status_code == 200


async def test_a_write_that_creates_is_a_create(api: Api) -> None:
    await grant(api, rule("update patch", "leases", "coordination.k8s.io"), rule("patch", "configmaps"))
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}
    answer = await api.put("/apis/coordination.k8s.io/v1/namespaces/default/leases/l", lease)
    where = 'in API group "coordination.k8s.io" in the namespace "default"'
    assert (
        message(answer)
        == f'leases.coordination.k8s.io "l" is forbidden: User "ann" cannot create resource "leases" {where}'
    )
    applied = await api.patch(f"{MAPS}/a?fieldManager=x", configmap("a"), APPLY_PATCH)
    where = 'in API group "" in the namespace "default"'
    assert message(applied) == f'configmaps "a" is forbidden: User "ann" cannot create resource "configmaps" {where}'
    api.user = SYSTEM_ADMIN
    await api.made(MAPS, configmap("a"))
    api.user = ANN
    assert (await api.patch(f"{MAPS}/a?fieldManager=x", configmap("a", k="v"), APPLY_PATCH)).status_code == 200


async def test_a_namespace_lies_in_itself(api: Api) -> None:
    await grant(api, rule("get", "namespaces"))
    assert (await api.get("/api/v1/namespaces/default")).status_code == 200
    assert (await api.get("/api/v1/namespaces/kube-system")).status_code == 403


async def test_another_process_decides_alike(api: Api) -> None:
    other = await Api(api.store.database).open()
    other.user = ANN
    assert (await other.get(MAPS)).status_code == 403
    await grant(api, rule("list", "configmaps"))
    await other.registry.wait_for_consistent_read()
    assert (await other.get(MAPS)).status_code == 200
    await other.close()


@pytest.mark.parametrize("escaped", ["/api/v1/namespaces/default/secrets/", "/api/v1/namespaces/default/secrets//", "//api/v1/secrets",
                                     "/api/v1/namespaces//secrets", "/api/v1/watch/secrets", "/api/v1/namespaces/default//secrets",
                                     "/api/v1/namespaces/a/status/x", "/api/v1/proxy/namespaces/default/secrets/x"])  # fmt: skip
async def test_no_spelling_of_a_path_gets_around_it(api: Api, escaped: str) -> None:
    await api.made(
        "/api/v1/namespaces/default/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    )
    await grant(api, rule("*", "configmaps"), namespace="")
    answer = await api.get(escaped)
    assert answer.status_code in (403, 404), answer.text
