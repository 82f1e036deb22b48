"""A control plane of several processes, and real members that its workers share: what each of them is asked to write is counted."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import pytest
from cluster_federation import run
from cluster_harness import Member

from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.members.transport import Unreachable
from kafila.store.embedded import EmbeddedPostgres
from kafila.telemetry.tasks import cancelled
from kafila.workers.sharing import SHARDS, shard_of
from tests.conftest import open_folder
from tests.faults.processes import ControlPlane, Serve
from tests.faults.store_proxy import Proxy
from tests.waiting import eventually

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
POLICIES = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies"
BINDINGS = "/apis/work.karmada.io/v1alpha2/namespaces/default/resourcebindings"
LABEL = "shared-out"
OURS = {"labelSelector": LABEL}
_CHANGES = {
    "POST": "ADDED",
    "PUT": "MODIFIED",
    "PATCH": "MODIFIED",
    "APPLY": "MODIFIED",
    "DELETE": "DELETED",
    "DELETECOLLECTION": "DELETED",
}
_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LEADER = "SELECT holder FROM leases WHERE name = 'controllers' AND expires > clock_timestamp()"
_HOLDERS = """SELECT substr(s.name, 9)::int AS shard, s.holder FROM leases s
    JOIN leases r ON r.name = 'workers/' || s.holder AND r.expires > clock_timestamp() WHERE s.name LIKE 'members/%'"""


def needs_hostnames() -> None:
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
        pytest.skip("a machine of another name needs a UTS namespace, which this user may not make")


class Copies(NamedTuple):
    """Of the templates, in a member: what each has."""

    values: dict[str, str]  # of ConfigMaps, by name
    generations: dict[str, int]  # of Deployments, by name
    uids: dict[str, str]  # of both


class RealMember:
    """A member as the test sees it, past the control plane: what its ConfigMaps are, and each change of them since it was entered."""

    def __init__(self, member: Member) -> None:
        self.name = member.name
        self.member = member
        self.client: MemberClient = member.client()
        self.changes: Counter[str] = Counter()  # by the watch's types
        self._requests: Counter[str] = Counter()  # before
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RealMember:
        found, version = await self.client.list(CONFIGMAPS, query=OURS)
        assert found == []
        self._requests = await self._counted()
        self._watching = asyncio.create_task(self._watch(version))
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancelled(self._watching)
        await self.client.close()

    async def copies(self) -> Copies:
        configs, _ = await self.client.list(CONFIGMAPS, query=OURS)
        workloads, _ = await self.client.list(DEPLOYMENTS, query=OURS)
        values = {each["metadata"]["name"]: each["data"]["value"] for each in configs}
        generations = {each["metadata"]["name"]: each["metadata"]["generation"] for each in workloads}
        uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in (*configs, *workloads)}
        return Copies(values, generations, uids)

    async def requests(self) -> Counter[str]:
        """Writes of ConfigMaps that its API server answered well, as types of changes: also those that changed nothing. One whose
        sender is dead by then is answered with an error, though it may have been carried out."""
        return await self._counted() - self._requests

    async def _counted(self) -> Counter[str]:
        status, text = await self.client.request("GET", "/metrics")
        assert status == 200
        found: Counter[str] = Counter()
        for labels, number in _REQUESTS.findall(text.decode()):
            said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if said["resource"] == "configmaps" and said["code"].startswith("2") and said["verb"] in _CHANGES:
                found[_CHANGES[said["verb"]]] += int(float(number))
        return found

    async def _watch(self, version: str) -> None:
        """It resumes where it was: no change is missed, and none is counted twice."""
        while True:
            with contextlib.suppress(Unreachable):
                async for event in self.client.watch(CONFIGMAPS, version, query=OURS):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type != "BOOKMARK":
                        self.changes[event.type] += 1
            await asyncio.sleep(0.1)


@final
class Fleet:
    """``plane`` and what is joined to it. Templates are ConfigMaps, each with one value, and Deployments; all are placed everywhere."""

    def __init__(self, plane: ControlPlane, folder: Path, dsn: str) -> None:
        self.plane = plane
        self.dsn = dsn
        self.members: dict[str, RealMember] = {}
        self._folder = folder
        self._started = 0
        self._joined: list[Member] = []
        self._watching = contextlib.AsyncExitStack()

    @property
    def api(self) -> Serve:
        return self.plane.api[-1]

    # -- processes -----------------------------------------------------------------------------------------------------

    async def start(self, role: str, tree: Path | None = None, flags: Sequence[str] = (), host: str = "") -> Serve:
        """Another process, ready."""
        serve = self.launch(role, tree, flags, host)
        await serve.ready()
        return serve

    def launch(self, role: str, tree: Path | None = None, flags: Sequence[str] = (), host: str = "") -> Serve:
        folder = self._folder / f"p{self._started}"
        self._started += 1
        folder.mkdir(mode=0o711)
        serve = Serve(folder, role, self.dsn, flags, tree, host)
        (self.plane.api if role == "api" else self.plane.workers).append(serve)
        serve.launch()
        return serve

    async def end(self) -> None:
        """Members are left clean, by processes of this version."""
        alive = [serve for serve in (*self.plane.api, *self.plane.workers) if serve.alive]
        await self._watching.aclose()
        try:
            for role in ("api", "workers"):
                if self._joined and not any(serve.role == role for serve in alive):
                    await self.start(role)
            await self._leave()
        finally:
            for serve in (*self.plane.workers, *self.plane.api):
                await serve.stop()

    async def leader(self) -> int:
        """The number of the process that has the lease, 0 while nobody has it."""
        found = await self.plane.sql(_LEADER)
        return _process(found[0]["holder"]) if found else 0

    async def leads(self, worker: Serve) -> bool:
        return await self.leader() == worker.pid

    async def holders(self) -> dict[int, int]:
        """The process that has each shard, of those that are registered."""
        return {row["shard"]: _process(row["holder"]) for row in await self.plane.sql(_HOLDERS)}

    async def shared_by(self, *workers: Serve) -> bool:
        """Whether all shards are theirs, and each has some."""
        found = await self.holders()
        return len(found) == SHARDS and set(found.values()) == {worker.pid for worker in workers}

    async def of(self, worker: Serve) -> list[str]:
        """The members that it has."""
        found = await self.holders()
        return [name for name in self.members if found.get(shard_of(name)) == worker.pid]

    # -- members -------------------------------------------------------------------------------------------------------

    async def join(self, *members: Member) -> None:
        self._joined += members
        await asyncio.gather(*(self._kafila("join", each.name, *_access(each)) for each in members))
        for member in members:
            name = member.name
            await eventually(lambda name=name: self._ready(name), f"{name} is ready")
            # by now it has what its controllers make in a new namespace, which is a ConfigMap too
            self.members[name] = await self._watching.enter_async_context(RealMember(member))

    async def _leave(self) -> None:
        await asyncio.gather(*(self._kafila("unjoin", each.name, *_access(each)) for each in self._joined))

    async def check(self) -> str:
        """What ``kafila check`` says of all members, which it reads itself. Raises RuntimeError where something is wrong."""
        return await self._kafila("check")

    async def _kafila(self, *arguments: str) -> str:
        program = (sys.executable, "-c", "from kafila.cli import main; main()")
        kubeconfig = f"--kubeconfig={self.api.folder / 'kubeconfig'}"
        return await asyncio.to_thread(run, *program, *arguments, kubeconfig)

    async def _ready(self, name: str) -> bool:
        answer = await self.api.request("GET", f"/apis/cluster.karmada.io/v1alpha1/clusters/{name}")
        conditions = (answer.body.get("status") or {}).get("conditions") or ()
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        return ready and not answer.body["spec"].get("taints")

    # -- templates -----------------------------------------------------------------------------------------------------

    async def place(self) -> None:
        """Everything with the label, everywhere."""
        selectors = [
            {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {LABEL: "yes"}}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {LABEL: "yes"}}},
        ]
        head = {"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": LABEL}}
        await self._ask("POST", POLICIES, {**head, "spec": {"resourceSelectors": selectors, "placement": {}}})

    async def create(self, names: Iterable[str], value: str) -> None:
        await asyncio.gather(*(self._ask("POST", CONFIGMAPS, _config(name, value)) for name in names))

    async def change(self, names: Iterable[str], value: str) -> None:
        body = {"data": {"value": value}}
        await asyncio.gather(*(self._ask("PATCH", f"{CONFIGMAPS}/{name}", body) for name in names))

    async def delete(self, names: Iterable[str]) -> None:
        await asyncio.gather(*(self._ask("DELETE", f"{CONFIGMAPS}/{name}") for name in names))

    async def deploy(self, name: str) -> None:
        await self._ask("POST", DEPLOYMENTS, _deployment(name))

    async def scale(self, name: str, replicas: int) -> None:
        await self._ask("PATCH", f"{DEPLOYMENTS}/{name}", {"spec": {"replicas": replicas}})

    async def _ask(self, verb: str, path: str, body: Object | None = None) -> None:
        answer = await self.api.request(verb, path, body)
        assert answer.status in (200, 201), answer

    # -- what came of it -----------------------------------------------------------------------------------------------

    async def everywhere(self, values: dict[str, str]) -> None:
        """Waits until each member has these ConfigMaps, and nothing else of ours."""
        for real in self.members.values():

            async def holds(real: RealMember = real) -> bool:
                return (await real.copies()).values == values

            await eventually(holds, f"{real.name} has what it is to have")

    async def arrived(self, value: str, member: str) -> None:
        """Waits until one copy there has this value."""

        async def holds() -> bool:
            return value in (await self.members[member].copies()).values.values()

        await eventually(holds, f"{value} arrives in {member}")

    async def changed(self, added: int, modified: int = 0, deleted: int = 0) -> None:
        """Waits until so much has been done to ConfigMaps in each member; more is never right."""
        wanted = Counter({"ADDED": added, "MODIFIED": modified, "DELETED": deleted})

        def found() -> dict[str, dict[str, int]]:
            return {name: dict(real.changes) for name, real in self.members.items()}

        async def holds() -> bool:
            for real in self.members.values():
                assert real.changes <= wanted, (found(), wanted)
                requests = await real.requests()
                assert requests <= wanted, (real.name, requests, wanted)
            return all(real.changes == wanted for real in self.members.values())

        await eventually(holds, f"{wanted} in each member")

    async def created_once(self) -> None:
        """Bindings and Works of our templates: nobody made one again that was there."""
        rows, _ = await self.plane.log()
        made = [row.key for row in rows if row.key.resource.endswith("work.karmada.io") and not row.previous]
        again = {key for key, number in Counter(made).items() if number > 1}
        assert not again


def _access(member: Member) -> tuple[str, str]:
    return f"--cluster-kubeconfig={member.kubeconfig}", f"--cluster-context={member.name}"


def _process(holder: str) -> int:
    return int(holder.split("_")[-3])


def _config(name: str, value: str) -> Object:
    return {"metadata": {"name": name, "labels": {LABEL: "yes"}}, "data": {"value": value}}


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": {LABEL: "yes"}}, "spec": spec}


@contextlib.asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    """Without processes yet; all end, and members are left clean."""
    with open_folder() as folder:
        for part in ("db", "cut"):
            (folder / part).mkdir(mode=0o711)
        database = EmbeddedPostgres(folder / "db")
        dsn = await database.start()
        try:
            async with Proxy(folder / "cut", dsn) as proxy:
                plane = ControlPlane(database, proxy, [], [])
                made = Fleet(plane, folder, dsn)
                try:
                    yield made
                finally:
                    await made.end()
        finally:
            await database.stop()


def keep_logs(made: Fleet, folder: Path) -> None:
    for serve in (*made.plane.api, *made.plane.workers):
        log = serve.folder.with_suffix(".log")
        (folder / f"{serve.role}-{log.name}").write_bytes(log.read_bytes())


def unusual(serve: Serve) -> list[Object]:
    """What it logged as an error. uvloop does so of a connection that ended while the process was stopped."""
    lines = [line for line in serve.lines() if line.get("level") in ("error", "critical")]
    return [line for line in lines if line["event"] != "Fatal error on SSL protocol"]
