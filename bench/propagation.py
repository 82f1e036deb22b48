"""Templates to members and statuses back, measured from outside: watches of the control plane and of every member."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import objects
import orjson
from load import Api, Refused, at_once, at_rate, now, quantile, say, until
from meter import Meter, Usage

CONNECTIONS = 16
PATIENCE = 900.0


def ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


@dataclass
class Direct:
    """A bare loop into the members: templates per second until visible, until ready, and the members' CPU."""

    visible_rate: float
    ready_rate: float
    usage: Usage


@dataclass
class Spread:
    """What happened to ``count`` templates; times in seconds from the first request, by number of the template."""

    count: int
    sent: dict[int, float] = field(default_factory=dict)
    accepted: dict[int, float] = field(default_factory=dict)
    visible: list[dict[int, float]] = field(default_factory=list)  # one per member
    ready: list[dict[int, float]] = field(default_factory=list)
    summed: dict[int, float] = field(default_factory=dict)
    began: float = 0.0
    usage: Usage | None = None

    def everywhere(self, times: list[dict[int, float]]) -> dict[int, float]:
        """When the last member had it, for those that all members have."""
        return {i: max(t[i] for t in times) for i in range(self.count) if all(i in t for t in times)}

    @property
    def visible_rate(self) -> float:
        return self._rate(self.everywhere(self.visible))

    @property
    def status_rate(self) -> float:
        return self._rate(self.summed)

    def _rate(self, times: dict[int, float]) -> float:
        return len(times) / (max(times.values()) - self.began) if times else 0.0

    def propagation(self, q: float) -> float | None:
        """Accepted to present in all members."""
        done = self.everywhere(self.visible)
        return quantile([done[i] - self.accepted[i] for i in done], q)

    def reflection(self, q: float) -> float | None:
        """Ready in the last member to the sum in the template."""
        done = self.everywhere(self.ready)
        return quantile([self.summed[i] - done[i] for i in done if i in self.summed], q)

    @property
    def summary(self) -> str:
        visible, summed = len(self.everywhere(self.visible)), len(self.summed)
        return f"{len(self.accepted)} accepted, {visible} visible, {summed} summed of {self.count}"


@contextlib.asynccontextmanager
async def clients(*apis: Api) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for api in apis:
            await stack.enter_async_context(api)
        yield


async def make_namespace(api: Api, name: str, also_in: list[Api], patience: float = 60.0) -> None:
    await api.call("POST", objects.NAMESPACES, orjson.dumps(objects.namespace(name)))
    for member in also_in:
        deadline = now() + patience
        while (await member.bytes("GET", f"{objects.NAMESPACES}/{name}"))[0] != 200:
            if now() > deadline:
                raise TimeoutError(f"namespace {name} did not reach {member.name}")
            await asyncio.sleep(0.05)


def _number(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["name"].rpartition("-")[2])


def _ready_replicas(obj: dict[str, Any]) -> int:
    return (obj.get("status") or {}).get("readyReplicas") or 0


# -- the bare loop -----------------------------------------------------------------------------------------------------


