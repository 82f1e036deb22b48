"""Documents of issuers, over HTTPS: bounded in size and time, and never from somewhere else than was asked for."""

from __future__ import annotations

import ssl
from typing import Any, Final

import orjson

from .issuer import FetchError

SECONDS: Final = 10.0
LARGEST: Final = 1 << 20  # bytes


async def fetch(url: str, authority: bytes) -> Any:
    """``authority``: PEM, empty for the system's. Raises FetchError."""
    import aiohttp  # only who has an issuer pays for loading it

    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise FetchError(f"{url}: status {answer.status}")
            content = await answer.content.read(LARGEST + 1)
            while len(content) <= LARGEST and (more := await answer.content.read(LARGEST + 1 - len(content))):
                content += more
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise FetchError(f"{url}: {error or type(error).__name__}") from None
    if len(content) > LARGEST:
        raise FetchError(f"{url}: the answer is larger than {LARGEST >> 20} MiB")
    try:
        return orjson.loads(content)
    except ValueError:
        raise FetchError(f"{url}: the answer is no JSON") from None
