"""What a tunnel costs (docs/adr/0019): the same member through ``clusters/NAME/proxy``, called directly and by its agent's tunnel.

    PYTHONPATH=app python bench/tunnel.py /some/folder/others/may/enter [MiB of an answer, by default 128] [rounds, by default 5]

A ``kafila serve``, a member that answers with zeros over plain HTTP, and the agent, each a process; rounds take turns, and the median
counts. No network lies between them: what is measured is what the processes do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop
import yaml
from aiohttp import web

from kafila.agent.tunnel import TunnelKeeper
from kafila.members.kubeconfig import Access
from kafila.members.transport import TLS

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
AS_AGENT = (("Impersonate-User", "system:karmada:agent:far"), ("Impersonate-Group", "system:karmada:agents"))
PIECE = bytes(256 << 10)
SMALL = 200  # requests, one after the other


def serve_member(port: multiprocessing.Queue) -> None:
    async def zeros(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(int(request.query.get("mib", "0")) * 4):
            await answer.write(PIECE)
        return answer

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", zeros)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def serve_agent(url: str, tls: TLS, member: str) -> None:
    plane = Access("", url, tls, "", impersonation=AS_AGENT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(TunnelKeeper(plane, Access("", member, TLS(), ""), "far").keep())


async def measure(url: str, context: ssl.SSLContext, member: str, pids: list[int], mib: int, rounds: int) -> None:
    """``pids``: of the server, and of the agent."""
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=300)) as client:

        async def made(path: str, document: dict) -> None:
            headers = {"Content-Type": "application/json"}
            async with client.post(path, data=json.dumps(document), headers=headers) as answer:
                assert answer.status in (201, 409), await answer.text()

        await made("/api/v1/namespaces", {"metadata": {"name": "karmada-cluster"}})
        for name, mode, endpoint in (("near", "Push", member), ("far", "Pull", "http://127.0.0.1:1")):
            secret = {"metadata": {"name": f"{name}-impersonator"}, "stringData": {"token": "t"}}
            await made("/api/v1/namespaces/karmada-cluster/secrets", secret)
            reference = {"namespace": "karmada-cluster", "name": f"{name}-impersonator"}
            spec = {"syncMode": mode, "apiEndpoint": endpoint, "id": name, "impersonatorSecretRef": reference}
            head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
            await made(CLUSTERS, {**head, "spec": spec})

        async def read(name: str, mib: int) -> int:
            size = 0
            async with client.get(f"{CLUSTERS}/{name}/proxy/?mib={mib}") as answer:
                if answer.status == 200:
                    async for chunk in answer.content.iter_any():
                        size += len(chunk)
                return size if answer.status == 200 else -1

        while await read("far", 0) < 0:
            await asyncio.sleep(0.2)
        rates: dict[str, list[float]] = {"near": [], "far": []}
        delays: dict[str, list[float]] = {"near": [], "far": []}
        used: dict[str, list[list[float]]] = {"near": [], "far": []}
        for _ in range(rounds):
            for name in rates:
                before, began = list(map(cpu, pids)), time.perf_counter()
                assert await read(name, mib) == mib << 20
                rates[name].append(mib / (time.perf_counter() - began))
                used[name].append([1024 / mib * (cpu(pid) - at) for pid, at in zip(pids, before, strict=True)])
                for _ in range(SMALL):
                    began = time.perf_counter()
                    await read(name, 0)
                    delays[name].append((time.perf_counter() - began) * 1000)
        for name, what in (("near", "directly"), ("far", "by the tunnel")):
            rate, delay = statistics.median(rates[name]), statistics.median(delays[name])
            server, agent = (statistics.median(each) for each in zip(*used[name], strict=True))
            spent = f"{server:.1f} s of CPU for a GiB in the server, {agent:.1f} in the agent"
            print(f"{what}: {rate:.0f} MiB/s, {delay:.2f} ms for a small answer; {spent}")


def cpu(pid: int) -> float:
    """Seconds that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(folder: Path, mib: int, rounds: int) -> None:
    ports: multiprocessing.Queue = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=serve_member, args=(ports,), daemon=True)]
    processes[0].start()
    member = f"http://127.0.0.1:{ports.get()}"
    command = [sys.executable, "-c", "from kafila.cli import main; main()", "serve", "--data-dir", str(folder)]
    with subprocess.Popen([*command, "--bind=127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            while '"event": "ready"' not in server.stderr.readline():
                assert server.poll() is None
            config = yaml.safe_load((folder / "kubeconfig").read_text())
            cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
            parts = (cluster["certificate-authority-data"], user["client-certificate-data"], user["client-key-data"])
            tls = TLS(*map(base64.b64decode, parts))
            processes.append(
                multiprocessing.Process(target=serve_agent, args=(cluster["server"], tls, member), daemon=True)
            )
            processes[1].start()
            context = ssl.create_default_context(cadata=tls.authority.decode())
            for file, content in (("client.crt", tls.certificate), ("client.key", tls.key)):
                (folder / file).write_bytes(content)
            context.load_cert_chain(folder / "client.crt", folder / "client.key")
            pids = [server.pid, processes[1].pid or 0]
            asyncio.run(measure(cluster["server"], context, member, pids, mib, rounds))
        finally:
            for process in processes:
                process.terminate()
            server.terminate()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        Path(name).chmod(0o711)
        amounts = [int(text) for text in sys.argv[2:4]]
        main(Path(name), *(amounts + [128, 5][len(amounts) :]))
