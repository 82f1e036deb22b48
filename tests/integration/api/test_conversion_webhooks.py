"""CustomResourceDefinitions whose versions a webhook converts: reads, writes, lists and watches in each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from kafila.catalog.catalog import Catalog
from kafila.core.values import Object
from kafila.registry.admitting import Admitting
from kafila.registry.converting import Converting
from tests.definitions import definition as defined
from tests.definitions import properties, version
from tests.integration.webhook_server import WebhookServer, configuration, patch

from .conftest import APPLY_PATCH, MERGE_PATCH, Api
from .test_custom_resources import Server

NAME: Final = "gadgets.example.com"
V1: Final = "/apis/example.com/v1/namespaces/default/gadgets"
V2: Final = "/apis/example.com/v2/namespaces/default/gadgets"
_SPECS: Final[dict[str, Object]] = {
    "v1": {"size": {"type": "string"}},
    "v2": {"amount": {"type": "integer"}, "unit": {"type": "string", "default": "kg"}},
}


def definition(client: Object, storage: str = "v2", reviews: tuple[str, ...] = ("v1",)) -> Object:
    webhook = {"clientConfig": client, "conversionReviewVersions": list(reviews)}
    versions = (
        version(name, properties(spec=properties(**spec)), storage=name == storage) for name, spec in _SPECS.items()
    )
    return defined("example.com", "Gadget", *versions, conversion={"strategy": "Webhook", "webhook": webhook})


def to_version(obj: Object, desired: str) -> Object:
    spec = obj["spec"]
    if desired.endswith("v2"):
        amount = "".join(filter(str.isdigit, spec["size"]))
        new: Object = {"amount": int(amount), "unit": spec["size"][len(amount) :]}
    else:
        new = {"size": f"{spec['amount']}{spec['unit']}"}
    return {**obj, "apiVersion": desired, "spec": new}


def converts(request: Object) -> Object:
    objects = [to_version(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def gadget(version: str, name: str = "g", **spec: Any) -> Object:
    return {"apiVersion": f"example.com/{version}", "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


@pytest_asyncio.fixture
async def hooks() -> AsyncIterator[WebhookServer]:
    async with WebhookServer().serving() as server:
        server.answers["/convert"] = converts
        yield server


@pytest_asyncio.fixture
async def server(hooks: WebhookServer) -> AsyncIterator[Server]:
    api = Api()
    api.registry.catalog = Catalog(api.registry.catalog)  # nobody else's
    converting = Converting(api.registry.catalog, api.callers)
    await api.open()
    made = Server(api)
    await made.definitions.start()
    await made.controller.start()
    await made.define(definition(hooks.client("/convert")))
    yield made
    await made.controller.stop()
    await made.definitions.stop()
    await converting.close()
    await api.close()


async def test_what_is_written_in_one_version_is_read_in_both(server: Server, hooks: WebhookServer) -> None:
    api = server.api
    made = await api.made(V1, gadget("v1", size="5kg"))
    assert (made["apiVersion"], made["spec"]) == ("example.com/v1", {"size": "5kg"})
    read = (await api.get(f"{V2}/g")).json()
    assert (read["apiVersion"], read["spec"]) == ("example.com/v2", {"amount": 5, "unit": "kg"})
    assert read["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await api.get(f"{V1}/g")).json() == made
    asked = len(hooks.asked)
    assert (await api.get(f"{V1}/g")).json() == made
    assert len(hooks.asked) == asked  # remembered


async def test_the_version_that_is_stored_needs_no_webhook(server: Server, hooks: WebhookServer) -> None:
    made = await server.api.made(V2, gadget("v2", amount=3))
    assert made["spec"] == {"amount": 3, "unit": "kg"}
    assert not hooks.asked


@pytest.mark.parametrize("how", ["put", "merge", "json", "apply"])
async def test_changes_in_the_other_version(server: Server, how: str) -> None:
    api = server.api
    await api.made(V2, gadget("v2", amount=3))
    where = f"{V1}/g"
    match how:
        case "put":
            answer = await api.put(where, {**(await api.get(where)).json(), "spec": {"size": "7g"}})
        case "merge":
            answer = await api.patch(where, {"spec": {"size": "7g"}}, MERGE_PATCH)
        case "json":
            operations = [{"op": "replace", "path": "/spec/size", "value": "7g"}]
            answer = await api.patch(where, operations, "application/json-patch+json")
        case _:
            parameters = {"fieldManager": "me", "force": "true"}
            answer = await api.patch(where, gadget("v1", size="7g"), APPLY_PATCH, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["spec"] == {"size": "7g"}
    assert (await api.get(f"{V2}/g")).json()["spec"] == {"amount": 7, "unit": "g"}


async def test_lists_are_converted_together(server: Server, hooks: WebhookServer) -> None:
    api = server.api
    for i in range(20):
        await api.made(V2, gadget("v2", f"g{i}", amount=i))
    hooks.asked.clear()
    items = (await api.get(V1)).json()["items"]
    assert [item["spec"]["size"] for item in items] == sorted(f"{i}kg" for i in range(20)) or len(items) == 20
    assert {item["spec"]["size"] for item in items} == {f"{i}kg" for i in range(20)}
    assert len(hooks.asked) == 1
    assert len(hooks.asked[0][1]["objects"]) == 20
    table = await api.get(V1, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert len(table.json()["rows"]) == 20


async def test_watches_show_the_version_that_they_ask_for(server: Server) -> None:
    api = server.api
    await api.made(V2, gadget("v2", "a", amount=1))
    stream = await api.watch(V1).start()
    first = await stream.event()
    assert (first["type"], first["object"]["spec"]) == ("ADDED", {"size": "1kg"})
    await api.made(V1, gadget("v1", "b", size="2kg"))
    second = await stream.event()
    assert (second["type"], second["object"]["spec"]) == ("ADDED", {"size": "2kg"})
    await api.delete(f"{V2}/a")
    third = await stream.event()
    assert (third["type"], third["object"]["spec"]) == ("DELETED", {"size": "1kg"})
    await stream.leave()


async def test_another_version_is_stored_from_now_on(server: Server) -> None:
    """What was stored stays as it is, and says in which version."""
    api = server.api
    await api.made(V2, gadget("v2", "old", amount=1))

    def swapped(crd: Object) -> None:
        for each in crd["spec"]["versions"]:
            each["storage"] = each["name"] == "v1"

    await server.redefine(NAME, swapped)
    await api.made(V2, gadget("v2", "new", amount=2))
    for path, specs in (
        (V1, [{"size": "2kg"}, {"size": "1kg"}]),
        (V2, [{"amount": 2, "unit": "kg"}, {"amount": 1, "unit": "kg"}]),
    ):
        assert [item["spec"] for item in (await api.get(path)).json()["items"]] == specs
    patched = await api.patch(f"{V1}/old", {"metadata": {"labels": {"a": "b"}}})
    assert patched.json()["spec"] == {"size": "1kg"}
    assert (await api.get(f"{V2}/old")).json()["spec"] == {"amount": 1, "unit": "kg"}


FAILURES: Final[dict[str, tuple[Any, str]]] = {
    "says so": (
        lambda request: {"result": {"status": "Failed", "message": "no idea"}},
        " failed: no idea",
    ),
    "nothing": (lambda request: {}, " failed: response.result.status was '', not 'Success'"),
    "too few": (lambda request: {"result": {"status": "Success"}}, " returned 0 objects, expected 1"),
    "another version": (
        lambda request: {"result": {"status": "Success"}, "convertedObjects": request["objects"]},
        " returned invalid object at index 0: invalid groupVersion (expected example.com/v1, received example.com/v2)",
    ),
    "another name": (
        lambda request: _with(request, "name", "other"),
        " returned invalid object: must have the same name: g != other",
    ),
    "another uid": (lambda request: _with(request, "uid", "1"), " returned invalid object: must have the same UID: "),
    "another kind": (
        lambda request: {
            "result": {"status": "Success"},
            "convertedObjects": [{**converts(request)["convertedObjects"][0], "kind": "Secret"}],
        },
        " returned invalid object at index 0: invalid kind (expected Gadget, received Secret)",
    ),
    "a label": (
        lambda request: _with(request, "labels", {"not a label": "x"}),
        ' returned invalid metadata: metadata.labels: Invalid value: "not a label"',
    ),
}


def _with(request: Object, field: str, value: Any) -> Object:
    answer = converts(request)
    answer["convertedObjects"][0]["metadata"][field] = value
    return answer


@pytest.mark.parametrize("what", FAILURES)
async def test_what_a_webhook_cannot_convert(server: Server, hooks: WebhookServer, what: str) -> None:
    api = server.api
    await api.made(V2, gadget("v2", amount=3))
    hooks.answers["/convert"], why = FAILURES[what]
    for answer in (await api.get(f"{V1}/g"), await api.get(V1), await api.patch(f"{V1}/g", {"spec": {"size": "1g"}})):
        status = answer.json()
        assert status["code"] == 500
        assert status["message"].startswith(f"conversion webhook for example.com/v2, Kind=Gadget{why}")
    assert (await api.get(f"{V2}/g")).json()["spec"] == {"amount": 3, "unit": "kg"}


async def test_metadata_is_the_original_but_for_labels_and_annotations(server: Server, hooks: WebhookServer) -> None:
    def changes(request: Object) -> Object:
        answer = converts(request)
        answer["convertedObjects"][0]["metadata"] |= {"labels": {"a": "b"}, "finalizers": ["x/y"], "generation": 99}
        return answer

    api = server.api
    made = await api.made(V2, gadget("v2", amount=3))
    hooks.answers["/convert"] = changes
    read = (await api.get(f"{V1}/g")).json()["metadata"]
    assert read == {**made["metadata"], "labels": {"a": "b"}}


async def test_a_watch_says_why_it_ends(server: Server, hooks: WebhookServer) -> None:
    api = server.api
    stream = await api.watch(V1).start()
    hooks.answers["/convert"] = lambda request: {"result": {"status": "Failed", "message": "no idea"}}
    await api.made(V2, gadget("v2", amount=3))
    event = await stream.event()
    assert event["type"] == "ERROR"
    assert event["object"]["message"] == "conversion webhook for example.com/v2, Kind=Gadget failed: no idea"
    assert await stream.rest() == b""


async def test_a_webhook_of_admission_is_shown_the_version_that_its_rules_name(
    server: Server, hooks: WebhookServer
) -> None:
    api = server.api
    api.registry.staging._admitting = Admitting(api.cache, api.registry.catalog, api.callers)
    rule = {"resources": ["gadgets"], "groups": ["example.com"], "versions": ["v2"]}
    more = patch({"op": "replace", "path": "/spec/amount", "value": 9})
    made = configuration("Mutating", "gadgets", hooks.hook("more", more, **rule))
    await api.made("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", made)
    answer = await api.made(V1, gadget("v1", size="5g"))
    assert answer["spec"] == {"size": "9g"}
    (request,) = hooks.reviews("/more")
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert request["object"]["spec"] == {"amount": 5, "unit": "g"}
