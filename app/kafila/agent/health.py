"""Whether an agent lives and works, told to whoever asks by HTTP, such as a kubelet.

Answered by the event loop that does the work: one that stands still does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, final

_LONGEST: Final = 8192  # bytes of a request's head
_PATIENCE: Final = 5.0  # seconds until it is there
MOST: Final = 32  # connections at a time: kubelets open one, and what comes beside these is closed
_ALIVE: Final = frozenset({"/healthz", "/livez"})
_READY: Final = "/readyz"


@final
class Health:
    """``/healthz`` and ``/livez`` are 200 while the event loop turns, ``/readyz`` while ``ready``: else 503."""

    def __init__(self) -> None:
        self.ready = False
        self._open = 0
        self._server: asyncio.Server | None = None

    async def serve(self, host: str, port: int) -> int:
        """The port, also where 0 was asked for. Raises OSError, OverflowError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_LONGEST)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a connection."""
        if self._open >= MOST:
            writer.close()
            return
        self._open += 1
        try:
            # what is not HTTP, is cut short or takes too long gets no answer
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                    writer.write(self._answer(method, target.partition("?")[0]))
                    await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, method: str, path: str) -> bytes:
        status, text = self._found(path) if method in ("GET", "HEAD") else ("405 Method Not Allowed", "GET only\n")
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        return (head if method == "HEAD" else head + text).encode()

    def _found(self, path: str) -> tuple[str, str]:
        if path in _ALIVE or (path == _READY and self.ready):
            return "200 OK", "ok"
        if path == _READY:
            return "503 Service Unavailable", "the agent has not begun, or begins anew: its log says why\n"
        return "404 Not Found", "not found\n"
