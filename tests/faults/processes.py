"""Whole processes of one control plane: two ``kafila serve --role api``, two ``--role workers``, one PostgreSQL of their own.

``api[0]`` reaches the database through a relay that loses connections (:mod:`store_proxy`); the others reach it directly.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

import aiohttp
import asyncpg
import yaml

from kafila.core.values import Object
from kafila.store import dictionaries
from kafila.store.connect import read_bodies
from kafila.store.embedded import EmbeddedPostgres
from kafila.store.interface import Row, StoredObject
from kafila.store.packing import Packing
from kafila.store.postgres import PostgresStore
from tests.waiting import PATIENCE, eventually

from .store_checker import whole_log
from .store_proxy import Proxy

KAFILA = Path(sys.executable).with_name("kafila")
# What clients write is counted: no ConfigMap comes to a namespace by itself.
WITHOUT_ACCOUNTS = "*,-serviceaccount,-root-ca-cert-publisher"
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Answer(NamedTuple):
    status: int
    retry_after: str | None
    body: Object


@final
class Serve:
    """One process. Its port and its certificate are those of its kubeconfig; both are new after each start."""

    def __init__(
        self,
        folder: Path,
        role: str,
        dsn: str,
        flags: Sequence[str] = (),
        tree: Path | None = None,
        host: str = "",
    ) -> None:
        """``host``: the name of the machine that it believes to run on, so that others do not see when it is dead."""
        self.folder = folder
        self.tree = tree  # a checkout of another version, None for this one
        self._host = host
        self._flags = flags
        self.role = role
        self._dsn = dsn
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0
        self.url = ""
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        command = [
            str(KAFILA),
            "serve",
            "--role",
            self.role,
            "--data-dir",
            str(self.folder),
            f"--controllers={WITHOUT_ACCOUNTS}",
        ]
        command += [
            "--watch-history=3600",
            "--bind",
            "127.0.0.1:0",
            "--database-url",
            self._dsn,
        ]  # the judge reads it all
        command += self._flags
        if self._host:
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self._host, *command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, **({"PYTHONPATH": str(self.tree / "app")} if self.tree else {})},
                start_new_session=True,
                preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )

    async def ready(self) -> None:
        def said() -> bool:
            assert self.alive, f"{self.role} ended:\n{self._log.read_text()[-3000:]}"
            return any(line["event"] == "ready" for line in self.lines(self._read_from))

        await eventually(said, f"ready of {self.role}")
        if self.role == "api":
            await self._connect()

    async def _connect(self) -> None:
        config = yaml.safe_load((self.folder / "kubeconfig").read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        certificate, key = self.folder / "client.crt", self.folder / "client.key"
        certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
        key.write_bytes(base64.b64decode(user["client-key-data"]))
        context.load_cert_chain(certificate, key)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        made = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        before, self._session, self.url = self._session, made, cluster["server"]
        if before is not None:  # after the change: others go on asking meanwhile
            await before.close()

    async def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Answer:
        """Raises aiohttp.ClientError or TimeoutError when there is no answer."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self.session.request(
            method,
            self.url + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": kind},
        ) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            document = json.loads(raw) if is_json else {"text": raw.decode(errors="replace")}
            return Answer(answer.status, answer.headers.get("Retry-After"), document)

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    def lines(self, start: int = 0) -> list[Object]:
        """What it logged, also in earlier lives; lines that are not JSON are left out."""
        found = []
        for line in self._log.read_bytes()[start:].splitlines() if self._log.exists() else ():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self.alive:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, 15)  # type: ignore[union-attr]
        self.kill()


@final
class ControlPlane:
    def __init__(self, database: EmbeddedPostgres, proxy: Proxy, api: list[Serve], workers: list[Serve]) -> None:
        self.database = database
        self.proxy = proxy
        self.api = api
        self.workers = workers

    async def whole(self) -> None:
        """What a test has killed is started again."""
        self.proxy.heal()
        dead = [serve for serve in (*self.api, *self.workers) if not serve.alive]
        for serve in dead:
            serve.launch()
        await asyncio.gather(*(serve.ready() for serve in dead))

    def signal_database(self, number: signal.Signals) -> None:
        """To the server and each of its processes: no one of them can be asked while they are stopped."""
        data = (self.database.root / "data").resolve()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == "postgres" and (entry / "cwd").readlink() == data:
                    os.kill(int(entry.name), number)

    async def make_namespace(self, name: str) -> None:
        """It is there in both api processes on return."""
        answer = await self.api[1].request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.status == 201, answer
        other = self.api[0]  # which may only now notice that its connections were cut, and says 503 once
        await eventually(lambda: _has(other, f"/api/v1/namespaces/{name}"), f"{name} in the other API")

    async def log(self) -> tuple[list[Row], list[StoredObject]]:
        """The whole history and the current state, straight from the database."""
        store = PostgresStore(self.database.dsn)
        await store.open()
        try:
            rows = await whole_log(store)
            _, objects = await store.snapshot()
            return rows, objects
        finally:
            await store.close()

    async def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database.dsn)
        try:
            packing = Packing()
            await dictionaries.load(connection, packing)
            await read_bodies(connection, packing)
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def running_control_plane() -> AsyncIterator[ControlPlane]:
    with tempfile.TemporaryDirectory(prefix="kafila-pf-") as name:  # short: a socket's path has 107 bytes
        folder = Path(name)
        os.chmod(folder, 0o711)  # the database's user passes through
        for part in ("db", "cut"):
            (folder / part).mkdir(mode=0o711)
        database = EmbeddedPostgres(folder / "db")
        dsn = await database.start()
        try:
            async with (
                Proxy(folder / "cut", dsn) as proxy,
                serving(folder, ("api", proxy.dsn), ("api", dsn), ("workers", dsn), ("workers", dsn)) as started,
            ):
                yield ControlPlane(database, proxy, started[:2], started[2:])
        finally:
            await database.stop()


@contextlib.asynccontextmanager
async def serving(folder: Path, *parts: tuple[str, str], tree: Path | None = None) -> AsyncIterator[list[Serve]]:
    """Processes with (role, DSN), when all are ready; of the version in ``tree``."""
    started: list[Serve] = []
    try:
        for role, dsn in parts:
            data = folder / f"p{len(started)}"
            data.mkdir(mode=0o711)
            started.append(Serve(data, role, dsn, tree=tree))
            started[-1].launch()  # all at once: they migrate and make the shared keys in competition
        await asyncio.gather(*(serve.ready() for serve in started))
        yield started
    finally:
        await asyncio.gather(*(serve.stop() for serve in started), return_exceptions=True)


async def _has(api: Serve, path: str) -> bool:
    return (await api.request("GET", path)).status == 200
