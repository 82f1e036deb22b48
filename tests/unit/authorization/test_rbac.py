"""Decisions from roles and bindings, with their reasons, and what becomes of them when these change."""

from __future__ import annotations

import json

import pytest

from kafila.authorization import Attributes, Rbac
from kafila.authorization.rbac import (
    LONGEST_KEY,
    LONGEST_SUBJECT,
    MOST_DECISIONS,
    MOST_KEPT,
    MOST_OF_ONE,
    MOST_SUBJECTS,
)
from kafila.core.values import Object
from kafila.registry import User

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
    found = Rbac()
    found.put_role("", "reader", role(rule(["get", "list"], ["pods"])))
    found.put_role("a", "writer", role(rule(["update"], ["pods"], ["p1", "p2"])))
    return found


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
    rbac.put_binding("", "readers", binding("ClusterRole", "reader", ("User", "bob"), subject))
    reason = f'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to {shown}'
    for namespace in ("", "a"):
        decision = rbac.decide(asked("get", "pods", namespace))
        assert (decision.allowed, decision.reason) == (True, reason)
    assert not rbac.decide(asked("delete", "pods", "a")).allowed
    rbac.put_binding("", "readers", None)
    assert not rbac.decide(asked("get", "pods")).allowed


def test_bound_in_one_namespace(rbac: Rbac) -> None:
    rbac.put_binding("a", "writers", binding("Role", "writer", ("User", "ann")))
    decision = rbac.decide(asked("update", "pods", "a", "p2"))
    assert decision.reason == 'RBAC: allowed by RoleBinding "writers/a" of Role "writer" to User "ann"'
    assert not rbac.decide(asked("update", "pods", "a", "p3")).allowed
    assert not rbac.decide(asked("update", "pods", "a")).allowed
    assert not rbac.decide(asked("update", "pods", "b", "p2")).allowed
    assert not rbac.decide(asked("update", "pods", "", "p2")).allowed


def test_service_accounts_are_users_of_their_namespace(rbac: Rbac) -> None:
    rbac.put_binding(
        "a",
        "robots",
        binding("ClusterRole", "reader", ("ServiceAccount", "robot"), ("ServiceAccount", "far", "b")),
    )
    near, far = User("system:serviceaccount:a:robot"), User("system:serviceaccount:b:far")
    reason = 'RBAC: allowed by RoleBinding "robots/a" of ClusterRole "reader" to ServiceAccount'
    assert rbac.decide(asked("get", "pods", "a", user=near)).reason == f'{reason} "robot/a"'
    assert rbac.decide(asked("get", "pods", "a", user=far)).reason == f'{reason} "far/b"'
    rbac.put_binding("", "robots", binding("ClusterRole", "reader", ("ServiceAccount", "robot")))
    assert not rbac.decide(asked("get", "pods", "b", user=near)).allowed, "no namespace, no service account"


def test_what_a_role_that_is_missing_says(rbac: Rbac) -> None:
    rbac.put_binding("", "b1", binding("ClusterRole", "nothing", ("User", "ann")))
    one = 'clusterrole.rbac.authorization.k8s.io "nothing" not found'
    assert rbac.decide(asked("get", "pods")) == (False, False, f"RBAC: {one}", "")
    rbac.put_binding("a", "b2", binding("Role", "nothing", ("User", "ann")))
    two = 'role.rbac.authorization.k8s.io "nothing" not found'
    assert rbac.decide(asked("get", "pods", "a")).reason == f"RBAC: [{one}, {two}]"
    rbac.put_role("", "nothing", role(rule(["get"], ["pods"])))
    assert rbac.decide(asked("get", "pods")).allowed


def test_a_changed_role_counts_at_once(rbac: Rbac) -> None:
    rbac.put_binding("", "readers", binding("ClusterRole", "reader", ("User", "ann")))
    assert rbac.decide(asked("get", "pods")).allowed
    rbac.put_role("", "reader", role(rule(["list"], ["pods"])))
    assert not rbac.decide(asked("get", "pods")).allowed
    assert rbac.decide(asked("list", "pods")).allowed


def test_a_binding_that_changes_leaves_nothing_behind(rbac: Rbac) -> None:
    index = rbac.index
    empty = (dict(index._scopes), len(index._roles))
    for subjects in ([("User", "ann"), ("User", "ann"), ("Group", "g")], [("Group", "g")], []):
        rbac.put_binding("a", "b", binding("ClusterRole", "reader", *subjects))
        assert rbac.decide(asked("get", "pods", "a")).allowed is (("User", "ann") in subjects)
    rbac.put_binding("a", "b", None)
    assert (dict(index._scopes), len(index._roles)) == empty


