"""Leases: rows with an end, by the database's clock. The token rises with every change of holder, and when one had ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import final

import asyncpg

from .connect import LOST, Timeouts, connect
from .interface import Lease, StoreUnavailable
from .timeline import COMMIT_LOCK

_HELD = "SELECT name, holder, token FROM leases WHERE expires >= clock_timestamp()"
_HOLDER = "SELECT holder FROM leases WHERE name = $1 AND expires >= clock_timestamp()"
# The row stays: its token must go on rising
_RELEASE = "UPDATE leases SET holder = '', expires = '-infinity' WHERE name = ANY($1) AND holder = $2"
# Behind an attempt that was given up here and waits there for the same lock
_IN_TURN = f"SELECT pg_advisory_xact_lock({COMMIT_LOCK})"


@final
class PostgresLeases:
    """See :class:`kafila.store.interface.Leases`. One connection, made when it is needed and given up at every error."""

    def __init__(self, dsn: str, timeouts: Timeouts) -> None:
        self._dsn = dsn
        self._timeouts = timeouts
        self._connection: asyncpg.Connection | None = None

    async def holder(self, name: str) -> str:
        async with self._connected() as connection:
            return await connection.fetchval(_HOLDER, name) or ""

    async def acquire(self, name: str, holder: str, ttl: float, replacing: str = "") -> Lease | None:
        async with self._connected() as connection:
            token = await connection.fetchval(
                "SELECT acquire_lease($1, $2, $3, $4)", name, holder, float(ttl), replacing
            )
            return None if token is None else Lease(name, holder, token)

    async def take(self, names: Sequence[str], registrations: str, holder: str) -> dict[str, Lease]:
        async with self._connected() as connection:
            rows = await connection.fetch("SELECT * FROM take_leases($1, $2, $3)", list(names), registrations, holder)
            return {name: Lease(name, holder, token) for name, token in rows}

    async def held(self) -> list[Lease]:
        async with self._connected() as connection:
            return [Lease(*row) for row in await connection.fetch(_HELD)]

    async def release(self, names: Sequence[str], holder: str) -> None:
        async with self._connected() as connection:
            await connection.execute(_IN_TURN)
            await connection.execute(_RELEASE, list(names), holder)

    async def close(self) -> None:
        self._drop()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            if self._connection is None:
                self._connection = await connect(self._dsn, self._timeouts)
            yield self._connection
        except (*LOST, asyncpg.PostgresError) as error:
            self._drop()
            raise StoreUnavailable(str(error) or type(error).__name__) from error
        except BaseException:  # who is cancelled does not wait until the database knows
            self._drop()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
