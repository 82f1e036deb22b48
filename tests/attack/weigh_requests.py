"""Requests with n, 2n and 4n items of every kind of list, and what each weighs. Run as a program; prints one JSON line a case.

``python -m tests.attack.weigh_requests`` weighs the shapes of lists that there are; with ``--sweep`` each list and map of
each kind.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from tests.attack import weighing

weighing.install()

from kafila.catalog.custom.kinds import kinds_of  # noqa: E402
from kafila.catalog.kind import Kind  # noqa: E402
from kafila.core import clock, names  # noqa: E402
from kafila.core.values import Object  # noqa: E402
from kafila.machinery.schema import Schema  # noqa: E402
from tests.integration.api.conftest import (  # noqa: E402
    APPLY_PATCH,
    CATALOG,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
)

SIZES = (30, 60, 120)
Build = Callable[[int], Object]  # an object with so many items


def pod(**spec: Any) -> Object:
    return {"spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def named(count: int, **fields: Any) -> list[Object]:
    return [{"name": f"n{i}", **fields} for i in range(count)]


SHAPES: dict[str, tuple[str, Build]] = {
    "map": ("configmaps", lambda n: {"data": {f"k{i}": "v" for i in range(n)}}),
    "labels": ("configmaps", lambda n: {"metadata": {"labels": {f"k{i}": "v" for i in range(n)}}}),
    "set of strings": ("configmaps", lambda n: {"metadata": {"finalizers": [f"a.b/k{i}" for i in range(n)]}}),
    "list by one key": (
        "configmaps",
        lambda n: {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": f"a{i}", "uid": f"{i}"} for i in range(n)
                ]
            }
        },
    ),
    "repeated owners": (
        "configmaps",
        lambda n: {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": f"a{i // 2}", "uid": f"{i // 2}"} for i in range(n)
                ]
            }
        },
    ),
    "managers that update": (
        "configmaps",
        lambda n: {"metadata": {"managedFields": managers(n, "Update")}, "data": {}},
    ),
    "managers that apply": ("configmaps", lambda n: {"metadata": {"managedFields": managers(n, "Apply")}, "data": {}}),
    "containers": ("pods", lambda n: pod(containers=named(n, image="i"))),
    "environment": ("pods", lambda n: pod(containers=[{"name": "c", "image": "i", "env": named(n, value="v")}])),
    "list by two keys": (
        "pods",
        lambda n: pod(containers=[{"name": "c", "image": "i", "ports": [{"containerPort": i + 1} for i in range(n)]}]),
    ),
    "volumes and mounts": (
        "pods",
        lambda n: pod(
            volumes=named(n, emptyDir={}),
            containers=[
                {"name": "c", "image": "i", "volumeMounts": [{"name": f"n{i}", "mountPath": f"/{i}"} for i in range(n)]}
            ],
        ),
    ),
    "atomic list": ("pods", lambda n: pod(tolerations=[{"key": f"k{i}", "operator": "Exists"} for i in range(n)])),
    "spreading": (
        "pods",
        lambda n: pod(
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": f"k{i}", "whenUnsatisfiable": "DoNotSchedule"} for i in range(n)
            ]
        ),
    ),
    "service": ("services", lambda n: {"spec": {"ports": [{"name": f"n{i}", "port": i + 1} for i in range(n)]}}),
    "selectors": (
        "propagationpolicies",
        lambda n: {
            "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "A", "name": f"n{i}"} for i in range(n)]}
        },
    ),
    "findings that show the list": (
        "resourcequotas",
        lambda n: {"spec": {"hard": {"pods": "1"}, "scopes": [f"s{i}" for i in range(n)]}},
    ),
    "free form": (
        "works",
        lambda n: {
            "spec": {
                "workload": {
                    "manifests": [{"apiVersion": "v1", "kind": "A", "metadata": {"name": f"n{i}"}} for i in range(n)]
                }
            }
        },
    ),
    "variables": (
        "validatingadmissionpolicies",
        lambda n: policy([{"name": f"n{i}", "expression": "1"} for i in range(n)]),
    ),
    "schema": (
        "customresourcedefinitions",
        lambda n: definition({f"p{i}": {"type": "string", "enum": [f"v{i}"], "pattern": "^a"} for i in range(n)}),
    ),
    "enumeration": (
        "customresourcedefinitions",
        lambda n: definition({"p": {"type": "integer", "enum": list(range(n))}}),
    ),
}


def managers(count: int, operation: str) -> list[Object]:
    return [
        {
            "manager": f"m{i}",
            "operation": operation,
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "time": "2020-01-01T00:00:00Z",
            "fieldsV1": {"f:data": {f"f:k{i}": {}}},
        }
        for i in range(count)
    ]


def policy(variables: list[Object]) -> Object:
    rule = {"apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["foos"], "operations": ["*"]}
    constraints = {"resourceRules": [rule]}
    validations = [{"expression": "true"}]
    return {"spec": {"matchConstraints": constraints, "variables": variables, "validations": validations}}


def definition(properties: Object, plural: str = "foos") -> Object:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{plural}.x.y"},
        "spec": {"group": "x.y", "scope": "Cluster", "names": {"plural": plural, "kind": "Foo"}, "versions": [version]},
    }


def typed(kind: Kind, obj: Object) -> Object:
    metadata = {"name": "it", **(obj.get("metadata") or {})}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def path_of(kind: Kind) -> str:
    prefix = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{prefix}/namespaces/default/{kind.plural}" if kind.namespaced else f"{prefix}/{kind.plural}"


def again(value: Any) -> Any:
    """The same with every text a little different that names nothing."""
    if isinstance(value, dict):
        return {
            key: item if key in ("name", "uid", "kind", "apiVersion", "key") else again(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [again(item) for item in reversed(value)]
    return f"{value}x" if value in ("i", "v") else value


def ordered(value: Any) -> Any:
    """A strategic merge patch that says in which order the elements of each list shall be."""
    if not isinstance(value, dict):
        return value
    out = {key: ordered(item) for key, item in value.items()}
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict) and "name" in item[0]:
            out[f"$setElementOrder/{key}"] = [{"name": one["name"]} for one in item]
        elif key == "finalizers":
            out[f"$setElementOrder/{key}"] = item
    return out


def operations(value: Any, path: str = "") -> Iterator[Object]:
    """A JSON patch that writes each part of an object by itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("kind", "apiVersion"):
                yield from operations(item, f"{path}/{key.replace('/', '~1')}")
    elif isinstance(value, list):
        yield {"op": "replace", "path": path, "value": []}
        yield from ({"op": "add", "path": f"{path}/-", "value": item} for item in value)
        yield from ({"op": "test", "path": f"{path}/{i}", "value": item} for i, item in enumerate(value))


