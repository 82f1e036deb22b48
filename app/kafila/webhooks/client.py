"""The HTTP client of webhooks: one pool of connections per way to one, an answer within a time and a size, no redirects."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, final
from urllib.parse import urlsplit

from yarl import URL

from kafila.admission.webhooks import ClientConfig
from kafila.members.transport import TLS, ssl_context
from kafila.watch import Cache

from .gowords import of_answer, of_exception
from .identity import NOBODY, UNKNOWN, Identities, Identity
from .services import Unresolved, resolved

if TYPE_CHECKING:
    import aiohttp

LARGEST_ANSWER: Final = 8 << 20  # bytes: a patch that makes the largest object, in base64
AT_ONCE: Final = 64  # connections to one webhook: what is beyond waits, within its own time
POOLS: Final = 200  # as many clients as kube-apiserver keeps
KEEP_ALIVE: Final = 30.0  # seconds
AGENT: Final = "kube-apiserver-admission"


class CallFailed(Exception):
    """It gave no answer; the text is Go's. ``status``: the code of an answer that is an error, 0 for none.

    ``sent``: False where the configuration itself cannot be used, so that nothing was tried.
    """

    def __init__(self, text: str, status: int = 0, *, sent: bool = True) -> None:
        super().__init__(text)
        self.status = status
        self.sent = sent


class _Way(NamedTuple):
    """What is sent where. ``server_name``: what the certificate has to be issued to."""

    url: str  # as the configuration says it
    path: str
    host: str
    port: int
    authority: str  # the Host header
    server_name: str


@final
class _Pool:
    def __init__(self, context: ssl.SSLContext, authorization: str) -> None:
        import aiohttp  # only who has a webhook waits for it

        self.context = context
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, */*", "User-Agent": AGENT}
        self.headers["Accept-Encoding"] = "identity"
        if authorization:
            self.headers["Authorization"] = authorization
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=context, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )


@final
class Callers:
    """Used in one event loop. ``cache``: where Services are found."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pools: OrderedDict[tuple[ClientConfig, Identity], _Pool] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def post(
        self,
        config: ClientConfig,
        body: bytes,
        seconds: float,
        identities: Identities = UNKNOWN,
        dialled: tuple[str, int] | None = None,
    ) -> bytes:
        """The body of the answer. Raises CallFailed; takes no longer than ``seconds``.

        ``identities``: as whom it is asked. ``dialled``: host and port of a Service; None: as kube-apiserver finds it.
        """
        way = _way(config)
        pool = self._pool(config, way, identities.of(way.server_name, way.port))
        url = f"{way.url}?timeout={seconds:g}s"
        try:
            async with asyncio.timeout(seconds):
                return await self._answered(config, way, pool, url, body, dialled)
        except TimeoutError:
            raise CallFailed(f'Post "{url}": context deadline exceeded') from None

    async def close(self) -> None:
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            await pool.session.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    # -- one call ------------------------------------------------------------------------------------------------------

    async def _answered(
        self,
        config: ClientConfig,
        way: _Way,
        pool: _Pool,
        url: str,
        body: bytes,
        dialled: tuple[str, int] | None,
    ) -> bytes:
        """A connection that was kept open may have been closed by the other side just now: then on a new one, once."""
        import aiohttp

        for again in (True, False):
            host, port = dialled or self._dialled(config, way, url)
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            target = URL(f"https://{address}{way.path}?{url.rpartition('?')[2]}", encoded=True)
            try:
                async with pool.session.post(
                    target,
                    data=body,
                    headers={**pool.headers, "Host": way.authority},
                    server_hostname=way.server_name,
                    allow_redirects=False,
                ) as answer:
                    return await _read(answer)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                fresh = isinstance(error, aiohttp.ClientConnectorError)
                if not again or fresh:
                    raise CallFailed(f'Post "{url}": {of_exception(error, address, way.server_name)}') from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise CallFailed(f'Post "{url}": {of_exception(error, address, way.server_name)}') from None
        raise AssertionError("the second attempt has an outcome")

    def _dialled(self, config: ClientConfig, way: _Way, url: str) -> tuple[str, int]:
        if config.url:
            return way.host, way.port
        try:
            return resolved(self._cache, config.namespace, config.name, config.port)
        except Unresolved as error:
            raise CallFailed(f'Post "{url}": {error}') from None

    def _pool(self, config: ClientConfig, way: _Way, identity: Identity) -> _Pool:
        key = (config, identity)
        pool = self._pools.pop(key, None)
        if pool is None:
            pool = _Pool(_context(config.bundle, identity), identity.authorization)
        self._pools[key] = pool
        while len(self._pools) > POOLS:
            self._close(self._pools.popitem(last=False)[1])
        return pool

    def _close(self, pool: _Pool) -> None:
        task = asyncio.get_running_loop().create_task(pool.session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Raises CallFailed."""
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > LARGEST_ANSWER:
            answer.close()
            raise CallFailed(f"the answer is larger than {LARGEST_ANSWER >> 20} MiB")
        pieces.append(piece)
    body = b"".join(pieces)
    if not 200 <= answer.status < 300:
        media_type = answer.headers.get("Content-Type", "")
        raise CallFailed(
            of_answer(answer.status, body, media_type.startswith("text/") or not media_type), answer.status
        )
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise CallFailed("the answer is encoded, which was not asked for")
    return body


def _way(config: ClientConfig) -> _Way:
    """Raises CallFailed."""
    if not config.url:
        path = config.path if config.path.startswith("/") else f"/{config.path}"
        host = config.server_name
        url = f"https://{host}:{config.port}{path}"
        return _Way(url, path, host, config.port, f"{host}:{config.port}", host)
    try:
        parts = urlsplit(config.url)
        port = parts.port or 443
    except ValueError as error:
        raise CallFailed(f"Unparsable URL: {error}", sent=False) from None
    path = parts.path or "/"
    host = parts.hostname or ""
    return _Way(f"https://{parts.netloc}{path}", path, host, port, parts.netloc, host)


def _context(bundle: str, identity: Identity = NOBODY) -> ssl.SSLContext:
    """Raises CallFailed."""
    try:
        authority = base64.b64decode(bundle, validate=True)
        if bundle and b"-----BEGIN CERTIFICATE-----" not in authority:
            raise ValueError("it has no certificate")
        return ssl_context(TLS(authority, identity.certificate, identity.key))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        why = str(error) if not isinstance(error, ssl.SSLError) else (error.reason or "unusable PEM")
        text = f"unable to load root certificates: unable to parse bytes as PEM block: {why}"
        raise CallFailed(text, sent=False) from None
