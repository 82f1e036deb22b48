"""Backends: nothing waits for them, what they cannot take is counted, and they go on."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kafila.audit import log as log_backend
from kafila.audit.buffer import Buffer
from kafila.audit.events import Body, Event
from kafila.audit.log import LogBackend, LogFile
from kafila.audit.metrics import ERRORS
from kafila.audit.policy import Level
from kafila.audit.webhook import ATTEMPTS, Batching, WebhookBackend
from kafila.core.webhooks import WebhookError
from tests.waiting import eventually


def event(number: int, raw: bytes = b"") -> Event:
    return Event({"auditID": str(number)}, sent=Body(raw, json.loads) if raw else None)


def lost(plugin: str) -> float:
    return ERRORS.labels(plugin)._value.get()


class Held:
    """A file that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.written = b""

    def write(self, content: bytes) -> None:
        self.entered.set()
        assert self.go.wait(60)
        self.written += content

    def close(self) -> None:
        pass


def ids(content: bytes) -> list[int]:
    return [int(json.loads(line)["auditID"]) for line in content.splitlines()]


def test_events_come_into_the_file_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text('{"auditID":"0"}\n')
    backend = LogBackend(LogFile(path))
    for number in range(1, 500):
        backend.put(event(number))
    backend.close(60)
    assert ids(path.read_bytes()) == list(range(500))


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    LogFile(tmp_path / "audit.log").close()
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_a_slow_file_holds_nobody_up_and_what_has_no_room_is_counted() -> None:
    file, before = Held(), lost("log")
    backend = LogBackend(file, Buffer(most_events=10))  # type: ignore[arg-type]
    backend.put(event(0))
    assert file.entered.wait(60)  # it is being written, and that does not end
    for number in range(1, 16):
        backend.put(event(number))
    assert lost("log") - before == 5
    file.go.set()
    backend.close(60)
    assert ids(file.written) == list(range(11))


def test_what_waits_has_a_size() -> None:
    buffer = Buffer(most_bytes=10)
    assert buffer.put(event(1, b"x" * 50))  # alone it may be larger
    assert not buffer.put(event(2, b"x"))
    assert buffer.put(event(3))
    assert len(buffer.take(10, 0)) == 2
    assert buffer.put(event(4, b"x"))


