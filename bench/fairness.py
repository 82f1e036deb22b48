"""A quiet client beside a user who floods: what becomes of its latency?

    PYTHONPATH=app .venv/bin/python bench/fairness.py [--source TREE] [--floods get,list,create,new,none] [--flags=--max-requests-inflight=100]

One `kafila serve`; the quiet client sends a request, waits for the answer and pauses, over one connection; the flood has 64, each of
which sends its next request as soon as it has an answer. Both are ordinary users of the same priority level. The quiet client's
latencies alone and beside the flood are measured in turns, so what else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import objects
import orjson
import uvloop
from lab import harness
from load import Api, quantile

NAMESPACE = "bench-fairness"
QUIET, FLOOD = "quiet-token", "flood-token"
OBJECTS = 300
PAUSE = 0.002  # seconds between two requests of the quiet client, on average
SETTLE = 0.5  # seconds before each measurement
_START = "import sys; from kafila.cli import main; sys.argv[0] = 'kafila'; sys.exit(main())"


def head(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    length = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
    lines = f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{length}\r\n"
    return lines.encode() + body


def request_of(what: str, token: str, number: int) -> bytes:
    path = objects.configmaps(NAMESPACE)
    match what:
        case "create":
            return head(
                "POST", path, token, orjson.dumps(objects.configmap(NAMESPACE, f"{token}-{number}-{os.getpid()}"))
            )
        case "list":
            return head("GET", path, token)
        case _:
            return head("GET", f"{path}/c-{number % OBJECTS:04d}", token)


def answer_end(data: bytearray) -> int:
    """Where the first answer ends, 0 while it has not come whole."""
    top = data.find(b"\r\n\r\n")
    if top < 0:
        return 0
    lines = bytes(data[:top]).lower()
    at = lines.find(b"content-length: ")
    if at >= 0:
        end = top + 4 + int(lines[at + 16 :].split(b"\r\n", 1)[0])
        return end if len(data) >= end else 0
    end = data.find(b"\r\n0\r\n\r\n", top)
    return end + 7 if end >= 0 else 0


class Connection(asyncio.Protocol):
    def __init__(self, what: str, served: dict[str, int], done: asyncio.Future[None]) -> None:
        self.what, self.served, self.done = what, served, done
        self.data = bytearray()
        self.number = random.randrange(1 << 40)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.number += 1
        self.transport.write(request_of(self.what, FLOOD, self.number))

    def data_received(self, data: bytes) -> None:
        self.data += data
        if end := answer_end(self.data):
            status = bytes(self.data[9:12]).decode()
            self.served[status] = self.served.get(status, 0) + 1
            del self.data[:end]
            if self.what == "new":
                self.transport.close()
            else:
                self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _itself(connection: Connection) -> Connection:
    return connection


async def _flood(port: int, what: str, connections: int, stop: Synchronized, served: dict[str, int]) -> None:
    context = ssl._create_unverified_context()
    loop = asyncio.get_running_loop()

    async def one() -> None:
        while not stop.value:
            connection = Connection(what, served, loop.create_future())
            with contextlib.suppress(OSError):
                await loop.create_connection(partial(_itself, connection), "127.0.0.1", port, ssl=context)
                await connection.done

    tasks = [asyncio.create_task(one()) for _ in range(connections)]
    while not stop.value:
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()


def flood(
    port: int, what: str, connections: int, stop: Synchronized, count: Synchronized, refused: Synchronized
) -> None:
    os.nice(10)  # it stands for other machines: it must not take the processor from who measures
    served: dict[str, int] = {}
    uvloop.run(_flood(port, what, connections, stop, served))
    count.value = served.pop("200", 0) + served.pop("201", 0)
    refused.value = sum(served.values())


def quiet(port: int, what: str, seconds: float) -> list[float]:
    """Latencies in ms."""
    context = ssl._create_unverified_context()
    found = []
    with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        number = random.randrange(1 << 40)
        while time.perf_counter() < end:
            number += 1
            sent = request_of(what, QUIET, number)
            began = time.perf_counter()
            stream.sendall(sent)
            data = bytearray()
            while not answer_end(data):
                data += stream.recv(1 << 16)
            found.append((time.perf_counter() - began) * 1000)
            if data[9:10] != b"2":
                raise RuntimeError(bytes(data[:300]).decode())
            time.sleep(random.uniform(0, 2 * PAUSE))
    return found


@contextlib.contextmanager
def beside(port: int, what: str, connections: int) -> Iterator[dict[str, int]]:
    """A flood; when it is over, how many of its requests were served and refused."""
    outcome = {"served": 0, "refused": 0}
    if what == "none":
        yield outcome
        return
    values = [multiprocessing.Value("l", 0, lock=False) for _ in range(3)]
    process = multiprocessing.Process(target=flood, args=(port, what, connections, *values), daemon=True)
    process.start()
    try:
        yield outcome
    finally:
        values[0].value = 1
        process.join(20)
        outcome["served"], outcome["refused"] = values[1].value, values[2].value


@contextlib.contextmanager
def server(source: Path, flags: list[str]) -> Iterator[tuple[int, Path]]:
    (port,) = harness.free_ports(1)
    with tempfile.TemporaryDirectory(prefix="kafila-fairness-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        tokens = folder / "tokens.csv"
        tokens.write_text(f"{QUIET},quiet,1,dev\n{FLOOD},flood,2,dev\n")
        process = harness.Process(
            "kafila",
            [
                *(sys.executable, "-c", _START, "serve", f"--data-dir={folder}/data", f"--bind=127.0.0.1:{port}"),
                *(f"--token-auth-file={tokens}", *flags),
            ],
            folder / "kafila.log",
            {"PYTHONPATH": str(source / "app"), "PYTHONDONTWRITEBYTECODE": ""},
        )
        process.start()
        try:
            while '"event": "ready"' not in process.log.read_text(errors="replace"):
                if not process.alive:
                    raise RuntimeError(process.tail())
                time.sleep(0.05)
            yield port, folder / "data/kubeconfig"
        finally:
            process.stop(patience=30)


async def prepare(kubeconfig: Path) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench-fairness"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}],
    }
    async with Api(kubeconfig, "admin") as api:
        await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", orjson.dumps(binding))
        await api.call("POST", objects.NAMESPACES, orjson.dumps(objects.namespace(NAMESPACE)))
        for number in range(OBJECTS):
            body = orjson.dumps(objects.configmap(NAMESPACE, f"c-{number:04d}"))
            await api.call("POST", objects.configmaps(NAMESPACE), body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--floods", default="get,create,list,new")
    parser.add_argument("--asks", default="get,create", help="what the quiet client does")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flags", default="", help="of kafila serve, with spaces")
    options = parser.parse_args()
    print(
        "| quiet client | flood of 64 | alone: p50, p99 | beside it: p50, p99 | p99 / p99 alone | flood's requests/s | refused/s |"
    )
    print("|---|---|---|---|---|---|---|")
    with server(options.source, options.flags.split()) as (port, kubeconfig):
        asyncio.run(prepare(kubeconfig))
        for ask in options.asks.split(","):
            for what in options.floods.split(","):
                alone: list[float] = []
                crowded: list[float] = []
                served = refused = 0
                for _ in range(options.rounds):
                    time.sleep(SETTLE)
                    alone += quiet(port, ask, options.seconds)
                    with beside(port, what, options.connections) as outcome:
                        began = time.perf_counter()
                        time.sleep(SETTLE)
                        crowded += quiet(port, ask, options.seconds)
                        took = time.perf_counter() - began
                    served += int(outcome["served"] / took)
                    refused += int(outcome["refused"] / took)
                figures = [quantile(found, q) or 0 for found in (alone, crowded) for q in (0.5, 0.99)]
                print(
                    f"| {ask} | {what} | {figures[0]:.2f}, {figures[1]:.2f} ms | {figures[2]:.2f}, {figures[3]:.2f} ms"
                    f" | {figures[3] / figures[1]:.2f} | {served // options.rounds} | {refused // options.rounds} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
