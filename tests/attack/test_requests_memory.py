"""What a request makes the process grow by: at most 20 times its body, or what a process has to spare anyway."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from kafila.core.errors import MOST_FOUND
from kafila.core.values import Object, json_key
from kafila.machinery.amount import MAX_VALUES
from kafila.machinery.structural.lists import compile_list_types
from tests.integration.api.conftest import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
    configmap,
    deployment,
    failure,
)

FACTOR = 20
SPARE = 64 << 20  # bytes: what is small and dense may take more than FACTOR, and never more than this
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"
WORKS = "/apis/work.karmada.io/v1alpha1/namespaces/default/works"
MANY = 400_000  # values of two or three bytes; a body has room for a million
ALLOWED = MAX_VALUES - 1000


def containers(value: Any) -> Object:
    found = deployment("new")
    found["spec"]["template"]["spec"]["containers"] = value
    return found


def meta(kind: str, api_version: str = "v1", **fields: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "new"}, **fields}


def owners(count: int) -> Object:
    return {**configmap("new"), "metadata": {"name": "new", "ownerReferences": [{}] * count}}


def ports(count: int) -> Object:
    return containers([{"name": "a", "image": "b", "ports": [{}] * count}])


def work(count: int) -> Object:
    manifest = {**configmap("a"), "a": [{}] * count}
    return meta("Work", "work.karmada.io/v1alpha1", spec={"workload": {"manifests": [manifest]}})


def service(count: int) -> Object:
    return meta("Service", spec={"ports": [{}] * count})


TOO_MANY: dict[str, tuple[str, str, Callable[[], Any], Object]] = {
    "containers": ("POST", DEPLOYMENTS, lambda: containers([{}] * MANY), {}),
    "ports": ("POST", DEPLOYMENTS, lambda: ports(MANY), {}),
    "a service's ports": ("POST", SERVICES, lambda: service(MANY), {}),
    "owners": ("POST", MAPS, lambda: owners(MANY), {}),
    "free form": ("POST", WORKS, lambda: work(MANY), {}),
    "unknown fields": ("POST", MAPS, lambda: {**configmap("new"), "x": [1] * MANY}, {}),
    "update": ("PUT", f"{DEPLOYMENTS}/old", lambda: containers([{}] * MANY), {}),
    "merge": ("PATCH", f"{DEPLOYMENTS}/old", lambda: containers([[]] * MANY), {"type": MERGE_PATCH}),
    "strategic": ("PATCH", f"{DEPLOYMENTS}/old", lambda: containers([{}] * MANY), {"type": STRATEGIC_PATCH}),
    "json": ("PATCH", f"{DEPLOYMENTS}/old", lambda: [{}] * MANY, {"type": JSON_PATCH}),
    "a value of json": (
        "PATCH",
        f"{DEPLOYMENTS}/old",
        lambda: [{"op": "add", "path": "/spec/template/spec/containers", "value": [{}] * MANY}],
        {"type": JSON_PATCH},
    ),
    "options": ("DELETE", f"{DEPLOYMENTS}/old", lambda: {"dryRun": [""] * MANY}, {}),
}


def protobuf_of_containers(count: int) -> bytes:
    """A Deployment with so many containers of which nothing is said."""

    def part(number: int, content: bytes) -> bytes:
        size, out = len(content), b""
        while size > 127:
            out, size = out + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + out + bytes([size]) + content

    spec = part(3, part(2, part(2, b"") * count))  # spec.template.spec.containers
    return (
        b"k8s\0"
        + part(1, part(1, b"apps/v1") + part(2, b"Deployment"))
        + part(2, part(1, part(1, b"new")) + part(2, spec))
    )


DENSE: dict[str, tuple[str, str, Callable[[], Any], Object]] = {
    "containers": ("POST", DEPLOYMENTS, lambda: containers([{}] * (ALLOWED * 3 // 4)), {}),
    "a service's ports": ("POST", SERVICES, lambda: service(ALLOWED // 2), {}),
    "applied ports": ("PATCH", f"{DEPLOYMENTS}/new?fieldManager=x", lambda: ports(ALLOWED), {"type": APPLY_PATCH}),
}


async def growth(api: Api, method: str, path: str, body: bytes, options: Object) -> tuple[Any, int]:
    """The answer, and the most that was there at once of what came with the request, in bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        answer = await api.ask(method, path, body, **options)
        return answer, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def written(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


@pytest.mark.parametrize("what", TOO_MANY)
async def test_too_many_values_are_refused_before_they_are_built(api: Api, what: str) -> None:
    method, path, body, options = TOO_MANY[what]
    await api.made(DEPLOYMENTS, deployment("old"))
    sent = written(body())
    answer, grown = await growth(api, method, path, sent, options)
    assert str(MAX_VALUES) in failure(answer, 413, "RequestEntityTooLarge")["message"]
    assert grown < 4 * len(sent), f"{grown} bytes for {len(sent)}"


async def test_too_many_values_in_protobuf(api: Api) -> None:
    sent = protobuf_of_containers(MANY // 2)
    answer, grown = await growth(api, "POST", DEPLOYMENTS, sent, {"type": "application/vnd.kubernetes.protobuf"})
    failure(answer, 413, "RequestEntityTooLarge")
    assert grown < max(FACTOR * len(sent), SPARE), f"{grown} bytes for {len(sent)}"


@pytest.mark.parametrize("what", DENSE)
async def test_what_is_dense_takes_no_more_than_there_is_to_spare(api: Api, what: str) -> None:
    method, path, body, options = DENSE[what]
    sent = written(body())
    answer, grown = await growth(api, method, path, sent, options)
    assert answer.status_code not in (200, 201, 413), answer.text[:300]
    assert grown < max(FACTOR * len(sent), SPARE), f"{grown} bytes for {len(sent)}"


LONG_TEXTS: dict[str, Callable[[], dict[str, str]]] = {
    "documents": lambda: {"a": '{"a": [1, 2], "b": "\\"' * 60_000},
    "several": lambda: {f"k{i}": "[[,{" * 20_000 for i in range(30)},
    "backslashes": lambda: {"a": "\\" * 800_001 + '",' * 200_000},
}


@pytest.mark.parametrize("what", LONG_TEXTS)
async def test_what_stands_in_texts_is_no_value(api: Api, what: str) -> None:
    data = LONG_TEXTS[what]()
    answer = await api.post(f"{MAPS}?dryRun=All", configmap("new", **data))
    failure(answer, 422, "Invalid")  # as a ConfigMap may have 1 MiB, which is said after it was read
    assert "may not be more than 1048576 bytes" in answer.text


async def test_as_many_values_as_are_allowed(api: Api) -> None:
    """Also of the shortest, whatever stands between them, in JSON and in YAML."""
    inside = MAX_VALUES - 20
    for type, text in (("application/json", " {\n} , "), ("application/json", "[]\n,"), ("application/yaml", "[] , ")):
        head = b'{"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": "new"},'
        for count, code in ((inside, 201), (MAX_VALUES, 400 if "yaml" in type else 413)):
            body = b'%b "spec": {"workload": {"manifests": [{"apiVersion": "v1", "kind": "A", "a": [%b]}]}}}' % (
                head,
                (text * count).rstrip(" ,").encode(),
            )
            answer = await api.ask("POST", f"{WORKS}?dryRun=All", body, type=type)
            assert answer.status_code == code, answer.text[:300]


async def test_an_object_is_not_patched_to_more_values_than_may_be_worked_on(api: Api) -> None:
    """What is stored already may be made smaller."""
    await api.made(WORKS, work(ALLOWED - 100))
    path = "/spec/workload/manifests/0"
    copies = [{"op": "copy", "from": f"{path}/a", "path": f"{path}/{name}"} for name in "bcd"]
    answer = await api.patch(f"{WORKS}/new", copies, type=JSON_PATCH)
    failure(answer, 413, "RequestEntityTooLarge")
    answer = await api.patch(f"{WORKS}/new", [{"op": "remove", "path": f"{path}/a"}], type=JSON_PATCH)
    assert answer.status_code == 200, answer.text[:300]


async def test_no_more_unknown_fields_are_looked_for_than_are_listed(api: Api) -> None:
    few = failure(await api.post(SERVICES, service(10)), 422, "Invalid")["details"]["causes"]
    many = failure(await api.post(SERVICES, service(MOST_FOUND)), 422, "Invalid")["details"]["causes"]
    assert many[0] == few[0]
    assert all(cause in many for cause in few)
    assert len(few) < len(many) <= MOST_FOUND


@pytest.mark.parametrize(
    "item", [lambda i: f"v{i}", lambda i: {"a": i}, lambda i: i], ids=["texts", "objects", "numbers"]
)
def test_what_is_compared_takes_little_room(item: Callable[[int], Any]) -> None:
    """A set as a CustomResourceDefinition defines it, and as others are looked through."""
    values = [item(i) for i in range(5000)]
    check = compile_list_types({"items": {}, "x-kubernetes-list-type": "set"})
    assert check is not None
    tracemalloc.start()
    try:
        kept = {json_key(value) for value in values}
        assert not check(values)
        assert len(kept) == len(values)
        assert tracemalloc.get_traced_memory()[1] < 400 * len(values)
    finally:
        tracemalloc.stop()
