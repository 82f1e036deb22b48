"""The server we start ourselves: who may enter, who may use it twice, and what is left after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from kafila.core.posix import NOBODY
from kafila.core.resources import Key
from kafila.store import accounts, embedded, open_store, programs
from kafila.store.embedded import EmbeddedError, EmbeddedPostgres
from kafila.store.interface import Guard, GuardFailed, OutcomeUnknown, Store, StoreUnavailable, Transaction, Write


@pytest.fixture
def folder(server_folder: Path) -> Path:
    return server_folder


async def test_one_folder_private_and_no_port(folder: Path) -> None:
    parents = {path: path.stat() for path in folder.parents}
    server = EmbeddedPostgres(folder / "data")
    dsn = await server.start()
    try:
        root = folder / "data" / "postgres"
        for private in (root, root / "data", root / "run"):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert server.pid is not None
        assert os.stat(f"/proc/{server.pid}").st_uid == root.stat().st_uid != 0
        assert "trust" not in (root / "data" / "pg_hba.conf").read_text()
        connection = await asyncpg.connect(dsn)
        for name, value in {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on"}.items():
            assert await connection.fetchval("SELECT current_setting($1)", name) == value
        await connection.close()
    finally:
        await server.stop()
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in parents} == {
        path: (found.st_mode, found.st_uid) for path, found in parents.items()
    }


async def test_a_second_one_on_the_same_folder_is_refused(folder: Path) -> None:
    async with EmbeddedPostgres(folder):
        with pytest.raises(EmbeddedError, match="another kafila is using"):
            await EmbeddedPostgres(folder).start()
    async with EmbeddedPostgres(folder):  # free again
        pass


async def test_a_long_path_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("x" * 100)
    server = EmbeddedPostgres(deep)
    try:
        connection = await asyncpg.connect(await server.start())
        assert await connection.fetchval("SELECT 1") == 1
        sockets = await connection.fetchval("SHOW unix_socket_directories")
        await connection.close()
    finally:
        await server.stop()
    assert stat.S_IMODE(os.stat(sockets).st_mode) == 0o700
    os.rmdir(sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
async def test_root_is_told_when_the_folder_cannot_be_reached(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="cannot be reached by user"):
        await EmbeddedPostgres(closed / "data").start()


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in [folder, *folder.rglob("*")] if path.name not in ("lock", "messages")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
async def test_it_never_runs_as_nobody(folder: Path) -> None:
    """Whatever else runs as nobody could read and change it. What an earlier version kept so is taken over."""
    server = EmbeddedPostgres(folder)
    await server.start()
    await server.stop()
    [owner] = owners(folder / "postgres")
    assert owner not in (0, NOBODY)
    accounts.give(folder / "postgres", accounts.Account(NOBODY, NOBODY, "nobody", change=True))
    await server.start()
    try:
        assert os.stat(f"/proc/{server.pid}").st_uid == owner
        assert owners(folder / "postgres") == {owner}
    finally:
        await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
async def test_what_else_has_a_name_in_the_folder_is_not_given_away(folder: Path, tmp_path: Path) -> None:
    """Who could write there may have linked a file of somebody else into it."""
    (folder / "postgres").mkdir()
    precious = folder / "precious"
    precious.touch()
    os.link(precious, folder / "postgres" / "linked")
    os.symlink(tmp_path, folder / "postgres" / "pointed")
    os.chown(folder / "postgres", NOBODY, NOBODY)
    with pytest.raises(EmbeddedError, match="linked is also a file elsewhere"):
        await EmbeddedPostgres(folder).start()
    assert (os.stat(precious).st_uid, os.stat(tmp_path).st_uid) == (0, 0)


_WITHOUT_USERS = """
mount --bind "$1" /etc/passwd && exec "$2" -c "
import asyncio, os, sys
from pathlib import Path
from kafila.store.embedded import EmbeddedPostgres
async def main():
    async with EmbeddedPostgres(sys.argv[1]):
        print(Path(sys.argv[1], 'postgres', 'data').stat().st_uid)
asyncio.run(main())
" "$3"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
def test_root_needs_no_user_made_for_it(folder: Path, tmp_path: Path) -> None:
    """A fresh machine: PostgreSQL's own programs want a name for their user, which a number has not."""
    users = tmp_path / "passwd"
    users.write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\ndaemon:x:1:1::/:/bin/false\n")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _WITHOUT_USERS, "sh", str(users), sys.executable, str(folder)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "app")},
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"/etc/passwd cannot be another one here: {done.stderr.strip()}")
    assert done.stdout.split() == [str(accounts._OWN[0])], done.stderr


_PARENT = """
import asyncio, sys
from kafila.store.embedded import EmbeddedPostgres
async def main():
    server = EmbeddedPostgres(sys.argv[1])
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def _runs(pid: int) -> bool:
    """False also for what ended and waits for a parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_ends_with_its_killed_parent_and_starts_again(folder: Path) -> None:
    root = Path(__file__).parents[3] / "app"
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, str(folder), stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    server = EmbeddedPostgres(folder)
    dsn = await server.start()  # waits until the predecessor is gone
    try:
        assert server.pid != pid
        assert not _runs(pid)
        connection = await asyncpg.connect(dsn)
        await connection.close()
    finally:
        await server.stop()


async def test_a_left_over_pid_file_of_another_program_does_not_matter(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as dsn:
        text = (folder / "postgres" / "data" / "postmaster.pid").read_text()
    (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n" + text.partition("\n")[2])
    async with EmbeddedPostgres(folder) as again:
        assert again == dsn


async def test_open_store_starts_migrates_and_stops(folder: Path) -> None:
    from kafila.core.resources import Key

    store = await open_store(None, folder)
    [revision] = await store.commit(Transaction([], [Write(Key("pods", "", "a"), b"x")]))
    await store.close()
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()
    store = await open_store("", folder)
    assert await store.head() == revision
    await store.close()
    with pytest.raises(ValueError, match="data directory"):
        await open_store(None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
async def test_binaries_that_the_user_cannot_reach_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment below /root."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "installation").symlink_to(programs.installation())
    monkeypatch.setattr(embedded, "installation", lambda: closed / "installation")
    async with EmbeddedPostgres(folder) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.close()
    assert list((folder / "postgres" / "programs").glob("*/*/bin/postgres"))


async def test_a_killed_server_is_started_again_and_keeps_what_was_committed(folder: Path) -> None:
    store = await open_store(None, folder)
    try:
        store.subscribe(lambda rows: None, lambda: None)
        await store.snapshot()
        key = Key("configmaps", "default", "kept")
        await store.commit(Transaction([], [Write(key, b'{"metadata":{"name":"kept"}}')]))
        pid = int((folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            with pytest.raises(GuardFailed) as failed:
                await _until_answered(store, Transaction([Guard(key, absent=True)], []))
        assert failed.value.revision > 0
    finally:
        await store.close()


async def _until_answered(store: Store, transaction: Transaction) -> None:
    while True:
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            await store.commit(transaction)
            return
