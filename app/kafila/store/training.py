"""Trains one dictionary in a process of its own: what that takes of memory is given back, and nothing waits for it.

``python -m kafila.store.training`` reads bodies, each behind its length (4 bytes), and writes the dictionary; nothing when there
is none to be had.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import zstandard

SIZE: Final = 32 << 10
_TIMEOUT: Final = 60.0  # seconds; a tenth of one is usual


async def trained(bodies: Sequence[bytes]) -> bytes:
    """A dictionary; empty where the bodies are too few or too much alike, and when it could not be tried."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            found, _ = await process.communicate(b"".join(len(b).to_bytes(4, "big") + b for b in bodies))
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return found if process.returncode == 0 else b""


def train(bodies: Sequence[bytes]) -> bytes:
    try:
        return zstandard.train_dictionary(SIZE, list(bodies)).as_bytes()
    except zstandard.ZstdError:
        return b""


def main() -> None:
    data = sys.stdin.buffer.read()
    bodies = []
    at = 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "big")
        bodies.append(data[start:at])
    sys.stdout.buffer.write(train(bodies))


if __name__ == "__main__":
    main()
