"""Decisions from roles and bindings, with their reasons, and what becomes of them when these change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafila.authorization import Attributes, Rbac
from kafila.authorization.index import Index
from kafila.authorization.rbac import MOST_QUESTIONS, MOST_SUBJECTS
from kafila.registry import User

Object = dict[str, Any]
ANN = User("ann", ("team", "system:authenticated"))


def role(*rules: Object) -> bytes:
    return json.dumps({"metadata": {"name": "x"}, "rules": list(rules)}).encode()


def rule(verbs: list[str], resources: list[str], names: list[str] | None = None) -> Object:
    return {"apiGroups": [""], "resources": resources, "verbs": verbs, "resourceNames": names}


def binding(kind: str, name: str, *subjects: tuple[str, str] | tuple[str, str, str]) -> bytes:
    listed = [dict(zip(("kind", "name", "namespace"), subject, strict=False)) for subject in subjects]
    return json.dumps({"metadata": {}, "roleRef": {"kind": kind, "name": name}, "subjects": listed}).encode()


def asked(verb: str, resource: str, namespace: str = "", name: str = "", user: User = ANN) -> Attributes:
    return Attributes(user, verb, resource=resource, namespace=namespace, name=name)


@pytest.fixture
def rbac() -> Rbac:
    index = Index()
    index.put_role("", "reader", role(rule(["get", "list"], ["pods"])))
    index.put_role("a", "writer", role(rule(["update"], ["pods"], ["p1", "p2"])))
    return Rbac(index)


def changed(rbac: Rbac, namespace: str, name: str, body: bytes | None) -> None:
    rbac.index.put_binding(namespace, name, body)
    rbac.changed()


def test_nobody_may_do_anything_unless_he_is_bound(rbac: Rbac) -> None:
    assert rbac.decide(asked("get", "pods", "a")) == (False, False, "", "")


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (("User", "ann"), 'User "ann"'),
        (("Group", "team"), 'Group "team"'),
    ],
)
def test_bound_in_the_whole_cluster(rbac: Rbac, subject: tuple[str, str], shown: str) -> None:
    changed(rbac, "", "readers", binding("ClusterRole", "reader", ("User", "bob"), subject))
    reason = f'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to {shown}'
    for namespace in ("", "a"):
        decision = rbac.decide(asked("get", "pods", namespace))
        assert (decision.allowed, decision.reason) == (True, reason)
    assert not rbac.decide(asked("delete", "pods", "a")).allowed
    changed(rbac, "", "readers", None)
    assert not rbac.decide(asked("get", "pods")).allowed


def test_bound_in_one_namespace(rbac: Rbac) -> None:
    changed(rbac, "a", "writers", binding("Role", "writer", ("User", "ann")))
    decision = rbac.decide(asked("update", "pods", "a", "p2"))
    assert decision.reason == 'RBAC: allowed by RoleBinding "writers/a" of Role "writer" to User "ann"'
    assert not rbac.decide(asked("update", "pods", "a", "p3")).allowed
    assert not rbac.decide(asked("update", "pods", "a")).allowed
    assert not rbac.decide(asked("update", "pods", "b", "p2")).allowed
    assert not rbac.decide(asked("update", "pods", "", "p2")).allowed


def test_service_accounts_are_users_of_their_namespace(rbac: Rbac) -> None:
    changed(
        rbac,
        "a",
        "robots",
        binding("ClusterRole", "reader", ("ServiceAccount", "robot"), ("ServiceAccount", "far", "b")),
    )
    near, far = User("system:serviceaccount:a:robot"), User("system:serviceaccount:b:far")
    reason = 'RBAC: allowed by RoleBinding "robots/a" of ClusterRole "reader" to ServiceAccount'
    assert rbac.decide(asked("get", "pods", "a", user=near)).reason == f'{reason} "robot/a"'
    assert rbac.decide(asked("get", "pods", "a", user=far)).reason == f'{reason} "far/b"'
    changed(rbac, "", "robots", binding("ClusterRole", "reader", ("ServiceAccount", "robot")))
    assert not rbac.decide(asked("get", "pods", "b", user=near)).allowed, "no namespace, no service account"


def test_what_a_role_that_is_missing_says(rbac: Rbac) -> None:
    changed(rbac, "", "b1", binding("ClusterRole", "nothing", ("User", "ann")))
    one = 'clusterrole.rbac.authorization.k8s.io "nothing" not found'
    assert rbac.decide(asked("get", "pods")) == (False, False, f"RBAC: {one}", "")
    changed(rbac, "a", "b2", binding("Role", "nothing", ("User", "ann")))
    two = 'role.rbac.authorization.k8s.io "nothing" not found'
    assert rbac.decide(asked("get", "pods", "a")).reason == f"RBAC: [{one}, {two}]"
    rbac.index.put_role("", "nothing", role(rule(["get"], ["pods"])))
    rbac.changed()
    assert rbac.decide(asked("get", "pods")).allowed


def test_a_changed_role_counts_at_once(rbac: Rbac) -> None:
    changed(rbac, "", "readers", binding("ClusterRole", "reader", ("User", "ann")))
    assert rbac.decide(asked("get", "pods")).allowed
    rbac.index.put_role("", "reader", role(rule(["list"], ["pods"])))
    rbac.changed()
    assert not rbac.decide(asked("get", "pods")).allowed
    assert rbac.decide(asked("list", "pods")).allowed


def test_a_binding_that_changes_leaves_nothing_behind(rbac: Rbac) -> None:
    index = rbac.index
    empty = (dict(index._scopes), len(index._roles))
    for subjects in ([("User", "ann"), ("User", "ann"), ("Group", "g")], [("Group", "g")], []):
        changed(rbac, "a", "b", binding("ClusterRole", "reader", *subjects))
        assert rbac.decide(asked("get", "pods", "a")).allowed is (("User", "ann") in subjects)
    changed(rbac, "a", "b", None)
    assert (dict(index._scopes), len(index._roles)) == empty


def test_what_cannot_be_read_allows_nothing(rbac: Rbac) -> None:
    changed(rbac, "", "readers", binding("ClusterRole", "reader", ("User", "ann")))
    rbac.index.put_role("", "reader", b'{"rules": [{"verbs": "get"}]}')
    rbac.changed()
    assert not rbac.decide(asked("get", "pods")).allowed
    changed(rbac, "", "readers", b'{"roleRef": 1}')
    assert rbac.decide(asked("get", "pods")).reason == ""


def test_what_is_remembered_has_an_end(rbac: Rbac) -> None:
    for i in range(MOST_QUESTIONS + 2):
        rbac.decide(Attributes(ANN, "get", path=f"/{i}"))
    (grants,) = rbac._grants.values()
    assert len(grants.known) <= MOST_QUESTIONS
    for i in range(MOST_SUBJECTS + 2):
        rbac.decide(asked("get", "pods", f"n{i}"))
    assert len(rbac._grants) <= MOST_SUBJECTS