async def verbs(api: Api, kind: Kind, obj: Object, few: bool) -> dict[str, dict[str, int]]:
    """What each request weighs. ``few``: only those that look at all of an object."""
    out: dict[str, dict[str, int]] = {}
    where = path_of(kind)
    named, changed = f"{where}/{obj['metadata']['name']}", again(obj)

    async def ask(what: str, method: str, path: str, body: Any, **options: Any) -> int:
        if len(names._DRAWN) < 64:  # they are drawn many at once, for whoever comes then
            names._DRAWN.clear()
            names.new_uid()
        weighing.weights.clear()
        answer = await api.ask(method, path, body, **options)
        out[what] = {**weighing.weights, "answer": len(answer.content)}
        return answer.status_code

    if await ask("create", "POST", where, obj) == 201:
        await ask("update", "PUT", named, changed)
        if few:
            await api.delete(named)
            return out
        await ask("merge", "PATCH", named, obj, type=MERGE_PATCH)
        if not kind.custom:
            await ask("strategic", "PATCH", named, changed, type=STRATEGIC_PATCH)
            await ask("strategic, ordered", "PATCH", named, ordered(obj), type=STRATEGIC_PATCH)
            finalizers = obj["metadata"].get("finalizers")
            if finalizers:
                part = {"metadata": {"$deleteFromPrimitiveList/finalizers": finalizers[1:]}}
                await ask("strategic, deleting", "PATCH", named, part, type=STRATEGIC_PATCH)
        await ask("json", "PATCH", named, list(operations(changed)), type=JSON_PATCH)
        bare = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
        for manager in ("one", "two"):
            query = f"?fieldManager={manager}&force=true"
            await ask(f"apply as {manager}", "PATCH", named + query, bare, type=APPLY_PATCH)
        await ask("conflict", "PATCH", f"{named}?fieldManager=three", again(bare), type=APPLY_PATCH)
        await ask("delete", "DELETE", named, None)
    if few:
        return out
    await ask("strict", "POST", f"{where}?fieldValidation=Strict", unknown(obj))
    await ask("invalid", "POST", where, broken(obj))
    return out


def unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: unknown(item) for key, item in value.items()}, "unheardOf": 1}
    return [unknown(item) for item in value] if isinstance(value, list) else value


def broken(value: Any) -> Any:
    """With texts that are no names."""
    if isinstance(value, dict):
        return {
            key: f"_{item}_" if key in ("name", "key", "uid") and isinstance(item, str) else broken(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [f"_{item}_" if isinstance(item, str) else broken(item) for item in value]
    return value


# -- each list of each kind ------------------------------------------------------------------------------------------------


def lists(kind: Kind) -> Iterator[tuple[str, Build]]:
    """Path and objects for each list and map of a kind, each type once."""
    seen: set[tuple[str, str]] = set()

    def below(schema: Schema, steps: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
        if depth > 9:
            return
        for name, child in schema.fields.items():
            if (schema.name, name) in seen or (not steps and name in ("kind", "apiVersion", "metadata")):
                continue
            seen.add((schema.name, name))
            if child.kind in ("list", "map"):
                yield (*steps, name)
                if child.items is not None:
                    yield from below(child.items, (*steps, name), depth + 1)
            else:
                yield from below(child, (*steps, name), depth + 1)

    for steps in below(kind.schema, (), 0):
        yield ".".join(steps), lambda n, steps=steps: made(kind.schema, steps, n)


def made(schema: Schema, steps: tuple[str, ...], count: int) -> Any:
    """A value of which the list or map at the end of ``steps`` has so many items."""
    if schema.kind in ("list", "map") and schema.items is not None:
        items = [
            made(schema.items, steps, count) if steps else filled(schema.items, i, 0)
            for i in range(1 if steps else count)
        ]
        return items if schema.kind == "list" else {f"k{i}": item for i, item in enumerate(items)}
    if not steps:
        return filled(schema, 0, 0)
    out = filled(schema, 0, 0)
    out[steps[0]] = made(schema.fields[steps[0]], steps[1:], count)
    return out


def filled(schema: Schema, i: int, depth: int) -> Any:
    """A small value of a type: what an element of a list is made of."""
    match schema.kind:
        case "struct":
            fields = {
                name: child
                for name, child in schema.fields.items()
                if name in schema.required or (depth < 1 and child.kind not in ("struct", "list", "map", "any"))
            }
            return {name: filled(child, i, depth + 1) for name, child in fields.items() if depth < 4}
        case "map":
            return {f"k{i}": filled(schema.items, i, depth + 1)} if schema.items is not None and depth < 4 else {}
        case "list":
            return [filled(schema.items, i, depth + 1)] if schema.items is not None and depth < 4 else []
        case "string":
            return schema.enum[0] if schema.enum else f"v{i}"
        case "integer" | "number" | "int-or-string":
            return i % 20 + 1
        case "boolean":
            return True
        case "quantity":
            return "1"
        case "time":
            return "2020-01-01T00:00:00Z"
        case "micro-time":
            return "2020-01-01T00:00:00.000000Z"
        case "bytes":
            return "YQ=="
    return {}


def cases(sweep: bool) -> Iterator[tuple[str, Kind, Build]]:
    if not sweep:
        for name, (plural, build) in SHAPES.items():
            yield name, next(kind for kind in CATALOG if kind.plural == plural and is_stored(kind)), build
        return
    for kind in CATALOG:
        if "create" in kind.verbs and is_stored(kind):
            for path, build in lists(kind):
                yield f"{kind.resource} {path}", kind, build


def is_stored(kind: Kind) -> bool:
    return CATALOG.storage_kind(kind.resource) is kind


CUSTOM = {
    "map": {"type": "object", "additionalProperties": {"type": "string", "enum": ["v"]}},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    "atomic": {"type": "array", "items": {"type": "string", "maxLength": 100}},
    "keyed": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "size": {"type": "integer", "maximum": 3}},
        },
    },
    "chosen": {"type": "array", "items": {"type": "string", "anyOf": [{"maxLength": 1}, {"minLength": 1}]}},
    "free": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}
