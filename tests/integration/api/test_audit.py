"""What is recorded of requests to the API, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, final

import pytest

from kafila.api.auditing import Auditor
from kafila.audit.events import Event, completed, line
from kafila.audit.reading import read_policy
from kafila.registry import User
from tests.integration.webhook_server import WebhookServer, allow, configuration, patch

from .conftest import APPLY_PATCH, Api, Object, configmap, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
JANE = User("jane", ("team", "system:authenticated"), "u-1", (("scopes", ("a", "b")),))


@final
class Kept:
    """A backend that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    @property
    def documents(self) -> list[Object]:
        return [json.loads(line(completed(event))) for event in self.events]

    @property
    def stages(self) -> list[str]:
        return [event.document["stage"] for event in self.events]

    @property
    def last(self) -> Object:
        return self.documents[-1]


Audited = Callable[[str], Kept]


@pytest.fixture
def audited(api: Api) -> Audited:
    def begin(rules: str) -> Kept:
        kept = Kept()
        api.app.auditor = Auditor(read_policy(f"{HEAD}{rules}".encode()), [kept])
        return kept

    return begin


async def test_a_request_is_recorded_when_it_comes_and_when_it_is_answered(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: Metadata}]")
    headers = {"audit-id": "mine", "user-agent": "kubectl/v1", "authorization": "Bearer hunter2"}
    await api.get(f"{CONFIGMAPS}?limit=1", headers=headers)
    received, complete = kept.documents
    assert received["stage"] == "RequestReceived"
    assert "responseStatus" not in received
    for name in ("requestReceivedTimestamp", "stageTimestamp"):
        assert complete.pop(name)
    assert complete == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "mine",
        "stage": "ResponseComplete",
        "requestURI": f"{CONFIGMAPS}?limit=1",
        "verb": "list",
        "user": {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kubectl/v1",
        "objectRef": {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


async def test_events_and_answer_have_one_id(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: Metadata}]")
    answer = await api.get(CONFIGMAPS)
    assert {event["auditID"] for event in kept.documents} == {answer.headers["audit-id"]}


async def test_a_policy_says_what_is_not_recorded(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: None, resources: [{resources: [configmaps]}]}, {level: Metadata}]")
    await api.get(CONFIGMAPS)
    assert not kept.events
    await api.get(SECRETS)
    assert kept.stages == ["RequestReceived", "ResponseComplete"]


async def test_objects_are_recorded_at_the_levels_that_ask_for_them(api: Api, audited: Audited) -> None:
    kept = audited(
        "rules:\n- {level: Metadata, resources: [{resources: [secrets]}]}\n"
        "- {level: Request, resources: [{resources: [configmaps]}], verbs: [create]}\n"
        "- {level: RequestResponse, resources: [{resources: [configmaps]}]}\n"
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    await api.made(SECRETS, secret)
    assert kept.last["objectRef"]["name"] == "s"
    assert "hunter2" not in json.dumps(kept.documents)
    sent = configmap("a", x="1")
    await api.made(CONFIGMAPS, sent)
    assert kept.last["requestObject"] == sent
    assert "responseObject" not in kept.last
    answer = await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "2"}})
    assert kept.last["requestObject"] == {"data": {"x": "2"}}
    assert kept.last["responseObject"] == answer.json()
    answer = await api.get(CONFIGMAPS)
    assert kept.last["responseObject"] == answer.json()
    await api.patch(f"{CONFIGMAPS}/a?fieldManager=m&force=true", b"data: {x: '3'}\n", type=APPLY_PATCH)
    assert kept.last["requestObject"] == {"data": {"x": "3"}}


async def test_managed_fields_are_left_out_where_the_policy_says_so(api: Api, audited: Audited) -> None:
    kept = audited("omitManagedFields: true\nrules: [{level: RequestResponse}]")
    answer = await api.made(CONFIGMAPS, configmap("a", x="1"))
    assert answer["metadata"].pop("managedFields")
    assert kept.last["responseObject"] == answer
    await api.get(CONFIGMAPS)
    assert all("managedFields" not in item["metadata"] for item in kept.last["responseObject"]["items"])


async def test_a_refusal_is_recorded_with_its_status(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: Metadata}]")
    api.user = JANE
    status = failure(await api.get(f"{SECRETS}/s"), 403, "Forbidden")
    event = kept.last
    assert event["user"] == {
        "username": "jane",
        "uid": "u-1",
        "groups": ["team", "system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
    }
    assert event["responseStatus"] == {
        "metadata": {},
        **{name: status[name] for name in ("status", "message", "reason", "details", "code")},
    }
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_it_is_recorded_as_whom_somebody_acts(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: Metadata, users: ['system:admin']}]")
    await api.get(CONFIGMAPS, headers={"impersonate-user": "jane", "impersonate-group": "team"})
    received, complete = kept.documents
    assert "impersonatedUser" not in received
    assert complete["user"]["username"] == "system:admin"
    assert complete["impersonatedUser"] == {"username": "jane", "groups": ["team", "system:authenticated"]}


