"""Plain API figures of one server: what a client gets per second, and what it costs the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import objects
import orjson
from load import APPLY_PATCH, MERGE_PATCH, Api, at_once, now, quantile, say, until
from meter import Meter, pss_mib
from propagation import clients, make_namespace

NAMESPACE = "bench-api"
ACCOUNT = "bench"
RBAC = "rbac.authorization.k8s.io"
CONNECTIONS = (1, 8, 32)
_DONE = object()


@dataclass(frozen=True)
class Rate:
    per_second: float
    cpu_ms: float  # of the server, its store included, per operation


@dataclass
class Figures:
    """Operations by connections, lists by size."""

    create: dict[int, Rate] = field(default_factory=dict)
    get: dict[int, Rate] = field(default_factory=dict)
    patch: dict[int, Rate] = field(default_factory=dict)
    update: Rate = Rate(0, 0)
    create_deployment: Rate = Rate(0, 0)
    apply_new: Rate = Rate(0, 0)  # server-side apply of Deployments that do not exist
    apply_change: Rate = Rate(0, 0)  # of the same ones with another image
    list_ms: dict[int, float] = field(default_factory=dict)
    list_cpu_ms: dict[int, float] = field(default_factory=dict)
    event: Rate = Rate(0, 0)  # delivered ones; CPU with the writes that caused them
    delivery_ms: float = 0.0  # CPU of an event without its share of the write
    memory_mib: dict[int, float] = field(default_factory=dict)  # PSS by number of ConfigMaps


@dataclass(frozen=True)
class Amounts:
    creates: int = 600
    gets: int = 3000
    patches: int = 600
    events: int = 1000
    watchers: int = 50
    sizes: tuple[int, ...] = (1000, 10000)
    account: bool = False  # the client is a service account, not the administrator


QUICK = Amounts(creates=200, gets=800, patches=200, events=300, sizes=(1000,))


class Session:
    """The scenarios over one open client; ConfigMaps are numbered as they are made."""

    def __init__(self, api: Api, roots: list[int], amounts: Amounts) -> None:
        self._api = api
        self._roots = roots
        self._amounts = amounts
        self._path = objects.configmaps(NAMESPACE)
        self._made = 0
        self.figures = Figures()

    async def steps(self) -> AsyncIterator[None]:
        """One measurement at a time, so that two servers can take turns; the figures fill up meanwhile."""
        figures = self.figures
        await make_namespace(self._api, NAMESPACE, [])
        if self._amounts.account:
            await self._api.become(await account_token(self._api))
        await self._create(50, 4)  # connections, caches and code that is compiled on first use
        await self._get(100, 4)
        await self._patch(50, 4)
        for connections in CONNECTIONS:
            share = 2 if connections == 1 else 1
            await self._get(4 * connections, connections)  # opens them: handshakes are not what is asked
            yield
            figures.create[connections] = await self._create(self._amounts.creates // share, connections)
            yield
            figures.get[connections] = await self._get(self._amounts.gets // share, connections)
            yield
            figures.patch[connections] = await self._patch(self._amounts.patches // share, connections)
        yield
        figures.update = await self._timed(self._amounts.patches, 32, self._replace_one)
        yield
        figures.create_deployment = await self._deployments(self._amounts.creates, 32)
        await self._apply(20, 4, "warm", "1")
        await self._apply(20, 4, "warm", "2")
        yield
        figures.apply_new = await self._apply(self._amounts.creates, 32, "applied", "1")
        yield
        figures.apply_change = await self._apply(self._amounts.creates, 32, "applied", "2")
        yield
        before = await self._patch(self._amounts.events, 8)
        figures.event = await self._fan_out()
        after = await self._patch(self._amounts.events, 8)
        unwatched = (before.cpu_ms + after.cpu_ms) / 2  # what is left of a difference is small: it needs both
        figures.delivery_ms = max(0.0, figures.event.cpu_ms - unwatched / self._amounts.watchers)
        for size in self._amounts.sizes:
            await self._fill(size)
            figures.memory_mib[size] = sum(pss_mib(root) for root in self._roots)
            yield
            figures.list_ms[size], figures.list_cpu_ms[size] = await self._list(size)

    async def _timed(self, count: int, connections: int, do: Callable[[int], Awaitable[Any]]) -> Rate:
        meter = Meter(self._roots)
        began = now()
        await at_once(count, connections, do)
        wall = now() - began
        return Rate(count / wall, meter.stop().per(count))

    async def _create(self, count: int, connections: int) -> Rate:
        bodies = [self._configmap(self._made + i) for i in range(count)]
        self._made += count
        return await self._timed(count, connections, lambda i: self._api.call("POST", self._path, bodies[i]))

    async def _get(self, count: int, connections: int) -> Rate:
        return await self._timed(count, connections, lambda i: self._api.call("GET", self._name(i)))

    async def _patch(self, count: int, connections: int) -> Rate:
        return await self._timed(count, connections, self._patch_one)

    async def _patch_one(self, i: int) -> None:
        body = orjson.dumps({"data": {"setting-0": f"{now()}-{i}"}})
        await self._api.call("PATCH", self._name(i), body, MERGE_PATCH)

    async def _replace_one(self, i: int) -> None:
        body = objects.configmap(NAMESPACE, f"c-{i % self._made:06d}")
        body["data"]["setting-0"] = f"{now()}-{i}"
        await self._api.call("PUT", self._name(i), orjson.dumps(body))

    async def _apply(self, count: int, connections: int, name: str, tag: str) -> Rate:
        """Server-side apply of ``count`` Deployments, as one manager always applies the whole."""
        paths, bodies = [], []
        for i in range(count):
            body = objects.deployment(NAMESPACE, f"{name}-{i:05d}")
            body["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.example.com/app:{tag}"
            paths.append(f"{objects.deployments(NAMESPACE)}/{name}-{i:05d}?fieldManager=bench")
            bodies.append(orjson.dumps(body))
        return await self._timed(
            count, connections, lambda i: self._api.call("PATCH", paths[i], bodies[i], APPLY_PATCH)
        )

    async def _deployments(self, count: int, connections: int) -> Rate:
        path = objects.deployments(NAMESPACE)
        bodies = [orjson.dumps(objects.deployment(NAMESPACE, f"app-{i:05d}")) for i in range(count)]
        await at_once(20, 4, lambda i: self._api.call("POST", f"{path}?dryRun=All", bodies[i]))
        return await self._timed(count, connections, lambda i: self._api.call("POST", path, bodies[i]))

    async def _fan_out(self) -> Rate:
        watchers, events = self._amounts.watchers, self._amounts.events
        version = (await self._api.get(f"{self._path}?limit=1"))["metadata"]["resourceVersion"]
        counts = [0] * watchers
        opened = 0

        def count(watcher: int) -> Callable[[int], None]:
            def more(lines: int) -> None:
                counts[watcher] += lines

            return more

        def another() -> None:
            nonlocal opened
            opened += 1

        tasks = [asyncio.create_task(self._api.lines(self._path, version, count(w), another)) for w in range(watchers)]
        await until(lambda: opened == watchers, 30, lambda: f"{opened} watches open")
        await asyncio.sleep(0.5)
        before = sum(counts)  # what came between the list and the watches
        meter = Meter(self._roots)
        began = now()
        await at_once(events, 8, self._patch_one)
        await until(
            lambda: sum(counts) - before >= events * watchers, 60, lambda: f"{sum(counts) - before} events delivered"
        )
        wall = now() - began
        usage = meter.stop()
        for task in tasks:
            task.cancel()
        return Rate((sum(counts) - before) / wall, usage.per(sum(counts) - before))

    async def _fill(self, size: int) -> None:
        if self._made < size:
            await self._create(size - self._made, 16)

    async def _list(self, size: int) -> tuple[float, float]:
        """Median milliseconds of a consistent list, and CPU milliseconds of the server for each."""
        rounds = 9 if size <= 1000 else 5
        times = []
        meter = Meter(self._roots)
        for _ in range(rounds):
            began = now()
            await self._api.call("GET", self._path)
            times.append((now() - began) * 1000)
        return quantile(times, 0.5) or 0.0, meter.stop().per(rounds)

    def _name(self, i: int) -> str:
        return f"{self._path}/c-{i % self._made:06d}"

    def _configmap(self, i: int) -> bytes:
        return orjson.dumps(objects.configmap(NAMESPACE, f"c-{i:06d}"))


async def account_token(api: Api) -> str:
    """Of a service account with a Role in the namespace and no other right: each of its requests is authorized by RBAC."""
    namespace, roles = f"{objects.NAMESPACES}/{NAMESPACE}", f"/apis/{RBAC}/v1/namespaces/{NAMESPACE}"
    named = {"metadata": {"name": ACCOUNT}}
    rules = [{"apiGroups": ["", "apps"], "resources": ["configmaps", "deployments"], "verbs": ["*"]}]
    binding = {
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    await api.call("POST", f"{namespace}/serviceaccounts", orjson.dumps(named))
    await api.call("POST", f"{roles}/roles", orjson.dumps({**named, "rules": rules}))
    await api.call("POST", f"{roles}/rolebindings", orjson.dumps({**named, **binding}))
    asked = await api.call("POST", f"{namespace}/serviceaccounts/{ACCOUNT}/token", orjson.dumps({"spec": {}}))
    return str(orjson.loads(asked)["status"]["token"])


async def measure(servers: list[tuple[Api, list[int]]], amounts: Amounts) -> list[Figures]:
    """Figures of each server. They take turns, measurement by measurement: what else the machine does meets all alike."""
    async with clients(*(api for api, _ in servers)):
        sessions = [Session(api, roots, amounts) for api, roots in servers]
        turns = [session.steps() for session in sessions]
        while turns:
            turns = [turn for turn in turns if await anext(turn, _DONE) is not _DONE]
    for (api, _), session in zip(servers, sessions, strict=True):
        created, got = session.figures.create[32].per_second, session.figures.get[32].per_second
        say(f"API of {api.name}: create {created:.0f}/s, get {got:.0f}/s")
    return [session.figures for session in sessions]
