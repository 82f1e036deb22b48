"""Leases: rows with an end, by the database's clock. The token rises with every change of holder."""

from __future__ import annotations

import asyncpg

from .interface import Lease

_HOLDER = "SELECT holder FROM leases WHERE name = $1 AND expires >= clock_timestamp()"


async def holder_of(connection: asyncpg.Connection, name: str) -> str:
    return await connection.fetchval(_HOLDER, name) or ""


async def acquire(connection: asyncpg.Connection, name: str, holder: str, ttl: float, replacing: str) -> Lease | None:
    token = await connection.fetchval("SELECT acquire_lease($1, $2, $3, $4)", name, holder, float(ttl), replacing)
    return None if token is None else Lease(name, holder, token)


async def release(connection: asyncpg.Connection, lease: Lease) -> None:
    """Nothing happens when it is someone else's by now. The row stays: its token must go on rising."""
    await connection.execute(
        "UPDATE leases SET holder = '', expires = '-infinity' WHERE name = $1 AND holder = $2 AND token = $3", *lease
    )