async def test_a_watch_is_recorded_when_it_starts_and_when_it_ends(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: RequestResponse}]")
    stream = await api.watch(CONFIGMAPS).start()
    assert kept.stages == ["RequestReceived", "ResponseStarted"]
    await stream.leave()
    assert kept.stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert [event["verb"] for event in kept.documents] == ["watch"] * 3
    assert kept.last["responseStatus"] == {"metadata": {}, "code": 200}


async def test_what_nobody_foresaw_is_recorded_as_a_panic(
    api: Api, audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: Any) -> Any:
        raise RuntimeError("hunter2")

    kept = audited("rules: [{level: Metadata}]")
    monkeypatch.setattr("kafila.api.app.dispatch", broken)
    answer = await api.get(CONFIGMAPS)
    assert answer.status_code == 500
    assert kept.stages == ["RequestReceived", "Panic"]
    assert kept.last["responseStatus"]["code"] == 500
    assert "hunter2" not in json.dumps(kept.documents)


async def test_a_sender_whom_nobody_knows_is_recorded_once(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: None, users: [jane]}, {level: Metadata}]")
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/pods",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer hunter2")],
        "client": ("192.0.2.1", 4711),
    }
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    await api.app(scope, None, send)
    assert answers[0]["status"] == 401
    (event,) = kept.documents
    assert event["stage"] == "ResponseStarted"
    assert event["user"] == {}
    assert event["sourceIPs"] == ["192.0.2.1"]
    assert event["responseStatus"]["code"] == 401
    assert "hunter2" not in json.dumps(event)


async def test_other_paths_are_recorded_too(api: Api, audited: Audited) -> None:
    kept = audited("rules: [{level: Metadata, nonResourceURLs: [/healthz]}]")
    answer = await api.get("/healthz")
    assert answer.status_code == 200
    event = kept.last
    assert (event["verb"], event["requestURI"], event["responseStatus"]["code"]) == ("get", "/healthz", 200)
    assert "objectRef" not in event
    assert answer.headers["audit-id"] == event["auditID"]


async def test_stages_are_left_out(api: Api, audited: Audited) -> None:
    kept = audited("omitStages: [RequestReceived]\nrules: [{level: Metadata}]")
    await api.get(CONFIGMAPS)
    assert kept.stages == ["ResponseComplete"]


@pytest.mark.parametrize("level", ["Metadata", "Request", "RequestResponse"])
@pytest.mark.parametrize("form", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"])
async def test_every_form_of_an_answer_is_recorded(api: Api, audited: Audited, level: str, form: str) -> None:
    await api.made(CONFIGMAPS, configmap("a", x="1"))
    kept = audited(f"rules: [{{level: {level}}}]")
    await api.get(f"{CONFIGMAPS}/a", headers={"accept": form})
    if level == "RequestResponse":
        assert kept.last["responseObject"]["data"] == {"x": "1"}
    else:
        assert "responseObject" not in kept.last
    await api.get(f"{CONFIGMAPS}/nope", headers={"accept": form})
    assert kept.last["responseStatus"]["reason"] == "NotFound"
    await api.get(CONFIGMAPS, headers={"accept": form})
    assert kept.last["responseStatus"]["code"] == 200


@pytest.mark.parametrize("level", ["Metadata", "Request"])
async def test_what_webhooks_say_and_do_is_recorded(api: Api, audited: Audited, level: str) -> None:
    async with WebhookServer().serving() as hooks:
        operation = {"op": "add", "path": "/data/b", "value": "2"}
        changes = patch(operation, auditAnnotations={"why": "because"})
        nobody = {**hooks.hook("away", allow, failurePolicy="Ignore")}
        nobody["clientConfig"] = {**nobody["clientConfig"], "url": "https://127.0.0.1:1/nobody"}
        made = configuration("Mutating", "audited", hooks.hook("changes", changes), nobody)
        await api.made("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", made)
        kept = audited(f"rules: [{{level: {level}}}]")
        await api.made(CONFIGMAPS, configmap("x", a="1"))
    found = kept.last["annotations"]
    assert found["changes.example.com/why"] == "because"
    mutation = "mutation.webhook.admission.k8s.io/round_0_index_"
    one = {"configuration": "audited", "webhook": "changes.example.com", "mutated": True}
    assert json.loads(found[f"{mutation}0"]) == one
    assert json.loads(found[f"{mutation}1"]) == {**one, "webhook": "away.example.com", "mutated": False}
    assert found[f"failed-open.{mutation}1"] == "away.example.com"
    patched = found.get("patch.webhook.admission.k8s.io/round_0_index_0")
    assert (patched is not None) is (level == "Request")
    assert patched is None or json.loads(patched)["patch"] == [operation]
