"""Who may do what, asked of kube-apiserver and of kafila with the same roles and bindings: no disagreement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from clusters.harness import wait_until

from differential.roles import NAMESPACES, PATH, RBAC, TEAMS, USERS, Asked, Object, Roles
from differential.servers import Answer, Server, kafila, reference
from kafila.authorization.index import Index
from kafila.authorization.rbac import aggregate, not_found
from kafila.authorization.rules import allows_path, allows_resource
from kafila.registry import User
from kafila.registry.roles import default_roles

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}
WRITERS: Object = {"verbs": ["create", "update"], "apiGroups": [RBAC], "resources": ["*"]}
LAST = "last"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with reference() as theirs, kafila() as ours:
        yield theirs, ours


def path_of(obj: Object) -> str:
    namespace = obj["metadata"].get("namespace", "")
    return f"{PATH}/namespaces/{namespace}/{obj['kind'].lower()}s" if namespace else f"{PATH}/{obj['kind'].lower()}s"


def put(server: Server, path: str, obj: Object) -> None:
    answer = server.send("POST", path, JSON, json.dumps(obj).encode())
    assert answer.status in (201, 409), (answer.body, obj)


def writers() -> list[Object]:
    """Whoever tries to escalate may write roles; and a last role, which says that all before it are known."""
    head = {"apiVersion": f"{RBAC}/v1"}
    reference = {"apiGroup": RBAC, "kind": "ClusterRole"}
    found: list[Object] = []
    for name, rule, subject in (("writers", WRITERS, "writers"), (LAST, WRITERS | {"verbs": [LAST]}, LAST)):
        found.append({**head, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]})
        subjects = [{"kind": "Group", "apiGroup": RBAC, "name": subject}]
        bound = {"metadata": {"name": name}, "roleRef": {**reference, "name": name}, "subjects": subjects}
        found.append({**head, "kind": "ClusterRoleBinding", **bound})
    return found


def prepared(server: Server, objects: Iterable[Object]) -> None:
    for name in NAMESPACES:
        put(server, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in objects:
        put(server, path_of(obj), obj)
    attributes = {"verb": LAST, "group": RBAC, "resource": "roles"}
    spec = {"user": "x", "groups": [LAST], "resourceAttributes": attributes}
    last = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    wait_until("the last role is known", lambda: reviewed(server, last)["allowed"])


def reviewed(server: Server, review: Object) -> Object:
    answer = server.send(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", JSON, json.dumps(review).encode()
    )
    assert answer.status == 201, answer.body
    return json.loads(answer.body)["status"]


def sent(server: Server, asked: Asked) -> Answer:
    headers: Any = {"Impersonate-User": asked.user.encode()}
    if asked.body is not None:
        headers |= JSON
    if asked.groups:  # http.client sends one header of a name; several are what a list of groups is
        headers["Impersonate-Group"] = asked.groups[0]
    return server.send(
        asked.method, asked.path, headers, json.dumps(asked.body).encode() if asked.body is not None else None
    )


def both(servers: tuple[Server, Server], ask: Callable[[Server], T]) -> tuple[T, T]:
    return ask(servers[0]), ask(servers[1])


def in_parallel(work: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))


def reasons(index: Index, review: Object) -> set[str]:
    """All that may be said: kube-apiserver looks at bindings in no order."""
    spec = review["spec"]
    user = User(spec["user"], tuple(spec["groups"]))
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    found, missing = set(), []
    for binding, position in index.bound(user, (resource or {}).get("namespace", "")):
        rules = index.rules_of(binding.role, binding.namespace)
        if rules is None:
            missing.append(not_found(binding.role))
        for rule in rules or ():
            if path is not None:
                allowed = allows_path(rule, path.get("verb", ""), path["path"])
            else:
                parts = [resource.get(part, "") for part in ("verb", "group", "resource", "subresource")]
                allowed = allows_resource(rule, *parts)
                allowed = allowed and (not rule.resourceNames or resource.get("name", "") in rule.resourceNames)
            if allowed:
                found.add(f"RBAC: allowed by {binding.shown(position)}")
    return found or {f"RBAC: {aggregate(sorted(missing))}" if missing else ""}


def sorted_reason(reason: str) -> str:
    head, bracket, listed = reason.partition("[")
    return head + aggregate(sorted(listed.removesuffix("]").split(", "))) if bracket else reason


def check(servers: tuple[Server, Server], seed: int, roles: int, reviews: int, requests: int, escalations: int) -> None:
    made = Roles(seed, roles)
    objects = [*made.objects, *writers()]
    for server in servers:
        prepared(server, objects)
    index = Index()
    for obj in [*default_roles(), *objects]:
        put_in = index.put_binding if "roleRef" in obj else index.put_role
        put_in(obj["metadata"].get("namespace", ""), obj["metadata"]["name"], json.dumps(obj).encode())

    def review(question: Object) -> tuple[Object, Object, Object]:
        return question, *both(servers, lambda server: reviewed(server, question))

    allowed = 0
    for question, theirs, ours in in_parallel(review, [made.review() for _ in range(reviews)]):
        assert {**theirs, "reason": ""} == {**ours, "reason": ""}, question
        told = reasons(index, question)
        assert {sorted_reason(each.get("reason", "")) for each in (theirs, ours)} <= told, (question, theirs, ours)
        allowed += ours["allowed"]
    assert reviews / 20 < allowed < reviews * 19 / 20, "they ask for something"

    def request(asked: Asked) -> tuple[Asked, Answer, Answer]:
        return asked, *both(servers, lambda server: sent(server, asked))

    refused = 0
    for asked, theirs, ours in in_parallel(request, [made.request() for _ in range(requests)]):
        assert (theirs.status == 403) == (ours.status == 403), (asked, theirs, ours)
        if theirs.status == 403 and asked.method != "HEAD":
            assert in_one_order(theirs) == in_one_order(ours), asked
            refused += 1
    assert refused > requests / 4
    refused = 0
    for asked, theirs, ours in in_parallel(request, [made.escalation() for _ in range(escalations)]):
        assert theirs.status == ours.status, (asked, theirs, ours)
        if theirs.status >= 400:
            assert in_one_order(theirs) == in_one_order(ours), asked
            refused += 1
    assert refused > escalations / 4


def in_one_order(answer: Answer) -> Object:
    """The order in which missing roles are named is none."""
    status = json.loads(answer.body)
    head, mark, listed = status["message"].partition(": RBAC: ")
    status["message"] = head + mark + sorted_reason(listed)
    return status


def rules(server: Server, user: str, group: str, namespace: str) -> Object:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    asked = Asked("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review, user, (group,))
    answer = sent(server, asked)
    assert answer.status == 201, answer.body
    found = json.loads(answer.body)
    for part in ("resourceRules", "nonResourceRules"):
        found["status"][part] = sorted(found["status"][part], key=json.dumps)
    if error := found["status"].get("evaluationError"):
        found["status"]["evaluationError"] = sorted_reason(error)
    return found


@pytest.mark.clusters
@pytest.mark.timeout(900)  # the first time the programs are built
def test_a_sample_of_roles_and_requests(servers: tuple[Server, Server]) -> None:
    check(servers, seed=1, roles=25, reviews=600, requests=300, escalations=200)
    for user in USERS:
        for group in TEAMS[:3]:
            theirs, ours = both(
                servers, lambda server, user=user, group=group: rules(server, quote(user), group, "one")
            )
            assert theirs == ours


@pytest.mark.clusters
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [2, 3])
def test_many_roles_and_requests(seed: int) -> None:
    with reference() as theirs, kafila() as ours:
        check((theirs, ours), seed=seed, roles=60, reviews=4000, requests=1500, escalations=800)
