"""`kafila encrypt rewrite`: all that is stored, under the key that is written with now, while others write and read."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from kafila.cli import main
from kafila.core.resources import Key
from kafila.encryption.encryption import IN_CLEAR, Encryption
from kafila.store import dictionaries
from kafila.store.interface import EVENTS, EventQuery, Row, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.rewriting import AlreadyRunning, Report, rewriting
from kafila.store.search import FIRST, ObjectWrite

from .at_rest import IDENTITY, configuration, encryption, in_clear, opened, provider

KAFILA = Path(sys.executable).with_name("kafila")
ONE, TWO = provider("aesgcm", "key1"), provider("secretbox", "key2")
WORK = Key("works.work.karmada.io", "karmada-es-a", "token")
QUICK = 1e6


def clear(*resources: str) -> Encryption:
    return encryption((", ".join(resources or ("secrets", "events")), f"{IDENTITY}, {ONE}, {TWO}"))


def sealed(first: str, *others: str) -> Encryption:
    return encryption(("secrets, events", ", ".join((first, *others, IDENTITY))))


def body(name: str, text: str = "sesame") -> bytes:
    return b'{"metadata":{"name":"%b"},"data":"%b"}' % (name.encode(), text.encode())


async def write(store: PostgresStore, *keys: Key, text: str = "sesame") -> None:
    await store.commit(Transaction([], [Write(key, body(key.name, text)) for key in keys]))


def named(number: int) -> Key:
    return Key("secrets", "default", f"s{number:04}")


async def populated(store: PostgresStore, count: int = 150) -> None:
    for start in range(0, count, 50):
        await write(store, *map(named, range(start, start + 50)))
    await write(store, named(1), Key("configmaps", "default", "map"), Key(EVENTS, "default", "e"), text="sesame-again")
    work = b'{"metadata":{},"spec":{"workload":{"manifests":[{"kind":"Secret","data":"sesame"}]}}}'
    await store.commit(Transaction([], [Write(WORK, work)]))
    await store.commit(Transaction([], [Write(named(2), None, last=body("gone"))]))


async def rewritten(dsn: str, sealer: Encryption, check: bool = False) -> Report:
    async with rewriting(dsn, sealer, QUICK) as work:
        return await work.run(check)


def rows(dsn: str) -> list[tuple[object, ...]]:
    """Of what watchers and processes go by: all but bodies."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT resource, namespace, name, revision, uid, terminating FROM objects ORDER BY 1, 2, 3"
        )
        log = connection.execute(
            "SELECT revision, resource, name, deleted, previous, writer, seq, at FROM log ORDER BY 1"
        )
        return [*found.fetchall(), *log.fetchall()]


async def test_all_bodies_are_rewritten_and_nothing_else_changes(postgres_dsn: str) -> None:
    heard: list[Row] = []
    async with opened(postgres_dsn, clear()) as store:
        await populated(store)
        before, contents = rows(postgres_dsn), (await store.snapshot())[1]
        store.subscribe(heard.extend, lambda: None)
    assert in_clear(postgres_dsn, ["sesame"]) != []
    report = await rewritten(postgres_dsn, sealed(ONE))
    assert (report.stale, report.unreadable) == (0, 0)
    assert report.rewritten > 300
    assert {table for table, _ in in_clear(postgres_dsn, ["sesame"])} == {"objects", "log_0"}  # the ConfigMap
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM objects WHERE resource = 'configmaps'")
        connection.execute("DELETE FROM log WHERE resource = 'configmaps'")
    assert in_clear(postgres_dsn, ["sesame"]) == []
    assert [row for row in before if "configmaps" not in row] == rows(postgres_dsn)
    async with opened(postgres_dsn, sealed(ONE)) as store:
        assert (await store.snapshot())[1] == [found for found in contents if found.key.resource != "configmaps"]
        assert [found.body for found in (await store.list_events(EventQuery())).objects] == [body("e", "sesame-again")]
        assert (await rewritten(postgres_dsn, sealed(ONE))).rewritten == 0
    assert heard == []


async def test_and_back_again_and_to_another_key(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, sealed(ONE)) as store:
        await populated(store, 50)
        contents = (await store.snapshot())[1]
    for sealer, key in (
        (sealed(TWO, ONE), "secretbox:key2"),
        (encryption(("secrets, events", f"{ONE}, {TWO}")), "aesgcm:key1"),
        (clear(), IN_CLEAR),
    ):
        report = await rewritten(postgres_dsn, sealer)
        assert {found for _, found in report.keys if found != IN_CLEAR} <= {key, "aesgcm:key1", "secretbox:key2"}
        looked = await rewritten(postgres_dsn, sealer, check=True)
        assert {found for _, found in looked.keys} == {key}
        async with opened(postgres_dsn, sealer) as store:
            assert (await store.snapshot())[1] == contents


