"""Looking at every call of this thread: what counts calls instead of time says the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def noting(note: Callable[[Any, str, Any], object]) -> Iterator[None]:
    """``note`` gets frame, event and argument as ``sys.setprofile`` says; who looked before goes on afterwards."""
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
