"""Structured logs: JSON lines, or readable ones on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

# structlog imports rich for tracebacks that are not printed with it here: a fifth of what starting the program costs.
_rich: Any = sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None makes the import fail
import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]
from . import fatal  # noqa: E402


def _end_without_memory(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Whoever logs an error and goes on cannot know that it was want of memory; this place sees them all."""
    given = event.get("exc_info")
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if error and fatal.out_of_memory(error):
        fatal.end(f"no memory: {event['event']}")
    return event


def configure(level: str = "info") -> None:
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _end_without_memory,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)  # libraries' own: the same lines
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
