"""OpenAPI documents: complete, self-consistent, and with what kubectl looks for in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from kafila.catalog import openapi_v2
from kafila.catalog.catalog import Catalog, load_catalog
from kafila.catalog.kind import Kind, Strategy
from kafila.catalog.openapi import OpenAPI
from kafila.machinery.schema import Schema

Json = Any
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CORE = "io.k8s.api.core.v1."
SCHEMAS, DEFINITIONS = "#/components/schemas/", "#/definitions/"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def documents(catalog: Catalog) -> dict[str, Json]:
    served = OpenAPI(catalog)
    out = {}
    for path in orjson.loads(served.index())["paths"]:
        document = served.document(path)
        assert document is not None
        out[path] = orjson.loads(document.body)
    return out


@pytest.fixture(scope="module")
def swagger(catalog: Catalog) -> Json:
    return orjson.loads(openapi_v2.Swagger(catalog).document("json").body)


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def patches(document: Json) -> Iterator[Json]:
    """Not those that a proxy passes on."""
    found = (item["patch"] for item in document["paths"].values() if "patch" in item)
    return (patch for patch in found if patch["x-kubernetes-action"] == "patch")


def gadgets(**more: Any) -> Kind:
    spec = Schema(
        "struct",
        fields={
            "size": Schema("integer", format="int32", description="How many.", default=1),
            "mode": Schema("string", enum=("Fast", "Slow")),
            "port": Schema("int-or-string"),
            "items": Schema("list", items=Schema("struct", fields={"name": Schema("string")}), list_type="map", list_map_keys=("name",)),
            "free": Schema("struct", preserve_unknown=True),
            "template": Schema("struct", embedded=True, preserve_unknown=True),
        },
        required=frozenset({"size"}),
    )  # fmt: skip
    root = Schema("struct", fields={"kind": Schema("string"), "spec": spec}, description="A gadget.")
    head = ("example.com", "v1", "Gadget", "gadgets", "gadget", True, VERBS, root, Strategy())
    return Kind(*head, custom=True, subresources=("status", "scale"), **more)


def test_there_is_a_document_for_every_group_and_version(catalog: Catalog, documents: dict[str, Json]) -> None:
    assert set(documents) == {
        f"apis/{v.group}/{v.name}" if v.group else f"api/{v.name}" for g in catalog.groups() for v in g.versions
    }
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v2"} <= set(documents)


def test_a_kind_that_comes_while_the_document_is_written_is_not_in_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitions are compiled in other threads."""
    catalog, types = load_catalog(), openapi_v2.Types

    def written(*arguments: Any) -> Any:
        found = types(*arguments)
        catalog.add([gadgets()])
        return found

    monkeypatch.setattr(openapi_v2, "Types", written)
    document = openapi_v2.build(catalog)
    assert set(references(document)) == {DEFINITIONS + name for name in document["definitions"]}


def test_references_resolve(documents: dict[str, Json], swagger: Json) -> None:
    for path, document in documents.items():
        defined = {SCHEMAS + name for name in document["components"]["schemas"]}
        assert set(references(document)) == defined, path  # nothing is missing, nothing is idle
    assert set(references(swagger)) == {DEFINITIONS + name for name in swagger["definitions"]}


def test_every_patchable_kind_has_what_kubectl_needs(
    catalog: Catalog, documents: dict[str, Json], swagger: Json
) -> None:
    needed = {tuple(k.gvk) for k in catalog if "patch" in k.verbs}
    found = set()
    for document in documents.values():
        for patch in patches(document):
            gvk = patch["x-kubernetes-group-version-kind"]
            names = {p["name"] for p in patch["parameters"] if p["in"] == "query"}
            assert names == {"dryRun", "fieldManager", "fieldValidation", "force"}
            assert "application/apply-patch+yaml" in patch["requestBody"]["content"]
            found.add((gvk["group"], gvk["version"], gvk["kind"]))
    assert needed <= found
    assert needed <= {
        tuple(p["x-kubernetes-group-version-kind"][k] for k in ("group", "version", "kind")) for p in patches(swagger)
    }


def test_strategic_merge_is_offered_for_built_in_kinds_only(catalog: Catalog, documents: dict[str, Json]) -> None:
    custom = {tuple(kind.gvk) for kind in catalog if kind.custom}
    for document in documents.values():
        for patch in patches(document):
            gvk = patch["x-kubernetes-group-version-kind"]
            if gvk["kind"] == "Scale":  # of both sorts of kinds
                continue
            strategic = "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
            assert strategic != ((gvk["group"], gvk["version"], gvk["kind"]) in custom)


