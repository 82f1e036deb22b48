"""A full disk: it is said where people look, nothing that was acknowledged is lost, and all goes on when there is room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import final

import pytest

from kafila.core.resources import Key
from kafila.store import open_store
from kafila.store.audit import AuditQuery, AuditRow
from kafila.store.interface import OutcomeUnknown, Store, StoreUnavailable, Transaction, Write
from tests.conftest import open_folder
from tests.waiting import wait_until

from .front import Front, front

NO_SPACE = "No space left on device"
REASON = "there is no space left on the disk of"


@final
class Disk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * (1 << 16)):
                pass

    def free(self) -> None:
        self._filler.unlink()

    def resize(self, mebibytes: int) -> None:
        _mount("-o", f"remount,size={mebibytes}m", str(self.folder))


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system of our own can be mounted: {done.stderr.strip()}")


@pytest.fixture
def disk() -> Iterator[Disk]:
    with open_folder() as folder:
        _mount("-t", "tmpfs", "-o", "size=120m,mode=0711", "tmpfs", str(folder))
        try:
            yield Disk(folder)
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def big(number: int) -> Transaction:
    """It begins as every body does: what begins otherwise is taken for a packed one."""
    return Transaction([], [Write(Key("configmaps", "default", f"c{number}"), b"{" + os.urandom(500_000))])


async def well(store: Store) -> None:
    async with asyncio.timeout(60):
        while store.trouble:
            await asyncio.sleep(0.05)


def lines(said: str, event: str) -> list[str]:
    return [line for line in said.splitlines() if event in line]


async def test_it_is_said_once_and_over_when_there_is_room(disk: Disk, capfd: pytest.CaptureFixture[str]) -> None:
    store = await open_store(None, disk.folder)
    try:
        [kept] = await store.commit(big(0))
        await well(store)
        disk.fill()
        for number in range(1, 6):
            with pytest.raises(StoreUnavailable, match=NO_SPACE):
                await store.commit(big(number))
        assert store.trouble.startswith("storage takes no writes: could not extend file")
        assert await store.head() == kept  # it can be read
        disk.free()
        await well(store)  # though nobody writes
        assert await store.commit(big(6)) == [kept + 1]
    finally:
        await store.close()
    said = capfd.readouterr().out
    assert len(lines(said, "the database takes no writes")) == 1
    assert len(lines(said, "the database takes writes again")) == 1


async def test_records_of_who_changed_what_wait_for_room(disk: Disk) -> None:
    store = await open_store(None, disk.folder)
    table = store.audit()
    asked = AuditQuery(0, 10)

    def row(number: int) -> AuditRow:
        texts = ("ann", "", "patch", "configmaps", "", "default", f"c{number}")
        return AuditRow(1.8e9 + number, f"r{number}", *texts, 200, "", "", os.urandom(2_000_000).hex())

    try:
        await table.insert([row(0)])
        disk.fill()
        waiting = row(1)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=NO_SPACE):
                await table.insert([waiting])
        assert [each.id for each in (await store.audit_rows(asked)).rows] == ["r0"]  # they can be read
        disk.free()
        await table.insert([waiting])
        assert [each.id for each in (await store.audit_rows(asked)).rows] == ["r1", "r0"]
    finally:
        await table.close()
        await store.close()


async def test_a_server_that_ends_for_want_of_room_comes_back_with_all_that_was_acknowledged(
    disk: Disk, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its own log needs room too, and without that it does not go on. It was started again every second, in vain."""
    disk.resize(80)
    store = await open_store(None, disk.folder)
    kept: set[str] = set()
    try:
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            for number in range(1000):
                await store.commit(big(number))
                kept.add(f"c{number}")
        async with asyncio.timeout(60):
            while REASON not in store.trouble:
                await asyncio.sleep(0.05)
        assert store.trouble.startswith("storage is not reachable: ")
        disk.resize(200)
        await well(store)
        assert await store.commit(big(2000))
        assert kept <= {found.key.name async for found in store.listing()}
    finally:
        await store.close()
    said = capfd.readouterr().out
    assert len(lines(said, REASON)) == 1


def started(folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [
        sys.executable,
        "-c",
        "from kafila.cli import main; main()",
        "serve",
        "--data-dir",
        str(folder / "data"),
        "--bind",
        "127.0.0.1:0",
    ]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=90)


async def test_a_start_on_a_full_disk_is_one_line(disk: Disk) -> None:
    disk.resize(8)
    new = started(disk.folder)
    disk.resize(120)
    await (await open_store(None, disk.folder / "data")).close()
    disk.fill()
    old = started(disk.folder)
    for done in (new, old):
        assert done.returncode not in (0, None)
        assert "Traceback" not in done.stderr
        [line] = [line for line in done.stderr.splitlines() if line.strip()]
        assert REASON in line or NO_SPACE in line


def test_a_whole_process_tells(disk: Disk) -> None:
    """In readiness, in the answer to who writes, in metrics and in the log; reading goes on."""
    maps = "/api/v1/namespaces/default/configmaps"

    def create(server: Front, name: str, size: int = 0) -> tuple[int, bytes]:
        body = json.dumps({"metadata": {"name": name}, "data": {"a": os.urandom(size // 2).hex()}}).encode()
        return server.as_admin("POST", maps, body, **{"content-type": "application/json"})

    with front(folder=disk.folder) as server:
        assert create(server, "before")[0] == 201
        disk.fill()
        answers = [create(server, f"c{number}", 500_000) for number in range(20)]  # there is room in files that exist
        code, refused = answers[-1]
        assert code == 503
        ready, why = server.as_admin("GET", "/readyz/storage")
        assert ready == 500
        # of whichever write was refused last: the server's own may be about another file
        for said in (json.loads(refused)["message"], why.decode().removeprefix("internal server error: ")):
            assert said.startswith("storage takes no writes: could not extend file"), said
            assert NO_SPACE in said
        assert b"kafila_storage_healthy 0.0" in server.as_admin("GET", "/metrics")[1]
        assert server.as_admin("GET", f"{maps}/before")[0] == 200
        disk.free()
        wait_until(lambda: server.as_admin("GET", "/readyz") == (200, b"ok"))
        assert create(server, "after")[0] == 201
        assert b"kafila_storage_healthy 1.0" in server.as_admin("GET", "/metrics")[1]
        assert len(server.logs(event="the database takes no writes")) == 1