def test_a_full_disk_takes_half_a_line_back_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, before = tmp_path / "audit.log", os.write, lost("log")
    file = LogFile(path)
    file.write(b'{"auditID":"1"}\n')
    room = [4]

    def full(descriptor: int, content: Any) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(content)[: room.pop()])

    with monkeypatch.context() as patched:
        patched.setattr(log_backend.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.write(b'{"auditID":"2"}\n')
    assert ids(path.read_bytes()) == [1]
    backend = LogBackend(file)
    backend.put(event(3))
    backend.close(60)
    assert ids(path.read_bytes()) == [1, 3]
    assert lost("log") == before


def test_a_device_without_room_is_counted() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    before = lost("log")
    backend = LogBackend(LogFile(Path("/dev/full")))
    backend.put(event(1))
    backend.close(60)
    assert lost("log") - before == 1


def test_what_cannot_be_written_takes_nothing_with_it(tmp_path: Path) -> None:
    before, path = lost("log"), tmp_path / "audit.log"
    backend = LogBackend(LogFile(path))
    backend.put(Event({"auditID": object()}))
    backend.put(event(1))
    backend.close(60)
    assert ids(path.read_bytes()) == [1]
    assert lost("log") - before == 1


def test_a_full_file_is_exchanged(tmp_path: Path) -> None:
    path, mebibyte = tmp_path / "audit.log", b"x" * (1 << 20)
    file = LogFile(path, most_size=1)
    file.write(mebibyte)
    file.write(b"y")
    file.close()
    assert path.read_bytes() == b"y"
    (backup,) = tmp_path.glob("audit-*.log")
    assert backup.read_bytes() == mebibyte
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_file_that_somebody_took_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = LogFile(path, most_size=1)
    file.write(b"x" * (1 << 20))
    path.unlink()
    file.write(b"y")
    file.close()
    assert path.read_bytes() == b"y"


def test_a_file_that_cannot_be_exchanged_is_written_to_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    file = LogFile(path, most_size=1)
    file.write(b"x" * (1 << 20))

    def refused(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        file.write(b"y")
    file.write(b"z")
    file.close()
    assert path.read_bytes().endswith(b"xyz")


def test_one_file_has_one_writer(tmp_path: Path) -> None:
    """What one takes back when the disk is full would be lines of the other."""
    path = tmp_path / "audit.log"
    file = LogFile(path, most_size=1)
    for _ in range(2):
        with pytest.raises(OSError, match="another process writes to it"):
            LogFile(path)
        file.write(b"x" * (1 << 20))  # also after it was exchanged
        file.write(b"y")
    file.close()
    LogFile(path).close()


@pytest.mark.parametrize(("most_backups", "most_days", "stay"), [(0, 0, 3), (2, 0, 2), (0, 5, 2), (1, 5, 1)])
def test_old_files_go(tmp_path: Path, most_backups: int, most_days: int, stay: int) -> None:
    path = tmp_path / "audit.log"
    for day in (1, 2):  # both long ago by their names; one was written lately
        old = tmp_path / f"audit-2020-01-0{day}T00-00-00.000.log"
        old.touch()
        if day == 1:
            os.utime(old, (0, 0))
    other = tmp_path / "audit-of-others.log"
    other.touch()
    file = LogFile(path, 1, most_backups, most_days)
    file.write(b"x" * (1 << 20))
    file.write(b"y")
    file.close()
    assert len(list(tmp_path.glob("audit-2*.log"))) == stay
    assert other.exists()


class Taken:
    """A webhook."""

    def __init__(self, *refusals: WebhookError) -> None:
        self.batches: list[list[int]] = []
        self.asked = 0
        self.pauses: list[float] = []
        self._refusals = list(refusals)

    async def post(self, content: bytes) -> None:
        self.asked += 1
        if self._refusals:
            raise self._refusals.pop(0)
        self.batches.append([int(each["auditID"]) for each in json.loads(content)["items"]])

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_batches_are_sent_when_they_are_full() -> None:
    hook = Taken()
    backend = WebhookBackend(hook.post, Batching(max_size=3, max_wait=1e6), hook.pause)
    for number in range(7):
        backend.put(event(number))
    await eventually(lambda: len(hook.batches) == 2)
    assert hook.batches == [[0, 1, 2], [3, 4, 5]]
    await backend.close(60)
    assert hook.batches[2:] == [[6]]


async def test_batches_are_sent_after_a_while() -> None:
    hook = Taken()
    backend = WebhookBackend(hook.post, Batching(max_wait=0.0), hook.pause)
    backend.put(event(1))
    await eventually(lambda: hook.batches == [[1]])
    await backend.close(60)


async def test_a_batch_that_is_not_taken_is_sent_again() -> None:
    hook, before = Taken(WebhookError("away"), WebhookError("away")), lost("webhook")
    backend = WebhookBackend(hook.post, Batching(max_wait=0.0, initial_backoff=4.0), hook.pause)
    backend.put(event(1))
    await eventually(lambda: hook.batches == [[1]])
    assert hook.pauses == [4.0, 6.0]
    assert lost("webhook") == before
    await backend.close(60)


@pytest.mark.parametrize(("again", "asked"), [(True, ATTEMPTS), (False, 1)])
async def test_a_batch_that_nobody_takes_is_counted(again: bool, asked: int) -> None:
    hook, before = Taken(*[WebhookError("no", again)] * asked), lost("webhook")
    backend = WebhookBackend(hook.post, Batching(max_wait=0.0), hook.pause)
    backend.put(event(1))
    await eventually(lambda: lost("webhook") - before == 1)
    assert hook.asked == asked
    backend.put(event(2))
    await eventually(lambda: hook.batches == [[2]])
    await backend.close(60)


async def test_a_webhook_that_does_not_answer_holds_nobody_up() -> None:
    before, entered = lost("webhook"), asyncio.Event()

    async def post(content: bytes) -> None:
        entered.set()
        await asyncio.Event().wait()

    backend = WebhookBackend(post, Batching(buffer_size=5, max_size=1, max_wait=0.0))
    backend.put(event(0))
    await entered.wait()
    for number in range(1, 9):
        backend.put(event(number))
    assert lost("webhook") - before == 3
    await backend.close(0)
    assert lost("webhook") - before == 8


async def test_what_cannot_be_written_takes_no_other_event_with_it() -> None:
    hook, before = Taken(), lost("webhook")
    backend = WebhookBackend(hook.post, Batching(max_size=2, max_wait=1e6), hook.pause)
    backend.put(Event({"auditID": "1"}, Level.REQUEST, sent=Body(b"x", lambda raw: 1 // 0)))
    backend.put(event(2))
    await eventually(lambda: hook.batches == [[2]])
    assert lost("webhook") - before == 1
    await backend.close(60)
