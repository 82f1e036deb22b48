"""client-go's typed informers, over protobuf, see every change in order while another client-go program writes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

CHANGES = 200


@pytest.mark.timeout(600)  # the first build compiles client-go
def test_informers_see_every_change_in_order(served: Any, namespace: str, go_programs: Path) -> None:
    command = (namespace, str(CHANGES))
    watching = subprocess.Popen(
        [go_programs / "informers", "watch", *command],
        env=served.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        begun = watching.stdout.readline()
        while begun and begun != "synced\n":  # what the namespace has from the beginning
            begun = watching.stdout.readline()
        writing = subprocess.run(
            [go_programs / "informers", "write", *command],
            env=served.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert writing.returncode == 0, writing.stderr
        seen, errors = watching.communicate(timeout=60)
        assert watching.returncode == 0, errors
    finally:
        watching.kill()
    made = [line.split() for line in writing.stdout.splitlines()]
    assert len(made) >= CHANGES
    for kind in ("ConfigMap", "Deployment"):
        wanted = [line[1:] for line in made if line[0] == kind]
        got = [line.split()[1:] for line in seen.splitlines() if line.startswith(kind)]
        assert [line[:2] for line in got] == [line[:2] for line in wanted]
        revisions = [(a[2], b[2]) for a, b in zip(got, wanted, strict=True) if b[2] != "-"]
        assert all(seen == answered for seen, answered in revisions)
        order = [int(line[2]) for line in got]
        assert order == sorted(set(order))
