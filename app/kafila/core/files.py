"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path


def open_private(path: Path) -> int:
    """A descriptor that appends; a file that is made can be read by the owner alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def write_private(path: Path, content: bytes) -> None:
    """Atomically, readable by the owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
