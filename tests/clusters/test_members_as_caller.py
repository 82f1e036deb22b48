"""Members as the caller: users, service accounts and groups reach a real member as themselves, and no further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_federation import PROXY, Federation, Proxied, condition
from cluster_harness import Member, kubectl

RBAC = "rbac.authorization.k8s.io"
ROLE_WORK = "karmada-impersonator-7cbb6bd5c9"
ANN = ("--as=ann", "--as-group=dev")
ROBOT = "system:serviceaccount:ci:robot"
USERS = ({"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"})
GROUPS = ("dev", "system:serviceaccounts", "system:serviceaccounts:ci")


def role(kind: str, name: str, rule: dict, namespace: str = "") -> dict:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": [rule]}


def binding(of: dict, *subjects: dict) -> dict:
    reference = {"apiGroup": RBAC, "kind": of["kind"], "name": of["metadata"]["name"]}
    listed = [subject if subject["kind"] == "ServiceAccount" else {"apiGroup": RBAC, **subject} for subject in subjects]
    return {**of, "kind": f"{of['kind']}Binding", "rules": None, "roleRef": reference, "subjects": listed}


def proxying(name: str, *verbs: str) -> dict:
    """Of member1's proxy."""
    rule = {"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"], "resourceNames": ["member1"]}
    return role("ClusterRole", name, {**rule, "verbs": list(verbs)})


@pytest.fixture(scope="module")
def granted(federation: Federation, member1: Member) -> Iterator[Federation]:
    """ann and the account ci/robot may use member1's proxy, and read pods there in the namespace a."""
    federation.kubectl("create", "namespace", "ci")
    federation.kubectl("create", "serviceaccount", "-n", "ci", "robot")
    users = proxying("member1-user", "*")
    named = proxying("member1-groups", "impersonate")  # opens nothing here: they may be named to the member
    groups = ({"kind": "Group", "name": name} for name in GROUPS)
    federation.apply(users, binding(users, *USERS), named, binding(named, *groups))
    member1.kubectl("create", "namespace", "a")
    reader = role("Role", "reader", {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}, "a")
    for obj in (reader, binding(reader, *USERS)):
        member1.kubectl("apply", "-f", "-", stdin=json.dumps(obj))

    def trusted() -> bool:
        work = federation.get("work", "-n", "karmada-es-member1", ROLE_WORK)
        return set(GROUPS) <= names(work, "groups") and condition(work, "Applied").get("status") == "True"

    def applied() -> bool:
        found = json.loads(member1.kubectl("get", "clusterrole", "karmada-impersonator", "-o", "json"))
        return any("ann" in (rule.get("resourceNames") or ()) for rule in found["rules"] or ())

    federation.eventually("member1 knows whom it may trust", lambda: trusted() and applied())
    pod = ("run", "theirs", "-n", "a", "--image=web", "-o", "name")
    federation.eventually(
        "a pod", lambda: member1.kubectl(*pod) == "pod/theirs\n"
    )  # once the namespace has its account
    yield federation
    member1.kubectl("delete", "namespace", "a")


def names(work: dict, resource: str) -> set[str]:
    (manifest,) = work["spec"]["workload"]["manifests"]
    return {name for rule in manifest["rules"] if rule["resources"] == [resource] for name in rule["resourceNames"]}


