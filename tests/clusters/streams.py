"""Streams of kubectl into a pod, over both protocols: what it says, and what it carries through a forwarded port."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Sequence

import pytest
from cluster_federation import Proxied

WEBSOCKET, SPDY = {}, {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
BOTH = pytest.mark.parametrize("protocol", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
MUCH = bytes(range(256)) * (2 << 12)  # 2 MiB


def line(process: subprocess.Popen[str]) -> str:
    """The next line; a process that stays silent for a minute is ended."""
    silence = threading.Timer(60, process.kill)
    silence.start()
    try:
        assert process.stdout is not None
        return process.stdout.readline()
    finally:
        silence.cancel()


def spoken(through: Proxied, protocol: dict[str, str], *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """How kubectl ends, and what it says on stdout and stderr."""
    done = subprocess.run(
        through.command(*arguments), input=stdin, capture_output=True, env={**os.environ, **protocol}, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def port_forwarded(through: Proxied, pod: str, protocol: dict[str, str], read_in_order: Sequence[int]) -> None:
    """Three callers send, the last first, and end what they have to say; what they get back is read in this order."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo_at_the_end, args=(server, 3), daemon=True).start()
        command = through.command("port-forward", pod, f":{server.getsockname()[1]}")
        forwarding = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **protocol})
        try:
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line(forwarding))
            assert found is not None
            callers = [socket.create_connection(("127.0.0.1", int(found[1])), 60) for _ in range(3)]
            for number, caller in reversed(list(enumerate(callers))):
                caller.sendall(b"%d" % number + MUCH)
                caller.shutdown(socket.SHUT_WR)
            for number in read_in_order:
                caller = callers[number]
                assert b"".join(iter(lambda caller=caller: caller.recv(1 << 16), b"")) == b"%d" % number + MUCH
                caller.close()
        finally:
            forwarding.kill()
            forwarding.communicate()


def _echo_at_the_end(server: socket.socket, times: int) -> None:
    def echo(stream: socket.socket) -> None:
        with stream:
            stream.sendall(b"".join(iter(lambda: stream.recv(1 << 16), b"")))

    for _ in range(times):
        threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
