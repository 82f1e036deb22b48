"""Karmada itself, built by tests/differential/karmada/build.sh: the same objects, members and clients, in the same run.

Its processes have their default flags and rate limits; its etcd keeps its data in memory without fsync.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lab import REPOSITORY, harness, start_light
from load import Api
from meter import Usage
from propagation import Spread, ms

PROGRAMS = ("aggregated-apiserver", "controller-manager", "scheduler", "webhook")


class Theirs(NamedTuple):
    """What kafila's figures are compared with: templates per second, milliseconds, MiB, percent of a core."""

    who: str
    burst_rate: float
    cpu_ms: float
    present_p50: float | None
    present_p99: float | None
    idle_mib: float
    idle_cpu: float


# 1.19-rc with the same objects and members on another, idle machine with two cores (docs/performance.md)
EARLIER = Theirs("Karmada", 1.58, 440.0, 1710.0, 1970.0, 809.0, 6.3)
EARLIER_START = 5.1  # seconds
EARLIER_LOADED_MIB = 2892.0  # with 1,000 templates
EARLIER_RESTART = 34.0  # seconds, with 1,000 bindings


def figures(idle: Usage, idle_mib: float, steady: Spread, burst: Spread) -> Theirs:
    assert burst.usage is not None
    return Theirs(
        "Karmada, this run",
        burst.status_rate,
        burst.usage.per(burst.count),
        ms(steady.propagation(0.5)),
        ms(steady.propagation(0.99)),
        idle_mib,
        idle.cpu / idle.wall * 100,
    )


class Karmada:
    """What the benchmark asks of a control plane (:class:`lab.Plane` is kafila's)."""

    def __init__(self, lab: Any, programs: Path, folder: Path) -> None:
        self._lab = lab
        self._plane = _oracle().Karmada(lab, programs, folder, "default", limited=True)

    @property
    def roots(self) -> list[int]:
        return [process.pid for process in self._plane.processes]

    def start(self) -> None:
        self._plane.start()

    def join(self, member: Any) -> None:
        access = (f"--cluster-kubeconfig={member.kubeconfig}", f"--cluster-context={member.name}")
        own = (f"--kubeconfig={self._plane.kubeconfig}", "--karmada-context=karmada-apiserver")
        program = [self._lab.bin / "karmadactl", *own, "join", member.name, *access]
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL, timeout=120)
        self._plane.kubectl("wait", "--for=condition=Ready", f"cluster/{member.name}", "--timeout=120s")

    def api(self) -> Api:
        return Api(self._plane.kubeconfig, "karmada")

    def stop(self) -> None:
        self._plane.stop()


@contextlib.contextmanager
def federation(programs: Path, members: int) -> Iterator[tuple[Karmada, list[Any]]]:
    """A fresh one with fresh members, all joined."""
    missing = [name for name in PROGRAMS if not (programs / "bin" / name).exists()]
    if missing:
        raise SystemExit(f"{programs} has no {', '.join(missing)}: tests/differential/karmada/build.sh makes it")
    with harness.members() as lab:
        started = start_light(lab, members)
        plane = Karmada(lab, programs, lab.folder / "karmada")
        try:
            plane.start()
            for member in started:
                plane.join(member)
            yield plane, started
        finally:
            plane.stop()


def _oracle() -> Any:
    """The oracle of the differential tests; loaded by path because tests are no package."""
    folder = REPOSITORY / "tests/differential/karmada"
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("karmada_oracle", folder / "oracle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