def test_operation_ids_are_unique(swagger: Json) -> None:
    ids = [
        operation["operationId"]
        for item in swagger["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))
    assert {
        "patchAppsV1NamespacedDeployment",
        "listCoreV1PodForAllNamespaces",
        "replaceCoreV1NamespaceFinalize",
        "createCoreV1NamespacedServiceAccountToken",
        "deleteRbacAuthorizationV1CollectionClusterRole",
        "connectCoreV1GetNamespacedPodProxyWithPath",
        "createAuthorizationV1SelfSubjectAccessReview",
    } <= set(ids)


def test_paths_have_their_parameters(documents: dict[str, Json]) -> None:
    for document in documents.values():
        for path, item in document["paths"].items():
            names = {p["name"] for p in item["parameters"] if p["in"] == "path"}
            assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_schema_facts(documents: dict[str, Json], swagger: Json) -> None:
    schemas = documents["apis/apps/v1"]["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "kind": "Deployment", "version": "v1"}]
    spec = deployment["properties"]["spec"]
    assert spec["allOf"] == [{"$ref": SCHEMAS + "io.k8s.api.apps.v1.DeploymentSpec"}]
    assert spec["default"] == {}
    assert spec["description"]
    containers = schemas[CORE + "PodSpec"]["properties"]["containers"]
    assert {key: value for key, value in containers.items() if key != "description"} == {
        "type": "array",
        "items": {"$ref": SCHEMAS + CORE + "Container"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    assert schemas[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert swagger["definitions"][quantity]["type"] == "string"
    ports = schemas[CORE + "Container"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert schemas[CORE + "ContainerPort"]["properties"]["protocol"]["default"] == "TCP"
    metadata = swagger["definitions"]["io.k8s.api.apps.v1.Deployment"]["properties"]["metadata"]
    assert metadata["$ref"] == DEFINITIONS + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def test_custom_kinds() -> None:
    served = OpenAPI(Catalog([gadgets()]))
    document = served.document("apis/example.com/v1")
    assert document is not None
    tree = orjson.loads(document.body)
    schemas = tree["components"]["schemas"]
    gadget = schemas["com.example.v1.Gadget"]
    assert gadget["description"] == "A gadget."
    assert gadget["x-kubernetes-group-version-kind"] == [{"group": "example.com", "kind": "Gadget", "version": "v1"}]
    assert gadget["properties"]["spec"]["required"] == ["size"]
    assert gadget["properties"]["spec"]["properties"] == {
        "size": {"type": "integer", "format": "int32", "description": "How many.", "default": 1},
        "mode": {"type": "string", "enum": ["Fast", "Slow"]},
        "port": {"x-kubernetes-int-or-string": True},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "template": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-embedded-resource": True,
        },
    }
    assert schemas["com.example.v1.GadgetList"]["properties"]["items"]["items"]["$ref"].endswith("v1.Gadget")
    item = tree["paths"]["/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}"]
    assert set(item["patch"]["requestBody"]["content"]) == {
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    }
    scale = tree["paths"]["/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}/scale"]["get"]
    assert scale["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "kind": "Scale", "version": "v1"}


def test_only_what_changed_gets_a_new_hash() -> None:
    other = Kind("other.com", "v1", "Thing", "things", "thing", False, VERBS, Schema("struct"), Strategy(), custom=True)
    catalog = Catalog([gadgets(), other])
    served = OpenAPI(catalog)
    before = orjson.loads(served.index())["paths"]
    kept = served.document("apis/other.com/v1")
    assert served.index() == orjson.dumps({"paths": before})
    changed = gadgets()
    changed.schema.fields["status"] = Schema("struct", preserve_unknown=True)
    catalog.add([changed])
    after = orjson.loads(served.index())["paths"]
    assert before["apis/other.com/v1"] == after["apis/other.com/v1"]
    assert before["apis/example.com/v1"] != after["apis/example.com/v1"]
    assert served.document("apis/other.com/v1") is kept
    catalog.remove([changed])
    assert set(orjson.loads(served.index())["paths"]) == {"apis/other.com/v1"}
    assert served.document("apis/example.com/v1") is None


@pytest.mark.parametrize("path", ["", "api", "api/v2", "apis/apps", "apis/apps/v1/deployments", "version", "apis//v1"])
def test_no_document(catalog: Catalog, path: str) -> None:
    assert OpenAPI(catalog).document(path) is None


# --- protobuf ---------------------------------------------------------------------------------------------------------


def fields(data: bytes) -> dict[int, list[Any]]:
    """A protobuf message without its schema: field number -> values."""
    out: dict[int, list[Any]] = defaultdict(list)
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = varint()
        assert key & 7 in (0, 2)
        if key & 7 == 0:
            out[key >> 3].append(varint())
        else:
            length = varint()
            out[key >> 3].append(data[position : position + length])
            position += length
    assert position == len(data)
    return out


def named(values: list[bytes]) -> dict[str, bytes]:
    return {message[1][0].decode(): message[2][0] for message in map(fields, values)}


def test_protobuf_form_says_the_same(catalog: Catalog, swagger: Json) -> None:
    served = openapi_v2.Swagger(catalog)
    document = fields(served.document("protobuf").body)
    assert document[1] == [b"2.0"]
    paths = named(fields(document[8][0])[2])
    definitions = named(fields(document[9][0])[1])
    assert set(paths) == set(swagger["paths"])
    assert set(definitions) == set(swagger["definitions"])
    spec = fields(definitions[CORE + "PodSpec"])
    assert fields(spec[22][0])[1] == [b"object"]
    assert [name.decode() for name in spec[19]] == swagger["definitions"][CORE + "PodSpec"]["required"]
    containers = fields(named(fields(spec[25][0])[1])["containers"])
    (item,) = fields(containers[23][0])[1]
    assert fields(item)[1] == [(DEFINITIONS + CORE + "Container").encode()]
    extensions = {name: orjson.loads(fields(value)[2][0]) for name, value in named(containers[31]).items()}
    assert extensions["x-kubernetes-patch-merge-key"] == "name"
    assert extensions["x-kubernetes-list-map-keys"] == ["name"]
    patch = fields(fields(paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"])[8][0])
    assert b"application/strategic-merge-patch+json" in patch[7]
    query = [fields(fields(fields(p)[1][0])[2][0])[3] for p in patch[8] if 2 in fields(fields(p)[1][0])]
    assert b"fieldValidation" in [fields(parameter[0])[4][0] for parameter in query]


def test_forms_are_kept_until_the_catalog_changes() -> None:
    catalog = Catalog([gadgets()])
    served = openapi_v2.Swagger(catalog)
    one = served.document("json")
    assert served.document("json") is one
    catalog.add([gadgets()])
    assert served.document("json") is not one
    assert served.document("json").etag == one.etag
