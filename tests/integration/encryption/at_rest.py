"""What tests of encryption have in common: configurations, and every byte that a database holds."""

from __future__ import annotations

import base64
import contextlib
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator

import psycopg
from psycopg import sql

from kafila.encryption.configuration import read_configuration
from kafila.encryption.encryption import Encryption
from kafila.store.packing import Packing
from kafila.store.postgres import PostgresStore


def secret(text: str) -> str:
    return base64.b64encode(text.encode().ljust(32, b"\0")).decode()


def provider(algorithm: str, *names: str) -> str:
    keys = ", ".join(f"{{name: {name}, secret: {secret(name)}}}" for name in names)
    return f"{{{algorithm}: {{keys: [{keys}]}}}}"


IDENTITY = "{identity: {}}"


def configuration(*rules: tuple[str, str]) -> str:
    """Of pairs of resources and providers."""
    head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
    return head + "".join(f"- {{resources: [{named}], providers: [{providers}]}}\n" for named, providers in rules)


def encryption(*rules: tuple[str, str]) -> Encryption:
    return Encryption(read_configuration(configuration(*rules).encode()))


BODIES = """
SELECT attrelid::regclass::text, attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.atttypid = 'bytea'::regtype AND a.attnum > 0 AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""


def unpacked(connection: psycopg.Connection, table: str, column: str) -> Iterator[bytes]:
    packing = Packing()
    for (content,) in connection.execute("SELECT content FROM dictionaries"):
        packing.add(content)
    command = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL")
    names = sql.Identifier(column), sql.SQL(table), sql.Identifier(column)
    for (stored,) in connection.execute(command.format(*names)):
        body = bytes(stored)
        try:
            yield zlib.decompress(body)  # of the audit's table
        except zlib.error:
            yield packing.unpack(body)


def everything(dsn: str) -> dict[str, bytes]:
    """All that lies in the tables of a database, by table, with the bytes of bodies as they are and as they are unpacked."""
    found: dict[str, bytes] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        for (table,) in tables:
            command = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.SQL(table))
            with connection.cursor().copy(command) as copied:
                found[table] = b"".join(bytes(part) for part in copied)
        for table, body in connection.execute(BODIES).fetchall():
            found[table] += b"".join(unpacked(connection, table, body))
    return found


def in_clear(dsn: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """Which of the texts lie where, as they are or in base64."""
    tables = everything(dsn)
    assert len(tables["objects"]) > 100
    forms = {text: (text.encode(), base64.b64encode(text.encode())) for text in texts}
    return [
        (table, text)
        for table, content in tables.items()
        for text, found in forms.items()
        if any(form in content for form in found)
    ]


@contextlib.asynccontextmanager
async def opened(dsn: str, sealer: Encryption | None) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(dsn, sealer=sealer)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
