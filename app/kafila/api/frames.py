"""Frames of a watch that are sent together."""

from __future__ import annotations

from typing import Final

from .responses import Send

FLUSH_BYTES: Final = 1 << 17  # as many are sent before what comes next is looked at


class Frames:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, frame: bytes) -> None:
        """It is sent with the next that are."""
        self._frames.append(frame)
        self._size += len(frame)

    async def put(self, frame: bytes) -> None:
        self.add(frame)
        if self._size >= FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._frames:
            body = b"".join(self._frames)
            self._frames.clear()
            self._size = 0
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
