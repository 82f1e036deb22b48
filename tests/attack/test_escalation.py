"""Nobody gives himself, or anybody, what he does not have: roles, bindings, aggregation, impersonation, others' Secrets."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.registry import SYSTEM_ADMIN, User
from kafila.workers.authorization import build
from tests.integration.api.conftest import APPLY_PATCH, JSON_PATCH, Api, failure
from tests.integration.api.test_authorization import ANN, RBAC, binding, grant, message, role, rule

HERE = f"{RBAC}/namespaces/default"
ESCALATES = (
    'user "ann" (groups=["team" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
)
SECRETS = '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'


@pytest.fixture
async def writer(api: Api) -> Api:
    """ann may write roles and bindings in the namespace ``default``, and read ConfigMaps there."""
    everything = rule("*", "roles rolebindings", "rbac.authorization.k8s.io")
    everything["verbs"] = ["get", "list", "create", "update", "patch", "delete"]
    await grant(api, everything, rule("get", "configmaps"))
    return api


async def test_a_role_of_more_than_its_writer_has_is_refused(writer: Api) -> None:
    new = role("new", rule("get list", "secrets"), rule("get", "configmaps"), kind="Role")
    said = message(await writer.post(f"{HERE}/roles", new))
    assert said == f'roles.rbac.authorization.k8s.io "new" is forbidden: {ESCALATES}{SECRETS}'
    for answer in (
        await writer.put(f"{HERE}/roles/new", new),
        await writer.patch(f"{HERE}/roles/new?fieldManager=x", new, APPLY_PATCH),
        await writer.post(f"{HERE}/roles?dryRun=All", new),
    ):
        assert SECRETS in message(answer)
    await writer.made(f"{HERE}/roles", role("new", rule("get", "configmaps"), kind="Role"))
    more = {"rules": new["rules"]}
    assert SECRETS in message(await writer.patch(f"{HERE}/roles/new", more))
    added = [{"op": "add", "path": "/rules/-", "value": new["rules"][0]}]
    assert SECRETS in message(await writer.patch(f"{HERE}/roles/new", added, JSON_PATCH))
    assert (await writer.patch(f"{HERE}/roles/new", {"metadata": {"labels": {"a": "b"}}})).status_code == 200


async def test_a_wildcard_is_more_than_all_that_one_has(writer: Api) -> None:
    for wide in (rule("*", "configmaps"), rule("get", "*"), rule("get", "configmaps", "*")):
        assert "not currently held" in message(await writer.post(f"{HERE}/roles", role("new", wide, kind="Role")))


async def test_a_role_that_one_does_not_have_cannot_be_bound(writer: Api) -> None:
    wanted = binding("mine", "cluster-admin", kind="RoleBinding")
    said = message(await writer.post(f"{HERE}/rolebindings", wanted))
    assert said.startswith(f'rolebindings.rbac.authorization.k8s.io "mine" is forbidden: {ESCALATES}')
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}' in said
    missing = failure(
        await writer.post(f"{HERE}/rolebindings", binding("mine", "none", kind="RoleBinding")), 404, "NotFound"
    )
    assert missing["message"] == 'rolebindings.rbac.authorization.k8s.io "none" not found'
    assert (await writer.post(f"{RBAC}/clusterrolebindings", binding("mine", "view"))).status_code == 403


async def test_another_subject_in_a_binding_is_a_grant(writer: Api) -> None:
    writer.user = SYSTEM_ADMIN
    await writer.made(f"{HERE}/rolebindings", binding("hers", "cluster-admin", "eve", kind="RoleBinding"))
    writer.user = ANN
    subjects = {"subjects": binding("x", "x")["subjects"]}
    assert "not currently held" in message(await writer.patch(f"{HERE}/rolebindings/hers", subjects))
    assert (await writer.patch(f"{HERE}/rolebindings/hers", {"metadata": {"finalizers": ["a.b/c"]}})).status_code == 200
    assert "not currently held" in message(
        await writer.patch(f"{HERE}/rolebindings/hers", {"metadata": {"labels": {"a": "b"}}})
    )


async def test_the_verbs_bind_and_escalate_are_what_it_takes(writer: Api) -> None:
    await grant(writer, rule("bind", "clusterroles", "rbac.authorization.k8s.io", names="edit"), name="binder")
    await writer.made(f"{HERE}/rolebindings", binding("ok", "edit", "eve", kind="RoleBinding"))
    assert (
        await writer.post(f"{HERE}/rolebindings", binding("no", "cluster-admin", "eve", kind="RoleBinding"))
    ).status_code == 403
    await grant(writer, rule("escalate", "roles", "rbac.authorization.k8s.io"), name="escalator")
    await writer.made(f"{HERE}/roles", role("ok", rule("*", "*"), kind="Role"))
    assert (await writer.post(f"{RBAC}/clusterroles", role("no", rule("*", "*")))).status_code == 403


async def test_a_role_cannot_aggregate_what_its_writer_does_not_have(api: Api) -> None:
    await grant(api, rule("create update patch get", "clusterroles", "rbac.authorization.k8s.io"), namespace="")
    selects = {"clusterRoleSelectors": [{"matchLabels": {"any": "thing"}}]}
    why = "must have cluster-admin privileges to use the aggregationRule"
    assert why in message(await api.post(f"{RBAC}/clusterroles", role("new", aggregationRule=selects)))
    await api.made(f"{RBAC}/clusterroles", role("new"))
    assert why in message(await api.patch(f"{RBAC}/clusterroles/new", {"aggregationRule": selects}))
    # nor put rules into a role that others take theirs from
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    grabbing = role("grabbing", rule("get", "secrets")) | {"metadata": {"name": "grabbing", "labels": labels}}
    assert "not currently held" in message(await api.post(f"{RBAC}/clusterroles", grabbing))
    assert why in message(await api.patch(f"{RBAC}/clusterroles/edit", {"metadata": {"labels": {"x": "y"}}}))


async def test_what_a_binding_refers_to_cannot_change(writer: Api) -> None:
    await grant(writer, rule("bind", "clusterroles", "rbac.authorization.k8s.io"), name="binder")
    await writer.made(f"{HERE}/rolebindings", binding("b", "view", kind="RoleBinding"))
    answer = await writer.put(f"{HERE}/rolebindings/b", binding("b", "admin", kind="RoleBinding"))
    assert "cannot change roleRef" in failure(answer, 422, "Invalid")["message"]


async def test_secrets_of_others(api: Api) -> None:
    """In another namespace, by lists over all, by watches, as a Table, and through reviews there is nothing."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}}
    await api.made("/api/v1/namespaces/kube-system/secrets", secret)
    await grant(api, rule("get list watch", "secrets"))
    assert (await api.get("/api/v1/namespaces/default/secrets")).status_code == 200
    for path in ("/api/v1/secrets", "/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/kube-system/secrets/s",
                 "/api/v1/watch/secrets", "/api/v1/secrets?watch=1", "/api/v1/secrets?fieldSelector=metadata.namespace%3Ddefault"):  # fmt: skip
        answer = await api.get(path, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
        assert answer.status_code == 403
        assert b"hidden" not in answer.content


async def test_what_is_not_authorized_is_not_done(api: Api) -> None:
    api.user = ANN
    path = "/api/v1/namespaces/default/configmaps"
    for method, where in (("POST", path), ("PUT", f"{path}/a"), ("DELETE", path), ("DELETE", f"{path}/a")):
        before = api.cache.revision
        assert (await api.ask(method, where, {"metadata": {"name": "a"}})).status_code == 403
        assert api.cache.revision == before


async def test_nobody_becomes_privileged_by_a_name(api: Api) -> None:
    for user in (User("system:masters"), User("system:admin"), User("x", ("system:master", "system:masters "))):
        api.user = user
        assert (await api.get("/api/v1/nodes")).status_code == 403


async def test_members_of_system_masters_need_no_role_in_any_mode(api: Api) -> None:
    api.app.authorizer = build(api.authorizer.rbac, ["AlwaysDeny"])
    api.user = ANN
    assert "Everything is forbidden." in message(await api.get("/api/v1/nodes"))
    api.user = SYSTEM_ADMIN
    assert (await api.get("/api/v1/nodes")).status_code == 200


def wide(verbs: int, groups: int, resources: int) -> Any:
    return {
        "verbs": [f"verb{i}" for i in range(verbs)],
        "apiGroups": [f"group{i}" for i in range(groups)],
        "resources": [f"resource{i}" for i in range(resources)],
    }


async def test_a_small_role_of_very_many_parts_holds_up_nobody(writer: Api) -> None:
    """Three lists of a thousand make a thousand million rights, of which a refusal would name each."""
    answer = await writer.post(f"{HERE}/roles", role("new", wide(1000, 1000, 1000), kind="Role"))
    assert message(answer).startswith(f'roles.rbac.authorization.k8s.io "new" is forbidden: {ESCALATES}')
    assert len(answer.content) < 32 << 20


async def test_parts_that_one_has_are_not_looked_at_one_by_one_without_end(writer: Api) -> None:
    every = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    halves = [every | {"verbs": [f"verb{i}" for i in range(part, 1000, 2)]} for part in (0, 1)]
    await grant(writer, *halves, name="halves")
    await writer.made(f"{HERE}/roles", role("small", wide(10, 10, 10), kind="Role"))
    await writer.made(f"{HERE}/roles", role("half", halves[0], kind="Role"))
    said = message(await writer.post(f"{HERE}/roles", role("new", wide(1000, 1000, 1000), kind="Role")))
    assert said.endswith('"new" is forbidden: the rules are too many to be compared with those of user "ann"')


async def test_many_rules_are_not_compared_with_many_without_end(writer: Api) -> None:
    await grant(writer, rule("get", "configmaps secrets"), name="readers")

    def many(resource: str) -> Any:
        return role(resource, *(rule("get", resource, names=f"n{i}") for i in range(5_000)), kind="Role")

    await writer.made(f"{HERE}/roles", many("configmaps"))
    await writer.made(f"{HERE}/rolebindings", binding("a", "configmaps", kind="RoleBinding", of="Role"))
    assert "too many to be compared" in message(await writer.post(f"{HERE}/roles", many("secrets")))
    await writer.made(f"{HERE}/rolebindings", binding("b", "configmaps", kind="RoleBinding", of="Role"))
