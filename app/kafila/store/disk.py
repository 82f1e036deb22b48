"""Room on the disk of the embedded database."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

NEEDED: Final = 32 << 20  # bytes with which a server that ran out of room starts again: two segments of its log
_NOTHING: Final = 1 << 20
MESSAGE: Final = "No space left on device"


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def ran_out(folder: Path, messages: str) -> str:
    """What to say when that is why the server did not go on, "" when it is not. ``messages``: its last ones."""
    free = free_bytes(folder)
    if MESSAGE not in messages and free >= _NOTHING:
        return ""
    return f"there is no space left on the disk of {folder}: {free >> 20} MiB are free, {NEEDED >> 20} are needed"
