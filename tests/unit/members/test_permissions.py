"""What a cluster has to permit for the policies that there are. With real RBAC: tests/clusters/test_join_permissions.py."""

from __future__ import annotations

from kafila.core.resources import GroupVersionKind
from kafila.members.discovery import APIResource
from kafila.members.permissions import BASIC, DEPENDENTS, QUOTA, WRITE, rules, selected


def policy(*kinds: tuple[str, str], **spec: object) -> dict:
    return {"spec": {"resourceSelectors": [{"apiVersion": a, "kind": k} for a, k in kinds], **spec}}


def test_kinds_that_policies_select() -> None:
    web, config = GroupVersionKind("apps", "v1", "Deployment"), GroupVersionKind("", "v1", "ConfigMap")
    assert selected([], False) == set()
    assert selected([policy(("apps/v1", "Deployment")), policy(("v1", "ConfigMap"))], False) == {web, config}
    assert selected([policy(("apps/v1", "Deployment"), propagateDeps=True)], False) == {web, *DEPENDENTS}
    assert selected([{}], True) == {QUOTA}


def test_a_rule_for_each_group() -> None:
    found = rules(
        APIResource(version, name, "K", True, ())
        for version, name in (
            ("apps/v1", "deployments"),
            ("v1", "secrets"),
            ("v1", "configmaps"),
            ("apps/v1", "daemonsets"),
        )
    )
    assert found[: len(BASIC)] == list(BASIC)
    assert found[len(BASIC) :] == [
        {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": WRITE},
        {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": WRITE},
    ]


def test_nothing_is_given_that_would_give_everything() -> None:
    for rule in BASIC:
        assert "*" not in [*rule["verbs"], *rule.get("resources", ()), *rule.get("apiGroups", ())]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert "secrets" not in rule.get("resources", ())
