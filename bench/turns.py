"""Two trees of kafila serve at once, and one client measures them in turns, burst by burst: what costs more than before?

    git worktree add --detach ../before COMMIT
    PYTHONPATH=app .venv/bin/python bench/turns.py ../before . --plan create:32:400,get:32:800 --rounds 21

CPU milliseconds for each request, of Python and of PostgreSQL apart, read in nanoseconds from the scheduler. A burst takes a fifth of
a second and the trees change places after each round, so what else the machine does meets both alike: a minute tells 3 % apart.
No member is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import objects
import orjson
import uvloop
from lab import harness
from load import MERGE_PATCH, Api, at_once
from meter import python_build, tree

NAMESPACE = "bench-turns"
LISTED = 300  # objects of a list
_SETTLE = 0.15  # seconds after a burst: what it left to do is its own
_START = "import sys; from {package}.cli import main; sys.argv[0] = 'kafila'; sys.exit(main())"


class Tree:
    """``kafila serve`` of one source tree, which may be older than the folder ``app/kafila``."""

    def __init__(self, name: str, source: Path, folder: Path) -> None:
        self.name = name
        self.spent: dict[tuple[str, str], list[float]] = defaultdict(list)  # (burst, part) -> ms for each request
        self._made = self._deployed = 0
        new = (source / "app/kafila").exists()
        (port,) = harness.free_ports(1)
        folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
        start = _START.format(package="kafila" if new else "app")
        self.process = harness.Process(
            name,
            [sys.executable, "-c", start, "serve", f"--data-dir={folder}/data", f"--bind=127.0.0.1:{port}"],
            folder / "kafila.log",
            {"PYTHONPATH": str(source / "app" if new else source), "PYTHONDONTWRITEBYTECODE": ""},
        )
        self.process.start()
        while '"event": "ready"' not in self.process.log.read_text(errors="replace"):
            if not self.process.alive:
                raise RuntimeError(f"{source} did not start:\n{self.process.tail()}")
            time.sleep(0.05)
        self.api = Api(folder / "data/kubeconfig", name)

    async def burst(self, what: str, connections: int, count: int) -> None:
        paths, method, media = [objects.configmaps(NAMESPACE)] * count, "POST", "application/json"
        bodies: list[bytes | None] = [None] * count
        if what == "create":
            made = range(self._made, self._made + count)
            bodies = [orjson.dumps(objects.configmap(NAMESPACE, f"c-{i:06d}")) for i in made]
            self._made += count
        elif what == "deploy":
            paths = [objects.deployments(NAMESPACE)] * count
            made = range(self._deployed, self._deployed + count)
            bodies = [orjson.dumps(objects.deployment(NAMESPACE, f"d-{i:06d}")) for i in made]
            self._deployed += count
        elif what == "list":
            paths, method = [f"{paths[0]}?limit={LISTED}"] * count, "GET"
        else:
            paths = [f"{paths[0]}/c-{i % self._made:06d}" for i in range(count)]
            method = {"get": "GET", "patch": "PATCH"}[what]
        if what == "patch":
            bodies = [orjson.dumps({"data": {"setting-0": f"{time.time()}-{i}"}}) for i in range(count)]
            media = MERGE_PATCH
        before = self._nanoseconds()
        await at_once(count, connections, lambda i: self.api.call(method, paths[i], bodies[i], media))
        await asyncio.sleep(_SETTLE)
        after = self._nanoseconds()
        for part in before:
            self.spent[f"{what}, {connections} connections", part].append((after[part] - before[part]) / count / 1e6)

    def _nanoseconds(self) -> dict[str, int]:
        found = {"Python": 0, "PostgreSQL": 0}
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text()
                for thread in os.listdir(f"/proc/{pid}/task"):
                    spent = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
                    found["PostgreSQL" if name.startswith("postgres") else "Python"] += spent
        return {**found, "all": sum(found.values())}


async def measure(trees: list[Tree], plan: list[tuple[str, int, int]], rounds: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for each in trees:
            await stack.enter_async_context(each.api)
            await each.api.call("POST", objects.NAMESPACES, orjson.dumps(objects.namespace(NAMESPACE)))
            for what, connections, count in [
                ("create", 32, 300),
                *plan,
            ]:  # connections, caches, code compiled on first use
                await each.burst(what, connections, count)
            each.spent.clear()
        for number in range(rounds):
            for burst in plan:
                for each in trees if number % 2 else trees[::-1]:
                    await each.burst(*burst)


def report(before: Tree, now: Tree) -> None:
    print("| CPU for each request | before | now | ratio of medians | median of ratios |\n|---|---|---|---|---|")
    for (what, part), spent in before.spent.items():
        theirs = now.spent[what, part]
        old, new = statistics.median(spent), statistics.median(theirs)
        ratio = statistics.median(b / a for a, b in zip(spent, theirs, strict=True))
        print(f"| {what}: {part} | {old:.3f} ms | {new:.3f} ms | {new / old:.2f} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("now", type=Path)
    parser.add_argument(
        "--plan",
        default="create:32:400,get:32:800,patch:32:300",
        help="create|deploy|get|list|patch:CONNECTIONS:REQUESTS,…",
    )
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    steps = [step.split(":") for step in options.plan.split(",")]
    plan = [(what, int(connections), int(count)) for what, connections, count in steps]
    with contextlib.ExitStack() as stack:
        trees = []
        for name, source in (("before", options.before), ("now", options.now)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafila-turns-", dir="/tmp")))
            trees.append(Tree(name, source.resolve(), folder))
            stack.callback(trees[-1].process.stop, patience=30)
        uvloop.run(measure(trees, plan, options.rounds))
        report(*trees)
        print(f"\n{python_build()}; load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
