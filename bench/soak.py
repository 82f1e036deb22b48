"""Templates made, scaled and deleted without end: what grows with time?

    python bench/soak.py --minutes=30                  # `kafila demo`: three simulated members
    python bench/soak.py --minutes=30 --members=real   # `kafila serve` over three light kube-apiservers (after `make clusters`)

``--event-ttl`` and ``--watch-history`` (seconds) are kafila's flags; short ones let a short run show what is given back. Each line is
one look: PSS of the control plane without its database, of the database, the database's bytes, Events. In the end: the slope of
the second half, the bytes of database per template before anything was old enough to go and in the end, those of Events, and what is
left after the TTL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import lab
import objects
import orjson
from lab import ENVIRONMENT, harness
from load import MERGE_PATCH, Api, Refused, at_rate, say
from meter import cpu_seconds, pss_mib, tree

from kafila.store.connect import read_bodies
from kafila.store.dictionaries import load
from kafila.store.packing import Packing

NAMESPACE = "soak"
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
MEMBERS = ("member1", "member2", "member3")
PAUSE = 5.0  # seconds between a template's creation, its scaling and its deletion
LOOKS = 60  # in all
TABLES = """
SELECT regexp_replace(relname, '[0-9]+$', ''), sum(pg_relation_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint,
       sum(coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0))::bigint
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 2 DESC
"""
ROWS = """
SELECT resource, count(*) AS rows, sum(pg_column_size(body))::bigint AS bytes, sum(pg_column_size(previous_body))::bigint AS before
FROM log GROUP BY 1 UNION ALL
SELECT 'events (table)', count(*), sum(pg_column_size(body))::bigint, NULL FROM events ORDER BY 3 DESC NULLS LAST LIMIT 12
"""
EVENTS = "SELECT body, previous > 0 FROM events"
EVENTS_SIZE = "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM event_partitions"


class Plane:
    """``kafila demo``, or ``kafila serve`` where the members are real."""

    def __init__(self, folder: Path, command: str, settings: dict[str, str]) -> None:
        (port,) = harness.free_ports(1)
        self.folder = folder / "data"
        arguments = [command, f"--data-dir={self.folder}", f"--bind=127.0.0.1:{port}"]
        self._program = program = str(Path(sys.executable).with_name("kafila"))
        self.process = harness.Process(
            "kafila", [program, *arguments], folder / "kafila.log", {"KAFILA_CONTROLLERS": "*"} | ENVIRONMENT | settings
        )

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def join(self, member: Any) -> None:
        arguments = [f"--kubeconfig={self.kubeconfig}", f"--cluster-kubeconfig={member.kubeconfig}"]
        subprocess.run(
            [self._program, "join", member.name, *arguments, f"--cluster-context={member.name}"],
            check=True,
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    async def ready(self, members: int) -> None:
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(OSError, Refused, KeyError, ValueError):
                    async with Api(self.kubeconfig, "soak") as api:
                        found = (await api.get(CLUSTERS))["items"]
                        if len(found) == members and all(map(_is_ready, found)):
                            return
                if not self.process.alive:
                    raise RuntimeError(self.process.tail())
                await asyncio.sleep(0.2)

    def memory(self) -> tuple[float, float]:
        """PSS in MiB of the program, and of its PostgreSQL."""
        database = self._database()
        rest = pss_mib(database) if database else 0.0
        return pss_mib(self.process.pid) - rest, rest

    def _database(self) -> int:
        for pid in tree(self.process.pid)[1:]:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres":
                    return pid
        return 0

    async def connection(self) -> asyncpg.Connection:
        socket = quote(str(self.folder / "postgres" / "run"))
        return await asyncpg.connect(f"postgresql://kafila@/kafila?host={socket}")


def _is_ready(cluster: dict[str, Any]) -> bool:
    conditions = (cluster.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Churn:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.done = 0
        self.failed = 0

    async def one(self, number: int) -> None:
        path = f"{objects.deployments(NAMESPACE)}/app-{number}"
        try:
            body = objects.deployment(NAMESPACE, f"app-{number}")
            await self.api.call("POST", objects.deployments(NAMESPACE), orjson.dumps(body))
            await asyncio.sleep(PAUSE)
            await self.api.call("PATCH", path, b'{"spec":{"replicas":5}}', MERGE_PATCH)
            await asyncio.sleep(PAUSE)
            await self.api.call("DELETE", path)
            self.done += 1
        except (Refused, OSError) as error:
            self.failed += 1
            say(f"template {number}: {error!r:.200}")


class Watch:
    """Looks at the process while templates come and go."""

    def __init__(self, kafila: Plane, database: asyncpg.Connection, churn: Churn) -> None:
        self._kafila, self._database, self._churn = kafila, database, churn
        self.looks: list[tuple[float, float, int, int]] = []  # minutes, PSS, bytes of database, templates
        self._began = time.monotonic()

    async def look(self) -> None:
        pss, postgres = await asyncio.to_thread(self._kafila.memory)
        size = await self._database.fetchval(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        minutes = (time.monotonic() - self._began) / 60
        self.looks.append((minutes, pss, size, self._churn.done))
        events = await self._events()
        cpu = cpu_seconds(self._kafila.process.pid)
        print(
            f"{minutes:5.1f} min  {self._churn.done:6} templates  PSS {pss:6.1f} MiB  PostgreSQL {postgres:6.1f} MiB"
            f"  database {size / 1e6:7.1f} MB  {events:7} Events  CPU {cpu:.0f} s",
            flush=True,
        )

    async def _events(self) -> int:
        try:
            page = await self._churn.api.get("/api/v1/events?limit=1")
        except Refused as error:  # a machine with too much else to do
            say(f"Events were not counted: {error!r:.200}")
            return 0
        return len(page["items"]) + page["metadata"].get("remainingItemCount", 0)

    async def tables(self) -> None:
        for name, heap, indexes, toast in await self._database.fetch(TABLES):
            print(
                f"    {name:12} heap {heap / 1e6:7.1f} MB  indexes {indexes / 1e6:6.1f} MB  toast {toast / 1e6:6.1f} MB"
            )
        for resource, rows, size, before in await self._database.fetch(ROWS):
            print(
                f"    {rows:8} rows of {resource:48} {(size or 0) / 1e6:7.1f} MB, before them {(before or 0) / 1e6:5.1f} MB"
            )
        reasons: Counter[str] = Counter()
        again: Counter[str] = Counter()
        packing = Packing()
        await load(self._database, packing)
        await read_bodies(self._database, packing)
        for body, counted in await self._database.fetch(EVENTS):
            reason = orjson.loads(body)["reason"]
            reasons[reason] += 1
            again[reason] += counted
        for reason, count in reasons.most_common():
            print(f"    {count:8} rows of Events {reason}, {again[reason]} of them counted again")

    async def events_per_template(self) -> float:
        """Bytes: what goes on growing until the first Events end, when the log gives back what it takes."""
        return await self._database.fetchval(EVENTS_SIZE) / max(self._churn.done, 1)

    def slope(self) -> float:
        """Per cent an hour of the second half's PSS, by least squares."""
        half = [(m / 60, pss) for m, pss, *_ in self.looks if m >= self.looks[-1][0] / 2]
        x, y = (sum(values) / len(half) for values in zip(*half, strict=True))
        spread = sum((a - x) ** 2 for a, _ in half)
        return sum((a - x) * (b - y) for a, b in half) / spread / y * 100 if spread else 0.0

    def per_template(self, old: float) -> float:
        """Bytes of database for each template of the first ``old`` minutes."""
        first = self.looks[0]
        last = [look for look in self.looks if look[0] <= old][-1]
        return (last[2] - first[2]) / max(last[3] - first[3], 1)


