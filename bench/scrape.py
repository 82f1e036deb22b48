"""What reading /metrics costs with very many label sets, and for how long it keeps the event loop from others.

PYTHONPATH=app .venv/bin/python bench/scrape.py [LABEL-SETS]
"""

from __future__ import annotations

import asyncio
import sys
import time

import httpx
from prometheus_client import Gauge, generate_latest

from kafila.api.meta import build_shell


async def scrape(label_sets: int) -> None:
    gauge = Gauge("many", "Very many.", ["member_cluster", "name"])
    for number in range(label_sets):
        gauge.labels(f"member-{number}", "b" * 10).set(number)
    began = time.process_time()
    generate_latest()
    print(f"generate_latest, all at once: {time.process_time() - began:.2f} s of CPU")
    transport = httpx.ASGITransport(build_shell({}))
    async with httpx.AsyncClient(transport=transport, base_url="http://kafila.test") as client:
        for _ in range(3):
            began, turns = time.process_time(), list[float]()
            asked = asyncio.create_task(client.get("/metrics"))
            while not asked.done():
                turn = time.thread_time()
                await asyncio.sleep(0)
                turns.append((time.thread_time() - turn) * 1000)
            seconds = time.process_time() - began
            turns.sort()
            middle, late = turns[len(turns) // 2], turns[len(turns) * 99 // 100]
            print(
                f"GET /metrics: {seconds:.2f} s of CPU, {len(turns)} turns of the event loop, CPU of one: "
                f"median {middle:.1f} ms, p99 {late:.1f} ms, longest {turns[-1]:.1f} ms"
            )


if __name__ == "__main__":
    asyncio.run(scrape(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
