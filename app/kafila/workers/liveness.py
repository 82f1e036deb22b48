"""Names of processes from which another one on the same machine can tell that they are dead.

After a crash the successor need not wait until a dead process's lease ends. It may only judge processes that it could see:
of this boot of this machine and of its own process namespace. Of all others it says nothing.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Final

_SHARES: Final = "-shares"


def identity(shares: bool = False) -> str:
    """``host_place_pid_start_random``: tells processes apart, also one that got the number of an earlier one. ``shares``: one that
    leads does not have all member clusters, and says so to others by its name."""
    pid = os.getpid()
    name = f"{socket.gethostname()}_{_place()}_{pid}_{_started(pid) or 'x'}_{secrets.token_hex(4)}"
    return name + _SHARES if shares else name


def shares_members(other: str) -> bool:
    """Whether the process with this identity shares member clusters out. One of a version that cannot does not say so."""
    return other.endswith(_SHARES)


def called(other: str) -> str:
    """What people call the process with this identity."""
    host, *parts = other.rsplit("_", 4)
    return f"process {parts[1]} on {host}" if len(parts) == 4 else other


def is_dead(other: str) -> bool:
    """Whether the process with this identity has certainly ended. False when that cannot be known."""
    if other.count("_") < 4:
        return False
    host, place, pid, start, _ = other.rsplit("_", 4)
    if not pid.isdigit() or not start.isdigit():
        return False
    if host != socket.gethostname() or place != _place() or place == "unknown":
        return False
    return _started(int(pid)) != start


def _place() -> str:
    """This boot and this process namespace: where process numbers mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
        return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    """Ticks since boot at which a process started, "" when there is none. A zombie has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