async def direct(members: list[Api], count: int, roots: list[int]) -> Direct:
    """The same Deployments straight into every member, until all are ready."""
    name = "direct"
    async with clients(*members):
        for member in members:
            await make_namespace(member, name, [])
        path = objects.deployments(name)
        bodies = [orjson.dumps(objects.deployment(name, f"app-{i:05d}")) for i in range(count)]
        visible: list[dict[int, float]] = [{} for _ in members]
        ready: list[dict[int, float]] = [{} for _ in members]

        def listen(k: int) -> Any:
            def tell(kind: str, obj: dict[str, Any], at: float) -> None:
                visible[k].setdefault(_number(obj), at)
                if _ready_replicas(obj) == obj["spec"]["replicas"]:
                    ready[k].setdefault(_number(obj), at)

            return tell

        watches = [asyncio.create_task(m.watch(path, listen(k))) for k, m in enumerate(members)]
        await asyncio.sleep(1)
        meter = Meter(roots)
        began = now()
        await at_once(
            count * len(members),
            CONNECTIONS,
            lambda j: members[j % len(members)].call("POST", path, bodies[j // len(members)]),
        )
        await until(
            lambda: all(len(r) >= count for r in ready), PATIENCE, lambda: f"ready {[len(r) for r in ready]} of {count}"
        )
        usage = meter.stop()
        for watch in watches:
            watch.cancel()
        for member in members:
            await member.call("DELETE", f"{objects.NAMESPACES}/{name}")
        for member in members:  # their emptying must not disturb what is measured next
            while (await member.bytes("GET", f"{objects.NAMESPACES}/{name}"))[0] == 200:
                await asyncio.sleep(0.1)
    last = [max(max(times.values(), default=began) for times in side) - began for side in (visible, ready)]
    return Direct(count / last[0], count / last[1], usage)


# -- through the control plane -----------------------------------------------------------------------------------------


async def spread(
    plane: Api, members: list[Api], name: str, count: int, roots: list[int], rate: float = 0.0, patience: float = 300.0
) -> Spread:
    """``count`` templates with policies, half Duplicated half Divided, at ``rate`` per second (0: as fast as accepted)."""
    async with clients(plane, *members):
        await make_namespace(plane, name, members)
        found = Spread(count, visible=[{} for _ in members], ready=[{} for _ in members])
        names = [member.name for member in members]
        bodies = [_pair(name, i, names) for i in range(count)]
        expected = [objects.REPLICAS * (1 if i % 2 else len(members)) for i in range(count)]

        def listen(k: int) -> Any:
            def tell(kind: str, obj: dict[str, Any], at: float) -> None:
                number = _number(obj)
                found.visible[k].setdefault(number, at)
                if _ready_replicas(obj) == obj["spec"]["replicas"]:
                    found.ready[k].setdefault(number, at)

            return tell

        def template(kind: str, obj: dict[str, Any], at: float) -> None:
            number = _number(obj)
            if number not in found.summed and _ready_replicas(obj) == expected[number]:
                found.summed[number] = at

        path = objects.deployments(name)
        watches = [asyncio.create_task(m.watch(path, listen(k))) for k, m in enumerate(members)]
        watches.append(asyncio.create_task(plane.watch(path, template)))
        await asyncio.sleep(1)

        async def submit(i: int) -> None:
            found.sent[i] = now()
            await plane.call("POST", objects.policies(name), bodies[i][0])
            await plane.call("POST", path, bodies[i][1])
            found.accepted[i] = now()

        meter = Meter(roots, memory=True)
        found.began = now()
        await (at_rate(count, rate, submit) if rate else at_once(count, CONNECTIONS, submit))
        await until(
            lambda: len(found.summed) >= count and len(found.everywhere(found.visible)) >= count,
            patience,
            lambda: found.summary,
        )
        found.usage = meter.stop()
        for watch in watches:
            watch.cancel()
    say(f"{name}: {found.summary}")
    return found


def _pair(namespace: str, number: int, clusters: list[str]) -> tuple[bytes, bytes]:
    name = f"app-{number:05d}"
    policy = objects.policy(namespace, name, clusters, divided=number % 2 == 1)
    return orjson.dumps(policy), orjson.dumps(objects.deployment(namespace, name))


async def fill(plane: Api, member: Api, name: str, count: int) -> float:
    """``count`` ConfigMaps by one policy to one member: many bindings. Returns bindings per second, delivery included."""
    async with clients(plane, member):
        await make_namespace(plane, name, [member])
        await plane.call("POST", objects.policies(name), orjson.dumps(objects.configmap_policy(name, [member.name])))
        path = objects.configmaps(name)
        arrived: set[str] = set()
        watch = asyncio.create_task(member.watch(path, lambda kind, obj, at: arrived.add(obj["metadata"]["name"])))
        began = now()
        await at_once(
            count,
            CONNECTIONS,
            lambda i: plane.call("POST", path, orjson.dumps(objects.configmap(name, f"c-{i:06d}"))),
        )
        # the member has a ConfigMap of its own in every namespace
        await until(lambda: len(arrived) > count, PATIENCE, lambda: f"{len(arrived)} of {count} ConfigMaps delivered")
        watch.cancel()
        return len(arrived) / (now() - began)


async def probe(plane: Api, members: list[Api], namespace: str, number: int, patience: float = 180.0) -> float:
    """Seconds until one new template is in every member, requests that are refused at first included."""
    async with clients(plane, *members):
        began = now()
        policy, template = _pair(namespace, number, [member.name for member in members])
        for path, body in ((objects.policies(namespace), policy), (objects.deployments(namespace), template)):
            while True:
                try:
                    await plane.call("POST", path, body)
                    break
                except Refused as refusal:
                    if refusal.status == 409:
                        break
                    if now() - began > patience:
                        raise
                    await asyncio.sleep(0.05)
        name = f"{objects.deployments(namespace)}/app-{number:05d}"
        for member in members:
            while (await member.bytes("GET", name))[0] != 200:
                if now() - began > patience:
                    raise TimeoutError(f"the template after the restart did not reach {member.name}")
                await asyncio.sleep(0.01)
        return now() - began
