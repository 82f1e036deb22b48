"""A relay before PostgreSQL's socket that loses connections at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path


class Proxy:
    """``marker``: bytes in a request that set off ``fault`` once:

    * ``before``: the request is not passed on, both sides are cut;
    * ``answer``: the request is passed on; when the server answers, the client's side is cut and the answer thrown away;
    * ``while``: the request is passed on and the client's side is cut at once; the server's side stays until ``heal``.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        found = re.search(r"host=([^&]+)", dsn)
        assert found
        self._target = f"{found[1]}/.s.PGSQL.5432"
        self._path = str(folder / ".s.PGSQL.5432")
        self.dsn = dsn.replace(found[1], str(folder))
        self.refusing = False
        self.marker = b""
        self.fault = ""
        self.replaced = (b"", b"")  # bytes of requests and what the server gets instead, of the same length
        self.replacements = 0
        self.struck = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._kept: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        self.heal()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def heal(self) -> None:
        self.refusing = False
        for writer in self._kept:
            writer.transport.abort()
        self._kept.clear()

    def arm(self, marker: bytes, fault: str) -> None:
        self.marker, self.fault = marker, fault
        self.struck.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        except OSError:  # the server is away
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        state = {"drop": False}
        await asyncio.gather(
            self._requests(reader, writer, server_writer, state), self._answers(server_reader, writer, state)
        )
        self._writers -= {writer, server_writer}
        if server_writer not in self._kept:
            server_writer.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter, state: dict
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                if self.marker and self.marker in data:
                    self.marker = b""
                    if self.fault == "before":
                        client.transport.abort()
                    else:
                        server.write(data)
                        await server.drain()
                        state["drop"] = True
                        if self.fault == "while":
                            self._kept.append(server)
                            client.transport.abort()
                    self.struck.set()
                    if self.fault == "before":
                        break
                    continue
                if self.replaced[0] and self.replaced[0] in data:
                    data = data.replace(*self.replaced)
                    self.replacements += 1
                server.write(data)
        if server not in self._kept and not state["drop"]:
            server.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, state: dict) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                if state["drop"]:
                    break
                client.write(data)
        client.transport.abort()
