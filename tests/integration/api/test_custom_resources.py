"""Kinds of CustomResourceDefinitions: one API server with what serves and establishes them."""

from __future__ import annotations

import copy
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.catalog.catalog import Catalog
from kafila.core.values import Object
from kafila.placement.constants import PP_NAME, PP_NAMESPACE, PP_PERMANENT_ID
from kafila.placement.withdrawal import ALWAYS, APPROVED, HELD
from kafila.reconcile.kubernetes.definitions import DefinitionController
from kafila.registry.deletions import Deletions
from kafila.watch.definitions import Definitions
from kafila.watch.resource import Resource

from .conftest import Api, failure

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "string", "enum": ["s", "m"]},
        "count": {"type": "integer", "default": 1},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
            },
        },
    },
}
STATUS = {"type": "object", "properties": {"count": {"type": "integer"}, "phase": {"type": "string"}}}


def definition(plural: str = "widgets", kind: str = "Widget", **names: Any) -> Object:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **names},
            "versions": [copy.deepcopy(version)],
        },
    }


def widget(name: str = "a", **spec: Any) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": "s", **spec}}


class Server:
    """``controller.queue.idle`` and ``definitions.settled`` are the events to wait for."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.definitions = Definitions(api.registry.catalog, api.cache)
        self.controller = DefinitionController(api.registry, self.definitions)
        api.app = ObjectsApp(api.registry, build_shell({}), definitions=self.definitions)

    async def define(self, body: Object) -> Object:
        answer = await self.api.post(CRDS, body)
        assert answer.status_code == 201, answer.text
        await self.quiet()
        return (await self.api.get(f"{CRDS}/{body['metadata']['name']}")).json()

    async def redefine(self, name: str, change: Any) -> None:
        crd = (await self.api.get(f"{CRDS}/{name}")).json()
        change(crd)
        answer = await self.api.put(f"{CRDS}/{name}", crd)
        assert answer.status_code == 200, answer.text
        await self.quiet()

    async def quiet(self) -> None:
        for _ in range(2):  # what is served at last is reported
            await self.controller.queue.idle()
            await self.definitions.settled()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    api = Api()
    api.registry.catalog = Catalog(api.registry.catalog)  # nobody else's
    await api.open()
    made = Server(api)
    await made.definitions.start()
    await made.controller.start()
    yield made
    await made.controller.stop()
    await made.definitions.stop()
    await api.close()


def conditions(crd: Object) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}


async def test_kubectl_can_wait_from_the_first_moment(server: Server) -> None:
    """It gives up at conditions that are null (kubernetes/kubernetes#66439)."""
    await server.controller.stop()
    made = (await server.api.post(CRDS, definition())).json()
    assert made["status"]["conditions"] is None, "as kube-apiserver answers"
    stored = (await server.api.get(f"{CRDS}/{made['metadata']['name']}")).json()
    assert stored["status"]["conditions"] == []


async def test_established(server: Server) -> None:
    crd = await server.define(definition(shortNames=["wi"]))
    assert conditions(crd) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert crd["status"]["acceptedNames"]["shortNames"] == ["wi"]
    assert crd["status"]["storedVersions"] == ["v1"]
    rows = (await server.api.get("/apis/example.com/v1")).json()["resources"]
    assert [row["name"] for row in rows] == ["widgets", "widgets/status", "widgets/scale"]
    document = (await server.api.get("/openapi/v3/apis/example.com/v1")).json()
    properties = document["components"]["schemas"]["com.example.v1.Widget"]["properties"]
    assert properties["spec"]["properties"]["size"]["enum"] == ["s", "m"]
    swagger = (await server.api.get("/openapi/v2")).json()
    assert "com.example.v1.Widget" in swagger["definitions"]


SHAPES = {
    "parts": {
        "type": "array",
        "description": "Of what it is made.",
        "items": {
            "type": "object",
            "description": "One part.",
            "required": ["name"],
            "properties": {"name": {"type": "string", "description": "Its name.", "default": "a"}},
        },
    },
    "port": {"x-kubernetes-int-or-string": True},
    "object": {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": {"type": "object", "properties": {}}},
    },
}


async def test_what_explain_shows_is_what_kube_apiserver_publishes(server: Server) -> None:
    crd = definition()
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] |= {"properties": SHAPES}
    del crd["spec"]["versions"][0]["subresources"]["scale"]
    await server.define(crd)
    schemas = (await server.api.get("/openapi/v3/apis/example.com/v1")).json()["components"]["schemas"]
    core = (await server.api.get("/openapi/v3/api/v1")).json()["components"]["schemas"]
    widget_, config = (
        where["properties"] for where in (schemas["com.example.v1.Widget"], core["io.k8s.api.core.v1.ConfigMap"])
    )
    for field in ("apiVersion", "kind", "metadata"):
        assert widget_[field]["description"] == config[field]["description"]
    spec = widget_["spec"]["properties"]
    assert spec["parts"] == SHAPES["parts"]
    assert spec["port"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert spec["object"]["properties"]["kind"]["description"].startswith(
        "kind is a string value representing the type"
    )
    listed = schemas["com.example.v1.WidgetList"]
    assert listed["description"] == "WidgetList is a list of Widget"
    assert listed["properties"]["items"]["description"].startswith("List of widgets. More info: https://git.k8s.io/")
    swagger = (await server.api.get("/openapi/v2")).json()["definitions"]["com.example.v1.Widget"]
    name = swagger["properties"]["spec"]["properties"]["parts"]["items"]["properties"]["name"]
    assert name == {"type": "string", "description": "Its name."}


async def test_an_object_is_pruned_defaulted_and_validated(server: Server) -> None:
    await server.define(definition())
    answer = await server.api.post(WIDGETS, widget(unknown=1))
    assert answer.status_code == 201
    assert answer.json()["spec"] == {"size": "s", "count": 1}
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.unknown\\""'
    answer = await server.api.post(f"{WIDGETS}?fieldValidation=Strict", widget("b", unknown=1))
    assert answer.status_code == 400
    answer = await server.api.post(WIDGETS, widget("b", size="xl", count="x"))
    assert answer.status_code == 422
    assert {cause["field"] for cause in answer.json()["details"]["causes"]} == {
        "spec.size",
        "spec.count",
        ".spec.count",
    }


async def test_generation_status_and_scale(server: Server) -> None:
    await server.define(definition())
    await server.api.post(WIDGETS, widget())
    one = f"{WIDGETS}/a"
    changed = await server.api.ask(
        "PATCH", one, {"status": {"phase": "x"}, "metadata": {"labels": {"a": "b"}}}, type=MERGE
    )
    assert "status" not in changed.json()
    assert changed.json()["metadata"]["generation"] == 1
    changed = await server.api.ask(
        "PATCH", f"{one}/status", {"status": {"phase": "x"}, "spec": {"size": "m"}}, type=MERGE
    )
    assert changed.json()["status"] == {"phase": "x"}
    assert changed.json()["spec"]["size"] == "s"
    scaled = await server.api.ask("PATCH", f"{one}/scale", {"spec": {"replicas": 3}}, type=MERGE)
    assert scaled.json()["spec"] == {"replicas": 3}
    now = (await server.api.get(one)).json()
    assert (now["spec"]["count"], now["metadata"]["generation"]) == (3, 2)


async def test_what_custom_kinds_refuse(server: Server) -> None:
    await server.define(definition())
    assert (await server.api.put(f"{WIDGETS}/nobody", widget("nobody"))).status_code == 404
    await server.api.post(WIDGETS, widget())
    unconditional = await server.api.put(f"{WIDGETS}/a", widget())
    assert "must be specified for an update" in unconditional.json()["message"]
    strategic = await server.api.ask("PATCH", f"{WIDGETS}/a", {}, type="application/strategic-merge-patch+json")
    assert strategic.status_code == 415
    assert (await server.api.post(WIDGETS, b"k8s\x00", type="application/vnd.kubernetes.protobuf")).status_code == 415


async def test_lists_are_merged_by_key(server: Server) -> None:
    await server.define(definition())
    for manager, port in (("one", "a"), ("two", "b")):
        body = widget("merged", ports=[{"name": port, "port": 1}])
        answer = await server.api.ask("PATCH", f"{WIDGETS}/merged?fieldManager={manager}", body, type=APPLY)
        assert answer.status_code in (200, 201), answer.text
    assert [port["name"] for port in answer.json()["spec"]["ports"]] == ["a", "b"]


async def test_a_changed_schema_counts_for_what_is_stored(server: Server) -> None:
    await server.define(definition())
    await server.api.post(WIDGETS, widget(ports=[{"name": "p"}]))

    def change(crd: Object) -> None:
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        del spec["ports"]
        spec["colour"] = {"type": "string", "default": "red"}

    await server.redefine("widgets.example.com", change)
    assert (await server.api.get(f"{WIDGETS}/a")).json()["spec"] == {"size": "s", "count": 1, "colour": "red"}
    listed = (await server.api.get(WIDGETS)).json()["items"][0]
    assert (listed["kind"], listed["spec"]["colour"]) == ("Widget", "red")


async def test_names_in_use_until_they_are_free(server: Server) -> None:
    await server.define(definition(shortNames=["wi"]))
    crd = await server.define(definition("gadgets", "Gadget", shortNames=["wi"]))
    assert conditions(crd)["NamesAccepted"] == ("False", "ShortNamesConflict")
    assert conditions(crd)["Established"] == ("False", "NotAccepted")
    assert (await server.api.get("/apis/example.com/v1/namespaces/default/gadgets")).status_code == 404
    await server.api.ask("DELETE", f"{CRDS}/widgets.example.com")
    await server.quiet()
    crd = (await server.api.get(f"{CRDS}/gadgets.example.com")).json()
    assert conditions(crd)["Established"] == ("True", "InitialNamesAccepted")


async def test_the_instances_go_before_the_definition(server: Server) -> None:
    await server.define(definition())
    held = widget()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await server.api.post(WIDGETS, held)
    await server.api.ask("DELETE", f"{CRDS}/widgets.example.com")
    await server.quiet()
    crd = (await server.api.get(f"{CRDS}/widgets.example.com")).json()
    assert conditions(crd)["Terminating"] == ("True", "InstanceDeletionInProgress")
    refused = await server.api.post(WIDGETS, widget("late"))
    assert refused.status_code == 403
    assert "custom resource definition is terminating" in refused.json()["message"]
    await server.api.ask("PATCH", f"{WIDGETS}/a", {"metadata": {"finalizers": None}}, type=MERGE)
    await server.quiet()
    assert (await server.api.get(f"{CRDS}/widgets.example.com")).status_code == 404
    assert (await server.api.get(WIDGETS)).text == "404 page not found\n"


async def test_nobody_defines_the_kinds_of_the_server(server: Server) -> None:
    """A definition of a kind that is built in changes nothing of it, and takes none of its objects along."""
    body = definition("propagationpolicies", "PropagationPolicy")
    body["metadata"]["name"], body["spec"]["group"] = "propagationpolicies.policy.karmada.io", "policy.karmada.io"
    body["spec"]["versions"][0]["name"] = "v1alpha1"
    before = server.api.registry.catalog.get("policy.karmada.io", "v1alpha1", "propagationpolicies")
    policy = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": "p"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]},
    }
    path = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies"
    assert (await server.api.post(path, policy)).status_code == 201
    await server.define(body)
    assert server.api.registry.catalog.get("policy.karmada.io", "v1alpha1", "propagationpolicies") is before
    await server.api.ask("DELETE", f"{CRDS}/propagationpolicies.policy.karmada.io")
    await server.quiet()
    assert (await server.api.get(f"{path}/p")).status_code == 200


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": "object", "properties": {"spec": {}}}])
async def test_a_bad_schema_is_refused(server: Server, schema: Object) -> None:
    body = definition()
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    answer = await server.api.post(CRDS, body)
    assert answer.status_code == 422
    assert answer.json()["details"]["causes"][0]["field"].startswith("spec.validation.openAPIV3Schema")


