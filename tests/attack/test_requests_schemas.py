"""A schema of thousands of fields is worked on in threads, once, and keeps nobody else's definition waiting."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
from typing import Any

import pytest

from kafila.catalog.catalog import Catalog
from kafila.catalog.custom.kinds import kinds_of
from kafila.core.values import Object
from kafila.machinery.schema import COMPILING
from kafila.watch.definitions import Definitions
from kafila.workers.collector import collector
from tests.integration.api.conftest import APPLY_PATCH, CATALOG, MERGE_PATCH, PATIENCE
from tests.integration.api.test_custom_resources import CRDS, WIDGETS, Server, conditions, definition, server, widget

from .test_requests_threads import ON_THE_LOOP, counting

__all__ = ["server"]
TEXT: Object = {"type": "string"}
PART: Object = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "labels": {"type": "object", "additionalProperties": TEXT},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
        },
    },
}


def big(plural: str = "widgets", kind: str = "Widget", parts: int = 300) -> Object:
    found = definition(plural, kind)
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = copy.deepcopy(schema["properties"]["spec"])
    schema["properties"]["spec"]["properties"] |= {f"part{i}": PART for i in range(parts)}
    return found


async def test_the_loop_does_little_for_a_big_definition(server: Server) -> None:
    with counting() as small:
        await server.define(definition("smalls", "Small"))
    with counting() as calls:
        await server.define(big())
    assert 0 < calls[0] < small[0] + ON_THE_LOOP, (calls[0], small[0])


async def test_the_loop_does_little_for_the_end_of_a_big_definition(server: Server) -> None:
    crd = await server.define(big())
    path = f"{CRDS}/{crd['metadata']['name']}"
    with counting() as calls:
        await server.api.delete(path)
        await server.quiet()
    assert (await server.api.get(path)).status_code == 404
    assert 0 < calls[0] < ON_THE_LOOP, calls[0]


async def test_the_loop_does_little_for_a_big_definition_that_is_looked_at_again(server: Server) -> None:
    crd = await server.define(big())
    with counting() as calls:
        await server.api.patch(f"{CRDS}/{crd['metadata']['name']}", {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
        await server.quiet()
    assert 0 < calls[0] < ON_THE_LOOP, calls[0]


async def test_the_loop_does_little_for_the_first_object_of_a_big_kind(server: Server) -> None:
    await server.define(definition("smalls", "Small"))
    await server.define(big())
    for verb in (
        lambda: server.api.post(WIDGETS, widget()),
        lambda: server.api.patch(f"{WIDGETS}/a", {"spec": {"part1": {"name": "x"}}}, MERGE_PATCH),
        lambda: server.api.patch(f"{WIDGETS}/b?fieldManager=x", widget("b"), APPLY_PATCH),
    ):
        with counting() as calls:
            answer = await verb()
        assert answer.status_code in (200, 201), answer.text
        assert 0 < calls[0] < ON_THE_LOOP, calls[0]


async def test_nobody_waits_for_a_big_definition(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def held(crd: Object) -> Any:
        if crd["metadata"]["name"] == "widgets.example.com":
            begun.set()
            assert go_on.wait(PATIENCE)
        return kinds_of(crd)

    monkeypatch.setattr("kafila.watch.definitions.kinds_of", held)
    try:
        assert (await server.api.post(CRDS, big())).status_code == 201
        await asyncio.to_thread(begun.wait, PATIENCE)
        assert (await server.api.post(CRDS, definition("smalls", "Small"))).status_code == 201
        for _ in range(2):
            await asyncio.wait_for(server.controller.queue.idle(), PATIENCE)
            await asyncio.wait_for(server.definitions.settled("smalls.example.com"), PATIENCE)
        small = (await server.api.get(f"{CRDS}/smalls.example.com")).json()
        assert conditions(small)["Established"][0] == "True"
        assert (await server.api.get(WIDGETS.replace("widgets", "smalls"))).status_code == 200
        assert (await server.api.get(WIDGETS.replace("widgets", "others"))).status_code == 404
        waits = (await server.api.get(f"{CRDS}/widgets.example.com")).json()
        assert conditions(waits)["Established"] == ("False", "Installing")
    finally:
        go_on.set()
    await server.quiet()
    served = (await server.api.get(f"{CRDS}/widgets.example.com")).json()
    assert conditions(served)["Established"][0] == "True"
    assert (await server.api.get(WIDGETS)).status_code == 200


async def test_the_smallest_of_the_big_ones_is_served_first(server: Server) -> None:
    names = {"aaas": 500, "bbbs": 400, "cccs": 300}
    for plural, parts in names.items():
        await server.define(big(plural, plural.title(), parts))
    catalog, come = Catalog(CATALOG), list[str]()
    again = Definitions(catalog, server.api.cache)
    again.on_settled(come.append)
    await again.start()
    await again.stop()
    assert come == ["cccs.example.com", "bbbs.example.com", "aaas.example.com"]


@pytest.mark.parametrize("count", [1, 10])
async def test_the_collector_of_cycles_does_not_look_at_the_kinds_of_big_definitions(
    server: Server, count: int
) -> None:
    """Of one, nor of as much in small ones."""
    for i in range(count):
        await server.define(big(f"{chr(97 + i)}s", f"K{i}", 300 // count))
    catalog = Catalog(CATALOG)
    with collector() as cycles:
        cycles.settle()
        again = Definitions(catalog, server.api.cache, cycles.keeping)
        await again.start()
        assert len(gc.get_objects()) < 10_000  # of 70,000
        await again.stop()
        assert catalog.storage_kind("as.example.com") is not None


async def test_a_definition_is_compiled_beside_others(server: Server) -> None:
    crd = await server.define(definition())
    with COMPILING:  # somebody compiles a type of the server's own
        await asyncio.wait_for(asyncio.to_thread(kinds_of, crd), PATIENCE)


async def test_a_definition_that_ends_is_not_compiled_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def noted(crd: Object) -> Any:
        compiled.append(crd["metadata"]["name"])
        return kinds_of(crd)

    monkeypatch.setattr("kafila.watch.definitions.kinds_of", noted)
    await server.define(definition())
    assert (
        await server.api.post(WIDGETS, widget() | {"metadata": {"name": "a", "finalizers": ["x/y"]}})
    ).status_code == 201
    await server.api.delete(f"{CRDS}/widgets.example.com")
    await server.quiet()
    rows = (await server.api.get("/apis/example.com/v1")).json()["resources"]
    assert rows[0]["name"] == "widgets"
    assert "create" not in rows[0]["verbs"]
    assert compiled == ["widgets.example.com"]
