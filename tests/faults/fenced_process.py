"""Writes to a member and to the store in turn while it leads: ``python fenced_process.py <record> <member>``, DSN in DATABASE_URL.

It does not stop when it is told to, only when both refuse: the worst that a process can be which goes on after its lease.
"""

from __future__ import annotations

import asyncio
import os
import sys

from kafila.core.resources import Key
from kafila.members.client import MemberClient
from kafila.store.interface import LeaseLost, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.workers.leader import Durations, Leader

DURATIONS = Durations(lease=5.0, deadline=4.0, retry=0.1)  # a slow machine stands still for a second at times


class Work:
    def __init__(self, leader: Leader, store: PostgresStore, record: int) -> None:
        self._leader = leader
        self._store = store
        self._record = record
        self._member = MemberClient("m", sys.argv[2], fence=leader.fence)
        self._task: asyncio.Task[None]

    def note(self, what: str) -> None:
        os.write(self._record, f"{os.getpid()} {what}\n".encode())

    async def start(self) -> None:
        self.note("leads")
        self._task = asyncio.create_task(self._keep_writing())

    async def stop(self) -> None:
        await self._task
        self.note("stopped")

    async def _keep_writing(self) -> None:
        lease = self._leader.fence()
        refused = set[str]()
        while refused != {"member", "store"}:
            try:
                await self._member.create("/write", {"by": os.getpid()})
            except LeaseLost:
                refused.add("member")
                self.note("member refused")
            try:
                await self._store.commit(Transaction([], [Write(Key("pods", "", "p"), b"%d" % os.getpid())], lease))
            except LeaseLost:
                refused.add("store")
                self.note("store refused")


async def main() -> None:
    record = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    store = PostgresStore(os.environ["DATABASE_URL"])
    await store.open()
    leader = Leader(store, "test", DURATIONS)
    leader.start(Work(leader, store, record))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
