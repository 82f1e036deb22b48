"""The modes in their order, and a webhook among them."""

from __future__ import annotations

import json

import pytest

from kafila.authorization import Attributes, Decision, Rbac, build, webhook
from kafila.authorization.webhook import Webhook
from kafila.core.authorization_modes import AuthorizationMode
from kafila.core.selectors import Requirement
from kafila.core.values import Object
from kafila.core.webhooks import WebhookError
from kafila.registry import SYSTEM_ADMIN, User

ANN = User("ann", ("team",), "u1", (("scopes", ("a", "b")),))
PODS = Attributes(ANN, "list", "", "v1", "pods", "", "default")


class Remote:
    """Somebody who is asked, and what he answers: statuses, or errors, one after the other."""

    def __init__(self, *answers: Object | WebhookError) -> None:
        self.asked: list[Object] = []
        self._answers = list(answers)

    async def __call__(self, review: bytes) -> bytes:
        self.asked.append(json.loads(review))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, WebhookError):
            raise answer
        return json.dumps({"status": answer}).encode()


@pytest.mark.parametrize(
    ("modes", "decision"),
    [
        (["AlwaysAllow"], Decision(True)),
        (["AlwaysDeny"], Decision(False, reason="Everything is forbidden.")),
        (["RBAC"], Decision(False)),
        (["RBAC", "AlwaysAllow"], Decision(True)),
        (["AlwaysDeny", "AlwaysAllow"], Decision(True)),
        (["RBAC", "AlwaysDeny"], Decision(False, reason="Everything is forbidden.")),
    ],
)
async def test_the_first_that_allows_decides(modes: list[str], decision: Decision) -> None:
    authorizer = build(Rbac(), modes)
    assert await authorizer.authorize(PODS) == decision
    assert (await authorizer.authorize(PODS._replace(user=SYSTEM_ADMIN))).allowed


async def test_a_webhook_is_asked_as_kube_apiserver_asks() -> None:
    remote = Remote({"allowed": True, "reason": "of course"})
    authorizer = build(Rbac(), ["RBAC", "Webhook"], Webhook(remote))
    asked = PODS._replace(
        fields=(Requirement("metadata.name", "=", ("a",)),),
        labels=(Requirement("app", "in", ("x", "y")), Requirement("n", "gt", ("1",))),
    )
    assert await authorizer.authorize(asked) == Decision(True, reason="of course")
    await authorizer.authorize(Attributes(ANN, "get", path="/metrics"))
    assert remote.asked[0] == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {
            "resourceAttributes": {
                "namespace": "default",
                "verb": "list",
                "version": "v1",
                "resource": "pods",
                "fieldSelector": {"requirements": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]},
                "labelSelector": {"requirements": [{"key": "app", "operator": "In", "values": ["x", "y"]}]},
            },
            "user": "ann",
            "groups": ["team"],
            "uid": "u1",
            "extra": {"scopes": ["a", "b"]},
        },
    }
    assert remote.asked[1]["spec"]["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}


async def test_what_a_webhook_denies_nobody_allows() -> None:
    authorizer = build(Rbac(), ["Webhook", "AlwaysAllow"], Webhook(Remote({"denied": True, "reason": "no"})))
    assert await authorizer.authorize(PODS) == Decision(False, denied=True, reason="no")
    both = Webhook(Remote({"denied": True, "allowed": True}))
    said = "webhook subject access review returned both allow and deny response"
    assert await both.ask(PODS) == Decision(False, denied=True, error=said)


async def test_a_webhook_without_an_opinion_lets_the_next_decide() -> None:
    for answer in ({"allowed": False}, {}, None):
        authorizer = build(Rbac(), ["Webhook", "AlwaysAllow"], Webhook(Remote(answer)))  # type: ignore[arg-type]
        assert (await authorizer.authorize(PODS)).allowed


async def test_a_webhook_that_does_not_answer_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_FIRST_WAIT", 0.0)
    remote = Remote(WebhookError("away"))
    decision = await build(Rbac(), ["Webhook", "RBAC"], Webhook(remote)).authorize(PODS)
    assert decision == Decision(False, error="away")
    assert len(remote.asked) == webhook.ATTEMPTS
    once = Remote(WebhookError("refuses", again=False), {"allowed": True})
    assert (await Webhook(once).ask(PODS)).error == "refuses"
    assert (await Webhook(Remote(WebhookError("away"), {"allowed": True})).ask(PODS)).allowed


async def test_answers_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(webhook.time, "monotonic", lambda: now[0])
    remote = Remote({"allowed": True})
    asking = Webhook(remote, allowed_for=10, refused_for=1)
    for _ in range(3):
        await asking.ask(PODS)
    assert len(remote.asked) == 1
    now[0] = 10.5
    await asking.ask(PODS)
    assert len(remote.asked) == 2
    for i in range(webhook.MOST_KNOWN + 3):
        await asking.ask(PODS._replace(name=str(i)))
    assert len(asking._known) <= webhook.MOST_KNOWN


@pytest.mark.parametrize("answer", [b"", b"[]", b'"x"', b'{"status": []}', b'{"status": {"allowed": "yes"}}'])
def test_an_answer_that_is_none_allows_nothing(answer: bytes) -> None:
    try:
        assert not webhook.decision_of(answer).allowed
    except WebhookError:
        pass


def test_rules_of_a_webhook_are_not_known() -> None:
    rules, error, incomplete = build(Rbac(), ["AlwaysAllow", "Webhook"], Webhook(Remote({}))).rules_for(ANN, "x")
    assert (len(rules), error, incomplete) == (2, "webhook authorizer does not support user rule resolution", True)


@pytest.mark.parametrize("mode", AuthorizationMode)
async def test_every_mode_that_may_be_set_has_an_answer(mode: AuthorizationMode) -> None:
    assert await build(Rbac(), [mode], Webhook(Remote({"allowed": False}))).authorize(PODS)


def test_a_mode_without_anybody_to_ask_is_not_left_out() -> None:
    with pytest.raises(ValueError, match="nobody to ask"):
        build(Rbac(), ["Webhook"])