async def soak(kafila: Plane, options: argparse.Namespace) -> None:
    await kafila.ready(len(MEMBERS))
    database = await kafila.connection()
    async with Api(kafila.kubeconfig, "soak") as api:
        await api.call("POST", objects.NAMESPACES, orjson.dumps(objects.namespace(NAMESPACE)))
        policy = objects.policy(NAMESPACE, "soak", list(MEMBERS), divided=True)
        del policy["spec"]["resourceSelectors"][0]["name"]
        await api.call("POST", objects.policies(NAMESPACE), orjson.dumps(policy))
        churn = Churn(api)
        watch = Watch(kafila, database, churn)
        await watch.look()
        count = int(options.rate * options.minutes * 60)
        working = asyncio.create_task(at_rate(count, options.rate, churn.one))
        while not working.done():
            await asyncio.wait([working], timeout=max(options.minutes * 60 / LOOKS, 10.0))
            await watch.look()
        await working
        await watch.tables()
        peak = max(pss for _, pss, *_ in watch.looks)
        old = min(options.event_ttl, options.watch_history) / 60
        print(
            f"{churn.done} templates, {churn.failed} failed; PSS at most {peak:.0f} MiB, {watch.slope():+.1f} %/h in the second half"
        )
        print(f"{watch.per_template(old) / 1000:.1f} kB of database per template in the first {old:.0f} min")
        print(f"{watch.per_template(options.minutes + 60) / 1000:.1f} kB of database per template in the end")
        print(f"{await watch.events_per_template() / 1000:.1f} kB of Events per template, with their indexes")
        if options.after:
            await asyncio.sleep(options.after)
            await watch.look()
            await watch.tables()
    await database.close()


@contextlib.contextmanager
def plane(options: argparse.Namespace, folder: Path) -> Iterator[Plane]:
    settings = {"KAFILA_EVENT_TTL": str(options.event_ttl), "KAFILA_WATCH_HISTORY": str(options.watch_history)}
    started = Plane(folder, "demo" if options.members == "simulated" else "serve", settings)
    with contextlib.ExitStack() as stack:
        members = []
        if options.members == "real":
            members = stack.enter_context(lab.light_members(len(MEMBERS)))
        started.process.start()
        stack.callback(started.process.stop, patience=30)
        if members:
            asyncio.run(started.ready(0))
            for member in members:
                started.join(member)
        yield started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=6.0, help="templates a second")
    parser.add_argument("--members", choices=("simulated", "real"), default="simulated")
    parser.add_argument("--event-ttl", type=float, default=3600.0)
    parser.add_argument("--watch-history", type=float, default=300.0)
    parser.add_argument("--after", type=float, default=0.0, help="seconds to wait in the end before the last look")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kafila-soak-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        with plane(options, Path(name)) as started:
            asyncio.run(soak(started, options))


if __name__ == "__main__":
    main()
