"""Figures of the tricks in docs/adr/0011: CPU of each, with that of the plain way beside it. ``python bench/tricks.py``"""

from __future__ import annotations

import asyncio
import gc
import http.client
import logging
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import orjson
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from kafila.api.cycle import Cycle
from kafila.catalog.catalog import builtin_kinds
from kafila.core.resources import Key
from kafila.members.kubeconfig import load
from kafila.registry.codec import wire_bytes
from kafila.telemetry.exposition import exposition
from kafila.watch import Entry, needles
from kafila.workers.collector import OLDER, YOUNG

BINDINGS = 10_000


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """Of CPU, of this process and those that it starts: who else works on the machine matters little."""

    def used() -> float:
        parts = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(part.ru_utime + part.ru_stime for part in parts)

    def once() -> float:
        before = used()
        work()
        return used() - before

    return median(once() for _ in range(times))


def binding(number: int) -> bytes:
    clusters = [{"name": f"member{each}", "replicas": 3} for each in range(5)]
    items = [
        {"clusterName": each["name"], "applied": True, "health": "Healthy", "status": {"replicas": 3}}
        for each in clusters
    ]
    spec = {"resource": {"kind": "Deployment", "name": f"web-{number}"}, "clusters": clusters, "replicas": 15}
    labels = {"propagationpolicy.karmada.io/permanent-id": f"{number:036}"}
    metadata = {"name": f"web-{number}-deployment", "namespace": "default", "uid": f"{number:036}", "labels": labels}
    return orjson.dumps({"metadata": metadata, "spec": spec, "status": {"aggregatedStatus": items}})


def searches() -> None:
    entries = [
        Entry(Key("resourcebindings.work.karmada.io", "default", str(n)), n + 1, binding(n)) for n in range(BINDINGS)
    ]
    needle = needles.field("propagateDeps", True)
    searched = seconds(lambda: [entry for entry in entries if entry.mentions(needle)])
    decoded = seconds(lambda: [entry for entry in entries if (entry.decode().get("spec") or {}).get("propagateDeps")])
    size = len(entries[0].body)
    print(f"searches: {BINDINGS} bindings of {size} bytes: {searched * 1e3:.1f} ms, decoded {decoded * 1e3:.1f} ms")


def splicing() -> None:
    kind = next(kind for kind in builtin_kinds() if kind.resource == "deployments.apps")
    entry = Entry(Key("deployments.apps", "default", "web"), 1, binding(0))
    named = {"kind": kind.kind, "apiVersion": kind.api_version}

    def often(work: Callable[[], bytes]) -> Callable[[], object]:
        return lambda: [work() for _ in range(BINDINGS)]

    spliced = seconds(often(lambda: wire_bytes(kind, entry))) / BINDINGS * 1e6
    encoded = seconds(often(lambda: orjson.dumps(named | entry.decode()))) / BINDINGS * 1e6
    print(
        f"splicing: an answer of {len(entry.body)} bytes takes {spliced:.2f} µs, decoded and encoded {encoded:.2f} µs"
    )


def imports() -> None:
    def run(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL), 7)

    nothing = run("pass")
    short = run("import kafila.cli; kafila.cli.program().help_print()")
    whole = run(
        "import kafila.cli; kafila.cli.program().help_print(); import kafila.cli.serve, kafila.cli.demo, kafila.cli.why, "
        "kafila.members.join, kafila.members.unjoin, kafila.placement.explain, kafila.workers.process"
    )
    quick = run("import kafila.telemetry.logs")
    rich = run("import rich.traceback, kafila.telemetry.logs")
    print(f"lazy imports: help {(short - nothing) * 1e3:.0f} ms, with all commands {(whole - nothing) * 1e3:.0f} ms")
    print(f"structlog without rich: {(quick - nothing) * 1e3:.0f} ms, with it {(rich - nothing) * 1e3:.0f} ms")


