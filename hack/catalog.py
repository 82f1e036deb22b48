"""What the server has to know about Kubernetes' own kinds, as compact tables in app/kafila/catalog/data.

Sources, all of them Go modules:

* k8s.io/kubernetes ``api/openapi-spec/v3``: fields, list and patch semantics, defaults, descriptions;
* k8s.io/kubernetes ``api/discovery``: groups, resources, verbs, short names, categories, subresources;
* the Go types themselves, by reflection (``gotypes/``): wire order, which fields are always written, which are left out;
* k8s.io/kubernetes ``bootstrappolicy/testdata``: the roles and bindings that every server creates.

Only what a server serves by default is taken: alpha and beta versions are off in a stock kube-apiserver.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from .modules import GOTYPES, KUBERNETES, TABLES, directory, reference

STABLE = re.compile(r"v\d+$")
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
REF = "#/components/schemas/"

Json = Any


def main() -> None:
    kubernetes = directory(KUBERNETES)
    groups = read_groups(kubernetes / "api" / "discovery")
    schemas = read_schemas(kubernetes / "api" / "openapi-spec" / "v3", groups)
    go = json.loads(subprocess.run(["go", "run", "."], cwd=GOTYPES, check=True, capture_output=True).stdout)
    definitions = {name: definition(name, schemas[name], go) for name in sorted(schemas)}
    source = {"modules": [reference(KUBERNETES), reference("k8s.io/client-go")], "by": "hack/catalog.py"}
    write("definitions.json", source, {"definitions": definitions})
    write("kinds.json", source, {"groups": groups})
    roles = kubernetes / "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
    write("bootstrap_roles.json", source, {"objects": bootstrap_roles(roles)})
    write_packed("descriptions.json.gz", descriptions(schemas))


def read_groups(directory: Path) -> list[Json]:
    """Groups in the order of discovery, their stable versions by preference, their resources by name."""
    core = {"name": "", "versions": [read_version(directory / "api__v1.json", "v1")]}
    groups = [core]
    for entry in json.loads((directory / "aggregated_v2.json").read_text())["items"]:
        name = entry["metadata"]["name"]
        stable = [v["version"] for v in entry["versions"] if STABLE.match(v["version"])]
        if stable:
            files = [(directory / f"apis__{name}__{version}.json", version) for version in stable]
            groups.append({"name": name, "versions": [read_version(path, version) for path, version in files]})
    return groups


def read_version(path: Path, version: str) -> Json:
    resources: dict[str, Json] = {}
    for row in json.loads(path.read_text())["resources"]:
        name, _, sub = row.pop("name").partition("/")
        if sub:
            row.pop("singularName")
            row.pop("namespaced")
            resources[name].setdefault("subresources", {})[sub] = row
        else:
            resources[name] = row
    return {"version": version, "resources": resources}


def read_schemas(directory: Path, groups: list[Json]) -> dict[str, Json]:
    schemas: dict[str, Json] = {}
    for group in groups:
        for version in group["versions"]:
            path = f"apis__{group['name']}__{version['version']}" if group["name"] else f"api__{version['version']}"
            document = json.loads((directory / f"{path}_openapi.json").read_text())
            for name, schema in document["components"]["schemas"].items():
                if schemas.setdefault(name, schema) != schema:
                    merge_group_version_kinds(schemas[name], schema)
    for path in ("api_openapi.json", "apis_openapi.json", "apis__apps_openapi.json"):  # the types of discovery itself
        found = json.loads((directory / path).read_text())["components"]["schemas"]
        schemas |= {name: schema for name, schema in found.items() if name not in schemas}
    return schemas


def merge_group_version_kinds(known: Json, other: Json) -> None:
    """Types of apimachinery list the groups that the document at hand uses; everything else must agree."""
    key = "x-kubernetes-group-version-kind"
    assert {k: v for k, v in known.items() if k != key} == {k: v for k, v in other.items() if k != key}
    known[key] = known[key] + [gvk for gvk in other[key] if gvk not in known[key]]


# --- definitions ------------------------------------------------------------------------------------------------------


def definition(name: str, schema: Json, go: dict[str, list[Json]]) -> Json:
    """A struct: ``{"f": {field: type | [type, attributes]}, "r": [required], "g": [[group, version, kind]]}``.
    Anything else: ``{"o": OpenAPI schema}``. README.md of app/kafila/catalog/data explains the attributes."""
    gvks = [[g["group"], g["version"], g["kind"]] for g in schema.get("x-kubernetes-group-version-kind", ())]
    common = {"g": gvks} if gvks else {}
    if not schema.get("properties") and not go.get(name):
        plain = {key: value for key, value in schema.items() if key != "description" and not key.endswith("-kind")}
        return {"o": plain} | common
    fields = {f["name"]: field(name, f, schema["properties"][f["name"]]) for f in go[name]}
    assert fields.keys() == schema["properties"].keys(), name
    out: Json = {"f": fields} | common
    if "required" in schema:
        out["r"] = schema["required"]
    if "x-kubernetes-map-type" in schema:
        out["mt"] = schema["x-kubernetes-map-type"]
    if "x-kubernetes-unions" in schema:
        out["u"] = schema["x-kubernetes-unions"]
    return out


ATTRIBUTES = {
    "x-kubernetes-list-type": "lt",
    "x-kubernetes-list-map-keys": "k",
    "x-kubernetes-map-type": "mt",
    "x-kubernetes-patch-strategy": "ps",
    "x-kubernetes-patch-merge-key": "pk",
    "enum": "e",
}
EMPTY = {"string": "", "integer": 0, "number": 0, "boolean": False}


def field(owner: str, go: Json, schema: Json) -> Json:
    kind = type_of(owner, go["type"], schema)
    attributes = {short: schema[key] for key, short in ATTRIBUTES.items() if key in schema}
    if "zero" in go:
        attributes["z"] = go["zero"]
    if go.get("dropZero"):
        attributes["o"] = 1
    if "go" in go:
        attributes["go"] = go["go"]
    if "inline" in go:
        attributes["in"] = go["inline"]
    default = schema.get("default")
    struct = kind.startswith("@") and not go.get("pointer")
    implied = {} if struct else go.get("zero") if not isinstance(go.get("zero"), (dict, list)) else None
    if default != implied and default != {}:
        attributes["d"] = default
    return [kind, attributes] if attributes else kind


def type_of(owner: str, go: str, schema: Json) -> str:
    """The type's name with OpenAPI's format after a colon: ``[]@io.k8s.api.core.v1.Container``, ``integer:int32``."""
    for prefix, key in (("[]", "items"), ("{}", "additionalProperties")):
        if go.startswith(prefix):
            assert isinstance(schema.get(key), dict), (owner, go, schema)
            return prefix + type_of(owner, go[2:], schema[key])
    refs = [part["$ref"] for part in schema.get("allOf", [schema]) if "$ref" in part]
    name = refs[0].removeprefix(REF) if refs else ""
    if go.startswith("@"):
        assert name == go[1:], (owner, go, schema)
        return go
    if name:
        return f"{go}@{name}"  # a scalar with a definition of its own: Quantity, Time, IntOrString, RawExtension
    return f"{go}:{schema['format']}" if schema.get("format") else go


# --- the rest ---------------------------------------------------------------------------------------------------------


def descriptions(schemas: dict[str, Json]) -> dict[str, dict[str, str]]:
    """Definition -> field -> text; the definition's own text is under ""."""
    found = {}
    for name in sorted(schemas):
        texts = {"": schemas[name]} | schemas[name].get("properties", {})
        found[name] = {field: schema["description"] for field, schema in texts.items() if schema.get("description")}
    return found


