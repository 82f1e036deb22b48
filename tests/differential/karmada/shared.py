"""Makes the harness of real members (tests/clusters/harness.py) importable here under the name the cluster tests give it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "cluster_harness"

if NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(NAME, Path(__file__).parents[2] / "clusters/harness.py")
    assert _spec is not None
    assert _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[NAME] = _module
    _spec.loader.exec_module(_module)

harness = sys.modules[NAME]
