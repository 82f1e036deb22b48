"""The Works that let a member's impersonator stand in for those who may use the member's proxy here."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.karmada.cluster.unified_auth import clusters_granted, impersonation_rules

ROLE_WORK, BINDING_WORK = "karmada-impersonator-7cbb6bd5c9", "karmada-impersonator-84f8c8f8c6"
REFERENCE = {"impersonatorSecretRef": {"namespace": "karmada-cluster", "name": "impersonator"}}
RBAC = "rbac.authorization.k8s.io"
# bound to cluster-admin, to cluster-proxy-admin, and to Kubernetes' roles that cover everything
ADMINS = {
    "users": ["system:admin", "system:kube-controller-manager"],
    "serviceaccounts": ["generic-garbage-collector", "namespace-controller", "resourcequota-controller"],
    "groups": ["system:masters"],
}


def role(name: str, *resources: str, group: str = "cluster.karmada.io", clusters: tuple[str, ...] = ()) -> Object:
    rule: Object = {"apiGroups": [group], "resources": list(resources), "verbs": ["*"]}
    if clusters:
        rule["resourceNames"] = list(clusters)
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}


def binding(name: str, role: str, *subjects: tuple[str, str]) -> Object:
    listed = []
    for kind, subject in subjects:
        where = {"namespace": "default"} if kind == "ServiceAccount" else {"apiGroup": RBAC}
        listed.append({"kind": kind, "name": subject, **where})
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": listed,
    }


def allowed(lab: Any, member: str) -> dict[str, list[str]]:
    """Names by resource that the ClusterRole in a member lets be impersonated."""
    found = lab.in_member(member, "ClusterRole", "karmada-impersonator")
    return {rule["resources"][0]: rule["resourceNames"] for rule in found.get("rules") or ()}


@pytest.mark.parametrize(
    ("rule", "clusters"),
    [
        ({"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"]}, {"*"}),
        (
            {"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"], "resourceNames": ["a", "b"]},
            {"a", "b"},
        ),
        ({"apiGroups": ["*"], "resources": ["*"]}, {"*"}),
        ({"apiGroups": ["*"], "resources": ["*"], "resourceNames": ["a"]}, {"*"}),  # proxying/proxy names no clusters
        ({"apiGroups": ["search.karmada.io"], "resources": ["proxying/proxy"]}, {"*"}),
        ({"apiGroups": ["cluster.karmada.io"], "resources": ["clusters"]}, set()),
        ({"apiGroups": [""], "resources": ["*"]}, set()),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, set()),
    ],
)
def test_which_clusters_a_rule_opens(rule: Object, clusters: set[str]) -> None:
    assert clusters_granted([rule]) == clusters


def test_rules_name_each_subject_once_and_in_order() -> None:
    assert impersonation_rules(set()) == []
    found = impersonation_rules({("Group", "g"), ("User", "b"), ("User", "a"), ("ServiceAccount", "robot")})
    assert [(r["resources"], r["resourceNames"]) for r in found] == [
        (["users"], ["a", "b"]),
        (["serviceaccounts"], ["robot"]),
        (["groups"], ["g"]),
    ]
    assert all(r["verbs"] == ["impersonate"] and r["apiGroups"] == [""] for r in found)


async def test_the_administrator_may_be_impersonated_from_the_beginning(lab: Any) -> None:
    await lab.join("m1", **REFERENCE)
    await lab.until(lambda: lab.in_member("m1", "ClusterRoleBinding", "karmada-impersonator"), "the binding is applied")
    await lab.until(lambda: allowed(lab, "m1") == ADMINS, "the role is applied")
    bound = lab.in_member("m1", "ClusterRoleBinding", "karmada-impersonator")
    assert bound["roleRef"]["name"] == "karmada-impersonator"
    subject = {"kind": "ServiceAccount", "namespace": "karmada-cluster", "name": "karmada-impersonator"}
    assert bound["subjects"] == [subject]
    for name, kind in ((ROLE_WORK, "ClusterRole"), (BINDING_WORK, "ClusterRoleBinding")):
        work = lab.get("Work", name, "karmada-es-m1")
        (manifest,) = work["spec"]["workload"]["manifests"]
        assert manifest["kind"] == kind
        assert manifest["metadata"]["labels"][constants.SYSTEM] == "true"
        (owner,) = work["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("Cluster", "m1", True)
        assert work["metadata"]["finalizers"] == [constants.FINALIZER_EXECUTION]
    succeeded = "SyncImpersonationConfigSucceed"
    await lab.until(lambda: any(event[1] == succeeded for event in lab.events("Cluster", "m1")), succeeded)


async def test_roles_and_bindings_are_followed(lab: Any) -> None:
    await lab.join("m1", "m2", **REFERENCE)
    await lab.create(binding("viewers", "viewer", ("User", "ann"), ("Group", "team"), ("ServiceAccount", "robot")))
    await lab.until(lambda: allowed(lab, "m1") == ADMINS == allowed(lab, "m2"), "the role is not there yet")
    await lab.create(role("viewer", "clusters/proxy", clusters=("m1",)))
    wanted = {
        "users": ["ann", *ADMINS["users"]],
        "serviceaccounts": [*ADMINS["serviceaccounts"], "robot"],
        "groups": ["system:masters", "team"],
    }
    await lab.until(lambda: allowed(lab, "m1") == wanted, "those bound to the role")
    assert allowed(lab, "m2") == ADMINS

    def opened(obj: Object) -> None:
        del obj["rules"][0]["resourceNames"]

    await lab.change("ClusterRole", "viewer", opened)
    await lab.until(lambda: allowed(lab, "m2") == wanted, "the role names no cluster any more")
    await lab.delete("ClusterRoleBinding", "viewers")
    await lab.until(lambda: allowed(lab, "m1") == ADMINS == allowed(lab, "m2"), "nobody is bound any more")


async def test_a_removed_work_comes_back_and_nothing_is_written_twice(lab: Any) -> None:
    await lab.join("m1", **REFERENCE)
    await lab.until(lambda: allowed(lab, "m1") == ADMINS)
    before = lab.get("Work", ROLE_WORK, "karmada-es-m1")["metadata"]["uid"]
    await lab.delete("Work", ROLE_WORK, "karmada-es-m1")

    def renewed() -> bool:
        found = lab.get("Work", ROLE_WORK, "karmada-es-m1")
        return bool(found) and found["metadata"]["uid"] != before and allowed(lab, "m1") == ADMINS

    await lab.until(renewed, "the Work is there again")
    await lab.rest()
    stored = lab.get("Work", ROLE_WORK, "karmada-es-m1")["metadata"]["generation"]
    await lab.restart()
    await lab.rest()
    assert lab.get("Work", ROLE_WORK, "karmada-es-m1")["metadata"]["generation"] == stored


async def test_without_an_impersonator_there_is_nothing_until_it_comes(lab: Any) -> None:
    await lab.join("m1")
    await lab.rest()
    assert lab.get("Work", ROLE_WORK, "karmada-es-m1") == {}

    def named(cluster: Object) -> None:
        cluster["spec"].update(REFERENCE)

    await lab.change("Cluster", "m1", named)
    await lab.until(lambda: allowed(lab, "m1") == ADMINS)
    await lab.delete("Cluster", "m1")
    await lab.until(lambda: lab.get("Cluster", "m1") == {}, "the cluster leaves")
    assert allowed(lab, "m1") == {}