def bootstrap_roles(directory: Path) -> list[Json]:
    names = ("cluster-roles", "cluster-role-bindings", "controller-roles", "controller-role-bindings")
    objects = []
    for name in (*names, "namespace-roles", "namespace-role-bindings"):
        for item in yaml.safe_load((directory / f"{name}.yaml").read_text())["items"]:
            item["metadata"].pop("creationTimestamp", None)
            objects.append(item)
    return objects


def write(name: str, source: Json, tables: dict[str, Json]) -> None:
    """One entry per line: small in git, and a change shows as the lines it touches."""
    parts = [f'"source":{compact(source)}']
    for key, table in tables.items():
        lines = (
            (f"{compact(k)}:{compact(v)}" for k, v in table.items()) if isinstance(table, dict) else map(compact, table)
        )
        opened, closed = "{}" if isinstance(table, dict) else "[]"
        parts.append(f'"{key}":{opened}\n' + ",\n".join(lines) + f"\n{closed}")
    (TABLES / name).write_text("{" + ",\n".join(parts) + "}\n")


def write_packed(name: str, table: Json) -> None:
    """Compressed: a fifth of the size. Left alone when it says the same, since compressors differ from machine to machine."""
    path, content = TABLES / name, compact(table).encode()
    if not path.exists() or gzip.decompress(path.read_bytes()) != content:
        path.write_bytes(gzip.compress(content, mtime=0))


def compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
