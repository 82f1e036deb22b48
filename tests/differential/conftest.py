"""``differential`` and ``clusters`` are imported as packages, as ``python -m differential`` does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
