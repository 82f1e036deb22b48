"""What nobody handles ends the process: it will be started again, while one that goes on without a part of itself is deaf and looks alive."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any, Final, NoReturn

import structlog

log = structlog.get_logger(__name__)
CODE: Final = 70  # EX_SOFTWARE


def end(message: str, error: BaseException | None = None) -> NoReturn:
    """At once: nothing can be relied on any more, and what was acknowledged is in the database."""
    try:
        if error is None or out_of_memory(error):  # its traceback would take more of what is not there
            log.critical(message)
        else:
            log.critical(message, exc_info=error)
        sys.stderr.flush()
    finally:
        os._exit(CODE)


def out_of_memory(error: BaseException | None) -> bool:
    """Also where another error came of it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, BaseExceptionGroup) and any(map(out_of_memory, error.exceptions)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def guard(loop: asyncio.AbstractEventLoop) -> None:
    """For this loop, for threads and destructors of the process, and for what the program as a whole fails with."""
    loop.set_exception_handler(_unhandled)
    sys.excepthook = _failed
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback that failed left something undone that nobody will do (accepting, telling watchers); the failure of a
    connection or of a task that nobody waits for stays with it."""
    error = context.get("exception")
    if "handle" in context or out_of_memory(error):
        end(context["message"], error)
    log.error(context["message"], exc_info=error)


def _failed(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    end("the program failed", error)


def _in_thread(args: threading.ExceptHookArgs) -> None:
    if out_of_memory(args.exc_value):
        end("no memory in a thread", args.exc_value)
    log.error("a thread ended", exc_info=args.exc_value)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if out_of_memory(args.exc_value):
        end("no memory", args.exc_value)
    log.error(args.err_msg or "ignored", object=repr(args.object), exc_info=args.exc_value)
