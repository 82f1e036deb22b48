"""What a cluster has to permit for the policies that there are. With real RBAC: tests/clusters/test_join_permissions.py."""

from __future__ import annotations

from typing import Any

import orjson

from kafila.core.resources import GroupVersionKind
from kafila.members.client import MemberClient
from kafila.members.discovery import APIResource
from kafila.members.permissions import (
    ANNOTATION,
    BASIC,
    DEPENDENTS,
    QUOTA,
    SERVICE,
    SLICE,
    WRITE,
    Permissions,
    needed,
    rules,
    selected,
)
from kafila.members.transport import ASGITransport


def policy(*kinds: tuple[str, str], **spec: object) -> dict:
    return {"spec": {"resourceSelectors": [{"apiVersion": a, "kind": k} for a, k in kinds], **spec}}


def test_kinds_that_policies_select() -> None:
    web, config = GroupVersionKind("apps", "v1", "Deployment"), GroupVersionKind("", "v1", "ConfigMap")
    assert selected([], False) == set()
    assert selected([policy(("apps/v1", "Deployment")), policy(("v1", "ConfigMap"))], False) == {web, config}
    assert selected([policy(("apps/v1", "Deployment"), propagateDeps=True)], False) == {web, *DEPENDENTS}
    assert selected([{}], True) == {QUOTA}
    assert selected([{}], False, services=True) == {SERVICE, SLICE}
    export = policy(("multicluster.x-k8s.io/v1alpha1", "ServiceExport"))
    assert selected([export], False) == {GroupVersionKind("multicluster.x-k8s.io", "v1alpha1", "ServiceExport"), SLICE}


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


def server(answers: dict[str, Any]) -> MemberClient:
    """Answers by path; lists of nothing for others."""

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        found = answers.get(scope["path"], {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": []})
        await send({"type": "http.response.start", "status": found.get("code", 200), "headers": []})
        await send({"type": "http.response.body", "body": orjson.dumps(found)})

    return MemberClient("m", "https://m", transport=ASGITransport(answer))


def group(name: str, freshness: str = "Current", **kinds: str) -> dict[str, Any]:
    resources = [{"resource": n, "responseKind": {"kind": k}, "scope": "Namespaced"} for n, k in kinds.items()]
    return {"metadata": {"name": name}, "versions": [{"version": "v1", "freshness": freshness, "resources": resources}]}


async def test_joining_again_leaves_what_takes_copies_back() -> None:
    """A policy is gone and its copies are not; then a group of the member does not answer."""
    manifests = [{"apiVersion": v, "kind": k} for v, k in (("v1", "ConfigMap"), ("v1", "Namespace"), ("x.io/v1", "X"))]
    work = {"metadata": {"name": "w", "resourceVersion": "1"}, "spec": {"workload": {"manifests": manifests}}}
    works = {"kind": "WorkList", "metadata": {"resourceVersion": "1"}, "items": [work]}
    control_plane = server({"/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-m/works": works})
    role = {
        "metadata": {"name": "r", "resourceVersion": "1", "annotations": {ANNOTATION: "policies"}},
        "rules": [
            *rules([APIResource("x.io/v1", "xs", "X", True, ()), APIResource("apps/v1", "deployments", "D", True, ())]),
            {"apiGroups": ["*"], "resources": ["*"], "verbs": WRITE},  # somebody else's
        ],
    }
    core = {"kind": "APIGroupDiscoveryList", "items": [group("", configmaps="ConfigMap", namespaces="Namespace")]}
    config = {"apiGroups": [""], "resources": ["configmaps"], "verbs": WRITE}
    old = [{"apiGroups": [g], "resources": [r], "verbs": WRITE} for g, r in (("apps", "deployments"), ("x.io", "xs"))]
    for freshness, more in (("Current", []), ("Stale", old)):
        groups = {"kind": "APIGroupDiscoveryList", "items": [group("x.io", freshness)]}
        path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/karmada-controller-manager:karmada-m"
        member = server({"/api": core, "/apis": groups, path: role})
        assert await needed(control_plane, member, Permissions.POLICIES, "m") == ([*BASIC, config, *more], [])
        await member.close()
    await control_plane.close()
