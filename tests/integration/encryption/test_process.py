"""A control plane that encrypts: what lies in its database, keys that come and go while it serves, and what it cannot read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import generate_latest

from kafila.cli import main
from kafila.core.resources import Key
from kafila.encryption.encryption import Encryption
from kafila.registry.patching import Patch
from kafila.store.interface import EventQuery, StoredObject, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.sealing import KeysNeeded
from kafila.watch import Watcher
from tests.waiting import eventually

from .at_rest import IDENTITY, configuration, encryption, in_clear, provider
from .at_rest import secret as key_text
from .plane import POLICY, USER, Plane, cluster, refusal, secret

ONE, TWO = provider("aesgcm", "key1"), provider("secretbox", "key2")
NO_KEY = "no matching key was found for the provided AES transformer"


def secrets(*providers: str) -> str:
    return configuration(("secrets", ", ".join(providers)))


async def populated(plane: Plane) -> None:
    await plane.create(secret("member1", "sesame-member", "karmada-cluster"))
    await plane.create(cluster("member1"))
    await plane.create(POLICY)
    await plane.create(secret("token", "sesame-propagated"))
    await eventually(lambda: plane.copy("secrets", "token") is not None)


def in_views(dsn: str, name: str) -> list[Any]:
    """Labels of what kafila sql knows of Secrets of that name."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT labels FROM fleet.object WHERE kind = 'Secret' AND name = %s"
        return [labels for (labels,) in connection.execute(query, [name])]


async def test_no_secret_lies_in_clear_anywhere(server_folder: Path, postgres_dsn: str) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE), controllers="*,sql-views") as plane:
        await populated(plane)
        await plane.create(secret("gone", "sesame-deleted"))
        marked = secret("marked", "sesame")
        marked["metadata"]["labels"] = {"password": "sesame-label"}
        await plane.create(marked)
        await eventually(lambda: in_views(postgres_dsn, "marked") == [None])
        assert await plane.names("works.work.karmada.io", "karmada-es-member1") != []
        assert in_clear(postgres_dsn, ["sesame", "PRIVATE KEY"]) == []


async def test_without_encryption_the_same_search_finds_them(server_folder: Path, postgres_dsn: str) -> None:
    """Else the test above could not fail."""
    async with Plane(server_folder, postgres_dsn, secrets(IDENTITY)) as plane:
        await populated(plane)
        assert sorted(in_clear(postgres_dsn, ["sesame", "PRIVATE KEY"])) == [
            ("log_0", "PRIVATE KEY"),
            ("log_0", "sesame"),
            ("objects", "PRIVATE KEY"),
            ("objects", "sesame"),
        ]


async def test_it_starts_again_with_what_it_sealed(server_folder: Path, postgres_dsn: str) -> None:
    for start in range(2):
        async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
            if not start:
                await plane.create(secret("token", "sesame"))
            assert (await plane.get("secrets", "token"))["data"] == {"password": "c2VzYW1l"}


async def test_a_wrong_key_at_the_start_is_one_line(server_folder: Path, postgres_dsn: str) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE)):
        pass
    with pytest.raises(KeysNeeded, match=f"the control plane's own keys cannot be decrypted: {NO_KEY}"):
        async with Plane(server_folder, postgres_dsn, secrets(provider("aesgcm", "key3"))):
            pass