async def test_a_look_changes_nothing_and_counts(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, sealed(ONE)) as store:
        await write(store, named(1), named(2))
    async with opened(postgres_dsn, sealed(TWO, ONE)) as store:
        await write(store, named(2))
    report = await rewritten(postgres_dsn, sealed(TWO, ONE), check=True)
    assert (report.stale, report.rewritten, report.unreadable) == (3, 0, 0)
    assert dict(report.keys) == {
        ("objects", "aesgcm:key1"): 1,
        ("objects", "secretbox:key2"): 1,
        ("log", "aesgcm:key1"): 2,
        ("log", "secretbox:key2"): 1,
    }


async def test_what_was_packed_by_what_was_learned_is_rewritten_there_and_back(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionaries, "DELAY", 0.0)
    keys = [Key(EVENTS, "default", f"e{number:04}") for number in range(420)]
    text = bytes(random.Random("an installation").choices(b"abcdefghijklmnopqrstuvwxyz ", k=900)).decode() + "sesame"
    async with opened(postgres_dsn, clear()) as store:
        await populated(store)
        await write(store, *keys[:400], text=text)
        await store.compact(300)
        await asyncio.sleep(0)  # what was learned is used from the loop's next turn on
        await write(store, *keys[400:], text=text)
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT kind FROM dictionaries").fetchall() == [(EVENTS,)]
        sizes = connection.execute("SELECT max(octet_length(body)) FROM events WHERE name >= 'e0400'").fetchone()
    assert sizes is not None
    assert sizes[0] < 150
    for sealer in (sealed(ONE), clear()):
        report = await rewritten(postgres_dsn, sealer)
        assert (report.stale, report.unreadable) == (0, 0)
        assert report.rewritten > 400
        async with opened(postgres_dsn, sealer) as store:
            found = (await store.list_events(EventQuery(after=("default", "e0398"), limit=3))).objects
            assert [(each.key, each.body) for each in found] == [(key, body(key.name, text)) for key in keys[399:402]]


async def test_what_cannot_be_decrypted_is_left_and_named(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, encryption(("secrets", provider("aesgcm", "lost")))) as store:
        await write(store, named(1))
    async with opened(postgres_dsn, sealed(ONE)) as store:
        await write(store, named(2))
    report = await rewritten(postgres_dsn, sealed(TWO, ONE))
    assert report.unreadable == 2
    assert [each.where for each in report.unopened] == [
        "secrets default/s0001 in objects",
        "secrets default/s0001 in log",
    ]
    assert report.rewritten == 2


async def test_members_objects_that_search_keeps_are_rewritten_too(postgres_dsn: str) -> None:
    secrets, maps = "/v1/secrets", "/v1/configmaps"

    def put(name: str) -> ObjectWrite:
        return ObjectWrite("default", name, 2, "2", b"{}", body(name, f"sesame-{name}" * 20))

    async with opened(postgres_dsn, clear("secrets")) as store:
        for resource in (secrets, maps):
            await store.search.take_over(resource, "m1", (), 1)
            await store.search.write(resource, "m1", 1, [put(f"s{number}") for number in range(150)], version=2)
        gone = ObjectWrite("default", "s7", 3)
        await store.search.write(secrets, "m1", 1, [gone], version=3)
        kept = {resource: await store.search.changes(resource, "m1", (0, FIRST), 9) for resource in (secrets, maps)}
    for sealer, key in (
        (sealed(ONE), "aesgcm:key1"),
        (sealed(TWO, ONE), "secretbox:key2"),
        (clear("secrets"), IN_CLEAR),
    ):
        report = await rewritten(postgres_dsn, sealer)
        assert (report.rewritten, report.stale, report.unreadable) == (150, 0, 0)
        looked = await rewritten(postgres_dsn, sealer, check=True)
        assert looked.keys == {("search_objects", key): 150}
        async with opened(postgres_dsn, sealer) as store:
            for resource, changes in kept.items():
                assert await store.search.changes(resource, "m1", (0, FIRST), 9) == changes
            for cached in await store.search.resources():
                assert cached.bytes == _bytes_of(postgres_dsn, cached.resource)  # what its limit is compared with


def _bytes_of(dsn: str, resource: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT sum(octet_length(body)) FROM search_objects WHERE resource = %s AND NOT deleted", [resource]
        ).fetchone()
    assert found is not None
    return int(found[0])


async def test_what_search_keeps_and_nobody_can_decrypt_is_named(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, encryption(("secrets", provider("aesgcm", "lost")))) as store:
        await store.search.take_over("/v1/secrets", "m1", (), 1)
        await store.search.write("/v1/secrets", "m1", 1, [ObjectWrite("default", "s", 2, "2", b"{}", body("s"))])
    report = await rewritten(postgres_dsn, sealed(ONE))
    assert (report.rewritten, report.unreadable) == (0, 1)
    assert [each.where for each in report.unopened] == ["secrets m1/default/s in search_objects"]


