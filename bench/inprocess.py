"""CPU of requests inside one process, without TLS, network and database: source trees in turns, or one profiled.

    PYTHONPATH=app .venv/bin/python bench/inprocess.py ../before . --plan get:800,create:300,patch:300 --rounds 31
    PYTHONPATH=app .venv/bin/python bench/inprocess.py . --profile get:5000 --account

``kafila serve --role=api`` over a store in memory; requests go into its protocol as bytes and answers come out of it as bytes, 32
connections at a time. What it takes is the CPU time of the event loop's thread, beside it that of all threads. A tree may be older than
the folder ``app/kafila``. ``--account``: by a service account's token, with RBAC and flow control, in place of the administrator's
certificate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import objects
import orjson
from load import MERGE_PATCH, Api

NAMESPACE, CONNECTIONS = "bench-inprocess", 32
USER_AGENT = "bench/1.0"


# -- in the process that serves ------------------------------------------------------------------------------------------


class Wire:
    """A transport whose peer sends the next request as soon as it has the answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: Any, more: Callable[[], bytes | None]) -> None:
        self._loop, self._tls, self._more = loop, tls, more
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 2"):
            raise SystemExit(f"bench: {data[:300]!r}")
        self._loop.call_soon(self.send)

    def send(self) -> None:
        request = self._more()
        if request is not None:
            self.protocol.data_received(request)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"ssl_object": self._tls, "peername": ("127.0.0.1", 1)}.get(name, default)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def _nothing(self, *_: Any) -> None:
        pass

    pause_reading = resume_reading = close = abort = set_write_buffer_limits = _nothing


