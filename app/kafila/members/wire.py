"""What may come over the wire from a member: bytes up to a limit, proper gzip, answers that HTTP knows."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

INFLATED: Final = 1 << 16  # bytes that are decompressed at a time
MAX_INTERIM: Final = 16  # answers of status 1xx before the one that counts


class Unreachable(Exception):
    """No complete answer came. ``sent`` False: the member certainly saw nothing of the request."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnusableAnswer(Unreachable):
    """An answer came, and is none that an API gives: of no HTTP status, too big, no JSON, of another shape."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=True)


class TooLong(UnusableAnswer):
    """More than what is read of one answer."""


async def joined(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """All chunks as one. Raises TooLong for more than ``most`` bytes."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLong(f"the answer is longer than {most} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def lines(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Lines without their ends. An unfinished last one is dropped: its event will come again.

    Raises TooLong for a line of more than ``most`` bytes.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            if parts:
                parts.append(line)
                line = b"".join(parts)
                parts.clear()
                size = 0
            if line:
                yield line
        if rest:
            parts.append(rest)
            size += len(rest)
            if size > most:
                raise TooLong(f"an event of a watch is longer than {most} bytes")


async def inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """gzip in steps of INFLATED bytes, whatever is packed into them. Raises UnusableAnswer."""
    inflater = zlib.decompressobj(31)
    came = made = 0
    try:
        async for chunk in chunks:
            came += len(chunk)
            while chunk and not inflater.eof:
                part = inflater.decompress(chunk, INFLATED)
                chunk = inflater.unconsumed_tail
                made += len(part)
                if part:
                    yield part
                    await asyncio.sleep(0)  # a small chunk may hold very much
            if inflater.unused_data or came > made + made // 64 + INFLATED:  # blocks of nothing, without end
                raise UnusableAnswer("the answer is no proper gzip: it is longer than what it holds")
    except zlib.error as error:
        raise UnusableAnswer(f"the answer is no proper gzip: {error}") from None
    if not inflater.eof and came:
        raise Unreachable("the answer broke off", sent=True)


class Flow(Protocol):
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


def check_status(status: int) -> None:
    """Raises UnusableAnswer. 101 is none of them: who asks for an upgrade looks before."""
    if not 200 <= status < 600:
        raise UnusableAnswer(f"an answer of status {status} is none to a request like this")


def reason(error: BaseException) -> str:
    return str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
