"""The store with keys: nothing in clear in any table, all of it readable, and what cannot be read is said and not lost."""

from __future__ import annotations

import random

import asyncpg
import psycopg
import pytest

from kafila.core.resources import Key
from kafila.encryption.encryption import Encryption
from kafila.store.interface import EVENTS, EventQuery, Row, Transaction, Unreadable, Write
from kafila.store.packing import unpack
from kafila.store.postgres import PostgresStore
from kafila.store.sealing import CannotSeal

from .at_rest import IDENTITY, encryption, everything, in_clear, opened, provider

KEY = Key("secrets", "default", "token")
MAP = Key("configmaps", "default", "map")
WORK = Key("works.work.karmada.io", "karmada-es-a", "token")
EVENT = Key(EVENTS, "default", "token.1")
OPEN = "open-to-everybody"
ONE = provider("aesgcm", "key1")
AES = encryption(("secrets, events", ONE))


def body(text: str, more: str = "") -> bytes:
    return b'{"metadata":{"name":"token"%b},"data":"%b"}' % (more.encode(), text.encode())


WORK_BODY = b'{"metadata":{"name":"token"},"spec":{"workload":{"manifests":[{"apiVersion":"v1","kind":"Secret","data":"sesame-work"}]}}}'


async def write(store: PostgresStore, *writes: Write) -> list[int]:
    return await store.commit(Transaction([], writes))


async def test_no_table_has_it_in_clear_and_every_reader_has(postgres_dsn: str) -> None:
    rows: list[Row] = []
    async with opened(postgres_dsn, AES) as store:
        store.subscribe(rows.extend, lambda: None)
        start, _ = await store.snapshot()
        await write(store, Write(KEY, body("sesame-one")), Write(MAP, body(OPEN)), Write(WORK, WORK_BODY))
        await write(store, Write(KEY, body("sesame-two")), Write(EVENT, body("sesame-event")))
        [_, gone] = await write(store, Write(WORK, None), Write(KEY, None, last=body("sesame-last")))
        assert sorted(in_clear(postgres_dsn, ["sesame", OPEN])) == [("log_0", OPEN), ("objects", OPEN)]
        page = await store.read_log(start)
        bodies = [(row.body, row.previous_body) for row in page.rows if row.key == KEY]
        one, two, last = body("sesame-one"), body("sesame-two"), body("sesame-last")
        assert bodies == [(one, None), (two, one), (last, two)]
        assert [row.body for row in page.rows if row.key == WORK] == [WORK_BODY, WORK_BODY]
        assert [found.body for found in await store.list_at("secrets", gone - 1)] == [two]
        events = await store.list_events(EventQuery(containing=b"sesame"))
        assert [found.body for found in events.objects] == [body("sesame-event")]
        assert (await store.event("default", "token.1") or events.objects[0]).body == body("sesame-event")
        assert [row.body for row in rows if row.key == KEY] == [one, two, last]


async def test_another_process_reads_what_one_wrote(postgres_dsn: str) -> None:
    rows: list[Row] = []
    async with opened(postgres_dsn, AES) as writer, opened(postgres_dsn, AES) as reader:
        reader.subscribe(rows.extend, lambda: None)
        await reader.snapshot()
        await write(writer, Write(KEY, body("sesame")))
        await reader.head()
        assert [row.body for row in rows] == [body("sesame")]
    async with opened(postgres_dsn, AES) as later:
        assert [found.body for found in (await later.snapshot())[1]] == [body("sesame")]


async def unreadable(store: PostgresStore) -> dict[Key, str]:
    _, objects = await store.snapshot()
    return {found.key: found.body.reason for found in objects if isinstance(found.body, Unreadable)}


async def test_without_its_key_an_object_is_unreadable_and_the_others_are_not(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, AES) as store:
        await write(store, Write(KEY, body("sesame")), Write(MAP, body(OPEN)))
    others = encryption(("secrets", provider("aesgcm", "key2")))
    for sealer, why in (
        (others, "no matching key was found for the provided AES transformer"),
        (None, "identity transformer tried to read encrypted data"),
    ):
        async with opened(postgres_dsn, sealer) as store:
            assert await unreadable(store) == {KEY: why}
            _, objects = await store.snapshot()
            assert [found.body for found in objects if found.key == MAP] == [body(OPEN)]


async def test_what_somebody_put_in_the_place_of_another_is_unreadable(postgres_dsn: str) -> None:
    other = KEY._replace(name="other")
    async with opened(postgres_dsn, AES) as store:
        await write(store, Write(KEY, body("sesame")), Write(other, body("mine")))
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(
                "UPDATE objects SET body = (SELECT body FROM objects WHERE name = 'other') WHERE name = 'token'"
            )
        assert await unreadable(store) == {KEY: "cipher: message authentication failed"}


