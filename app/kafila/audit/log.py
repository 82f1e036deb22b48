"""The log backend: a line of JSON for each event, in a file that is exchanged when it is full, or on standard output."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from kafila.core.files import open_private

from .buffer import Buffer
from .events import Event, completed, line
from .metrics import lost

PLUGIN: Final = "log"
DEFAULT_SIZE: Final = 100  # MiB, as lumberjack
AT_ONCE: Final = 100  # events that are written together
DAY: Final = 86_400


@final
class LogFile:
    """Raises OSError where it cannot be written to. ``most_size`` in MiB, ``most_days`` and ``most_backups``: 0 keeps all."""

    def __init__(self, path: Path, most_size: int = 0, most_backups: int = 0, most_days: int = 0) -> None:
        self._path = path
        self._most_bytes = (most_size or DEFAULT_SIZE) << 20
        self._most_backups = most_backups
        self._most_days = most_days
        self._descriptor = open_private(path)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, content: bytes) -> None:
        """All of it or nothing: half a line is taken back. Raises OSError."""
        if self._size and self._size + len(content) > self._most_bytes:
            self._rotate()
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
        self._path.rename(backup)
        fresh = open_private(self._path)
        os.close(self._descriptor)
        self._descriptor, self._size = fresh, 0
        self._remove_old(time.time())

    def _remove_old(self, now: float) -> None:
        pattern = f"{self._path.stem}-????-??-??T??-??-??.???{self._path.suffix}"
        backups = sorted(self._path.parent.glob(pattern), reverse=True)
        for at, backup in enumerate(backups):
            too_many = self._most_backups and at >= self._most_backups
            if too_many or (self._most_days and backup.stat().st_mtime < now - self._most_days * DAY):
                backup.unlink(missing_ok=True)


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

    def close(self, patience: float) -> None:
        """Waits so many seconds for what is not written yet."""
        self._buffer.close()
        self._thread.join(patience)
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
