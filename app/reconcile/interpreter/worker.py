"""The process that runs scripts of customizations: ``python -m app.reconcile.interpreter.worker``.

It reads a request, runs it and writes the answer, one after the other. A script cannot hold anything but this process: Lua code is
stopped by the sandbox, and a C function that does not come back by the kernel, when the processor time is used up.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections import OrderedDict
from typing import Any, BinaryIO

import msgspec

from app.machinery.lua import LuaError, Sandbox
from app.placement.interpret.kube import library

LENGTH = struct.Struct("!I")
SCRIPTS = 128  # compiled ones that are kept
GRACE = 1.0  # seconds of processor time beyond those that the sandbox allows


class Request(msgspec.Struct):
    script: str
    function: str
    returns: int
    seconds: float
    arguments: list[Any]
    with_priority_class: bool = False


class Reply(msgspec.Struct, omit_defaults=True):
    """``results``: (Lua's type, value) of each; ``error`` when the script failed."""

    results: list[tuple[str, Any]] = []
    error: str = ""


class Runner:
    def __init__(self) -> None:
        self._sandboxes: OrderedDict[tuple[str, bool], Sandbox] = OrderedDict()

    def run(self, request: Request) -> Reply:
        key = request.script, request.with_priority_class
        try:
            sandbox = self._sandboxes.pop(key, None) or self._new(request)
            self._sandboxes[key] = sandbox
            while len(self._sandboxes) > SCRIPTS:
                self._sandboxes.popitem(last=False)
            answers = sandbox.call(
                request.function, *request.arguments, returns=request.returns, seconds=request.seconds
            )
        except LuaError as error:
            if error.fatal:
                self._sandboxes.pop(key, None)
            return Reply(error=str(error))
        return Reply(results=[tuple(answer) for answer in answers])

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
        sink.write(LENGTH.pack(len(body)) + body)
        sink.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when its standard input does
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, output)


if __name__ == "__main__":
    main()
