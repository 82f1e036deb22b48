"""What stands between a control plane and a real member, and misbehaves as it is told: an API server's own faults cannot be had on demand."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from cluster_harness import LOOPBACK, Member, free_ports

from kafila.identity.certificates import issue, new_authority

Fault = Callable[
    [str, str], Awaitable[web.Response | None]
]  # method and path; an answer, or None to pass the request on
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date"}


class Gateway:
    """Its own authority and address in front of ``member``; its kubeconfig has a token of an administrator."""

    def __init__(self, member: Member, folder: Path) -> None:
        self.member = member
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault | None = None
        self.clock = 0.0  # seconds that the member's clock is ahead
        self.kubeconfig = folder / "gateway.kubeconfig"
        (self.port,) = free_ports(1)
        member.kubectl("create", "serviceaccount", "gateway", check=False)
        role = ("--clusterrole=cluster-admin", "--serviceaccount=default:gateway")
        member.kubectl("create", "clusterrolebinding", "gateway", *role, check=False)
        self._token = member.kubectl("create", "token", "gateway").strip()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self.open()

    def stop(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def open(self) -> None:
        """With a new authority each time; the kubeconfig is written anew."""
        self._do(self._open())

    def close(self) -> None:
        """Nobody listens."""
        self._do(self._close())

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(60)

    async def _open(self) -> None:
        authority = new_authority("gateway-ca")
        pair = issue(authority, "gateway", hosts=[LOOPBACK])
        document = yaml.safe_load(self.member.kubeconfig.read_text())
        trusted = self.kubeconfig.with_suffix(".ca")
        trusted.write_bytes(authority.certificate)
        document["clusters"][0]["cluster"] = {
            "server": f"https://{LOOPBACK}:{self.port}",
            "certificate-authority": str(trusted),
        }
        document["users"][0]["user"] = {"token": self._token}
        self.kubeconfig.write_text(yaml.safe_dump(document))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair.certificate + b"\n" + pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        theirs = ssl.create_default_context(cadata=self.member.authority.certificate.decode())
        theirs.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=theirs, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, ssl_context=context).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()
        self._runner = self._session = None

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.fault is not None and (answer := await self.fault(request.method, request.path)) is not None:
            return answer
        assert self._session is not None
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP]
        url = self.member.endpoint + request.raw_path
        body = await request.read() or None  # an empty one would get a type
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as theirs:
            ours = web.StreamResponse(status=theirs.status)
            ours.headers.extend((k, v) for k, v in theirs.headers.items() if k.lower() not in _HOP)
            ours.headers["Date"] = formatdate(time.time() + self.clock, usegmt=True)
            await ours.prepare(request)
            with contextlib.suppress(ConnectionError):  # who asked may have gone
                async for piece in theirs.content.iter_any():
                    await ours.write(piece)
                await ours.write_eof()
            return ours


def failing(method: str, part: str, status: int, **headers: str) -> Fault:
    """Requests with ``part`` in their path are answered so."""

    async def fault(asked: str, path: str) -> web.Response | None:
        if asked == method and part in path:
            return web.Response(status=status, text="a fault", headers=headers)
        return None

    return fault


def slow(part: str, seconds: float) -> Fault:
    async def fault(asked: str, path: str) -> web.Response | None:
        if part in path:
            await asyncio.sleep(seconds)
        return None

    return fault
