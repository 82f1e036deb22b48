"""Requests to a running ``kafila serve``, as a file in its folder of certificates: whoever may write there may ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import CommandError

TIMEOUT: Final = 30.0  # seconds for the server to do it
_PERIOD: Final = 0.1


def ask(file: Path, request: bytes, is_done: Callable[[], bool], missing: str, hint: str) -> None:
    """Returns once ``is_done()``. Raises CommandError when that is not so in time: what is ``missing``, and where to look."""
    from kafila.core.files import write_private

    try:
        write_private(file, request)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    deadline = time.monotonic() + TIMEOUT
    while not is_done():
        if time.monotonic() > deadline:
            file.unlink(missing_ok=True)
            raise CommandError(
                f"{missing} within {TIMEOUT:.0f} s: no kafila serve runs with the folder {file.parent.parent}, {hint}"
            )
        time.sleep(_PERIOD)
