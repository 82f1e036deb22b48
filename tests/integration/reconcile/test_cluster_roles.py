"""The default roles are reconciled at each start, and those that aggregate take their rules from the others."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object
from kafila.registry.roles import default_roles, ensure_roles

RBAC = "rbac.authorization.k8s.io"


def resources(lab: Any, role: str) -> set[str]:
    rules = lab.get("ClusterRole", role).get("rules") or ()
    return {
        f"{verb} {resource}" for rule in rules for verb in rule["verbs"] for resource in rule.get("resources") or ()
    }


def role(name: str, resource: str, **labels: str) -> Object:
    rules = [{"verbs": ["get"], "apiGroups": ["example.com"], "resources": [resource]}]
    metadata = {"name": name, "labels": {label.replace("_", "-"): value for label, value in labels.items()}}
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}


async def test_the_roles_of_users_have_kubernetes_kinds_and_karmadas(lab: Any) -> None:
    await lab.until(lambda: "create propagationpolicies" in resources(lab, "admin"), "admin has what edit has")
    assert {"get pods", "list propagationpolicies", "watch works"} <= resources(lab, "view")
    assert "get secrets" not in resources(lab, "view")
    assert {"create deployments", "delete overridepolicies", "get secrets"} <= resources(lab, "edit")
    assert not {"get clusterpropagationpolicies", "create clusters", "get clusters/proxy"} & resources(lab, "admin")
    edit = lab.get("ClusterRole", "edit")
    managers = {entry["manager"] for entry in edit["metadata"]["managedFields"]}
    assert managers == {"kube-apiserver", "clusterrole-aggregation-controller"}


async def test_a_role_of_ones_own_comes_into_edit_and_goes(lab: Any) -> None:
    new = role("things", "things")
    new["metadata"]["labels"] = {f"{RBAC}/aggregate-to-edit": "true"}
    await lab.create(new)
    await lab.until(lambda: "get things" in resources(lab, "edit") & resources(lab, "admin"))
    assert "get things" not in resources(lab, "view")

    def other(obj: Object) -> None:
        obj["rules"][0]["resources"] = ["others"]

    await lab.change("ClusterRole", "things", other)
    await lab.until(lambda: "get others" in resources(lab, "admin") and "get things" not in resources(lab, "edit"))
    await lab.delete("ClusterRole", "things")
    await lab.until(lambda: "get others" not in resources(lab, "admin"))
    await lab.rest()


async def test_rules_that_somebody_writes_into_it_are_replaced(lab: Any) -> None:
    await lab.until(lambda: "get pods" in resources(lab, "view"))

    def mine(obj: Object) -> None:
        obj["rules"] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]

    await lab.change("ClusterRole", "view", mine)
    await lab.until(lambda: "get pods" in resources(lab, "view") and "* *" not in resources(lab, "view"))


async def test_what_is_missing_comes_back_at_the_next_start(lab: Any) -> None:
    def emptied(obj: Object) -> None:
        obj["rules"] = [{"verbs": ["get"], "nonResourceURLs": ["/mine"]}]
        obj["metadata"]["labels"]["mine"] = "yes"

    def unbound(obj: Object) -> None:
        obj["subjects"] = [{"kind": "User", "apiGroup": RBAC, "name": "ann"}]

    def left_alone(obj: Object) -> None:
        obj["rules"] = []
        obj["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"

    await lab.change("ClusterRole", "system:discovery", emptied)
    await lab.change("ClusterRole", "system:monitoring", left_alone)
    await lab.change("ClusterRoleBinding", "system:discovery", unbound)
    await lab.delete("ClusterRole", "system:basic-user")
    await lab.delete("ClusterRoleBinding", "system:monitoring")
    await lab.create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:monitoring"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "eve"}],
        }
    )
    await ensure_roles(lab.registry, default_roles())
    found = lab.get("ClusterRole", "system:discovery")
    urls = {url for rule in found["rules"] for url in rule["nonResourceURLs"]}
    assert {"/mine", "/api/*", "/openapi/*"} <= urls
    assert found["metadata"]["labels"]["mine"] == "yes"
    assert {subject["name"] for subject in lab.get("ClusterRoleBinding", "system:discovery")["subjects"]} == {
        "ann",
        "system:authenticated",
    }
    assert not lab.get("ClusterRole", "system:monitoring").get("rules"), "it is to be left alone"
    assert lab.get("ClusterRole", "system:basic-user")["rules"]
    assert lab.get("ClusterRoleBinding", "system:monitoring")["roleRef"]["name"] == "system:monitoring"
    await lab.rest()
    before = lab.registry.cache.revision
    await ensure_roles(lab.registry, default_roles())
    assert lab.registry.cache.revision == before
