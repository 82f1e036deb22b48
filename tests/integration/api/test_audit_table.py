"""Who changed what, from the request to ``kafila audit``: over the API in memory, and at a whole ``kafila serve`` with kubectl."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kafila.audit.table import Journal
from kafila.registry import User

from .conftest import PATIENCE, Api, Served, configmap, deployment, failure

KAFILA = Path(sys.executable).with_name("kafila")
RECORDS = "/apis/audit.kafila.io/v1alpha1/auditrecords"
IN_DEFAULT = "/apis/audit.kafila.io/v1alpha1/namespaces/default/auditrecords"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture
async def recorded(api: Api) -> AsyncIterator[Api]:
    """Nothing is asked before all is written."""
    api.app.journal = Journal(api.store)
    yield api
    api.app.journal.close(PATIENCE)


async def records(api: Api, query: str = "", path: str = RECORDS) -> list[Any]:
    """Oldest first."""
    api.app.journal.close(PATIENCE)
    api.app.journal = Journal(api.store)
    answer = await api.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][::-1]


async def test_what_each_verb_leaves(recorded: Api) -> None:
    await recorded.made(DEPLOYMENTS, deployment("web"))
    await recorded.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 3}})
    await recorded.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 4}})
    await recorded.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 4}})  # which changes nothing
    await recorded.get(f"{DEPLOYMENTS}/web")
    await recorded.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Background"})
    await recorded.delete(f"{DEPLOYMENTS}/web")
    await recorded.post(f"{DEPLOYMENTS}?dryRun=All", deployment("other"))
    found = await records(recorded)
    assert [(each["verb"], each.get("subresource"), each["code"], each.get("outcome")) for each in found] == [
        ("create", None, 201, "created"),
        ("patch", None, 200, "changed"),
        ("patch", "scale", 200, "changed"),
        ("patch", None, 200, None),
        ("delete", None, 200, "deleted"),
        ("delete", None, 404, None),
    ]
    assert [each.get("changes") for each in found[1:3]] == [
        [{"path": "spec.replicas", "from": "1", "to": "3"}],
        [{"path": "spec.replicas", "from": "3", "to": "4"}],
    ]
    first = found[0]
    assert (first["user"], first["resource"], first["objectName"]) == ("system:admin", "deployments.apps", "web")
    assert (first["metadata"]["namespace"], first["kind"]) == ("default", "AuditRecord")


async def test_a_name_that_was_made_up_is_told(recorded: Api) -> None:
    made = await recorded.made(CONFIGMAPS, {"metadata": {"generateName": "x-"}})
    (found,) = await records(recorded)
    assert found["objectName"] == made["metadata"]["name"]


async def test_each_object_of_a_collection_is_told(recorded: Api) -> None:
    for name in ("a", "b"):
        await recorded.made(CONFIGMAPS, configmap(name))
    await recorded.delete(CONFIGMAPS)
    found = [each for each in await records(recorded) if each["verb"] == "deletecollection"]
    assert sorted((each["objectName"], each["outcome"]) for each in found) == [("a", "deleted"), ("b", "deleted")]


async def test_server_side_apply_that_creates(recorded: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}
    for value in ("1", "2"):
        body["data"] = {"a": value}
        answer = await recorded.patch(f"{CONFIGMAPS}/x?fieldManager=me", body, "application/apply-patch+yaml")
        assert answer.status_code < 300
    assert [each.get("changes") for each in await records(recorded)] == [
        None,
        [{"path": "data.a", "from": '"1"', "to": '"2"'}],
    ]


async def test_what_only_asks_is_not_recorded(recorded: Api) -> None:
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    await recorded.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    await recorded.made("/apis/coordination.k8s.io/v1/namespaces/default/leases", {"metadata": {"name": "l"}})
    assert await records(recorded) == []


async def test_who_acted_as_whom(recorded: Api) -> None:
    headers = {"Impersonate-User": "bob"}
    answer = await recorded.ask("POST", CONFIGMAPS, configmap("x"), headers=headers)
    failure(answer, 403, "Forbidden")
    (found,) = await records(recorded)
    assert (found["user"], found["impersonatedUser"], found["code"]) == ("system:admin", "bob", 403)
    assert len(await records(recorded, "fieldSelector=user=bob")) == 1
    assert len(await records(recorded, "fieldSelector=user=system:admin,verb=create")) == 1
    assert await records(recorded, "fieldSelector=user=carl") == []


async def test_pages_and_forms(recorded: Api) -> None:
    for number in range(5):
        await recorded.made(CONFIGMAPS, configmap(f"x{number}"))
    await records(recorded)
    found: list[str] = []
    token = ""
    while True:
        page = (await recorded.get(f"{IN_DEFAULT}?limit=2&continue={token}")).json()
        found += [each["objectName"] for each in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == ["x4", "x3", "x2", "x1", "x0"]
    accept = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    table = (await recorded.ask("GET", IN_DEFAULT, headers=accept)).json()
    assert [each["name"] for each in table["columnDefinitions"]] == [
        *("Name", "USER", "VERB", "RESOURCE", "OBJECT", "CODE", "TIME")
    ]
    assert table["rows"][0]["cells"][1:6] == ["system:admin", "create", "configmaps", "x4", 201]
    other = "/apis/audit.kafila.io/v1alpha1/namespaces/kube-system/auditrecords"
    assert await records(recorded, path=other) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "fieldSelector=spec.x=1",
            '"spec.x" is not a known field selector: only "user", "verb", "resource", "objectName"',
        ),
        ("fieldSelector=user!=ann", "user is selected with = only"),
        ("labelSelector=a", "audit records have no labels: use a field selector"),
        ("sinceTime=yesterday", 'sinceTime "yesterday" is no time as in RFC 3339'),
        (
            "sinceTime=2026-01-01T00:00:00Z&sinceSeconds=1",
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("sinceSeconds=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("continue=x", "continue key is not valid: it is not one of audit records"),
        ("continue=W10=", "continue key is not valid: it is not one of audit records"),
        ("continue=WzFlMzAwLCJ4Il0=", "continue key is not valid: it is not one of audit records"),
    ],
)
async def test_a_wrong_question_is_said_to_be_one(api: Api, query: str, words: str) -> None:
    assert failure(await api.get(f"{RECORDS}?{query}"), 400, "BadRequest")["message"] == words


@pytest.mark.parametrize("query", ["sinceSeconds=999999999999999999", "sinceSeconds=-5", "limit=-1", "limit=100000000"])
async def test_far_away_numbers_are_harmless(api: Api, query: str) -> None:
    assert (await api.get(f"{RECORDS}?{query}")).json()["items"] == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT"])
async def test_nobody_writes_them(api: Api, method: str) -> None:
    assert (await api.ask(method, IN_DEFAULT, {"metadata": {"name": "x"}})).status_code == 405
    assert (await api.ask(method, f"{IN_DEFAULT}/x", {"metadata": {"name": "x"}})).status_code == 404


async def test_a_team_asks_in_its_own_namespace(recorded: Api) -> None:
    await recorded.made(CONFIGMAPS, configmap("x"))
    role = {
        "metadata": {"name": "audit"},
        "rules": [{"verbs": ["list"], "apiGroups": ["audit.kafila.io"], "resources": ["auditrecords"]}],
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    await recorded.made(f"{rbac}/roles", role)
    subject = {"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "Role", "name": "audit", "apiGroup": "rbac.authorization.k8s.io"}
    await recorded.made(
        f"{rbac}/rolebindings", {"metadata": {"name": "audit"}, "subjects": [subject], "roleRef": reference}
    )
    assert len(await records(recorded, path=IN_DEFAULT)) == 3
    recorded.user = User("ann", ("system:authenticated",))
    assert len((await recorded.get(IN_DEFAULT)).json()["items"]) == 3
    message = failure(await recorded.get(RECORDS), 403, "Forbidden")["message"]
    assert message == (
        'auditrecords.audit.kafila.io is forbidden: User "ann" cannot list resource "auditrecords" in API group'
        ' "audit.kafila.io" at the cluster scope'
    )


# -- a whole process -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def namespace(served: Served) -> str:
    name = "who-changed-what"
    served.kubectl("create", "namespace", name)
    served.kubectl("create", "-n", name, "deployment", "web", "--image=nginx:1", "--replicas=2")
    served.kubectl("scale", "-n", name, "deployment", "web", "--replicas=4")
    served.kubectl("--as", "bob", "delete", "-n", name, "deployment", "web", check=False)
    served.kubectl("create", "-n", name, "secret", "generic", "s", "--from-literal=password=hunter2")
    served.kubectl("patch", "-n", name, "secret", "s", "-p", '{"stringData":{"password":"hunter3"}}')
    return name


def audit(served: Served, *arguments: str, code: int = 0) -> str:
    command = [KAFILA, "audit", f"--kubeconfig={served.kubeconfig}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_kafila_audit(served: Served, namespace: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(json.loads(audit(served, "-n", namespace, "-o", "json", "--object", "secrets/s"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    of_web = audit(served, "--object", f"deploy/{namespace}/web", "--since", "1h").splitlines()
    assert of_web[0].split() == ["TIME", "USER", "VERB", "OBJECT", "CODE"]
    what = f"deployments.apps/{namespace}/web"
    assert [line.split()[1:] for line in of_web[1:]] == [
        ["system:admin", "create", what, "201"],
        ["system:admin", "patch", what, "(scale)", "200"],
        ["2", "→", "4"],
        ["system:admin", "as", "bob", "delete", what, "403"],
    ]
    everything = audit(served, "-n", namespace, "-o", "wide")
    assert "data.password: (secret) → (secret)" in everything
    assert "kubectl/v" in everything
    for output in ([], ["-o", "wide"], ["-o", "json"]):
        assert "hunter" not in audit(served, "-n", namespace, *output)
    assert audit(served, "-n", namespace, "--user", "bob", "-o", "name") == "deployments.apps/web\n"
    assert audit(served, "-n", namespace, "--user", "nobody") == "No records found.\n"
    assert audit(served, "-n", namespace, "--limit", "1").count("\n    ") == 1  # the newest one
    assert f" {namespace} " in audit(served, "--object", f"ns/{namespace}").replace("/", " ")
    shown = served.kubectl("get", "auditrecords", "-n", namespace)
    assert shown.splitlines()[0].split() == ["NAME", "USER", "VERB", "RESOURCE", "OBJECT", "CODE", "TIME"]
    stored = served.kubectl("get", "--raw", f"/apis/audit.kafila.io/v1alpha1/namespaces/{namespace}/auditrecords")
    assert "hunter" not in stored
    assert "aHVudGVy" not in stored


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--object", "web"], 2, "--object must be TYPE/NAME or TYPE/NAMESPACE/NAME, e.g. deployments/team-a/web"),
        (["--object", "deploy/a/b/c"], 2, "--object must be TYPE/NAME or TYPE/NAMESPACE/NAME, e.g. deployments/team-a/web"),
        (["--object", "deploy/a/b", "-n", "c"], 2, "--namespace c and --object deploy/a/b are not of one namespace"),
        (["--object", "ns/a/b"], 2, "--object ns/a/b: namespaces lie in no namespace"),
        (["--object", "nothing/x"], 1, 'the server doesn\'t have a resource type "nothing"'),
        (["--since", "yesterday"], 2, 'invalid duration "yesterday", e.g. 1m0s'),
        (["--since", "0s"], 2, "--since 0s must be a positive duration, e.g. 1m0s"),
        (["--limit", "0"], 2, "--limit 0 must be at least 1"),
        (["-o", "yaml"], 2, 'unable to match a printer suitable for the output format "yaml", allowed: json, wide, name'),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(served: Served, arguments: list[str], code: int, words: str) -> None:
    assert audit(served, *arguments, code=code).strip().removeprefix("error: ").removeprefix("kafila: ") == words