async def test_a_kind_goes_with_many_placed_objects_once_somebody_approves(server: Server) -> None:
    api, registry = server.api, server.api.registry
    registry.deletions = Deletions(api.cache, registry.catalog, registry, 3)
    await server.define(definition())
    for number in range(4):
        obj = widget(f"w{number}")
        obj["metadata"] |= {
            "labels": {PP_PERMANENT_ID: "1234"},
            "annotations": {PP_NAMESPACE: "default", PP_NAME: "web"},
        }
        await api.made(WIDGETS, obj)
    path = f"{CRDS}/widgets.example.com"
    status = failure(await api.delete(path), 403, "Forbidden")
    assert "4 objects are to be deleted" in status["message"]
    assert "kafila approve customresourcedefinition widgets.example.com" in status["message"]
    (event,) = (await api.get("/api/v1/namespaces/default/events")).json()["items"]
    assert (event["reason"], event["involvedObject"]["name"]) == ("WithdrawalHeld", "widgets.example.com")
    assert (await api.get(path)).json()["metadata"]["annotations"][HELD]
    assert (await api.patch(path, {"metadata": {"annotations": {APPROVED: ALWAYS}}})).status_code == 200
    assert (await api.delete(path)).status_code == 200


async def test_what_wants_to_see_a_definition_is_looked_for_on_the_event_loop(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Definitions are checked in a thread. What is stored changes meanwhile: reading it there fails now and then (IndexError), and what
    is found and remembered may be over already, so that a policy does not count."""
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    rule = {"apiGroups": ["example.com"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}]}
    await api.made(policies, {"metadata": {"name": "p"}, "spec": policy})  # it has to be looked for anew
    readers, read = set[threading.Thread](), Resource.entries

    def noted(self: Resource, *arguments: Any, **options: Any) -> Any:
        readers.add(threading.current_thread())
        return read(self, *arguments, **options)

    monkeypatch.setattr(Resource, "entries", noted)
    await api.made(CRDS, definition())
    assert readers == {threading.current_thread()}
