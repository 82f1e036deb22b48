"""Who wants to know what a write changes: told with each commit, for what a request or a controller's turn does."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from kafila.core.resources import Key

# (object, its body before and after, both as they are stored; empty: it was not there before, is not there after)
Collect = Callable[[Key, bytes, bytes], None]

collecting: Final[ContextVar[Collect | None]] = ContextVar("collecting", default=None)
working: Final[ContextVar[str]] = ContextVar("working", default="")  # the controller whose turn it is
