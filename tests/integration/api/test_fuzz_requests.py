"""Requests by chance: nothing ends in a 500 or hangs, and what is stored is valid and stays as it is when it is sent again."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import re
from collections import Counter

import httpx
import orjson
import pytest

from kafila.core.values import Object
from kafila.registry.codec import decode_entry

from .conftest import Api
from .fuzz_generator import NAMESPACES, Requests, Sent

THEIR_500 = re.compile(
    r'failed to create typed (patch|new|live) object |admission webhook "[\w.]+" denied the request: |\[?target\.|'
    r'(resourceVersion: Invalid value: ".*": )?strconv\.ParseUint: |map: map\[.*\] does not contain declared merge key: |'
    r"resourceVersion should not be set on objects to be created$"
)
UNAVAILABLE = {
    "Timeout",
    "ServiceUnavailable",
}  # a revision that is not there yet; pods and nodes that cannot be reached


async def documents(api: Api) -> list[Object]:
    paths = (await api.get("/openapi/v3")).json()["paths"]
    return [(await api.get(at["serverRelativeURL"])).json() for name, at in paths.items() if name.startswith("api")]


def check_answer(sent: Sent, answer: httpx.Response) -> None:
    told = f"{sent}\n{answer.status_code} {answer.text[:2000]}"
    kind = answer.headers.get("content-type", "")
    if answer.status_code < 400:
        if kind.startswith("application/json") and answer.content:
            assert isinstance(answer.json(), dict), told
        return
    if kind.startswith("text/plain"):
        assert answer.status_code == 404, told
        return
    if kind.startswith("application/json"):
        status = answer.json()
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status_code), told
        assert status["message"], told
        assert answer.status_code < 500 or status.get("reason") in UNAVAILABLE or known_500(status), told


def known_500(status: Object) -> bool:
    """What ends in a 500 without a reason there: an apply that does not fit the schema, a Work that is none, a version
    that is no number or that a new object has, a strategic merge patch whose items have no key."""
    return status["code"] == 500 and "reason" not in status and THEIR_500.match(status["message"]) is not None


def check_stored(api: Api) -> int:
    """Every stored object passes the validation of its kind. Returns how many there are."""
    count = 0
    for kind in api.registry.catalog:
        if api.registry.catalog.storage_kind(kind.resource) is not kind:
            continue
        for entry in api.cache.resource(kind.resource).entries(""):
            obj = decode_entry(kind, entry)
            assert kind.strategy.validate(obj) == [], orjson.dumps(obj)
            count += 1
    return count


async def check_unchanged_by_itself(api: Api) -> None:
    """An object that was read can be written back, and that changes nothing."""
    for kind in api.registry.catalog:
        if "update" not in kind.verbs or api.registry.catalog.storage_kind(kind.resource) is not kind:
            continue
        for entry in api.cache.resource(kind.resource).entries(""):
            where = f"namespaces/{entry.key.namespace}/" if entry.key.namespace else ""
            root = f"/apis/{kind.group}" if kind.group else "/api"
            path = f"{root}/{kind.version}/{where}{kind.plural}/{entry.key.name}"
            read = await api.get(path)
            written = await api.put(path, read.content)
            assert written.status_code == 200, f"{path}\n{read.text}\n{written.text}"
            assert written.json() == read.json(), path


class Fuzz:
    def __init__(self, api: Api, seed: int, found: list[Object]) -> None:
        self.api = api
        self.chance = random.Random(seed)
        self.requests = Requests(self.chance, found, self.stored)
        self.codes: Counter[int] = Counter()

    def stored(self, path: str) -> Object | None:
        """The object at a path, or one of its collection."""
        from kafila.api.request import parse_target

        target = parse_target(path)
        kind = target and self.api.registry.catalog.get(target.group, target.version, target.plural)
        if not target or not kind:
            return None
        entry = self.api.cache.get(kind.resource, target.namespace if kind.namespaced else "", target.name)
        return decode_entry(kind, entry) if entry is not None else None

    async def run(self, count: int) -> None:
        for _ in range(count):
            sent = self.requests.next()
            try:
                answer = await asyncio.wait_for(
                    self.api.client.request(sent.method, sent.path, headers=sent.headers, content=sent.body), 60
                )
            except Exception as error:
                raise AssertionError(f"{sent}") from error
            check_answer(sent, answer)
            self.codes[answer.status_code] += 1


@pytest.fixture
async def fuzzed(api: Api) -> Api:
    for namespace in NAMESPACES[1:]:
        if namespace != "missing":
            await api.made("/api/v1/namespaces", {"metadata": {"name": namespace}})
    await api.delete("/api/v1/namespaces/ending")
    return api


async def test_requests_by_chance(fuzzed: Api) -> None:
    await run_and_check(fuzzed, 1_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_many_requests_by_chance(fuzzed: Api) -> None:
    await run_and_check(fuzzed, int(os.environ.get("FUZZ_REQUESTS", "25000")))


async def run_and_check(api: Api, count: int) -> None:
    seed = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1, 2**32)
    seed = 1 if os.environ.get("CI") else seed
    print(f"FUZZ_SEED={seed}")
    fuzz = Fuzz(api, seed, await documents(api))
    await fuzz.run(count)
    stored = check_stored(api)
    await check_unchanged_by_itself(api)
    print(f"{count} requests: {dict(sorted(fuzz.codes.items()))}; {stored} objects stored at the end")
    succeeded = sum(n for code, n in fuzz.codes.items() if code < 300)
    assert succeeded > count / 20  # else the requests are too wild to reach anything


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_memory_does_not_grow(fuzzed: Api) -> None:
    """The same requests again and again leave nothing behind: objects that Python tracks, history compacted."""
    found = await documents(fuzzed)
    counts = []
    for _ in range(4):
        await Fuzz(fuzzed, 7, found).run(2_000)
        database = fuzzed.store.database
        database.forget(len(database.log) - 1)
        gc.collect()
        counts.append(len(gc.get_objects()))
    print(f"objects after each round: {counts}")
    assert counts[-1] < counts[1] * 1.05
