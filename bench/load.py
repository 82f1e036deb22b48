"""A load generator: one asyncio client that speaks JSON to any Kubernetes API, and ways to spread work over time."""

from __future__ import annotations

import asyncio
import base64
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
now = time.perf_counter
Event = Callable[[str, dict[str, Any], float], None]  # type, object, when its bytes had arrived


def say(text: str) -> None:
    """Progress; standard output is for the table."""
    print(time.strftime("[%T]"), text, file=sys.stderr, flush=True)


class Refused(RuntimeError):
    """An answer that was not expected; ``status`` is its HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """The API of a kubeconfig's current context, by client certificate or token."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        self.name = name
        self._server = cluster["server"].rstrip("/")
        self._cluster = cluster
        self._tls = _tls(cluster, user)
        self._headers = {"Accept": JSON}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Api:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=600),
            headers=self._headers,
            skip_auto_headers=["Accept-Encoding"],  # compression would measure zlib
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            read_bufsize=1 << 20,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def become(self, token: str) -> None:
        """From now on whoever has this token, with new connections."""
        await self._session.close()
        self._tls = _tls(self._cluster, {})
        self._headers = {**self._headers, "Authorization": f"Bearer {token}"}
        await self.__aenter__()

    async def bytes(self, method: str, path: str, body: bytes | None = None, media: str = JSON) -> tuple[int, bytes]:
        headers = None if body is None else {"Content-Type": media}
        async with self._session.request(method, self._server + path, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def call(self, method: str, path: str, body: bytes | None = None, media: str = JSON) -> bytes:
        """The body of a 2xx answer. Raises Refused."""
        status, text = await self.bytes(method, path, body, media)
        if status >= 300:
            raise Refused(status, f"{self.name}: {method} {path}: {status} {text[:300].decode(errors='replace')}")
        return text

    async def get(self, path: str) -> dict[str, Any]:
        return orjson.loads(await self.call("GET", path))

    async def lines(self, path: str, version: str, seen: Callable[[int], None], opened: Callable[[], None]) -> None:
        """A watch whose events are only counted: ``seen(how many more)``. Ends by cancellation."""
        async with self._session.get(f"{self._server}{path}?watch=1&resourceVersion={version}") as stream:
            stream.raise_for_status()
            opened()
            async for chunk in stream.content.iter_any():
                seen(chunk.count(b"\n"))

    async def watch(self, path: str, tell: Event) -> None:
        """List, then watch, again from the list when the server says so. Ends by cancellation."""
        version = ""
        while True:
            try:
                if not version:
                    listed = await self.get(path)
                    version = listed["metadata"]["resourceVersion"]
                    for item in listed["items"]:
                        tell("ADDED", item, now())
                version = await self._stream(path, version, tell)
            except (aiohttp.ClientError, Refused, OSError) as error:
                say(f"watch of {self.name} again: {error!r:.200}")
                version = "" if isinstance(error, Refused) else version
                await asyncio.sleep(0.2)

    async def _stream(self, path: str, version: str, tell: Event) -> str:
        url = f"{self._server}{path}?watch=1&resourceVersion={version}&allowWatchBookmarks=true"
        async with self._session.get(url) as stream:
            if stream.status != 200:
                raise Refused(stream.status, f"watch {stream.status}")
            rest = b""
            async for chunk in stream.content.iter_any():
                arrived = now()
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        return ""
                    version = event["object"]["metadata"].get("resourceVersion", version)
                    if event["type"] != "BOOKMARK":
                        tell(event["type"], event["object"], arrived)
        return version


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        pair = b"\n".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
        with tempfile.NamedTemporaryFile() as file:  # ssl reads a key from files only
            file.write(pair)
            file.flush()
            context.load_cert_chain(file.name)
    return context


async def at_once(count: int, connections: int, do: Callable[[int], Awaitable[Any]]) -> None:
    """``do(i)`` for every i, ``connections`` at a time, as fast as they go."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await do(number)

    await asyncio.gather(*(work() for _ in range(connections)))


async def at_rate(count: int, per_second: float, do: Callable[[int], Awaitable[Any]]) -> None:
    """``do(i)`` at its time, however long the ones before take."""
    began = now()
    tasks = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - now()))
        tasks.append(asyncio.create_task(do(number)))  # type: ignore[arg-type]
    await asyncio.gather(*tasks)


async def until(holds: Callable[[], bool], patience: float, progress: Callable[[], str]) -> bool:
    """Whether it came about within ``patience`` seconds; says how far it is now and then."""
    began = said = now()
    while not holds():
        moment = now()
        if moment - began > patience:
            say(f"gave up: {progress()}")
            return False
        if moment - said > 10:
            said = moment
            say(progress())
        await asyncio.sleep(0.01)
    return True


def quantile(values: list[float], q: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None
