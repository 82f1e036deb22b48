"""Workers of an earlier version and of this one on one database, over real members: leadership passes from one to the other and
back, while templates are made and changed. What each member is asked to write is counted: nothing is done twice, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_harness import Member
from cluster_workers import Fleet, fleet, keep_logs, unusual

from tests.faults.processes import Serve
from tests.history import added, checkout, newest_migration
from tests.waiting import eventually

EACH = 10  # templates that are made at a time


def before_the_schema() -> str:
    return f"{newest_migration()}^"


def before_sharing() -> str:
    return f"{added('app/kafila/workers/shards.py')}^"


class Load:
    """Templates by name and value, and how often each member is to be written to for them."""

    def __init__(self, shared: Fleet) -> None:
        self._shared = shared
        self._values: dict[str, str] = {}
        self._changed = 0

    async def more(self, value: str) -> None:
        """Everything that is there is changed, and as much again is made as at first."""
        before, new = list(self._values), [f"mixed-{len(self._values) + number}" for number in range(EACH)]
        await asyncio.gather(self._shared.change(before, value), self._shared.create(new, value))
        self._values = dict.fromkeys((*before, *new), value)
        self._changed += len(before)

    async def done(self) -> None:
        """Each member has all of it, and was written to once for each."""
        await self._shared.everywhere(self._values)
        await self._shared.changed(len(self._values), self._changed)

    async def deleted(self) -> None:
        made = len(self._values)
        await self._shared.delete(self._values)
        await self._shared.everywhere({})
        await self._shared.changed(made, self._changed, made)


@pytest.mark.parametrize(
    ("version", "flags", "shares"),
    [
        pytest.param(before_the_schema, (), True, id="of the schema before"),
        pytest.param(before_sharing, (), False, id="that cannot share"),
        pytest.param(newest_migration, (), True, id="of this schema", marks=pytest.mark.long),
        pytest.param(
            newest_migration, ("--share-members=false",), False, id="that is told not to share", marks=pytest.mark.long
        ),
    ],
)
async def test_an_earlier_worker(
    version: Callable[[], str], flags: tuple[str, ...], shares: bool, member1: Member, member2: Member, tmp_path: Path
) -> None:
    with checkout(version()) as tree:
        async with fleet() as shared:
            try:
                api, old = shared.launch("api", tree), shared.launch("workers", tree, flags)
                await asyncio.gather(api.ready(), old.ready())
                await shared.join(member1, member2)
                await _mixed(shared, old, shares)
            finally:
                keep_logs(shared, tmp_path)


async def _mixed(shared: Fleet, old: Serve, shares: bool) -> None:
    load = Load(shared)
    await shared.place()
    await load.more("old alone")
    await load.done()

    new = await shared.start("workers")  # it migrates the database under the others
    assert await shared.leads(old)
    await _has_members(shared, old, new, shares)
    await load.more("old leads")
    await load.done()

    # the old one is stopped in the middle of its work, for longer than its leases count
    await load.more("old is stopped")
    await shared.arrived("old is stopped", next(iter(await shared.of(old) or shared.members)))
    old.signal(signal.SIGSTOP)
    try:
        await eventually(lambda: shared.leads(new), "the new one leads")
        await load.done()
    finally:
        old.signal(signal.SIGCONT)
    await load.more("new leads")
    await load.done()
    if shares:
        await eventually(lambda: shared.shared_by(old, new), "both have shards again")
    else:
        await eventually(lambda: shared.shared_by(new), "the new one has all")
    assert await shared.leads(new)

    # and back: what the new one began, the old one finishes
    await load.more("new is ended")
    new.signal(signal.SIGTERM)
    await eventually(lambda: shared.leads(old), "the old one leads again")
    await load.done()
    new.launch()
    await new.ready()
    await _has_members(shared, old, new, shares)

    # the upgrade comes to its end
    await load.more("old is ended")
    old.signal(signal.SIGTERM)
    await eventually(lambda: not old.alive, "its end")
    await eventually(lambda: shared.leads(new), "the new one leads")
    await eventually(lambda: shared.shared_by(new), "the new one has all")
    await load.done()
    await load.deleted()
    await shared.created_once()
    assert unusual(new) == []  # what the other one was asking when it was stopped has failed when it goes on


async def _has_members(shared: Fleet, old: Serve, new: Serve, shares: bool) -> None:
    """While the old one leads."""
    if shares:
        await eventually(lambda: shared.shared_by(old, new), "both have shards")
        return

    async def nobody() -> bool:
        return await shared.holders() == {}

    await eventually(nobody, "the new one keeps none, since the old one has every member")
