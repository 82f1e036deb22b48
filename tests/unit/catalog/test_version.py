"""The version of Kubernetes has one home; everything else follows it or is derived from it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kafila.catalog.tables import read_table
from kafila.catalog.version import KUBERNETES_VERSION, LIBRARIES_VERSION, MINOR_VERSION
from tests.versions import OLDER_MINORS

ROOT = Path(__file__).parents[3]
HOME = ROOT / "app" / "kafila" / "catalog" / "version.py"
SOURCES = ("app", "bench", "deploy", "hack", "migrations", "tests")
SCRIPTS = {".sh", ".toml", ".yaml", ".yml", ""}
WRITTEN = re.compile(rf"(?<![\d.])[01]\.{MINOR_VERSION.partition('.')[2]}(?!\d)")
TABLES = (
    "api_services.json",
    "bootstrap_roles.json",
    "columns.json",
    "definitions.json",
    "kinds.json",
    "protobuf.json",
)


@pytest.fixture(scope="module")
def modules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("modules", ROOT / "hack" / "modules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_of_this_version(name: str) -> None:
    named = set(re.findall(r"v[01]\.\d+\.\d+", str(read_table(name)["source"])))
    assert named
    assert named <= {KUBERNETES_VERSION, LIBRARIES_VERSION}, "run `make generate`"


def test_go_modules_require_this_version(modules: ModuleType) -> None:
    for folder in modules.REQUIRING:
        assert (required := modules.required(folder))
        assert set(required.values()) == {LIBRARIES_VERSION}, "run `make generate`"


def test_older_members_are_of_the_minors_before() -> None:
    (named,) = re.findall(r'^OLDER="(.*?)"', (ROOT / "tests/clusters/build.sh").read_text(), re.M)
    assert [version.rpartition(".")[0] for version in named.split()] == list(OLDER_MINORS)


def values(path: Path) -> Iterator[str]:
    """What a program acts on: no comments, no docstrings."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from (line.partition("#")[0] for line in text.splitlines())
        return
    tree = ast.parse(text)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_no_second_home_has_grown() -> None:
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.is_file()]
    paths += [path for path in ROOT.iterdir() if path.is_file() and path.suffix != ".lock"]
    read = [path for path in paths if path.suffix in SCRIPTS | {".py"} and "__pycache__" not in path.parts]
    found = {str(path.relative_to(ROOT)) for path in read if any(map(WRITTEN.search, values(path)))}
    assert found == {str(HOME.relative_to(ROOT))}
