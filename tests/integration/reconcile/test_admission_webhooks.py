"""What controllers write is shown to webhooks, too; what these refuse is said, tried again, and holds up nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kafila.core.values import Object
from tests.integration.webhook_server import WebhookServer, allow, configuration, deny, label

from .conftest import Lab

WORKS = ("works",)


@pytest.fixture
async def hooks() -> AsyncIterator[WebhookServer]:
    async with WebhookServer().serving() as server:
        yield server


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    lab = await Lab().start()
    try:
        await lab.join("m1", "m2")
        yield lab
    finally:
        await lab.close()


def configmap(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {}}


def selecting(*names: str) -> list[Object]:
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": name} for name in names]


async def test_a_work_that_is_refused_holds_up_no_other(lab: Lab, hooks: WebhookServer) -> None:
    only = {"matchLabels": {"kubernetes.io/metadata.name": "karmada-es-m2"}}
    hook = hooks.hook("works", deny("not there"), WORKS, ["CREATE"], namespaceSelector=only)
    await lab.create(configuration("Validating", "works", hook))
    await lab.create(lab.policy(select=selecting("a")))
    await lab.create(configmap("a"))
    await lab.until(lambda: lab.in_member("m1", "ConfigMap", "a"), "the copy in m1")
    why = 'admission webhook "works.example.com" denied the request: not there'
    await lab.until(lambda: any(why in str(lab.recorded(event)) for event in lab.list("Event")), "an event says why")
    assert lab.in_member("m2", "ConfigMap", "a") == {}
    hooks.answers["/works"] = allow
    await lab.until(lambda: lab.in_member("m2", "ConfigMap", "a"), "the copy in m2")


async def test_works_are_what_webhooks_make_of_them(lab: Lab, hooks: WebhookServer) -> None:
    await lab.create(configuration("Mutating", "works", hooks.hook("works", label("seen", "yes"), WORKS, ["CREATE"])))
    await lab.create(lab.policy(select=selecting("a")))
    await lab.create(configmap("a"))
    await lab.until(lambda: lab.in_member("m1", "ConfigMap", "a"), "the copy in m1")
    works = [work for work in lab.list("Work") if work["metadata"]["name"].startswith("a-")]
    assert works
    assert all(work["metadata"]["labels"]["seen"] == "yes" for work in works)
    assert {request["userInfo"]["username"] for request in hooks.reviews("/works")} == {"system:admin"}
    await lab.rest()  # and nobody writes them again and again


@pytest.mark.parametrize("answers", [True, False], ids=["refuses", "is away"])
async def test_what_is_said_of_events_keeps_nothing_from_being_done(
    lab: Lab, hooks: WebhookServer, answers: bool
) -> None:
    hook = hooks.hook("events", deny("no"), ["events"], timeoutSeconds=1)
    if not answers:
        hook["clientConfig"] = {**hook["clientConfig"], "url": "https://127.0.0.1:1/nobody"}
    await lab.create(configuration("Validating", "events", hook))
    await lab.create(lab.policy(select=selecting("a")))
    await lab.create(configmap("a"))
    await lab.until(lambda: lab.in_member("m2", "ConfigMap", "a"), "the copy in m2")


async def test_a_binding_that_is_refused_holds_up_no_other_template(lab: Lab, hooks: WebhookServer) -> None:
    hook = hooks.hook(
        "bindings",
        deny("no"),
        ["resourcebindings"],
        objectSelector={},
        matchConditions=[{"name": "one", "expression": "object != null && object.metadata.name == 'bad-configmap'"}],
    )
    await lab.create(configuration("Validating", "bindings", hook))
    await lab.create(lab.policy(select=selecting("bad", "good")))
    await lab.create(configmap("bad"))
    await lab.create(configmap("good"))
    await lab.until(lambda: lab.in_member("m2", "ConfigMap", "good"), "the copy of the other one")
    why = 'admission webhook "bindings.example.com" denied the request: no'
    await lab.until(lambda: any(why in str(lab.recorded(event)) for event in lab.list("Event")), "an event says why")
    assert lab.in_member("m1", "ConfigMap", "bad") == {}
    hooks.answers["/bindings"] = allow
    await lab.until(lambda: lab.in_member("m1", "ConfigMap", "bad"), "the copy, in the end")


async def test_a_namespace_ends_but_for_what_a_webhook_keeps(lab: Lab, hooks: WebhookServer) -> None:
    await lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ends"}})
    for name in ("kept", "other"):
        await lab.create({**configmap(name), "metadata": {"name": name, "namespace": "ends"}})
    kept = {"matchConditions": [{"name": "it", "expression": "oldObject.metadata.name == 'kept'"}]}
    await lab.create(
        configuration("Validating", "keeps", hooks.hook("keeps", deny("mine"), ["configmaps"], ["DELETE"], **kept))
    )
    await lab.delete("Namespace", "ends")

    def said() -> bool:
        condition = lab.condition(lab.get("Namespace", "ends"), "NamespaceDeletionContentFailure")
        return 'admission webhook "keeps.example.com" denied the request: mine' in condition.get("message", "")

    await lab.until(said, "its condition says why")
    assert lab.get("ConfigMap", "other", "ends") == {}
    assert lab.get("ConfigMap", "kept", "ends")
    hooks.answers["/keeps"] = allow
    await lab.until(lambda: not lab.get("Namespace", "ends"), "it is gone")
