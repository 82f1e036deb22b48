"""Which processes may be called dead."""

from __future__ import annotations

import os
import subprocess
import sys

from kafila.workers.liveness import identity, is_dead

PRINT = "from kafila.workers.liveness import identity; print(identity(), flush=True); input()"


def test_a_running_process_is_not_dead_and_a_killed_one_is() -> None:
    child = subprocess.Popen([sys.executable, "-c", PRINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert name.split("_")[-3] == str(child.pid)
    assert not is_dead(name)
    child.kill()
    child.wait()
    child.stdout.close()
    assert is_dead(name)


def test_a_number_that_was_given_to_another_process_does_not_bring_it_back() -> None:
    host, place, pid, start, mark = identity().rsplit("_", 4)
    assert pid == str(os.getpid())
    assert not is_dead(identity())
    assert is_dead(f"{host}_{place}_{pid}_{int(start) - 1}_{mark}")


def test_nothing_is_said_of_processes_elsewhere() -> None:
    host, place, _, start, mark = identity().rsplit("_", 4)
    for other in (
        f"other-{host}_{place}_999999_{start}_{mark}",
        f"{host}_0123456789ab.1_999999_{start}_{mark}",
        f"{host}_{place}_999999_x_{mark}",
        "",
        "somebody",
    ):
        assert not is_dead(other)
