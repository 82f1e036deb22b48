"""A control plane over PostgreSQL with a simulated member, encrypted as a file says; and what it answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, final

import psycopg

from kafila.catalog.catalog import load_catalog
from kafila.core.errors import StatusError
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.members.transport import ASGITransport
from kafila.registry import SYSTEM_ADMIN, Options
from kafila.registry.codec import decode_entry
from kafila.registry.decoding import decode_object
from kafila.registry.reading import ListOptions
from kafila.settings.settings import Settings
from kafila.simulation import SimulatedCluster
from kafila.store.sealing import MARK
from kafila.workers.process import Process
from kafila.workers.serve import open_data

USER = Options(manager="test")


@final
class Plane:
    def __init__(self, folder: Path, dsn: str, configuration: str, **settings: Any) -> None:
        self.file = folder / "encryption.yaml"
        self.file.write_text(configuration)
        self.dsn = dsn
        self.settings = Settings(
            data_dir=folder,
            database_url=dsn,
            bind="127.0.0.1:0",
            cluster_status_frequency=0.5,
            encryption_provider_config=str(self.file),
            encryption_provider_config_automatic_reload=True,
            **settings,
        )
        self.member = SimulatedCluster("member1", load_catalog())
        self.process: Process
        self._serving: asyncio.Task[None]

    async def __aenter__(self) -> Plane:
        await self.member.start()
        store, at_rest = await open_data(self.settings)
        self.process = Process(self.settings, store, self._transport, at_rest=at_rest)
        self._serving = asyncio.create_task(self.process.run())
        ready = asyncio.create_task(self.process.started.wait())
        await asyncio.wait((self._serving, ready), timeout=90, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._serving.done():
            await self.member.stop()
            await self._serving
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.stop()
        await asyncio.wait_for(self._serving, 90)
        await self.member.stop()

    def _transport(self, cluster: Object) -> ASGITransport:
        return ASGITransport(self.member.app, {"user": SYSTEM_ADMIN})

    async def create(self, obj: Object) -> None:
        registry, kind = self.process.registry, self._kind(obj["apiVersion"], obj["kind"])
        await registry.create(kind, obj["metadata"].get("namespace", ""), decode_object(kind, obj, USER), USER)

    async def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        """Raises StatusError."""
        kind = self.process.registry.catalog.storage_kind(resource)
        return decode_entry(kind, await self.process.registry.storage(resource).newest(kind, namespace, name))

    async def names(self, resource: str, namespace: str = "default") -> list[str]:
        """Raises StatusError."""
        kind = self.process.registry.catalog.storage_kind(resource)
        page = await self.process.registry.storage(resource).list_page(kind, ListOptions(namespace=namespace))
        return [entry.key.name for entry in page.entries]

    def _kind(self, version: str, name: str) -> Any:
        group, number = split_api_version(version)
        return self.process.registry.catalog.by_kind(group, number, name)

    def sealed(self, name: str) -> bool:
        """Whether the Secret lies encrypted in the database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT body FROM objects WHERE resource = 'secrets' AND name = %s", [name]
            ).fetchone()
        assert row is not None
        return bool(row[0].startswith(MARK))

    def copy(self, resource: str, name: str, namespace: str = "default") -> Object | None:
        """What the member has."""
        entry = self.member.registry.cache.get(resource, namespace, name)
        return entry.decode() if entry is not None else None


async def refusal(asked: Any) -> tuple[int, str]:
    try:
        await asked
    except StatusError as error:
        return error.code, error.message
    raise AssertionError("it was answered")


def secret(name: str, text: str, namespace: str = "default") -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": text}}


def cluster(token: str) -> Object:
    return {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "member1"},
        "spec": {
            "syncMode": "Push",
            "apiEndpoint": "https://member1.simulation.internal",
            "secretRef": {"namespace": "karmada-cluster", "name": token},
            "impersonatorSecretRef": {"namespace": "karmada-cluster", "name": token},
        },
    }


POLICY: Object = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "secrets", "namespace": "default"},
    "spec": {
        "resourceSelectors": [{"apiVersion": "v1", "kind": "Secret"}],
        "placement": {"clusterAffinity": {"clusterNames": ["member1"]}},
    },
}