class Inside:
    """Takes orders on standard input once a first connection has come over TLS, and is asked what it was made of."""

    def __init__(self, package: str) -> None:
        import importlib

        import uvloop

        self.loop: Any = None
        self.made = 0
        self.given: tuple[Any, Any, Any] | None = None  # what a protocol is made of
        self.tls: Any = None
        self.headers = b""
        new = uvloop.new_event_loop

        def loop() -> Any:
            self.loop = new()
            return self.loop

        uvloop.new_event_loop = loop  # type: ignore[assignment]
        try:
            self.protocol = importlib.import_module(f"{package}.api.point_protocol").PointProtocol
        except ImportError:  # of an older tree
            self.protocol = importlib.import_module(f"{package}.api.server").ObjectsProtocol
        init, connected = self.protocol.__init__, self.protocol.connection_made

        def keep(protocol: Any, *given: Any, **named: Any) -> None:
            init(protocol, *given, **named)
            self.given = self.given or (protocol, given, named)

        def begin(protocol: Any, transport: Any) -> None:
            connected(protocol, transport)
            if self.tls is None and transport.get_extra_info("ssl_object") is not None:
                self.tls = transport.get_extra_info("ssl_object")
                self.loop.add_reader(0, self._ordered)

        self.protocol.__init__, self.protocol.connection_made = keep, begin

    def _ordered(self) -> None:
        line = os.read(0, 1 << 16)
        if not line:
            self.loop.remove_reader(0)
            return
        order = json.loads(line)
        self.loop.create_task(self._carry_out(order))

    async def _carry_out(self, order: dict[str, Any]) -> None:
        if order.get("token"):
            self.headers, self.tls = b"authorization: Bearer %b\r\n" % order["token"].encode(), False
            print(json.dumps({}), flush=True)
            return
        requests = iter(self._requests(order["what"], order["count"]))
        left, done = order["count"], self.loop.create_future()

        def more() -> bytes | None:
            nonlocal left
            found = next(requests, None)
            if found is None:
                left -= 1
                if left == order["count"] - CONNECTIONS and not done.done():
                    done.set_result(None)
            return found

        wires = [self._wire(more) for _ in range(CONNECTIONS)]
        profile = None
        if order.get("profile"):
            import cProfile

            profile = cProfile.Profile()
            profile.enable()
        began, all_began = time.thread_time_ns(), time.process_time_ns()
        for wire in wires:
            wire.send()
        await done
        spent = time.thread_time_ns() - began
        await asyncio.sleep(0.05)  # what other threads have to do for it
        everything = time.process_time_ns() - all_began
        if profile is not None:
            profile.disable()
            profile.dump_stats(order["profile"])
        for wire in wires:
            wire.protocol.connection_lost(None)
        count = order["count"]
        print(json.dumps({"loop": spent / count / 1e3, "all": everything / count / 1e3}), flush=True)

    def _wire(self, more: Callable[[], bytes | None]) -> Wire:
        assert self.given is not None
        first, given, named = self.given
        wire = Wire(self.loop, self.tls or None, more)
        wire.protocol = self.protocol(*given, **named)
        if hasattr(first, "peer"):
            wire.protocol.peer = first.peer
        wire.protocol.connection_made(wire)
        return wire

    def _requests(self, what: str, count: int) -> list[bytes]:
        where, method, media = objects.configmaps(NAMESPACE), "POST", "application/json"
        if what == "create":
            bodies = [orjson.dumps(objects.configmap(NAMESPACE, f"c-{self.made + i:06d}")) for i in range(count)]
            self.made += count
            return [self._request(method, where, body, media) for body in bodies]
        if what == "get":
            return [self._request("GET", f"{where}/c-{i % self.made:06d}") for i in range(count)]
        if what == "list":
            return [self._request("GET", f"{where}?limit=100")] * count
        bodies = [orjson.dumps({"data": {"setting-0": f"{time.time()}-{i}"}}) for i in range(count)]
        return [self._request("PATCH", f"{where}/c-{i % self.made:06d}", b, MERGE_PATCH) for i, b in enumerate(bodies)]

    def _request(self, method: str, path: str, body: bytes = b"", media: str = "") -> bytes:
        """As aiohttp sends them."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:6443\r\nAccept: application/json\r\nUser-Agent: {USER_AGENT}\r\n"
        content = f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n" if body else ""
        return b"".join((head.encode(), self.headers, content.encode(), b"\r\n", body))


# -- outside -------------------------------------------------------------------------------------------------------------


class Tree:
    def __init__(self, source: Path, folder: Path, store: str) -> None:
        self.name = source.name
        folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
        new = (source / "app/kafila").exists()
        package = "kafila" if new else "app"
        self.spent: dict[tuple[str, str], list[float]] = {}
        environment = {**os.environ, "PYTHONPATH": str(source / "app" if new else source)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--inside", package, str(folder), store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("wb"),
            env=environment,
        )
        file = folder / "data/kubeconfig"
        while b'"ready"' not in (folder / "log").read_bytes():
            if self.process.poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        self.api = Api(file, str(source))

    def order(self, **order: Any) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it has ended")
        found: dict[str, float] = json.loads(line)
        return found

    def measure(self, what: str, count: int) -> None:
        for part, spent in self.order(what=what, count=count).items():
            self.spent.setdefault((what, part), []).append(spent)

    async def open(self, account: bool) -> None:
        async with self.api as api:
            await api.call("POST", objects.NAMESPACES, orjson.dumps(objects.namespace(NAMESPACE)))
            if account:
                self.order(token=await _account(api))
        self.order(what="create", count=300)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


async def _account(api: Api) -> str:
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "bench"}
    subject = {"kind": "ServiceAccount", "name": "bench", "namespace": NAMESPACE}
    named = {"metadata": {"name": "bench"}}
    await api.call("POST", accounts, orjson.dumps(named))
    await api.call("POST", f"{rbac}/roles", orjson.dumps({**named, "rules": [rule]}))
    binding = {**named, "roleRef": reference, "subjects": [subject]}
    await api.call("POST", f"{rbac}/rolebindings", orjson.dumps(binding))
    answer = await api.call("POST", f"{accounts}/bench/token", orjson.dumps({"spec": {}}))
    token: str = orjson.loads(answer)["status"]["token"]
    return token


def report(trees: list[Tree]) -> None:
    """Who else is at work on the machine makes rounds longer, and none shorter: the tenth that is best tells most."""
    for (what, part), spent in trees[0].spent.items():
        for tree in trees:
            theirs = tree.spent[what, part]
            best, before = (statistics.quantiles(some, n=10)[0] for some in (theirs, spent))
            ratio = statistics.median(b / a for a, b in zip(spent, theirs, strict=True))
            figures = f"best tenth {best:.1f} µs ({best / before:.3f}), median {statistics.median(theirs):.1f} µs"
            print(f"{what} ({part}), {tree.name}: {figures}, median of ratios {ratio:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", type=Path, nargs="+")
    parser.add_argument("--plan", default="get:800,create:300,patch:300", help="create|get|list|patch:REQUESTS,…")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--profile", help="WHAT:REQUESTS: of the first tree, by cProfile")
    parser.add_argument("--account", action="store_true")
    parser.add_argument(
        "--postgres", action="store_true", help="over an embedded PostgreSQL in place of the store in memory"
    )
    options = parser.parse_args()
    plan = [(what, int(count)) for what, count in (step.split(":") for step in options.plan.split(","))]
    with contextlib.ExitStack() as stack:
        trees = []
        for source in options.trees:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafila-inprocess-")))
            trees.append(Tree(source.resolve(), folder, "" if options.postgres else "memory:"))
            stack.callback(trees[-1].close)
            asyncio.run(trees[-1].open(options.account))
        if options.profile:
            what, count = options.profile.split(":")
            file = Path(tempfile.gettempdir()) / "kafila-inprocess.prof"
            trees[0].order(what=what, count=int(count))
            trees[0].order(what=what, count=int(count), profile=str(file))
            import pstats

            pstats.Stats(str(file)).sort_stats("tottime").print_stats(45)
            return
        for number in range(options.rounds + 1):
            for what, count in plan:
                for tree in trees if number % 2 else trees[::-1]:
                    tree.measure(what, count)
            if not number:  # caches, code compiled on first use
                for tree in trees:
                    tree.spent.clear()
        report(trees)


def serve(package: str, folder: str, store: str) -> None:
    import importlib

    Inside(package)
    arguments = ["serve", f"--database-url={store}", "--role=api", f"--data-dir={folder}/data", "--bind=127.0.0.1:0"]
    sys.argv[:] = ["kafila", *arguments]
    sys.exit(importlib.import_module(f"{package}.cli").main())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        serve(*sys.argv[2:5])
    else:
        main()
