"""The log backend: a line of JSON for each event, in a file that is exchanged when it is full, or on standard output."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

import structlog

from kafila.core.files import open_private

from .buffer import Buffer
from .events import Event, completed, line
from .metrics import lost

log = structlog.get_logger(__name__)
PLUGIN: Final = "log"
DEFAULT_SIZE: Final = 100  # MiB, as lumberjack
AT_ONCE: Final = 100  # events that are written together
DAY: Final = 86_400


@final
class LogFile:
    """Written to by one process. Raises OSError where that cannot be. ``most_size`` in MiB, ``most_days`` and ``most_backups``: 0 keeps all."""

    def __init__(self, path: Path, most_size: int = 0, most_backups: int = 0, most_days: int = 0) -> None:
        self._path = path
        self._most_bytes = (most_size or DEFAULT_SIZE) << 20
        self._most_backups = most_backups
        self._most_days = most_days
        self._descriptor = _open_alone(path)
        self._size = os.fstat(self._descriptor).st_size
        self._full_at = self._most_bytes

    def write(self, content: bytes) -> None:
        """All of it or nothing: half a line is taken back. Raises OSError."""
        if self._size and self._size + len(content) > self._full_at:
            try:
                self._rotate()
            except OSError as error:  # a file that grows is better than none
                self._full_at = self._size + self._most_bytes
                log.error("audit log not exchanged", file=str(self._path), reason=str(error))
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        os.close(self._descriptor)

    def _rotate(self) -> None:
        now = datetime.now(UTC)
        stamp = f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03}"
        backup = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        if backup.exists():
            return  # within a millisecond: a little more than a full file
        if self._path.exists():
            self._path.rename(backup)
        fresh = _open_alone(self._path)
        os.close(self._descriptor)
        self._descriptor, self._size, self._full_at = fresh, 0, self._most_bytes
        self._remove_old(time.time())

    def _remove_old(self, now: float) -> None:
        pattern = f"{self._path.stem}-????-??-??T??-??-??.???{self._path.suffix}"
        backups = sorted(self._path.parent.glob(pattern), reverse=True)
        for at, backup in enumerate(backups):
            too_many = self._most_backups and at >= self._most_backups
            if too_many or (self._most_days and backup.stat().st_mtime < now - self._most_days * DAY):
                backup.unlink(missing_ok=True)


def _open_alone(path: Path) -> int:
    """Raises OSError."""
    descriptor = open_private(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(errno.EWOULDBLOCK, "another process writes to it") from None
    return descriptor


@final
class StandardOutput:
    def write(self, content: bytes) -> None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass


@final
class LogBackend:
    def __init__(self, file: LogFile | StandardOutput, buffer: Buffer | None = None) -> None:
        self._file = file
        self._buffer = buffer if buffer is not None else Buffer()
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        if not self._buffer.put(event):
            lost(PLUGIN, 1, "the log is written more slowly than events come")

    def close(self, timeout: float) -> None:
        """Waits so many seconds for what is not written yet."""
        self._buffer.close()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._file.close()

    def _run(self) -> None:
        while events := self._buffer.take(AT_ONCE, 0.0):
            lines = [text for event in events if (text := _line_of(event))]
            try:
                self._file.write(b"".join(lines))
            except (OSError, ValueError) as error:  # ValueError: standard output is closed
                lost(PLUGIN, len(lines), str(error))


def _line_of(event: Event) -> bytes:
    try:
        return line(completed(event))
    except Exception as error:  # what strangers sent must not end the thread that records what they do
        lost(PLUGIN, 1, f"{type(error).__name__}: {error}")
        return b""
