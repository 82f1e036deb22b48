"""What the views of ``kafila sql`` cost: CPU of the program and of PostgreSQL for an object, and room in the database.

    python bench/sql_views.py --templates=2000

Templates (a Deployment with its ResourceBinding and a Work in each of three clusters, as they are when all is ready) are stored in an
embedded database and then projected as the controller ``sql-views`` does it: all of them, then once more without a change, then
with another status of each Work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
from meter import cpu_seconds

from kafila.reconcile.karmada.kinds import BINDINGS, WORKS
from kafila.reconcile.karmada.sql_views.projection import Stored, projected
from kafila.reconcile.karmada.sql_views.rows import Named
from kafila.reconcile.karmada.sql_views.writer import Writer
from kafila.store.embedded import EmbeddedPostgres
from kafila.store.interface import Transaction, Write
from kafila.store.migrate import upgrade
from kafila.store.postgres import PostgresStore

CLUSTERS = ("member1", "member2", "member3")
STAMP = "2026-01-02T03:04:05Z"
SIZE = """
SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace
"""


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name, "team": "shop"}
    container = {
        "name": "web",
        "image": "registry.example.org/shop/web:1.27",
        "resources": {"requests": {"cpu": "100m"}},
    }
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "labels": labels, "creationTimestamp": STAMP},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": pod},
    }  # fmt: skip


def condition(type: str) -> dict[str, str]:
    return {
        "type": type,
        "status": "True",
        "reason": "Success",
        "message": "It has been done.",
        "lastTransitionTime": STAMP,
    }


def template(number: int, ready: int) -> list[Stored]:
    name = f"web-{number:06}"
    meta = {"creationTimestamp": STAMP, "labels": {"resourcebinding.karmada.io/permanent-id": f"id-of-{name}"}}
    status = [
        {"clusterName": each, "applied": True, "health": "Healthy", "status": {"readyReplicas": ready}}
        for each in CLUSTERS
    ]
    binding = {
        "metadata": {**meta, "annotations": {"propagationpolicy.karmada.io/namespace": "default", "propagationpolicy.karmada.io/name": "shop"}},
        "spec": {
            "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": name},
            "replicas": 3,
            "clusters": [{"name": each, "replicas": 1} for each in CLUSTERS],
        },
        "status": {"conditions": [condition("Scheduled"), condition("FullyApplied")], "aggregatedStatus": status},
    }  # fmt: skip
    work = {
        "metadata": meta,
        "spec": {"workload": {"manifests": [deployment(name)]}},
        "status": {"conditions": [condition("Applied")], "manifestStatuses": [{"identifier": {"ordinal": 0}, "health": "Healthy" if ready else "Unhealthy"}]},
    }  # fmt: skip
    found = [stored("deployments.apps", "default", name, "Deployment", deployment(name), ready)]
    found.append(stored(BINDINGS, "default", f"{name}-deployment", "ResourceBinding", binding, ready))
    return found + [stored(WORKS, f"karmada-es-{each}", f"{name}-7b7cc5b9ff", "Work", work, ready) for each in CLUSTERS]


def stored(resource: str, namespace: str, name: str, kind: str, obj: dict[str, Any], revision: int) -> Stored:
    return Stored(Named("", resource, namespace, name), orjson.dumps(obj), revision + 1, "v1", kind)


async def main(templates: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kafila-bench-") as folder:
        os.chmod(folder, 0o711)
        server = EmbeddedPostgres(folder)
        dsn = await server.start()
        await upgrade(dsn)
        store = PostgresStore(dsn)
        await store.open()
        writer = Writer(store.fleet)
        await writer.take_over()
        first, second = ([each for number in range(templates) for each in template(number, ready)] for ready in (0, 3))
        await store_all(store, first)
        bytes_json = sum(len(each.body or b"") for each in first) / templates
        assert server.pid is not None
        print(f"{templates} templates, 5 objects each, {bytes_json:.0f} bytes of JSON; load {os.getloadavg()[0]:.1f}")
        for what, objects in (("all", first), ("unchanged", first), ("another status", second)):
            await measured(what, objects, writer, server.pid)
        connection = await asyncpg.connect(dsn)
        for schema in ("public", "fleet"):
            print(
                f"{schema}: {await connection.fetchval(SIZE, schema) / templates:.0f} bytes of database for a template"
            )
        await connection.close()
        await store.close()
        await server.stop()


async def sizes(dsn: str, templates: int) -> None:
    connection = await asyncpg.connect(dsn)
    found = {schema: await connection.fetchval(SIZE, schema) / templates for schema in ("public", "fleet")}
    await connection.close()
    print(", ".join(f"{size:.0f} bytes in {schema}" for schema, size in found.items()), "for a template")


async def store_all(store: PostgresStore, objects: Sequence[Stored]) -> None:
    for start in range(0, len(objects), 100):
        writes = [Write(_key(each), each.body) for each in objects[start : start + 100]]
        await store.commit(Transaction([], writes))


def _key(each: Stored) -> Any:
    from kafila.core.resources import Key

    return Key(*each.where[1:])


async def measured(what: str, objects: Sequence[Stored], writer: Writer, server: int) -> None:
    began, own, theirs = time.perf_counter(), time.process_time(), cpu_seconds(server)
    await writer.put(objects, projected)
    count = len(objects)
    print(
        f"{what}: {(time.process_time() - own) / count * 1e6:.0f} µs of the program, "
        f"{(cpu_seconds(server) - theirs) / count * 1e6:.0f} µs of PostgreSQL for an object; "
        f"{count / (time.perf_counter() - began):.0f} objects/s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=int, default=2000)
    asyncio.run(main(parser.parse_args().templates))