async def test_nobody_notices_while_others_write(postgres_dsn: str) -> None:
    """Every write is kept, and read with its key, whichever it got."""
    async with (
        opened(postgres_dsn, sealed(ONE, TWO)) as store,
        opened(postgres_dsn, sealed(TWO, ONE)) as other,
    ):
        heard: list[Row] = []
        other.subscribe(heard.extend, lambda: None)
        await populated(store)
        start, _ = await other.snapshot()
        done = asyncio.Event()
        last: dict[Key, bytes] = {}

        async def writer() -> None:
            number = 0
            while not done.is_set():
                number += 1
                key = named(3 + number % 100)
                await write(other, key, text=f"sesame-{number}")
                last[key] = body(key.name, f"sesame-{number}")

        writing = asyncio.create_task(writer())
        reports = [await rewritten(postgres_dsn, sealed(TWO, ONE)) for _ in range(3)]
        done.set()
        await writing
        assert all(report.unreadable == 0 for report in reports)
        assert reports[0].rewritten > 200
        found = {each.key: each.body for each in (await other.snapshot())[1]}
        assert {key: found[key] for key in last} == last
        page = await other.read_log(start, 100_000)
        assert [row.revision for row in heard] == [row.revision for row in page.rows]
        assert {key for _, key in (await rewritten(postgres_dsn, sealed(TWO, ONE), check=True)).keys} == {
            "secretbox:key2"
        }


async def test_two_do_not_rewrite_at_once(postgres_dsn: str) -> None:
    async with rewriting(postgres_dsn, sealed(ONE), QUICK):
        with pytest.raises(AlreadyRunning):
            async with rewriting(postgres_dsn, sealed(ONE), QUICK):
                pass


def command(file: Path, dsn: str, *more: str) -> list[str]:
    where = ["--encryption-provider-config", str(file), "--database-url", dsn]
    return [str(KAFILA), "encrypt", "rewrite", *where, *more]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "encryption.yaml"
    file.write_text(configuration(("secrets, events", f"{TWO}, {ONE}, {IDENTITY}")))
    return file


async def test_one_that_is_killed_goes_on_where_it_was(postgres_dsn: str, file: Path) -> None:
    async with opened(postgres_dsn, sealed(ONE)) as store:
        await populated(store)
        contents = (await store.snapshot())[1]
    process = await asyncio.create_subprocess_exec(
        *command(file, postgres_dsn, "--rate=150"), stderr=subprocess.DEVNULL
    )
    while not any(key == "secretbox:key2" for _, key in (await _looked(postgres_dsn))):
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    left = await _looked(postgres_dsn)
    assert {key for _, key in left} == {"aesgcm:key1", "secretbox:key2"}
    process = await asyncio.create_subprocess_exec(*command(file, postgres_dsn, "-o", "json"), stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    report = json.loads(said)
    assert process.returncode == 0
    assert 0 < report["rewritten"] < 400
    assert {key for _, key in (await _looked(postgres_dsn))} == {"secretbox:key2"}
    async with opened(postgres_dsn, sealed(TWO, ONE)) as store:
        assert (await store.snapshot())[1] == contents


async def _looked(dsn: str) -> dict[tuple[str, str], int]:
    """As --check, but without waiting for who rewrites."""
    sealer = sealed(TWO, ONE)
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT 'objects', body FROM objects UNION ALL SELECT 'log', body FROM log WHERE name <> ''"
        )
        keys = [(table, sealer.key_of(bytes(each))) for table, each in found.fetchall()]
    return {pair: keys.count(pair) for pair in set(keys) if pair[1] != IN_CLEAR}


def test_its_words(postgres_dsn: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def prepare() -> None:
        async with opened(postgres_dsn, sealed(ONE)) as store:
            await write(store, named(1), named(2))

    asyncio.run(prepare())

    def said(_: str, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err
        return shown.out + shown.err

    assert said(*command(file, postgres_dsn, "--check")) == (
        "WHERE     KEY           BODIES\n"
        "log       aesgcm:key1   2\n"
        "objects   aesgcm:key1   2\n"
        "4 are not under the key that is written with.\n"
    )
    assert said(*command(file, postgres_dsn)) == "4 bodies rewritten.\n"
    assert said(*command(file, postgres_dsn)) == "0 bodies rewritten.\n"
    file.write_text(configuration(("secrets", ONE)))
    words = said(*command(file, postgres_dsn), code=1)
    assert words == (
        "0 bodies rewritten.\n4 cannot be decrypted, and were left as they are:\n"
        "  secrets default/s0001 in objects: no matching prefix found\n"
        "  secrets default/s0002 in objects: no matching prefix found\n"
        "  secrets default/s0001 in log: no matching prefix found\n"
        "  secrets default/s0002 in log: no matching prefix found\n"
    )
    file.write_text("nothing: 1\n")
    refused = said(*command(file, postgres_dsn), code=2)
    assert refused.endswith('for --encryption-provider-config: line 1: unknown field "nothing"\n')
    assert said(str(KAFILA), "encrypt", "rewrite", "--data-dir", str(tmp_path), code=2) == (
        "error: --encryption-provider-config is needed: which keys there are\n"
    )
    file.write_text(configuration(("secrets", ONE)))
    nowhere = [
        str(KAFILA),
        "encrypt",
        "rewrite",
        "--encryption-provider-config",
        str(file),
        "--data-dir",
        str(tmp_path),
    ]
    assert said(*nowhere, code=1) == f"error: --data-dir {tmp_path}: there is no database\n"
