"""A backup is one moment of a database that goes on; what is made from it is whole or not there, and takes no number twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from kafila.core.resources import Key
from kafila.store import backup, programs
from kafila.store.backup import BackupError, back_up, restore, schema_of
from kafila.store.interface import Compacted, Transaction, Write
from kafila.store.migrate import HEAD, MigrationError, upgrade
from kafila.store.postgres import PostgresStore

KAFILA = Path(sys.executable).with_name("kafila")


def write(number: int) -> Transaction:
    """Two objects that have the same number, or there is half a transaction."""
    text = f'{{"metadata":{{"labels":{{"number":"{number}"}}}}}}'.encode()
    return Transaction([], [Write(Key("pods", "a", name), text) for name in ("one", "other")])


async def objects(store: PostgresStore) -> dict[Key, bytes]:
    return {each.key: each.body async for each in store.listing()}


async def test_it_is_one_moment_of_a_database_that_is_written(
    postgres_dsn: str, empty_dsn: str, tmp_path: Path
) -> None:
    store, file = PostgresStore(postgres_dsn), tmp_path / "backup"
    await store.open()
    await store.snapshot()
    first = (await store.commit(write(0)))[-1]
    stop = asyncio.Event()

    async def go_on() -> int:
        last, number = 0, 1
        while not stop.is_set():
            (*_, last), number = await store.commit(write(number)), number + 1
        return last

    writing = asyncio.create_task(go_on())
    found = await back_up(postgres_dsn, file)
    stop.set()
    last = await writing
    await store.close()
    assert (found.objects, found.schema, file.stat().st_mode & 0o777) == (2, HEAD, 0o600)
    assert first <= found.revision <= last

    made = await restore(empty_dsn, file)
    assert (made.objects, made.schema) == (2, HEAD)
    restored = PostgresStore(empty_dsn)
    await restored.open()
    try:
        head, _ = await restored.snapshot()
        there = await objects(restored)
        assert len(there) == 2
        assert len(set(there.values())) == 1
        assert made.revision == head > last + 1_000_000
        (*_, next_one) = await restored.commit(write(7))
        assert next_one > head  # than anything that was given out before
        with pytest.raises(Compacted):  # who watched before begins anew
            await restored.read_log(last)
    finally:
        await restored.close()


async def test_a_restore_that_ends_halfway_is_served_by_nobody(
    postgres_dsn: str, empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await back_up(postgres_dsn, tmp_path / "backup")

    async def dies(connection: asyncpg.Connection) -> int:
        raise asyncpg.DiskFullError("no space left")

    monkeypatch.setattr(backup, "raise_restored", dies)
    with pytest.raises(BackupError, match="no space left"):
        await restore(empty_dsn, tmp_path / "backup")
    with pytest.raises(MigrationError, match="kafila restore did not come to its end"):
        await upgrade(empty_dsn)
    with pytest.raises(BackupError, match="not empty"):
        await restore(empty_dsn, tmp_path / "backup")


async def test_a_file_that_ends_too_early_leaves_nothing_that_is_served(
    postgres_dsn: str, empty_dsn: str, tmp_path: Path
) -> None:
    """PostgreSQL takes all of it back, and an empty database would be served as a new control plane. It can be filled again."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    await back_up(postgres_dsn, whole)
    part.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(BackupError, match=f"^{part}: "):
        await restore(empty_dsn, part)
    with pytest.raises(MigrationError, match="kafila restore did not come to its end"):
        await upgrade(empty_dsn)
    await restore(empty_dsn, whole)
    assert not await upgrade(empty_dsn)


async def test_what_was_there_stays_when_a_backup_fails(
    postgres_dsn: str, empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup"
    await back_up(postgres_dsn, file)
    before = file.read_bytes()
    with pytest.raises(BackupError, match="not kafila's, or empty"):
        await back_up(empty_dsn, file)
    with pytest.raises(BackupError, match="Connect call failed"):
        await back_up("postgresql://127.0.0.1:1/none", file)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pg_dump").write_text(
        "#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2\nexit 1\n"
    )
    (folder / "pg_dump").chmod(0o755)
    monkeypatch.setattr(programs, "installation", lambda: tmp_path)
    with pytest.raises(BackupError, match=r"^aborting because of server version mismatch$"):
        await back_up(postgres_dsn, file)
    assert file.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["backup", "bin"]


async def test_other_files_are_refused(postgres_dsn: str, postgres_server: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"PGDMP" + bytes(1000))
    with pytest.raises(BackupError):
        await schema_of(other)
    other.write_text("hello")
    with pytest.raises(BackupError, match="valid archive"):
        await schema_of(other)
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DROP TABLE alembic_version; CREATE TABLE pets (name text)")
    await connection.close()
    await backup._run(postgres_dsn, "pg_dump", "-Fc", "-f", str(other))
    with pytest.raises(BackupError, match="backup of something else"):
        await schema_of(other)


async def test_a_password_is_seen_by_nobody(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the arguments nor in the environment of a program that is started."""
    secret = "p4ss word"
    async with backup._service(
        f"postgresql://me:{secret.replace(' ', '%20')}@db.example.org:5433/kafila?sslmode=require"
    ) as found:
        file = found["PGSERVICEFILE"]
        assert os.stat(file).st_mode & 0o777 == 0o600
        with open(file) as opened:  # noqa: ASYNC230
            lines = set(opened.read().splitlines())
        assert lines == {
            "[kafila]",
            "user=me",
            f"password={secret}",
            "host=db.example.org",
            "port=5433",
            "dbname=kafila",
            "sslmode=require",
        }
        assert not any(secret in value for value in found.values())
    with pytest.raises(FileNotFoundError):
        os.stat(file)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KAFILA, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd="/")


def test_the_commands(postgres_dsn: str, server_folder: Path, tmp_path: Path) -> None:
    file, data = tmp_path / "backup", server_folder / "data"
    done = run("backup", file, f"--database-url={postgres_dsn}")
    assert (done.returncode, done.stdout.rpartition(",")[0]) == (
        0,
        f"{file}: 0 objects at revision 1, schema {HEAD}",
    ), done
    done = run("restore", file, f"--data-dir={data}")
    assert (done.returncode, done.stdout.partition(";")[0]) == (0, f"0 objects restored, schema {HEAD}"), done
    refused = {
        (
            "restore",
            file,
            f"--data-dir={data}",
        ): f"--data-dir {data} has a database: move the folder away, or name another one",
        ("restore", file, f"--database-url={postgres_dsn}"): "the database is not empty: restore into a new one",
        ("restore", tmp_path / "none"): f"{tmp_path}/none: there is no such file",
        (
            "backup",
            tmp_path / "no/where",
            f"--database-url={postgres_dsn}",
        ): f"{tmp_path}/no: No such file or directory",
        ("backup", tmp_path, f"--database-url={postgres_dsn}"): f"{tmp_path} is a folder: name a file in it",
        ("backup", file, f"--data-dir={tmp_path}/no"): "there is no database",
    }
    for arguments, said in refused.items():
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), done
        (line,) = done.stderr.splitlines()
        assert said in line