@pytest.fixture(scope="module")
def robot(granted: Federation, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    token = granted.kubectl("create", "token", "-n", "ci", "robot").strip()
    return Proxied(granted, "member1", tmp_path_factory.mktemp("robot"), token)


@pytest.fixture(scope="module")
def admin(granted: Federation, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    return Proxied(granted, "member1", tmp_path_factory.mktemp("admin"))


def test_a_user_is_himself_there_with_all_his_groups(admin: Proxied) -> None:
    seen = json.loads(admin("auth", "whoami", "-o", "json", *ANN))["status"]["userInfo"]
    assert (seen["username"], seen["groups"]) == ("ann", ["dev", "system:authenticated"])


def test_so_is_a_service_account_with_its_token(robot: Proxied) -> None:
    seen = json.loads(robot("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert seen["username"] == ROBOT
    assert seen["groups"] == ["system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"]


def test_what_the_member_allows_is_seen_and_the_rest_refused_in_its_words(admin: Proxied, robot: Proxied) -> None:
    for through, user, extra in ((admin, "ann", ANN), (robot, ROBOT, ())):
        assert through("get", "pods", "-n", "a", "-o", "name", *extra) == "pod/theirs\n"
        for arguments, what in (
            (("get", "pods", "-n", "default"), 'list resource "pods" in API group "" in the namespace "default"'),
            (
                ("get", "secrets", "-n", "karmada-cluster"),
                'list resource "secrets" in API group "" in the namespace "karmada-cluster"',
            ),
            (("get", "nodes"), 'list resource "nodes" in API group "" at the cluster scope'),
            (
                ("create", "token", "default", "-n", "kube-system"),
                'create resource "serviceaccounts/token" in API group "" in the namespace "kube-system"',
            ),
        ):
            assert f'User "{user}" cannot {what}' in through.error(*arguments, *extra)


def test_another_member_is_refused_here(granted: Federation, robot: Proxied) -> None:
    config = robot.kubeconfig.with_name("member2.kubeconfig")
    config.write_text(robot.kubeconfig.read_text().replace("/clusters/member1/", "/clusters/member2/"))
    refused = (
        'clusters.cluster.karmada.io "member2" is forbidden: User "{}" cannot get resource "clusters/proxy"'
        ' in API group "cluster.karmada.io" at the cluster scope'
    )
    for where, user, extra in ((config, ROBOT, ()), (granted.kubeconfig, "ann", ANN)):
        path = "/api/v1/nodes" if where is config else PROXY.format("member2") + "/api/v1/nodes"
        with pytest.raises(RuntimeError) as raised:
            kubectl(granted.lab.bin / "kubectl", where, "get", "--raw", path, *extra)
        assert refused.format(user) in str(raised.value)


def test_who_may_only_be_named_there_is_let_through_to_nothing(granted: Federation, tmp_path: Path) -> None:
    """The other accounts of the group that robot needs."""
    token = granted.kubectl("create", "token", "-n", "ci", "default").strip()
    refused = Proxied(granted, "member1", tmp_path, token).error("get", "--raw", "/api/v1/namespaces/a/pods")
    assert 'User "system:serviceaccount:ci:default" cannot get resource "clusters/proxy"' in refused


def test_a_group_that_nobody_named_is_not_taken_along(admin: Proxied) -> None:
    refused = admin.error("get", "pods", "-n", "a", *ANN, "--as-group=ops")
    assert 'cannot impersonate resource "groups" in API group "" at the cluster scope' in refused


def test_nobody_becomes_somebody_else_on_the_way(robot: Proxied) -> None:
    assert f'User "{ROBOT}" cannot impersonate resource "users"' in robot.error("get", "nodes", "--as=system:admin")


def test_the_credentials_of_members_are_not_for_them(granted: Federation) -> None:
    for name in ("member1", "member1-impersonator"):
        with pytest.raises(RuntimeError, match='User "ann" cannot get resource "secrets"'):
            granted.kubectl("get", "secret", "-n", "karmada-cluster", name, *ANN)


def test_a_right_that_is_taken_away_is_gone_in_the_member_too(granted: Federation, admin: Proxied) -> None:
    granted.kubectl("delete", "clusterrolebinding", "member1-user")

    def gone() -> bool:
        return "ann" not in names(granted.get("work", "-n", "karmada-es-member1", ROLE_WORK), "users")

    granted.eventually("the Work does not name ann", gone)
    assert 'User "ann" cannot get resource "clusters/proxy"' in admin.error("get", "pods", "-n", "a", *ANN)
