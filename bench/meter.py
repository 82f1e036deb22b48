"""What processes cost, read from /proc: CPU seconds and proportional memory of a process with all its descendants."""

from __future__ import annotations

import os
import platform
import sysconfig
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
_LOOP = 20_000  # turns
_SAMPLE_SECONDS = 1.0  # reading smaps_rollup of a big process walks its page tables: not more often


def tree(root: int) -> list[int]:
    """The process and its living descendants; [] when it has ended."""
    found: list[int] = []
    todo = [root]
    while todo:
        pid = todo.pop()
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as children:
                    todo += [int(child) for child in children.read().split()]
        except OSError:
            continue
        found.append(pid)
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree; children that ended and were waited for are part of their parent's."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()  # the name may hold spaces and parentheses
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def pss_mib(root: int) -> float:
    """Proportional set size of the tree: pages that processes share are counted once."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += next((int(line.split()[1]) for line in rollup if line.startswith("Pss:")), 0)
        except OSError:
            continue
    return total / 1024


def python_build() -> str:
    """Which Python this is, and how fast it is here. Distributions may optimize without a word of it in what ``configure`` was
    told (Debian does): the loop tells, so that figures of two machines or builds can be compared."""
    told = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    best = min(_loop_seconds() for _ in range(50))
    return (
        f"Python {platform.python_version()} (configured with{'' if told else 'out'} --enable-optimizations,"
        f" {best * 1e9 / _LOOP:.0f} ns for a turn of a plain loop)"
    )


def _loop_seconds() -> float:
    kept: dict[int, str] = {}
    began = time.thread_time()
    for i in range(_LOOP):
        kept[i & 255] = str(i)
    return time.thread_time() - began


def machine_busy_seconds() -> float:
    """CPU seconds that all cores have worked since the machine started."""
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS  # without idle and iowait


@dataclass(frozen=True)
class Usage:
    """``cpu`` in seconds, ``peak`` and ``end`` in MiB of PSS, ``foreign`` in cores that others kept busy meanwhile."""

    wall: float
    cpu: float
    peak: float
    end: float
    foreign: float

    def per(self, count: int) -> float:
        """CPU milliseconds for each of ``count``."""
        return self.cpu / count * 1000 if count else 0.0


class Meter:
    """``meter = Meter([pid])`` … ``meter.stop()``: the cost in between of the trees under ``roots``.

    ``memory``: sample PSS too, for its peak; costs the machine some CPU, so not while an API is being timed.
    """

    def __init__(self, roots: Sequence[int], memory: bool = False) -> None:
        self._roots = list(roots)
        self._peak = 0.0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True) if memory else None
        self._own = cpu_seconds(os.getpid())
        self._machine = machine_busy_seconds()
        self._cpu = self._spent()
        self._began = time.perf_counter()
        if self._sampler is not None:
            self._sampler.start()

    def stop(self) -> Usage:
        wall = time.perf_counter() - self._began
        cpu = self._spent() - self._cpu
        # all that the benchmark started are its descendants
        foreign = machine_busy_seconds() - self._machine - (cpu_seconds(os.getpid()) - self._own)
        end = 0.0
        if self._sampler is not None:
            self._ended.set()
            self._sampler.join()
            end = self._memory()
        return Usage(wall, cpu, max(self._peak, end), end, max(foreign, 0.0) / wall if wall else 0.0)

    def _spent(self) -> float:
        return sum(cpu_seconds(root) for root in self._roots)

    def _memory(self) -> float:
        return sum(pss_mib(root) for root in self._roots)

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, self._memory())
