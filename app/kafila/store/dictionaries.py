"""Dictionaries that are learned from what is stored: a fleet's objects are made by the same tools from the same templates.

From time to time one process looks at a sample of the newest history and trains one with half of it; it is kept when the other half
becomes much smaller by it. It is in the database before it is used, and every process is told. It stays for good, since
objects may lie there for years: :data:`MOST` for all times, each a good deal better than what was used before. Secrets teach nothing, nor what carries them or is sealed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final, final

import asyncpg
import structlog

from kafila.core.rates import Backoff
from kafila.core.resources import Key

from .compaction import alone
from .interface import EVENTS, Sealer, StoreUnavailable
from .packing import Packing
from .training import trained

log = structlog.get_logger("kafila.store")

CHANNEL: Final = "kafila_dictionaries"
MOST: Final = 64  # in one database
LEAST: Final = 200  # bodies that one is learned from
BETTER: Final = 0.8  # what is left of the room that is taken now
FIRST_PAUSE: Final = 600.0  # seconds between attempts of one process, twice as long after each that was in vain
LONGEST_PAUSE: Final = 86400.0
DELAY: Final = 5.0  # seconds until one that was learned is used: others know it by then

_SECRET: Final = b'"kind":"Secret"'  # in a Work
_SAMPLE = 2000  # revisions that are looked at
_BODIES = 400  # of a kind that are learned from and judged by: more make it no better
_RECENT = 60_000
_OBJECTS = """
SELECT resource, body FROM log
WHERE revision = ANY ($1::bigint[]) AND resource NOT IN ('', 'events', 'secrets', 'keypairs.internal')
    AND octet_length(body) < 16384 LIMIT $2
"""
_EVENTS = "SELECT 'events', body FROM events WHERE revision = ANY ($1::bigint[]) LIMIT $2"
# Without an array of what is known: asyncpg asks 20 ms long what that is, on each connection.
_ALL = "SELECT id, kind FROM dictionaries ORDER BY at"
_CONTENT = "SELECT content FROM dictionaries WHERE id = $1 LIMIT 1"
_SAVE = "INSERT INTO dictionaries VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT DO NOTHING"


async def load(connection: asyncpg.Connection, packing: Packing) -> None:
    """Those that others learned; the newest are used from now on."""
    known = set(packing.contents)
    for number, kind in await connection.fetch(_ALL):
        if number in known:
            continue
        if packing.add(await connection.fetchval(_CONTENT, number)) != number:
            raise StoreUnavailable(f"the dictionary {number} in the database is not what was stored")
        use(packing, kind, number)


async def save(connection: asyncpg.Connection, packing: Packing) -> None:
    """Those in use are in this database, also when it is another one than before (a standby, a backup)."""
    for kind, number in (("events", packing.of_events), ("objects", packing.of_objects)):
        if number != packing.base:
            await connection.execute(_SAVE, number, kind, packing.contents[number])


def use(packing: Packing, kind: str, number: int) -> None:
    if kind == EVENTS:
        packing.of_events = number
    else:
        packing.of_objects = number


@final
class Learner:
    """When to learn, and from what."""

    def __init__(self, packing: Packing, sealer: Sealer) -> None:
        self._packing = packing
        self._sealer = sealer
        self._pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._next = 0.0

    async def learn(self, connection: asyncpg.Connection) -> None:
        """To be called now and then by every process: one does."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        async with alone(connection) as mine:
            if mine:
                await self._learn(connection, now)

    async def _learn(self, connection: asyncpg.Connection, now: float) -> None:
        head = await connection.fetchval("SELECT max(revision) FROM log")
        oldest = max(head - _RECENT, await connection.fetchval("SELECT compacted FROM history") + 1, 1)
        revisions = range(oldest, head + 1)
        chosen = sorted(random.sample(revisions, min(_SAMPLE, len(revisions))))
        found = False
        learned_from = 0
        for kind, query in ((EVENTS, _EVENTS), ("objects", _OBJECTS)):
            found_bodies = await connection.fetch(query, chosen, _BODIES)
            bodies = [body for resource, body in found_bodies if teaches(self._sealer, resource, body)]
            del found_bodies
            if len(bodies) >= LEAST:
                learned_from += 1
                found |= await self._try(connection, kind, bodies)
        if learned_from:
            if found:
                self._pauses.reset()
            self._next = now + self._pauses.failed()

    async def _try(self, connection: asyncpg.Connection, kind: str, bodies: list[bytes]) -> bool:
        current = self._packing.of_events if kind == EVENTS else self._packing.of_objects
        content = await trained(bodies[::2])
        if not content or not is_better(self._packing, current, content, bodies[1::2]):
            return False
        if await connection.fetchval("SELECT count(*) FROM dictionaries") >= MOST:
            log.info("bodies could be packed better, but there are as many dictionaries as may be", most=MOST)
            return False
        number = self._packing.add(content)
        await connection.execute(_SAVE, number, kind, content)
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
        asyncio.get_running_loop().call_later(DELAY, use, self._packing, kind, number)
        log.info("learned how bodies are packed better", kind=kind, bodies=len(bodies))
        return True


def teaches(sealer: Sealer, resource: str, body: bytes) -> bool:
    """Not what is sealed, or will be when it is written again, and nothing that carries a Secret: dictionaries stay, in clear."""
    if not body.startswith(b"{") or _SECRET in body:
        return False
    return not sealer.seals(Key(resource, "", ""), body)


def is_better(packing: Packing, current: int, content: bytes, bodies: Sequence[bytes]) -> bool:
    """Whether a dictionary packs these, from which it did not learn, much smaller than the current one."""
    trial = Packing()
    trial.contents.update(packing.contents)
    number = trial.add(content)
    before = sum(len(trial.packed(body, current)) for body in bodies)
    after = sum(len(trial.packed(body, number)) for body in bodies)
    return after < before * BETTER
