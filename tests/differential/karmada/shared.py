"""Makes what tests of real members share (tests/clusters) importable here under the names the cluster tests give it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

CLUSTERS = Path(__file__).parents[2] / "clusters"


def _module(name: str, file: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, CLUSTERS / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


harness = _module("cluster_harness", "harness.py")  # first: the others import it
estimators = _module("cluster_estimators", "estimators.py")
metrics = _module("cluster_metrics", "metrics.py")
