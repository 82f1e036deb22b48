"""Files that are read again when they change. What is wrong leaves the old content in force, is logged and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter

log = structlog.get_logger(__name__)
PERIOD: Final = 1.0  # seconds between two looks
LARGEST: Final = 4 << 20  # bytes
RELOADS: Final = Counter(
    "apiserver_authentication_config_controller_automatic_reloads",
    "Files of authentication that were read again because they changed.",
    ["status"],
)


def read(path: Path) -> bytes:
    """Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB")
    return content


async def follow(
    path: Path,
    content: bytes,
    apply: Callable[[bytes], None],
    period: float = PERIOD,
    reloads: Counter = RELOADS,
) -> None:
    """Calls ``apply`` with each new content, for ever; ValueError says what is wrong with it. A Secret that is mounted changes
    by a link to another folder, which only shows in what it leads to."""
    await follow_together([path], [content], lambda contents: apply(contents[0]), period, reloads)


async def follow_together(
    paths: Sequence[Path],
    contents: Sequence[bytes],
    apply: Callable[[list[bytes]], None],
    period: float = PERIOD,
    reloads: Counter = RELOADS,
) -> None:
    """As :func:`follow`, of files that belong together. While they are exchanged one after the other they may not fit: that
    is said, and is over once the last one is there."""
    seen: list[bytes] | None = list(contents)
    while True:
        await asyncio.sleep(period)
        found = await asyncio.to_thread(_read_or_none, paths)
        if found == seen:
            continue
        seen = found
        shown = ", ".join(map(str, paths))
        try:
            if found is None:
                raise ValueError("cannot be read any more")
            apply(found)
        except (ValueError, OSError) as error:  # OSError: what OpenSSL makes of certificates
            reloads.labels("failure").inc()
            log.error("not reloaded, what was read before stays in force", file=shown, reason=str(error))
        else:
            reloads.labels("success").inc()
            log.info("reloaded", file=shown)


def _read_or_none(paths: Sequence[Path]) -> list[bytes] | None:
    try:
        return [read(path) for path in paths]
    except ValueError:
        return None