async def test_a_body_that_was_changed_in_the_log_is_unreadable_there(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, AES) as store:
        [revision] = await write(store, Write(KEY, body("sesame")))
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(
                "UPDATE log SET body = set_byte(body, 60, get_byte(body, 60) # 1) WHERE revision = %s", [revision]
            )
        page = await store.read_log(revision - 1)
        assert [type(row.body) for row in page.rows] == [Unreadable]
        assert await unreadable(store) == {}


async def test_keys_are_rotated_in_one_process_after_the_other(postgres_dsn: str) -> None:
    """As in Kubernetes' documentation: every process reads the new key before one writes with it."""
    old, new = provider("aesgcm", "key1"), provider("secretbox", "key2")
    steps = [(old, f"{old}, {new}"), (f"{new}, {old}", f"{new}, {old}")]
    async with opened(postgres_dsn, encryption(("secrets", old))) as store:
        await write(store, Write(KEY, body("sesame-0")))
    for number, (first, second) in enumerate(steps, 1):
        async with (
            opened(postgres_dsn, encryption(("secrets", first))) as one,
            opened(postgres_dsn, encryption(("secrets", second))) as two,
        ):
            await write(one, Write(KEY, body(f"sesame-{number}a")))
            await write(two, Write(KEY._replace(name="b"), body(f"sesame-{number}b")))
            for store in (one, two):
                found = {each.key.name: each.body for each in (await store.snapshot())[1]}
                assert found == {"token": body(f"sesame-{number}a"), "b": body(f"sesame-{number}b")}


async def test_what_cannot_be_sealed_is_not_written_and_harms_nobody_else(postgres_dsn: str) -> None:
    class Broken:
        active = True
        open = staticmethod(AES.open)
        seals = AES.seals
        concerns = AES.concerns
        prepare = AES.prepare

        @staticmethod
        def seal(key: Key, body: bytes, clear: bytes) -> bytes:
            if key == KEY:
                raise CannotSeal("the KMS is away")
            return AES.seal(key, body, clear)

    store = PostgresStore(postgres_dsn, sealer=Broken())
    await store.open()
    try:
        with pytest.raises(CannotSeal, match="the KMS is away"):
            await write(store, Write(MAP, body(OPEN)), Write(KEY, body("sesame")))
        await write(store, Write(KEY._replace(name="other"), body("sesame")))
        assert [found.key.name for found in (await store.snapshot())[1]] == ["other"]
    finally:
        await store.close()


async def test_a_large_body_is_sealed_too(postgres_dsn: str) -> None:
    large = body("sesame" * 500_000)
    async with opened(postgres_dsn, AES) as store:
        await write(store, Write(KEY, large))
        assert [found.body for found in (await store.snapshot())[1]] == [large]
    assert b"sesame" not in everything(postgres_dsn)["objects"]


async def test_identity_alone_changes_nothing_that_is_stored(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, encryption(("'*.*'", IDENTITY))) as store:
        await write(store, Write(KEY, body("sesame")))
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert unpack(await connection.fetchval("SELECT body FROM objects")) == body("sesame")
    finally:
        await connection.close()


COMMON = bytes(random.Random("templates of one chart").choices(b"abcdefghijklmnopqrstuvwxyz ", k=1500)).decode()


@pytest.mark.parametrize(
    ("resource", "more", "sealer"),
    [
        (WORK.resource, '"kind":"Secret",', None),  # before encryption is begun with
        ("configmaps", "", encryption(("configmaps", provider("aesgcm", "key1")))),  # before it is rewritten
        ("secrets", "", None),
    ],
)
async def test_no_dictionary_learns_what_is_to_be_kept_secret(
    postgres_dsn: str, resource: str, more: str, sealer: Encryption | None
) -> None:
    """They stay for good, in clear."""
    hidden = '{"metadata":{"name":"n%d"},%s"data":"%s"}'
    async with opened(postgres_dsn, None) as store:
        for number in range(400):  # both of them in every sample
            shown = b'{"metadata":{"name":"n%d"},"data":"%b"}' % (number, COMMON[::-1].encode())
            body = (hidden % (number, more, COMMON)).encode()
            await write(
                store, Write(Key(resource, "a", f"n{number}"), body), Write(Key("pods", "a", f"n{number}"), shown)
            )
    async with opened(postgres_dsn, sealer or encryption(("nothing.example.org", ONE))) as store:
        await store.compact(300)
    learned = everything(postgres_dsn)["dictionaries"]
    assert pieces(COMMON[::-1], learned) > 20
    assert pieces(COMMON, learned) == 0


def pieces(text: str, learned: bytes) -> int:
    """How many parts of a text are there."""
    return sum(text[at : at + 8].encode() in learned for at in range(0, len(text) - 8, 8))