def damage(dsn: str, resource: str, name: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        done = connection.execute(
            "UPDATE objects SET body = set_byte(body, 70, get_byte(body, 70) # 1) WHERE resource = %s AND name = %s",
            [resource, name],
        )
        assert done.rowcount == 1


async def test_one_damaged_object_is_refused_and_the_rest_is_served(server_folder: Path, postgres_dsn: str) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        await populated(plane)
        await plane.create(secret("whole", "sesame-whole"))
    damage(postgres_dsn, "secrets", "token")
    why = "Internal error occurred: cipher: message authentication failed"
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        assert (await plane.get("secrets", "whole"))["metadata"]["name"] == "whole"
        assert await refusal(plane.get("secrets", "token")) == (500, why)
        assert await refusal(plane.names("secrets")) == (
            500,
            'Internal error occurred: unable to transform key "/registry/secrets/default/token":'
            " cipher: message authentication failed",
        )
        assert "member1" in await plane.names("secrets", "karmada-cluster")
        assert (await refusal(plane.create(secret("token", "other"))))[0] == 409
        await plane.create(secret("fresh", "sesame"))  # writes go on
        # what it does not see it does not take for deleted: the member keeps its copy, and its Work
        assert not plane.process.leads
        assert await plane.names("works.work.karmada.io", "karmada-es-member1") != []


async def written_elsewhere(dsn: str, sealer: Encryption, name: str) -> None:
    """What another process of the same control plane writes."""
    store = PostgresStore(dsn, sealer=sealer)
    await store.open()
    try:
        body = b'{"metadata":{"name":"%b","namespace":"default"},"data":{"password":"c2VzYW1l"}}' % name.encode()
        await store.commit(Transaction([], [Write(Key("secrets", "default", name), body)]))
    finally:
        await store.close()


AHEAD = encryption(("secrets", f"{TWO}, {ONE}"))  # another process, which has the next key by now


async def test_keys_come_while_it_serves(server_folder: Path, postgres_dsn: str) -> None:
    """A process that was not told of a key reads again once it is; until then it leads nobody."""
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        await eventually(lambda: plane.process.leads)
        await written_elsewhere(postgres_dsn, AHEAD, "token")
        await plane.process.registry.wait_for_consistent_read()
        why = "Internal error occurred: no matching prefix found"
        assert await refusal(plane.get("secrets", "token")) == (500, why)
        await eventually(lambda: not plane.process.leads)
        plane.file.write_text(secrets(ONE, TWO))
        await eventually(lambda: not plane.process.registry.cache.blind)
        assert (await plane.get("secrets", "token"))["data"] == {"password": "c2VzYW1l"}
        assert await plane.names("secrets") == ["token"]
        await eventually(lambda: plane.process.leads)


async def test_a_wrong_file_leaves_the_old_one_in_force(
    server_folder: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        plane.file.write_text("apiVersion: nothing\n")
        seen: list[str] = []

        def told() -> bool:
            seen.append(capsys.readouterr().out)
            return "what was read before stays in force" in "".join(seen)

        await eventually(told)
        await plane.create(secret("token", "sesame"))
        assert in_clear(postgres_dsn, ["sesame"]) == []


async def test_a_watch_that_meets_what_cannot_be_read_is_told_to_list_again(
    server_folder: Path, postgres_dsn: str
) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        cache = plane.process.registry.cache
        with Watcher(cache, "secrets", cache.revision) as watcher:
            await written_elsewhere(postgres_dsn, AHEAD, "token")
            code, message = await refusal(asyncio.wait_for(_all(watcher), 30))
        assert (code, message.split(":")[0]) == (410, "too old resource version")


async def _all(watcher: Watcher) -> None:
    while True:
        await watcher.changes(1.0)


async def test_nothing_that_is_said_shows_a_secret(
    server_folder: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logs, refusals, metrics and Events of a control plane to which much goes wrong with Secrets."""
    said: list[str] = []
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        await populated(plane)
        wrong = secret("wrong", "sesame")
        wrong["data"] = {"a b": "c2VzYW1l"}
        said.append((await refusal(plane.create(wrong)))[1])
        said.append((await refusal(plane.create(secret("token", "sesame-again"))))[1])
        kind = plane.process.registry.kind("", "v1", "secrets")
        changed = Patch("merge", {"type": "other", "data": {"password": "c2VzYW1lLWFnYWlu"}})
        said.append((await refusal(plane.process.registry.patch(kind, "default", "token", changed, USER)))[1])
        plane.file.write_text(secrets(ONE.replace("aesgcm", "aes")))

        def refused() -> bool:
            said.append(capsys.readouterr().out)
            return "stays in force" in "".join(said)

        await eventually(refused)
        events = await plane.process.registry.store.list_events(EventQuery())
        said += [found.body.decode() for found in events.objects]
        said.append(generate_latest().decode())
    said.append(capsys.readouterr().out)
    text = "\n".join(said)
    assert "ResourceBinding" in text
    shown = [line for line in text.splitlines() for form in ("sesame-", "c2VzYW1l", key_text("key1")) if form in line]
    assert shown == []


async def test_what_is_given_up_is_forgotten_and_all_goes_on(
    server_folder: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        await populated(plane)
        await plane.create(secret("whole", "sesame-whole"))
    damage(postgres_dsn, "secrets", "token")

    def forgotten(name: str) -> str:
        where = [f"--encryption-provider-config={server_folder}/encryption.yaml", f"--database-url={postgres_dsn}"]
        with pytest.raises(SystemExit):
            main(["encrypt", "forget", "secrets", name, *where])
        shown = capsys.readouterr()
        return (shown.out + shown.err).splitlines()[-1]

    async with Plane(server_folder, postgres_dsn, secrets(ONE)) as plane:
        events = [found.body async for found in _events(plane)]
        why = b"first default/token: cipher: message authentication failed"
        assert any(b"DecryptionFailed" in body and why in body for body in events)
        said = [await asyncio.to_thread(forgotten, f"default/{name}") for name in ("whole", "nothing", "token")]
        assert said == [
            "error: secrets default/whole: it can be decrypted with this file: delete it as any other",
            "error: secrets default/nothing: there is no such object",
            "secrets default/token forgotten",
        ]
        await eventually(lambda: not plane.process.registry.cache.blind)
        assert await plane.names("secrets") == ["whole"]
        await eventually(lambda: plane.process.leads)
        await eventually(lambda: plane.copy("secrets", "whole") is not None)
        assert plane.copy("secrets", "token") is None


async def _events(plane: Plane) -> AsyncIterator[StoredObject]:
    """Once there is one: they are written by and by."""
    while not (
        page := await plane.process.registry.store.list_events(EventQuery(containing=b"DecryptionFailed"))
    ).objects:
        await asyncio.sleep(0.02)
    for found in page.objects:
        yield found
