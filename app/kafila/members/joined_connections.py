"""Two connections that are joined: what arrives at one is written to the other, no faster than that one takes it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Side(Protocol):
    """One of the two, as the other sees it."""

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def finish(self) -> None:
        """Closes it after what is still to be written."""
        ...


class Joinable(Side, Protocol):
    """``ended``: done when nothing more comes from it."""

    @property
    def ended(self) -> asyncio.Future[Any]: ...

    def join(self, other: Side) -> None: ...


class JoinedConnection:
    """A side that has a transport of its own. Who makes one sets ``_transport`` and hands what arrives to ``_other``."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._other: Side | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- what its transport calls ----------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_reading()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    # -- what the other side calls ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        self._transport.close()


async def bridged(one: Joinable, other: Joinable) -> None:
    """Until one of them ends; the other then gets what is still under way."""
    one.join(other)
    other.join(one)
    try:
        await asyncio.wait((one.ended, other.ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        one.finish()
        other.finish()
