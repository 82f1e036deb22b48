"""The process that runs scripts of customizations: ``python -m kafila.reconcile.interpreter.worker``.

It reads a request, runs it and writes the answer, one after the other. A script cannot hold anything but this process: Lua code is
stopped by the sandbox, and a C function that does not come back by the kernel, when the processor time is used up. Nor does it live
longer than a script that needed too much memory: what a dead state held is not given back.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections import OrderedDict
from typing import Any, BinaryIO

import msgspec

from kafila.machinery.lua import LuaError, Sandbox
from kafila.placement.interpreter.kube import library

from .confinement import confine

LENGTH = struct.Struct("!I")
SCRIPTS = 128  # compiled ones that are kept
KEPT = 128 << 20  # bytes that they may take together
LARGEST_REPLY = 16 << 20  # bytes
GRACE = 1.0  # seconds of processor time beyond those that the sandbox allows


class Request(msgspec.Struct):
    script: str
    function: str
    returns: int
    seconds: float
    arguments: list[Any]
    with_priority_class: bool = False


class Reply(msgspec.Struct, omit_defaults=True):
    """``results``: (Lua's type, value) of each; ``error`` when the script failed. ``last``: the process ends."""

    results: list[tuple[str, Any]] = []
    error: str = ""
    last: bool = False


class Runner:
    def __init__(self) -> None:
        self._sandboxes: OrderedDict[tuple[str, bool], Sandbox] = OrderedDict()

    def run(self, request: Request) -> Reply:
        key = request.script, request.with_priority_class
        try:
            sandbox = self._sandboxes.pop(key, None) or self._new(request)
        except LuaError as error:
            return Reply(error=str(error), last=error.fatal)
        try:
            answers = sandbox.call(
                request.function, *request.arguments, returns=request.returns, seconds=request.seconds
            )
            reply = Reply(results=[tuple(answer) for answer in answers])
        except LuaError as error:
            reply = Reply(error=str(error), last=error.fatal)
        if not reply.last:
            self._keep(key, sandbox)
        return reply

    def _keep(self, key: tuple[str, bool], sandbox: Sandbox) -> None:
        self._sandboxes[key] = sandbox
        used = sum(each.memory_used for each in self._sandboxes.values())
        while len(self._sandboxes) > SCRIPTS or used > KEPT:
            used -= self._sandboxes.popitem(last=False)[1].memory_used

    @staticmethod
    def _new(request: Request) -> Sandbox:
        return Sandbox(request.script, {"kube": library(with_priority_class=request.with_priority_class)})


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    runner, decode, encode = Runner(), msgspec.json.Decoder(Request).decode, msgspec.json.encode
    while header := source.read(LENGTH.size):
        request = decode(source.read(LENGTH.unpack(header)[0]))
        signal.setitimer(signal.ITIMER_PROF, request.seconds + GRACE)  # its signal ends the process
        reply = runner.run(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        body = encode(reply)
        if len(body) > LARGEST_REPLY:
            body = encode(Reply(error=f"the answer is larger than {LARGEST_REPLY >> 20} MiB"))
        sink.write(LENGTH.pack(len(body)) + body)
        sink.flush()
        if reply.last:
            return


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when its standard input does
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    confine()
    serve(sys.stdin.buffer, output)


if __name__ == "__main__":
    main()
