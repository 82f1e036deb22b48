"""Roles, bindings and what is asked of them, thought up from a seed: the same for both servers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

Object = dict[str, Any]
RBAC: Final = "rbac.authorization.k8s.io"
PATH: Final = f"/apis/{RBAC}/v1"
NAMESPACES: Final = ("one", "two", "default")
VERBS: Final = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "escalate",
    "bind",
    "use",
    "*",
)
GROUPS: Final = ("", "apps", "batch", RBAC, "policy.karmada.io", "*")
RESOURCES: Final = ("pods", "secrets", "deployments", "clusterroles", "roles", "pods/log", "deployments/scale", "deployments/status",
                    "*/status", "*/scale", "*", "pods/*", "nodes", "propagationpolicies")  # fmt: skip
NAMES: Final = ("a", "b", "c")
URLS: Final = ("/metrics", "/metrics/*", "/api", "/api*", "/apis/*", "/logs/**", "*", "/healthz/", "/a b")
ASKED_URLS: Final = (
    "/metrics",
    "/metrics/",
    "/metrics/x",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/apps",
    "/logs",
    "/logs/a/b",
    "/healthz/",
    "/a b",
    "/",
    "*",
)
USERS: Final = (
    "ann",
    "bob",
    'q"<x>\\',
    "system:serviceaccount:one:robot",
    "system:serviceaccount:two:robot",
    "system:anonymous",
    "zoë",
)
TEAMS: Final = (
    "red",
    "blue",
    "system:authenticated",
    "system:unauthenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:one",
)


class Asked(NamedTuple):
    """A request: who sends it, and what it says."""

    method: str
    path: str
    body: Object | None
    user: str
    groups: tuple[str, ...]


class Roles:
    """``objects`` come in an order in which they can be created."""

    def __init__(self, seed: int, count: int) -> None:
        self._random = random.Random(seed)
        self.cluster_roles = [f"cr{i}" for i in range(count)]
        self.roles = [f"r{i}" for i in range(count)]
        self.objects: list[Object] = [*self._all_roles(), *self._bindings(count * 2)]

    def _some(self, values: tuple[str, ...], most: int = 3) -> list[str]:
        return self._random.sample(values, self._random.randint(1, most))

    def rule(self, namespaced: bool) -> Object:
        if not namespaced and self._random.random() < 0.25:
            return {"verbs": self._some(("get", "post", "head", "*"), 2), "nonResourceURLs": self._some(URLS, 2)}
        rule: Object = {
            "verbs": self._some(VERBS[:-1]) if self._random.random() < 0.9 else ["*"],
            "apiGroups": self._some(GROUPS[:-1]) if self._random.random() < 0.8 else ["*"],
            "resources": self._some(RESOURCES),
        }
        if self._random.random() < 0.3:
            rule["resourceNames"] = self._some(NAMES, 2)
        return rule

    def role(self, kind: str, name: str, namespace: str = "") -> Object:
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        rules = [self.rule(bool(namespace)) for _ in range(self._random.randint(0, 3))]
        return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}

    def _all_roles(self) -> Iterator[Object]:
        for name in self.cluster_roles[:-2]:  # some that are bound are not there
            yield self.role("ClusterRole", name)
        for name in self.roles[:-2]:
            yield self.role("Role", name, self._random.choice(NAMESPACES[:2]))

    def binding(self, name: str, namespace: str) -> Object:
        kind = "Role" if namespace and self._random.random() < 0.5 else "ClusterRole"
        role = self._random.choice(self.roles if kind == "Role" else self.cluster_roles)
        return {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
            "subjects": [self._subject(namespace) for _ in range(self._random.randint(0, 3))],
        }

    def _bindings(self, count: int) -> Iterator[Object]:
        for i in range(count):
            yield self.binding(f"b{i}", self._random.choice(("", *NAMESPACES[:2])))

    def _subject(self, namespace: str) -> Object:
        kind = self._random.choice(("User", "User", "Group", "ServiceAccount"))
        if kind == "ServiceAccount":
            where = (
                {} if namespace and self._random.random() < 0.5 else {"namespace": self._random.choice(NAMESPACES[:2])}
            )
            return {"kind": kind, "name": "robot", **where}
        name = self._random.choice(USERS[:3] if kind == "User" else TEAMS[:2] if self._random.random() < 0.8 else TEAMS)
        return {"kind": kind, "apiGroup": RBAC, "name": name}

    # -- what is asked -------------------------------------------------------------------------------------------------

    def who(self) -> tuple[str, tuple[str, ...]]:
        return self._random.choice(USERS), tuple(self._random.sample(TEAMS, self._random.randint(0, 2)))

    def review(self) -> Object:
        """A SubjectAccessReview."""
        user, groups = self.who()
        spec: Object = {"user": user, "groups": list(groups)}
        if self._random.random() < 0.2:
            verb = self._random.choice(("get", "post", "head", ""))
            spec["nonResourceAttributes"] = {"verb": verb, "path": self._random.choice(ASKED_URLS)}
        else:
            resource, _, subresource = self._random.choice(RESOURCES).partition("/")
            chosen = {
                "verb": self._random.choice(VERBS),
                "group": self._random.choice(GROUPS),
                "resource": resource,
                "subresource": subresource,
                "namespace": self._random.choice(("", *NAMESPACES)),
                "name": self._random.choice(("", *NAMES)),
            }
            spec["resourceAttributes"] = {name: value for name, value in chosen.items() if value}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}

    def request(self) -> Asked:
        """Something that is asked of the API itself."""
        group, version, resource, namespaced = self._random.choice(
            (("", "v1", "pods", True), ("", "v1", "secrets", True), ("apps", "v1", "deployments", True), ("", "v1", "nodes", False),
             (RBAC, "v1", "roles", True), (RBAC, "v1", "clusterroles", False), ("", "v1", "namespaces", False))
        )  # fmt: skip
        if self._random.random() < 0.1:
            method = self._random.choice(("GET", "HEAD", "POST"))
            return Asked(
                method,
                self._random.choice(("/metrics", "/api", "/apis", "/version", "/apis/apps/v1", "/logs", "/")),
                None,
                *self.who(),
            )
        path = (f"/apis/{group}" if group else "/api") + f"/{version}"
        if self._random.random() < 0.05:
            path += "/watch"
        if namespaced and self._random.random() < 0.85:
            path += f"/namespaces/{self._random.choice(NAMESPACES)}"
        path += f"/{resource}"
        named = self._random.random() < 0.6
        if named:
            path += f"/{self._random.choice(('one', 'two') if resource == 'namespaces' else NAMES)}"
            if self._random.random() < 0.3:
                path += "/" + self._random.choice(
                    {"pods": ("log", "status", "exec"), "deployments": ("scale", "status")}.get(resource, ("status",))
                )
        method = self._random.choice(
            ("GET", "GET", "PUT", "PATCH", "DELETE") if named else ("GET", "GET", "POST", "DELETE")
        )
        if method == "GET" and not named:
            path += self._random.choice(("", "?watch=1&timeoutSeconds=1", "?fieldSelector=metadata.name%3Da", "?fieldSelector=metadata.name!%3Da",
                                         "?labelSelector=a%3Db", "?watch=false"))  # fmt: skip
        if method == "GET" and "/watch/" in path:
            path += ("&" if "?" in path else "?") + "timeoutSeconds=1"
        elif method != "GET":
            path += "?dryRun=All"  # who may delete roles shall not: the servers are asked one after the other
        return Asked(method, path, None, *self.who())

    def escalation(self) -> Asked:
        """A role or a binding, tried out by somebody who may write it, but perhaps not give away what is in it."""
        namespace = self._random.choice(("", *NAMESPACES[:2]))
        where = f"{PATH}/namespaces/{namespace}" if namespace else PATH
        if self._random.random() < 0.5:
            kind = "Role" if namespace else "ClusterRole"
            body = self.role(kind, "new", namespace)
            if not namespace and self._random.random() < 0.2:
                body["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
        else:
            body = self.binding("new", namespace)
        user, groups = self.who()
        return Asked("POST", f"{where}/{body['kind'].lower()}s?dryRun=All", body, user, (*groups, "writers"))
