"""Kubernetes' published Go modules, at the version that ``kafila.catalog.version`` names."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

from kafila.catalog.version import KUBERNETES_VERSION, LIBRARIES_VERSION

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "app" / "kafila" / "catalog" / "data"
GOTYPES = ROOT / "hack" / "gotypes"
CEL = ROOT / "hack" / "cel"
REQUIRING = (GOTYPES, CEL, ROOT / "tests" / "clients" / "go")  # folders whose go.mod requires Kubernetes' libraries
KUBERNETES = "k8s.io/kubernetes"
_DIRECT = re.compile(r"^\t(k8s\.io/[a-z-]+) (v0\.\d+\.\d+)$", re.M)  # klog and others count on their own


def reference(module: str) -> str:
    """``module@version``."""
    return f"{module}@{KUBERNETES_VERSION if module == KUBERNETES else LIBRARIES_VERSION}"


@cache
def directory(module: str) -> Path:
    """Where the module's files are; downloaded when they are not in Go's cache."""
    command = ["go", "mod", "download", "-json", reference(module)]
    return Path(json.loads(subprocess.run(command, check=True, capture_output=True, cwd="/").stdout)["Dir"])


def required(folder: Path) -> dict[str, str]:
    """Kubernetes' libraries that a go.mod asks for itself, with their versions."""
    return dict(_DIRECT.findall((folder / "go.mod").read_text()))


def require() -> None:
    """Brings every go.mod to the version. One that has it already is not touched."""
    for folder in REQUIRING:
        if stale := [module for module, version in required(folder).items() if version != LIBRARIES_VERSION]:
            subprocess.run(["go", "get", *map(reference, stale)], cwd=folder, check=True)
            subprocess.run(["go", "mod", "tidy"], cwd=folder, check=True)
