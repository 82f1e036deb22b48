"""What others install: the wheel has all it needs, and it runs where there is no checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafila import __version__
from tests.conftest import open_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def sources(folder: Path) -> Path:
    """What the image's build copies into its folder."""
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.M)
    names = [name for line in copied for name in line.split()]
    for name in names:
        target = folder / "sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    allowed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(allowed) == sorted(names)
    return folder / "sources"


@pytest.fixture(scope="module")
def wheel(folder: Path, sources: Path) -> Path:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, f"--wheel-dir={folder}", sources], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel and the dependencies that the tests have, but not what their .pth files add: the checkout."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    return environment


def run(environment: Path, *command: object) -> str:
    program, *arguments = map(str, command)
    unset = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    done = subprocess.run(
        [environment / "bin" / program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name not in unset},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_below(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_and_one_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"kafila-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"kafila", about}
    expected = {f"kafila/{name}" for name in files_below(ROOT / "app" / "kafila")}
    for beside in ("migrations", "examples/nginx"):
        expected |= {f"kafila/{beside}/{name}" for name in files_below(ROOT / beside)}
    assert {name for name in names if not name.startswith(about)} == expected
    assert f"{about}/licenses/LICENSE" in names
    assert "kafila/py.typed" in names


def test_it_runs_where_there_is_no_checkout(installed: Path, server_folder: Path) -> None:
    where = run(installed, "python", "-c", "import kafila; print(kafila.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    assert run(installed, "kafila", "--version").strip() == __version__
    # an empty database that is migrated, a server, scripts' sandbox, and the example that lies in the wheel
    shown = run(installed, "kafila", "demo", "--exit", "--bind=127.0.0.1:0", "--data-dir", server_folder / "demo")
    assert "nginx-deployment is placed on member1: 1 replicas, member2: 1 replicas" in shown
    assert run(installed, "python", "-c", "from kafila.machinery.lua import sandbox; print(sandbox.__name__)")
