"""What a start costs, of this tree or of several in turns: ``python bench/start.py [-n 8] [TREE …]``.

Each start is over an embedded PostgreSQL that was there before and was stopped in order, without members. CPU is that of kafila's process;
with others at work on the machine it counts more than the time that passes. Only measures: nothing passes or fails here.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from meter import TICKS, pss_mib

FIGURES = ("seconds until ready", "CPU s until ready", "CPU s 5 s later", "MiB PSS then", "MiB with PostgreSQL")
REST = 5.0  # seconds that controllers have to begin
PATIENCE = 120.0


class Tree:
    """``kafila serve`` of one working copy, with a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        packaged = (root / "app/kafila").is_dir()  # it once was the package ``app`` itself
        self._package, self._path = ("kafila", root / "app") if packaged else ("app", root)
        self._folder = tempfile.TemporaryDirectory(prefix="kafila-start-", dir="/tmp")
        Path(self._folder.name).chmod(0o711)  # PostgreSQL's user passes through
        self.found: list[tuple[float, ...]] = []

    def start(self) -> tuple[float, ...]:
        log = Path(self._folder.name) / "log"
        program = f"import sys; sys.argv[0] = 'kafila'; from {self._package}.cli import main; main()"
        command = [sys.executable, "-c", program, "serve", f"--data-dir={self._folder.name}/data", "--bind=127.0.0.1:0"]
        environment = os.environ | {"PYTHONPATH": str(self._path), "PYTHONDONTWRITEBYTECODE": ""}
        with log.open("wb") as out:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            while b'"event": "ready"' not in log.read_bytes():
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise RuntimeError(f"kafila did not start:\n{log.read_text()}")
                time.sleep(0.005)
            ready, spent = time.perf_counter() - began, _own_cpu(process.pid)
            time.sleep(REST)
            return ready, spent, _own_cpu(process.pid), _own_pss(process.pid), pss_mib(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def close(self) -> None:
        self._folder.cleanup()


def _own_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _own_pss(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=8, help="starts of each")
    parser.add_argument("trees", nargs="*", type=Path, default=[Path(__file__).parents[1]], help="working copies")
    options = parser.parse_args()
    trees = [Tree(root.resolve()) for root in options.trees]
    for tree in trees * 2:  # the first makes the database, the second has byte code of everything
        tree.start()
    for _ in range(options.n):
        for tree in trees:
            tree.found.append(tree.start())
    for tree in trees:
        print(tree.root.name)
        for name, figures in zip(FIGURES, zip(*tree.found, strict=True), strict=True):
            print(f"  {name:20} least {min(figures):6.2f}, median {statistics.median(figures):6.2f}")
        tree.close()


if __name__ == "__main__":
    main()
