"""Processes that run scripts, started when the first script is to be run.

Scripts that once ran too long have a process of their own, so that others do not wait for them again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Final, final

import msgspec
import structlog

from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.scripts import CALLS, answer_of
from kafila.placement.interpreter.sources import Script

from .worker import LARGEST_REPLY, LENGTH, Reply, Request

log = structlog.get_logger(__name__)
PROCESSES: Final = 2
SECONDS: Final = 1.0  # of processor time, as long as Karmada lets a script run
REMEMBERED: Final = 256  # scripts that were too slow
DEADLINE: Final = 30.0  # on a machine that is too busy to give it that
_decode = msgspec.json.Decoder(Reply).decode


class Ended(Exception):
    """The process ended instead of answering."""


@final
class _Process:
    """Runs one request at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, request: Request) -> Reply:
        """Raises Ended."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await _start()
        assert process.stdin is not None
        assert process.stdout is not None
        body = msgspec.json.encode(request)
        try:
            async with asyncio.timeout(DEADLINE):
                process.stdin.write(LENGTH.pack(len(body)) + body)
                await process.stdin.drain()
                (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                if length > LARGEST_REPLY:
                    raise ConnectionError("no reply is as long")
                reply = _decode(await process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, msgspec.DecodeError):
            await self.stop()  # it may have ended, or be no longer what we started
            raise Ended from None
        except BaseException:
            await self.stop()  # half an answer may be under way
            raise
        if reply.last:
            await self.stop()
        return reply

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


async def _start() -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ.get("PATH", "")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kafila.reconcile.interpreter.worker", stdin=pipe, stdout=pipe, env=environment
    )


@final
class _Lane:
    """Processes that share one line of waiting requests."""

    def __init__(self, size: int) -> None:
        self._all = [_Process() for _ in range(size)]
        self._free: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        for process in self._all:
            self._free.put_nowait(process)

    async def run(self, request: Request) -> Reply:
        process = await self._free.get()
        try:
            return await process.run(request)
        finally:
            self._free.put_nowait(process)

    async def stop(self) -> None:
        for process in self._all:
            await process.stop()


@final
class Scripting:
    def __init__(self, *, with_priority_class: bool = False) -> None:
        self._with_priority_class = with_priority_class
        self._lane = _Lane(PROCESSES)
        self._slow_lane = _Lane(1)
        self._slow: OrderedDict[str, None] = OrderedDict()  # texts of scripts

    async def ask(self, source: Script, arguments: tuple[Any, ...]) -> Any:
        """Raises InterpretError."""
        call = CALLS[source.operation]
        request = Request(source.text, call.function, call.returns, SECONDS, list(arguments), self._with_priority_class)
        lane = self._slow_lane if source.text in self._slow else self._lane
        try:
            reply = await lane.run(request)
        except Ended:
            self._remember_slow(source)
            raise InterpretError(
                f"{call.function} ran longer than {SECONDS} s, or was too much for its process"
            ) from None
        if reply.error:
            if "ran longer than" in reply.error:
                self._remember_slow(source)
            raise InterpretError(reply.error)
        return answer_of(source.operation, arguments, reply.results)

    def _remember_slow(self, source: Script) -> None:
        self._slow[source.text] = None
        if len(self._slow) > REMEMBERED:
            self._slow.popitem(last=False)

    def is_slow(self, source: Script) -> bool:
        return source.text in self._slow

    async def stop(self) -> None:
        await self._lane.stop()
        await self._slow_lane.stop()
