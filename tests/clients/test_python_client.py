"""The official Python client (generated, typed): objects, patches, watches."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException
from kubernetes.config.incluster_config import InClusterConfigLoader

from kafila.catalog.version import KUBERNETES_VERSION


@pytest.fixture(scope="module")
def api(served: Any) -> client.ApiClient:
    return kubernetes.config.new_client_from_config(str(served.kubeconfig))


def deployment(name: str, replicas: int = 1) -> client.V1Deployment:
    labels = {"app": name}
    pod = client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx:1")])
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=pod)
    spec = client.V1DeploymentSpec(
        replicas=replicas, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name, labels=labels), spec=spec)


def test_life_of_a_deployment(api: client.ApiClient, namespace: str) -> None:
    apps = client.AppsV1Api(api)
    made = apps.create_namespaced_deployment(namespace, deployment("web"))
    assert made.metadata.generation == 1
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    with pytest.raises(ApiException) as refused:
        apps.create_namespaced_deployment(namespace, deployment("web"))
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    stale = apps.read_namespaced_deployment("web", namespace)
    made.spec.replicas = 3
    replaced = apps.replace_namespaced_deployment("web", namespace, made)
    assert replaced.metadata.generation == 2
    stale.spec.replicas = 5
    with pytest.raises(ApiException) as conflict:
        apps.replace_namespaced_deployment("web", namespace, stale)
    assert conflict.value.status == 409
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=web")
    scale.spec.replicas = 4
    apps.replace_namespaced_deployment_scale("web", namespace, scale)
    status = apps.read_namespaced_deployment("web", namespace)
    status.status.ready_replicas = status.status.replicas = 4
    status.spec.replicas = 9  # the status subresource takes status only
    written = apps.replace_namespaced_deployment_status("web", namespace, status)
    assert (written.spec.replicas, written.status.ready_replicas) == (4, 4)
    found = apps.list_namespaced_deployment(namespace, label_selector="app in (web)").items
    assert [d.metadata.name for d in found] == ["web"]
    stream = watch.Watch()
    ended = stream.stream(
        apps.list_namespaced_deployment, namespace, resource_version=written.metadata.resource_version
    )
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    seen = [next(ended)["type"] for _ in range(2)]  # marked; then the garbage collector lets it go
    stream.stop()
    assert seen == ["MODIFIED", "DELETED"]
    with pytest.raises(ApiException) as gone:
        apps.read_namespaced_deployment("web", namespace)
    assert gone.value.status == 404


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json-patch+json", [{"op": "replace", "path": "/data/key", "value": "patched"}]),
        ("application/merge-patch+json", {"data": {"key": "patched", "old": None}}),
        ("application/strategic-merge-patch+json", {"data": {"key": "patched", "old": None}}),
        (
            "application/apply-patch+yaml",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"key": "patched"}},
        ),
    ],
)
def test_patches(api: client.ApiClient, namespace: str, content_type: str, body: Any) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="one"), data={"key": "value", "old": "x"})
    )
    options: dict[str, Any] = {"_content_type": content_type}
    if "apply" in content_type:
        options |= {"field_manager": "tester", "force": True}
    patched = core.patch_namespaced_config_map("one", namespace, body, **options)
    assert patched.data["key"] == "patched"
    assert ("old" in patched.data) == (content_type in ("application/json-patch+json", "application/apply-patch+yaml"))


def test_refusals_have_causes(api: client.ApiClient, namespace: str) -> None:
    broken = deployment("Broken_Name")
    with pytest.raises(ApiException) as refused:
        client.AppsV1Api(api).create_namespaced_deployment(namespace, broken)
    assert refused.value.status == 422
    assert "metadata.name" in refused.value.body


def test_pages_of_a_list(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    for number in range(7):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": f"page-{number}"}})
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(namespace, limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert [n for n in names if n.startswith("page-")] == [f"page-{number}" for number in range(7)]
    core.delete_collection_namespaced_config_map(namespace)
    left = [item.metadata.name for item in core.list_namespaced_config_map(namespace).items]
    assert not [name for name in left if name.startswith("page-")]


def test_a_watch_sees_every_change(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    wanted = []

    def write() -> None:
        for number in range(20):
            name = f"watched-{number}"
            core.create_namespaced_config_map(namespace, {"metadata": {"name": name}, "data": {"n": "0"}})
            core.patch_namespaced_config_map(name, namespace, {"data": {"n": "1"}})
            core.delete_namespaced_config_map(name, namespace)

    for number in range(20):
        wanted += [(event, f"watched-{number}") for event in ("ADDED", "MODIFIED", "DELETED")]
    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, namespace, resource_version=start, timeout_seconds=120):
        if event["object"].metadata.name.startswith("watched-"):
            seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == len(wanted):
            stream.stop()
    writer.join()
    assert seen == wanted


def test_custom_objects_api_speaks_karmada(api: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(api)
    where = ("policy.karmada.io", "v1alpha1", namespace, "propagationpolicies")
    policy = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": "all"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}], "placement": {}},
    }
    made: Any = custom.create_namespaced_custom_object(*where, policy)
    assert made["spec"]["schedulerName"] == "default-scheduler"
    custom.patch_namespaced_custom_object(*where, "all", {"spec": {"priority": 7}})
    found: Any = custom.list_namespaced_custom_object(*where)
    assert [p["spec"]["priority"] for p in found["items"]] == [7]
    custom.delete_namespaced_custom_object(*where, "all")


def test_version_and_reviews(api: client.ApiClient) -> None:
    assert client.VersionApi(api).get_code().git_version.startswith(KUBERNETES_VERSION)
    me = client.AuthenticationV1Api(api).create_self_subject_review(client.V1SelfSubjectReview())
    assert me.status.user_info.username == "system:admin"
    attributes = client.V1ResourceAttributes(verb="create", resource="pods")
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed


def test_a_projected_token(api: client.ApiClient, namespace: str, tmp_path: Path) -> None:
    """As in a pod: a bound token and the CA in files, of which the token is exchanged while the client runs."""
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    core.create_namespaced_service_account(namespace, client.V1ServiceAccount(metadata={"name": "robot"}))
    role = client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="view")
    subject = client.RbacV1Subject(kind="ServiceAccount", name="robot", namespace=namespace)
    rbac.create_namespaced_role_binding(
        namespace, client.V1RoleBinding(metadata={"name": "robot"}, role_ref=role, subjects=[subject])
    )
    spec = client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)

    def project() -> str:
        asked = client.AuthenticationV1TokenRequest(spec=spec)
        found: str = core.create_namespaced_service_account_token("robot", namespace, asked).status.token
        (tmp_path / "token").write_text(found)
        return found

    project()
    published = core.read_namespaced_config_map("kube-root-ca.crt", namespace)
    (tmp_path / "ca.crt").write_text(published.data["ca.crt"])
    host, _, port = api.configuration.host.removeprefix("https://").rpartition(":")
    loader = InClusterConfigLoader(
        token_filename=str(tmp_path / "token"),
        cert_filename=str(tmp_path / "ca.crt"),
        environ={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
    )
    configuration = client.Configuration()
    loader.load_and_set(configuration)
    robot = client.CoreV1Api(client.ApiClient(configuration))
    assert "kube-root-ca.crt" in [each.metadata.name for each in robot.list_namespaced_config_map(namespace).items]
    for refused in (
        lambda: robot.list_namespaced_secret(namespace),
        lambda: robot.list_namespaced_config_map("kube-system"),
    ):
        with pytest.raises(ApiException) as forbidden:
            refused()
        assert forbidden.value.status == 403
        assert f'User \\"system:serviceaccount:{namespace}:robot\\" cannot list' in forbidden.value.body
    (tmp_path / "token").write_text("not a token")
    loader.token_expires_at = datetime.datetime.min  # a minute later
    with pytest.raises(ApiException) as unknown:
        robot.list_namespaced_config_map(namespace)
    assert unknown.value.status == 401
    project()
    loader.token_expires_at = datetime.datetime.min
    assert robot.list_namespaced_config_map(namespace).items
    core.delete_namespaced_service_account("robot", namespace)
    with pytest.raises(ApiException) as gone:
        robot.list_namespaced_config_map(namespace)
    assert gone.value.status == 401