def test_what_cannot_be_read_allows_nothing(rbac: Rbac) -> None:
    rbac.put_binding("", "readers", binding("ClusterRole", "reader", ("User", "ann")))
    rbac.put_role("", "reader", b'{"rules": [{"verbs": "get"}]}')
    assert not rbac.decide(asked("get", "pods")).allowed
    rbac.put_binding("", "readers", b'{"roleRef": 1}')
    assert rbac.decide(asked("get", "pods")).reason == ""


def test_a_change_costs_nobody_else_his_memory(rbac: Rbac) -> None:
    bob = User("bob", ("system:authenticated",))
    for user in (ANN, bob):
        for namespace in ("", "a", "b"):
            rbac.decide(asked("get", "pods", namespace, user=user))
    remembered = set(rbac._grants)

    def forgotten() -> set[tuple[str, str]]:
        found = {(key[0], key[2]) for key in remembered - set(rbac._grants)}
        for name, groups, namespace in remembered:
            rbac.decide(asked("get", "pods", namespace, user=User(name, groups)))
        return found

    rbac.put_binding("a", "b", binding("Role", "writer", ("User", "ann")))
    assert forgotten() == {("ann", "a")}
    rbac.put_role("a", "writer", role(rule(["get"], ["pods"])))
    assert forgotten() == {("ann", "a")}
    rbac.put_role("b", "writer", role(rule(["get"], ["pods"])))
    assert forgotten() == set()
    rbac.put_binding("", "b", binding("ClusterRole", "reader", ("Group", "team")))
    assert forgotten() == {("ann", ""), ("ann", "a"), ("ann", "b")}
    rbac.put_binding("", "b", binding("ClusterRole", "reader", ("Group", "system:authenticated")))
    assert forgotten() == {(user, namespace) for user in ("ann", "bob") for namespace in ("", "a", "b")}


def test_what_is_remembered_has_an_end(rbac: Rbac) -> None:
    for i in range(MOST_DECISIONS + 2):
        rbac.decide(Attributes(ANN, "get", path=f"/{i}"))
    (grants,) = rbac._grants.values()
    assert len(grants.known) <= MOST_DECISIONS
    for i in range(MOST_SUBJECTS + 2):
        rbac.decide(asked("get", "pods", f"n{i}"))
    assert len(rbac._grants) <= MOST_SUBJECTS
    assert sum(map(len, rbac._about.values())) <= 8 * MOST_SUBJECTS


def test_what_is_long_or_large_is_not_remembered(rbac: Rbac) -> None:
    """Verbs, paths and namespaces are anybody's to think up in a review, and rules those of who administers a namespace."""
    for length in (LONGEST_KEY, 1 << 20):
        assert not rbac.decide(Attributes(ANN, "v" * length, "", "", "pods")).allowed
        assert not rbac.decide(Attributes(ANN, "get", path="/" + "p" * length)).allowed
    (grants,) = rbac._grants.values()
    assert not grants.known
    rbac.decide(asked("get", "pods", "n" * LONGEST_SUBJECT))
    rbac.decide(asked("get", "pods", user=User("ann", ("g" * LONGEST_SUBJECT,))))
    rbac.decide(asked("get", "pods", user=User("ann", ("",) * LONGEST_SUBJECT)))
    assert len(rbac._grants) == 1
    rbac.put_role("big", "big", role(*[rule(["get"], ["pods"])] * (MOST_OF_ONE + 1)))
    rbac.put_binding("big", "big", binding("Role", "big", ("User", "ann")))
    assert rbac.decide(asked("get", "pods", "big")).allowed
    assert len(rbac._grants) == 1
    assert rbac._kept < 100


def test_all_that_is_remembered_has_an_end(rbac: Rbac) -> None:
    names = [f"n{i}" for i in range(MOST_OF_ONE)]
    rbac.put_role("a", "names", role(rule(["get", "list"], ["pods", "services"], names)))
    rbac.put_binding("a", "names", binding("Role", "names", ("Group", "team")))
    for i in range(20):
        user = User(f"u{i}", ("team",))
        for verb, resource in (("get", "pods"), ("get", "services"), ("list", "pods"), ("list", "services")):
            assert rbac.decide(asked(verb, resource, "a", name="n7", user=user)).allowed
    kept = [granted for grants in rbac._grants.values() for granted in grants.known.values()]
    assert sum(len(granted.names) for granted in kept) <= rbac._kept <= MOST_KEPT
