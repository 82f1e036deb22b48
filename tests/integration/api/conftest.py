"""Servers to ask: the objects' application in this process, and a whole ``kafila serve`` over PostgreSQL with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, final

import httpx
import pytest
import yaml

from kafila.admission import Admission
from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.authorization import build, follow
from kafila.catalog.catalog import load_catalog
from kafila.core.values import Object
from kafila.registry import SYSTEM_ADMIN, Registry, User
from kafila.registry.admitting import Admitting
from kafila.registry.bootstrap import bootstrap
from kafila.registry.roles import default_roles, ensure_roles
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache
from kafila.webhooks import Callers
from kafila.workers.admission import ask_of, param_access, rights

CATALOG = load_catalog()
PATIENCE = 90.0  # seconds for anything that has to come; machines are slow at times
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@final
class Stream:
    """A watch in progress. Reading waits until the server has sent something; leaving disconnects the client."""

    def __init__(
        self, app: Any, path: str, query: str, headers: dict[str, str], user: User, pushed: bool = False
    ) -> None:
        self.pushes = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.buffer = b""
        self.ended = False
        self.broken_off = False
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.window = asyncio.Event()  # cleared: the client does not read
        self.window.set()
        raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": raw,
            "state": {"user": user, "break_off": self._break_off} | ({"push": self._push} if pushed else {}),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.window.wait()
        await self._sent.put(message)

    def _push(self, chunk: bytes) -> bool:
        if not self.window.is_set():
            return False
        size, _, rest = chunk.partition(b"\r\n")
        assert len(rest) == int(size, 16) + 2
        self._sent.put_nowait({"type": "http.response.body", "body": rest[:-2], "more_body": True})
        self.pushes += 1
        return True

    def _break_off(self, send: Any) -> None:
        self.broken_off = True

    async def _more(self) -> None:
        message = await asyncio.wait_for(self._sent.get(), PATIENCE)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.buffer += message.get("body", b"")
            self.ended = not message.get("more_body", False)

    async def start(self) -> Stream:
        while not self.status:
            await self._more()
        return self

    async def event(self) -> Object:
        """The next event of a JSON stream."""
        while b"\n" not in self.buffer:
            assert not self.ended, "the stream has ended"
            await self._more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    async def events(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next events."""
        out = []
        for _ in range(count):
            event = await self.event()
            out.append((event["type"], event["object"]["metadata"].get("name", "")))
        return out

    async def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        while not self.ended:
            await self._more()
        return self.buffer

    async def leave(self) -> None:
        self._gone.set()
        self.window.set()
        await asyncio.wait_for(self.task, PATIENCE)


@final
class Api:
    """One API server over a store in memory, asked without a network."""

    def __init__(self, database: MemoryDatabase | None = None, most_deleted: int = 0) -> None:
        self.store = MemoryStore(database)
        self.cache = Cache(self.store)
        self.authorizer = build(follow(self.cache))
        escalation, signing = rights(self.authorizer)
        params = param_access(self.authorizer, CATALOG, self.cache)
        admission = Admission(escalation=escalation, signing=signing, params=params)
        self.callers = Callers(self.cache)
        admitting = Admitting(self.cache, CATALOG, self.callers, ask_of(self.authorizer))
        self.registry = Registry(
            CATALOG, self.store, self.cache, admission, admitting=admitting, most_deleted=most_deleted
        )
        self.app = ObjectsApp(self.registry, build_shell({}), authorizer=self.authorizer)
        self.user = SYSTEM_ADMIN
        self.pushed = False  # whether watches have the short way to the client that our server gives them
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._with_user, raise_app_exceptions=True),
            base_url="http://api.test",
            headers={"user-agent": "tester/1.0"},
            follow_redirects=False,
        )

    async def _with_user(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"user": self.user}
        await self.app(scope, receive, send)

    async def open(self) -> Api:
        await self.store.open()
        await self.cache.load()
        await bootstrap(self.registry, "127.0.0.1", 6443)
        await ensure_roles(self.registry, default_roles())
        return self

    async def close(self) -> None:
        await self.client.aclose()
        await self.callers.close()
        await self.store.close()

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """``body``: JSON unless it is bytes already. ``options``: ``type`` is the content type, else httpx's."""
        headers = dict(options.pop("headers", {}))
        if body is not None:
            headers.setdefault("content-type", options.pop("type", "application/json"))
            options["content"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.ask("POST", path, body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.ask("PUT", path, body, **options)

    async def patch(self, path: str, body: Any, type: str = MERGE_PATCH, **options: Any) -> httpx.Response:
        return await self.ask("PATCH", path, body, type=type, **options)

    async def delete(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return await self.ask("DELETE", path, body, **options)

    async def made(self, path: str, body: Any, **options: Any) -> Object:
        """Creates, and insists on it."""
        answer = await self.post(path, body, **options)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def watch(self, path: str, query: str = "", **headers: str) -> Stream:
        query = f"watch=true&{query}" if query else "watch=true"
        return Stream(self.app, path, query, headers, self.user, self.pushed)


def configmap(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, replicas: int = 1, image: str = "nginx:1") -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }


def failure(answer: httpx.Response, code: int, reason: str) -> Object:
    """The Status of a refused request."""
    status = answer.json()
    assert (answer.status_code, status["kind"], status.get("reason")) == (code, "Status", reason), answer.text
    assert status["apiVersion"] == "v1"
    assert status["status"] == "Failure"
    assert status["code"] == code
    return status


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    server = await Api().open()
    try:
        yield server
    finally:
        await server.close()


@final
class Served:
    """A process of its own and the tool to ask it."""

    def __init__(self, kubeconfig: Path, tool: str) -> None:
        self.kubeconfig = kubeconfig
        self.server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self._tool = tool

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "EDITOR": "true",
            "HOME": str(self.kubeconfig.parent),
        }
        done = subprocess.run(
            [self._tool, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=120
        )
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[Iterator[str]]:
        """The lines of a kubectl that goes on until it is ended."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)}
        process = subprocess.Popen([self._tool, *arguments], env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def served(kubectl: Path) -> Iterator[Served]:
    """A whole ``kafila serve`` over embedded PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="kafila-served-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root PostgreSQL is another user, who passes through
        with serving(folder) as kubeconfig:
            yield Served(kubeconfig, str(kubectl))


@contextlib.contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Path]:
    """Its kubeconfig."""
    program = (
        "from pathlib import Path; from kafila.settings.settings import Settings; from kafila.workers.serve import run;"
        "from kafila.telemetry.logs import configure; configure();"
        f"run(Settings(data_dir=Path({str(folder)!r}), bind='127.0.0.1:0', **{settings!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if '"event": "ready"' in line:
            break
    rest = threading.Thread(target=process.stderr.read, daemon=True)
    rest.start()  # a full pipe would stop the process
    try:
        assert process.poll() is None, "".join(lines[-20:])
        yield folder / "kubeconfig"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
