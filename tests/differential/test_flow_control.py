"""Flow control of kube-apiserver and of kafila: the objects that both have, how both classify, and what both answer a flood."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from clusters.harness import wait_until

from differential.normalise import comparable
from differential.servers import Answer, Server, kafila, reference

Object = dict[str, Any]
PATH: Final = "/apis/flowcontrol.apiserver.k8s.io/v1"
JSON: Final = {"Content-Type": "application/json"}
HEADERS: Final = ("x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid")
REQUESTS: Final = 600
SCHEMAS: Final = 40


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with reference() as theirs, kafila() as ours:
        yield theirs, ours


def listed(server: Server, resource: str) -> list[Object]:
    answer = server.send("GET", f"{PATH}/{resource}", {}, None)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["items"]


def have_settled(server: Server) -> bool:
    return all(obj.get("status", {}).get("conditions") for obj in listed(server, "flowschemas"))


@pytest.mark.clusters
@pytest.mark.parametrize("resource", ["flowschemas", "prioritylevelconfigurations"])
def test_what_every_server_has(servers: tuple[Server, Server], resource: str) -> None:
    for server in servers:
        wait_until("conditions", lambda server=server: have_settled(server))
    theirs, ours = ([comparable(obj) for obj in listed(server, resource)] for server in servers)
    assert ours == theirs


@pytest.mark.clusters
@pytest.mark.parametrize("page", ["dump_priority_levels", "dump_queues", "dump_requests"])
def test_dumps_have_the_same_form(servers: tuple[Server, Server], page: str) -> None:
    path = f"/debug/api_priority_and_fairness/{page}?includeRequestDetails=1"
    found = []
    for server in servers:
        answer = server.send("GET", path, {}, None)
        assert (answer.status, answer.headers["content-type"]) == (200, ["text/plain; charset=utf-8"])
        heading, *lines = answer.body.decode().splitlines()
        rows = [[re.sub(r"\d+", "0", cell.strip()) for cell in line.split(",")] for line in lines]
        if page == "dump_requests":  # who else asks just now is another matter
            rows = [[*row[:2], *row[6:9], *row[11:13]] for row in rows if row[12].startswith("/debug/")]
        assert len({len(line) - len(line.rpartition(",")[2].lstrip()) for line in (heading, *lines)}) == 1, (
            "not aligned"
        )
        found.append(([cell.strip() for cell in heading.split(",")], sorted(map(tuple, rows)) if rows else rows))
    theirs, ours = found
    assert ours[0] == theirs[0]
    if page == "dump_priority_levels":  # what is under way differs
        assert [row[0] for row in ours[1]] == [row[0] for row in theirs[1]]
    elif page == "dump_queues":
        assert Counter(row[0] for row in ours[1]) == Counter(row[0] for row in theirs[1])
        assert {row[5] for row in ours[1]} == {row[5] for row in theirs[1]} == {"0.0ss"}
    else:
        assert ours[1] == theirs[1] != []


# -- classification ------------------------------------------------------------------------------------------------------

USERS: Final = [
    ("anna", ["dev"]),
    ("bert", ["ops", "dev"]),
    ("system:kube-scheduler", []),
    ("system:kube-controller-manager", []),
    ("system:node:n", ["system:nodes"]),
    ("system:serviceaccount:kube-system:x", ["system:serviceaccounts", "system:serviceaccounts:kube-system"]),
    ("system:serviceaccount:a:x", ["system:serviceaccounts", "system:serviceaccounts:a"]),
    ("system:serviceaccount:a:y", ["system:serviceaccounts", "system:serviceaccounts:a"]),
    ("root", ["system:masters"]),
]
URLS: Final = [
    "/healthz",
    "/healthz/ping",
    "/livez",
    "/version",
    "/apis",
    "/api",
    "/nothing/here",
    "/metrics",
    "/openapi/v2",
]
RESOURCES: Final = [
    ("", "v1", "pods"),
    ("", "v1", "configmaps"),
    ("", "v1", "nodes"),
    ("", "v1", "namespaces"),
    ("apps", "v1", "deployments"),
    ("coordination.k8s.io", "v1", "leases"),
    ("none.example.com", "v1", "things"),
]
VERBS: Final = ["get", "list", "create", "update", "patch", "delete", "deletecollection", "watch"]


def some(dice: random.Random, values: list[str]) -> list[str]:
    return ["*"] if dice.random() < 0.3 else dice.sample(values, dice.randint(1, 2))


def subject(dice: random.Random) -> Object:
    kind = dice.choice(["User", "Group", "ServiceAccount"])
    if kind == "User":
        return {"kind": kind, "user": {"name": dice.choice(["*", *(name for name, _ in USERS)])}}
    if kind == "Group":
        groups = ["*", "dev", "ops", "system:authenticated", "system:nodes", "system:serviceaccounts:a"]
        return {"kind": kind, "group": {"name": dice.choice(groups)}}
    account = {"namespace": dice.choice(["a", "kube-system", "b"]), "name": dice.choice(["*", "x"])}
    return {"kind": kind, "serviceAccount": account}


def resource_rule(dice: random.Random) -> Object:
    cluster = dice.random() < 0.5
    return {
        "verbs": some(dice, VERBS),
        "apiGroups": some(dice, sorted({group for group, _, _ in RESOURCES})),
        "resources": some(dice, [*(plural for _, _, plural in RESOURCES), "pods/status", "namespaces/status"]),
        "clusterScope": cluster,
        "namespaces": some(dice, ["a", "default", "none"]) if not cluster or dice.random() < 0.7 else [],
    }


def path_rule(dice: random.Random) -> Object:
    urls = some(dice, ["/healthz", "/healthz/*", "/version", "/apis", "/api/*", "/", "/nothing/*"])
    return {"verbs": some(dice, VERBS), "nonResourceURLs": urls}


def schema(dice: random.Random, number: int) -> Object:
    rule: Object = {"subjects": [subject(dice) for _ in range(dice.randint(1, 2))]}
    if dice.random() < 0.8:
        rule["resourceRules"] = [resource_rule(dice) for _ in range(dice.randint(1, 2))]
    if "resourceRules" not in rule or dice.random() < 0.4:
        rule["nonResourceRules"] = [path_rule(dice)]
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": f"generated-{number}"},
        "spec": {
            "priorityLevelConfiguration": {"name": dice.choice(["workload-low", "system", "catch-all", "no-such"])},
            "matchingPrecedence": dice.randint(2, 9999),
            "distinguisherMethod": {"type": dice.choice(["ByUser", "ByNamespace"])},
            "rules": [rule],
        },
    }


def request(dice: random.Random) -> tuple[str, str]:
    if dice.random() < 0.2:
        return dice.choice(["GET", "GET", "POST", "PUT"]), dice.choice(URLS)
    group, version, plural = dice.choice(RESOURCES)
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    if dice.random() < 0.6:
        path += f"/namespaces/{dice.choice(['a', 'default'])}"
    path += f"/{plural}"
    method = dice.choice(["GET", "GET", "POST", "PUT", "PATCH", "DELETE"])
    if dice.random() < 0.6:
        path += "/x" + dice.choice(["", "", "/status"])
    return method, path


def names(server: Server) -> dict[str, str]:
    return {
        obj["metadata"]["uid"]: f"{resource}/{obj['metadata']['name']}"
        for resource in ("flowschemas", "prioritylevelconfigurations")
        for obj in listed(server, resource)
    }


def classified(server: Server, known: dict[str, str], user: tuple[str, list[str]], method: str, path: str) -> list[str]:
    name, groups = user
    headers: Any = {"Impersonate-User": name, "Content-Type": "application/json"}
    if groups:
        headers["Impersonate-Group"] = groups[0]
    answer = server.send(method, path, headers, b"{" if method in ("POST", "PUT", "PATCH") else None)
    return [known.get(value, value) for header in HEADERS for value in answer.headers.get(header, ["none"])]


@pytest.mark.clusters
def test_both_classify_alike(servers: tuple[Server, Server]) -> None:
    dice = random.Random(14)
    schemas = [schema(dice, number) for number in range(SCHEMAS)]
    asked = [(dice.choice(USERS), *request(dice)) for _ in range(REQUESTS)]
    found = []
    for server in servers:
        for obj in schemas:
            answer = server.send("POST", f"{PATH}/flowschemas", JSON, json.dumps(obj).encode())
            assert answer.status == 201, answer.body
        wait_until("conditions", lambda server=server: have_settled(server))
        known = names(server)
        with ThreadPoolExecutor(4) as pool:
            found.append(list(pool.map(lambda each, s=server, k=known: classified(s, k, *each), asked)))
    different = [(each, a, b) for each, a, b in zip(asked, *found, strict=True) if a != b]
    assert not different, (len(different), different[:5])
    assert len({tuple(each) for each in found[0]}) > 10  # they are told apart


# -- a flood -------------------------------------------------------------------------------------------------------------

NONE: Final = {
    "metadata": {"name": "narrow"},
    "spec": {
        "type": "Limited",
        "limited": {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}},
    },
}
FLOOD: Final = {
    "metadata": {"name": "flood"},
    "spec": {
        "priorityLevelConfiguration": {"name": "narrow"},
        "matchingPrecedence": 2,
        "rules": [
            {
                "subjects": [{"kind": "User", "user": {"name": "flood"}}],
                "resourceRules": [
                    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
                ],
            }
        ],
    },
}


def refused(server: Server) -> Answer:
    """The first answer that tells a flood to come again."""
    for path, obj in (("prioritylevelconfigurations", NONE), ("flowschemas", FLOOD)):
        assert server.send("POST", f"{PATH}/{path}", JSON, json.dumps(obj).encode()).status == 201
    binding = {
        "metadata": {"name": "flood"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "flood"}],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert server.send("POST", bindings, JSON, json.dumps(binding).encode()).status == 201
    known = names(server)

    def ask(_: int) -> Answer:
        return server.send("GET", "/apis/apps/v1/deployments", {"Impersonate-User": "flood"}, None)

    with ThreadPoolExecutor(16) as pool:
        for _ in range(50):
            for answer in pool.map(ask, range(64)):
                if answer.status == 429:
                    for header in HEADERS:
                        answer.headers[header] = [known[uid] for uid in answer.headers[header]]
                    return answer
    raise AssertionError("nobody was refused")


@pytest.mark.clusters
def test_both_refuse_alike(servers: tuple[Server, Server]) -> None:
    theirs, ours = (refused(server) for server in servers)
    for answer in (theirs, ours):
        for varying in ("date", "audit-id"):
            answer.headers.pop(varying, None)
    assert ours.body == theirs.body
    assert ours.headers == theirs.headers
