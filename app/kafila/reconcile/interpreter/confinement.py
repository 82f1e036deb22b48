"""What a process gives up before it runs the scripts of users: rights, files, children, and memory without end.

A script that breaks out of Lua finds itself there. What a system does not have is left out: then the other bounds hold alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from typing import Final

from kafila.core.posix import NOBODY

ADDRESS_SPACE: Final = 512 << 20  # bytes; the program itself takes some 100 MiB
FILES: Final = 16
_PR_SET_NO_NEW_PRIVS: Final = 38


def confine() -> None:
    """What the process has loaded and opened it keeps; nothing is loaded from files that only others may read afterwards."""
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):  # root without the capability to become somebody else
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, FILES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