def collector() -> None:
    kept = [orjson.loads(binding(number)) for number in range(3 * BINDINGS)]
    body = binding(0)

    def work() -> None:
        for _ in range(10):  # lists that are decoded, looked at, and dropped
            _alive = [orjson.loads(body) for _ in range(2000)]

    gc.set_threshold(700, 10, 10)
    plain = seconds(work)
    gc.set_threshold(YOUNG, OLDER, OLDER)
    gc.collect()
    gc.freeze()
    settled = seconds(work)
    print(
        f"collector: {len(kept)} objects kept, 20,000 decoded: {settled * 1e3:.0f} ms, by default {plain * 1e3:.0f} ms"
    )


SERVE = """
import sys
import kafila.api.point_protocol as point_protocol
import kafila.api.server as server
from kafila.cli import main
if sys.argv[1] != "point":
    point_protocol.plain_head = lambda *given: None
if sys.argv[1] == "plain":
    server.ObjectsProtocol._answer = lambda *given: False
main(["serve", "--database-url=memory:", "--role=api", "--log-level=error", "--bind=127.0.0.1:0", "--data-dir", sys.argv[2]])
"""


def cpu_of_gets(way: str, requests: int = 5000) -> float:
    """Microseconds of the server's CPU for a GET of 400 bytes over TLS."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, "-c", SERVE, way, folder], stderr=subprocess.DEVNULL)
        try:
            file = Path(folder) / "kubeconfig"
            while not file.exists():
                time.sleep(0.1)
            access = load(file)
            assert access.tls is not None
            context = ssl.create_default_context(cadata=access.tls.authority.decode())
            for name, content in (("crt", access.tls.certificate), ("key", access.tls.key)):
                (Path(folder) / name).write_bytes(content)
            context.load_cert_chain(Path(folder) / "crt", Path(folder) / "key")
            where = urlsplit(access.endpoint)
            connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=context)

            def get(times: int) -> None:
                for _ in range(times):
                    connection.request("GET", "/api/v1/namespaces/default")
                    answer = connection.getresponse()
                    assert answer.status == 200, answer.status
                    answer.read()

            get(500)
            before = _cpu(server.pid)
            get(requests)
            return (_cpu(server.pid) - before) / requests * 1e6
        finally:
            server.terminate()
            server.wait()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cycle() -> None:
    given: tuple[Any, Any, Any] = {}, None, None
    logger, headers = logging.getLogger("uvicorn.error"), [(b"date", b"")]

    def ours() -> object:
        return [Cycle(*given, logger, headers, False, True, print) for _ in range(BINDINGS)]

    def uvicorns() -> object:
        named: dict[str, Any] = {"access_log": False, "default_headers": headers, "expect_100_continue": False}
        return [
            RequestResponseCycle(
                *given, logger, logger, message_event=asyncio.Event(), keep_alive=True, on_response=print, **named
            )
            for _ in range(BINDINGS)
        ]

    own, plain = (seconds(work) / BINDINGS * 1e6 for work in (ours, uvicorns))
    print(f"uvicorn: what is kept of a request takes {own:.1f} µs, as uvicorn makes it {plain:.1f} µs")


def uvicorn() -> None:
    found = {way: median(cpu_of_gets(way) for _ in range(3)) for way in ("plain", "direct", "point")}
    print(f"uvicorn: a GET costs {found['direct']:.0f} µs of CPU, by ASGI's messages {found['plain']:.0f} µs")
    print(f"point reads: a GET whose head is known costs {found['point']:.0f} µs of CPU, else {found['direct']:.0f} µs")


def metrics() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("bench", "Of very many clusters.", ["cluster", "what"], registry=registry)
    for number in range(5000):
        for what in range(20):
            gauge.labels(f"member{number}", str(what)).set(number)

    def longest() -> float:
        taken, before = 0.0, time.process_time()
        for _ in exposition(registry):
            taken, before = max(taken, time.process_time() - before), time.process_time()
        return taken

    held, whole = median(longest() for _ in range(5)), seconds(lambda: generate_latest(registry))
    print(f"metrics: the longest of the pieces of 100,000 samples takes {held * 1e3:.0f} ms, all at once {whole:.1f} s")


if __name__ == "__main__":
    metrics()
    searches()
    splicing()
    imports()
    cycle()
    uvicorn()
    collector()