CUSTOM_SHAPES: dict[str, Build] = {
    "custom map": lambda n: {"spec": {"map": {f"k{i}": "v" for i in range(n)}}},
    "custom set": lambda n: {"spec": {"set": [f"k{i}" for i in range(n)]}},
    "custom repeated set": lambda n: {"spec": {"set": [f"k{i // 2}" for i in range(n)]}},
    "custom atomic list": lambda n: {"spec": {"atomic": [f"k{i}" for i in range(n)]}},
    "custom list by key": lambda n: {"spec": {"keyed": named(n, size=1)}},
    "custom list with findings": lambda n: {"spec": {"keyed": named(n, size=9)}},
    "custom combinations": lambda n: {"spec": {"chosen": [f"k{i}" for i in range(n)]}},
    "custom free form": lambda n: {"spec": {"free": named(n)}},
}


async def custom_kind(api: Api) -> Kind:
    """A kind of its own, served as soon as it is defined."""
    kind = CATALOG.by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    crd = await api.made(path_of(kind), typed(kind, definition(CUSTOM, "bars")))
    crd["status"]["acceptedNames"] = crd["spec"]["names"]
    custom = kinds_of(crd)[0]
    CATALOG.add([custom])
    return custom


async def main(sweep: bool) -> None:
    # whether a second has passed between two requests decides how much the latter has to do
    clock.time = SimpleNamespace(time=lambda: 1_700_000_000.0, strftime=time.strftime, gmtime=time.gmtime)
    api = await Api().open()
    found_cases = list(cases(sweep))
    if not sweep:
        custom = await custom_kind(api)
        found_cases += [(name, custom, build) for name, build in CUSTOM_SHAPES.items()]
    for name, kind, build in found_cases:
        for factor in (1, 2, 4, 8):
            found = await weighed(api, kind, build, [factor * size for size in SIZES], sweep)
            if not any(map(is_less_for_more, found.values())):
                break
        print(json.dumps({"case": name, "weights": found}), flush=True)
    await api.close()


async def weighed(
    api: Api, kind: Kind, build: Build, sizes: Sequence[int], few: bool
) -> dict[str, list[dict[str, int]]]:
    found: dict[str, list[dict[str, int]]] = {}
    await verbs(api, kind, typed(kind, build(sizes[-1])), few)  # what is worked out once is not weighed
    for size in sizes:
        for verb, weight in (await verbs(api, kind, typed(kind, build(size)), few)).items():
            found.setdefault(verb, []).append(weight)
    return found


def is_less_for_more(weights: list[dict[str, int]]) -> bool:
    """The smallest is looked at, and the others are more than an object may have: those go another way."""
    return any(weights[0][what] > weights[1].get(what, 0) for what in weights[0])


if __name__ == "__main__":
    asyncio.run(main("--sweep" in sys.argv))
