"""Which transactions go into one batch, what is sent for them, and what the answer means. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from kafila.core.resources import Key

from .interface import EVENTS, Guard, GuardFailed, Lease, LeaseLost, Row, Transaction, Write
from .packing import Packing
from .sealing import Sealed

MAX_TRANSACTIONS = 500
MAX_BYTES = 8 << 20

_AT_REVISION, _ABSENT, _ALIVE, _EXISTS, _HELD = 0, 1, 2, 3, 4

COMMIT = (
    "SELECT head, failed_guards, failed_revisions, failed_terminating, previous"
    " FROM commit_batch($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)"
)


class Pending:
    """A transaction whose caller waits for ``future``."""

    __slots__ = ("future", "losses", "sealed", "since", "transaction")

    def __init__(self, transaction: Transaction, loop: asyncio.AbstractEventLoop, sealed: Sealed | None = None) -> None:
        self.transaction = transaction
        self.sealed = sealed  # what is stored in the place of its bodies
        self.losses = 0  # connections that were lost with it
        self.future: asyncio.Future[list[int]] = loop.create_future()
        self.since = loop.time()

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def succeed(self, revisions: list[int]) -> None:
        if not self.future.done():
            self.future.set_result(revisions)


def take(queue: deque[Pending]) -> list[Pending]:
    """Removes from ``queue`` what can be committed at once, oldest first.

    Guards compare with the state before the batch, so a transaction that writes or guards a key which an earlier one of this
    batch writes has to wait for the next batch. Then the order in the batch is an order in which they could have run.
    A batch of several has MAX_BYTES at most.
    """
    batch: list[Pending] = []
    waiting: list[Pending] = []
    written: set[Key] = set()
    size = 0
    while queue and len(batch) < MAX_TRANSACTIONS:
        pending = queue.popleft()
        if pending.future.done():  # its caller went away
            continue
        transaction = pending.transaction
        writes = transaction.writes
        if written and _touches(transaction, written):
            waiting.append(pending)
            continue
        for write in writes:
            size += len(write.body or b"") + len(write.last or b"")
        if batch and size > MAX_BYTES:
            waiting.append(pending)
            break
        for write in writes:
            written.add(write.key)
        batch.append(pending)
    queue.extendleft(reversed(waiting))
    return batch


def _touches(transaction: Transaction, keys: set[Key]) -> bool:
    """Whether it writes or guards one of them. Loops, as in ``take``: a generator costs each write more than what it does."""
    for write in transaction.writes:
        if write.key in keys:
            return True
    for guard in transaction.guards:  # noqa: SIM110
        if guard.key in keys:
            return True
    return False


def in_order(batch: Sequence[Pending]) -> list[tuple[int, Write]]:
    """All writes, each with its transaction's index, as they are numbered: Events first, so that the newest row is the log's."""
    events: list[tuple[int, Write]] = []
    others: list[tuple[int, Write]] = []
    for index, pending in enumerate(batch):
        for write in pending.transaction.writes:
            (events if write.key.resource == EVENTS else others).append((index, write))
    return events + others if events else others


def arguments(batch: Sequence[Pending], packing: Packing) -> tuple[list[Any], list[tuple[int, Guard | Lease]]]:
    """Columns for ``commit_batch`` and, for each guard sent, its transaction's index and itself."""
    asked: list[tuple[int, Guard | Lease]] = []
    g_transaction, g_resource, g_namespace, g_name, g_revision, g_kind = [], [], [], [], [], []
    w_transaction, w_resource, w_namespace, w_name = [], [], [], []
    w_body, w_last, w_uid, w_terminating = [], [], [], []
    for index, write in in_order(batch):
        key = write.key
        body, last = write.body, write.last
        if (sealed := batch[index].sealed) is not None and key in sealed:
            body, last = sealed[key]
        else:
            event = key.resource == EVENTS
            if body is not None:
                body = packing.pack(body, event)
            if last is not None:
                last = packing.pack(last, event)
        w_transaction.append(index + 1)
        w_resource.append(key.resource)
        w_namespace.append(key.namespace)
        w_name.append(key.name)
        w_body.append(body)
        w_last.append(last)
        w_uid.append(write.uid)
        w_terminating.append(write.terminating)
    for number, pending in enumerate(batch, 1):
        transaction = pending.transaction
        guards = [(g, _ABSENT if g.absent else _ALIVE if g.alive else _AT_REVISION) for g in transaction.guards]
        for write in transaction.writes:
            if write.body is None:
                guards.append((Guard(write.key), _EXISTS))
        if (lease := transaction.lease) is not None:
            asked.append((number - 1, lease))
            g_transaction.append(number)
            g_resource.append("")
            g_namespace.append(lease.holder)
            g_name.append(lease.name)
            g_revision.append(lease.token)
            g_kind.append(_HELD)
        for guard, kind in guards:
            asked.append((number - 1, guard))
            g_transaction.append(number)
            g_resource.append(guard.key.resource)
            g_namespace.append(guard.key.namespace)
            g_name.append(guard.key.name)
            g_revision.append(guard.revision)
            g_kind.append(kind)
    columns = [g_transaction, g_resource, g_namespace, g_name, g_revision, g_kind]
    columns += [w_transaction, w_resource, w_namespace, w_name, w_body, w_last, w_uid, w_terminating]
    return columns, asked


class Outcome:
    """What became of a batch. ``rows`` is None when they have to be read from the log (a deletion's last body)."""

    __slots__ = ("before", "failures", "last", "revisions", "rows")

    def __init__(self, batch: list[Pending], asked: list[tuple[int, Guard | Lease]], record: Any) -> None:
        self.before: int = record["head"]
        self.failures: dict[int, GuardFailed | LeaseLost] = {}  # by index in the batch
        self.revisions: dict[int, list[int]] = {}
        if record["failed_guards"]:
            self._read_failures(asked, record)
        self.rows: list[Row] | None = []
        self.last = self._number_survivors(batch, record["previous"] or ())

    def _read_failures(self, asked: list[tuple[int, Guard | Lease]], record: Any) -> None:
        found = zip(record["failed_guards"], record["failed_revisions"], record["failed_terminating"], strict=True)
        for number, revision, terminating in sorted(found):
            index, guard = asked[number - 1]
            if isinstance(guard, Lease):  # comes before the transaction's guards, which then do not matter
                self.failures.setdefault(index, LeaseLost(f"the lease {guard.name} is not held any more"))
            else:
                self.failures.setdefault(index, GuardFailed(guard, revision, terminating))

    def _number_survivors(self, batch: list[Pending], previous: Iterable[int]) -> int:
        """The function gave the numbers in the order of the writes, without gaps. Returns the last one."""
        revision = self.before
        before_each = iter(previous)
        rows: list[Row] | None = self.rows
        self.revisions = {index: [] for index in range(len(batch)) if index not in self.failures}
        key: Key | None = None
        writes = in_order(batch)
        for index, write in writes:
            if index in self.failures:
                continue
            revision += 1
            key = write.key
            self.revisions[index].append(revision)
            body = write.last if write.body is None else write.body
            earlier = next(before_each)
            if key.resource == EVENTS:
                continue
            if body is None:
                rows = None
            elif rows is not None:
                rows.append(Row(revision, key, body, write.body is None, earlier))
        if key is not None and key.resource == EVENTS:  # nothing else was written
            revision += 1
            rows = [Row(revision, Key(EVENTS, "", ""), b"", False, 0)]
        self.rows = rows
        if writes and writes[0][1].key.resource == EVENTS:
            self._in_order_of_writes(batch)
        return revision

    def _in_order_of_writes(self, batch: list[Pending]) -> None:
        """Callers know nothing of the order in which Events come first."""
        for index, revisions in self.revisions.items():
            writes = batch[index].transaction.writes
            numbered = sorted(range(len(writes)), key=lambda at: writes[at].key.resource != EVENTS)
            by_place = dict(zip(numbered, revisions, strict=True))
            self.revisions[index] = [by_place[at] for at in range(len(writes))]

    def deliver(self, batch: list[Pending]) -> None:
        for index, pending in enumerate(batch):
            failure = self.failures.get(index)
            if failure is not None:
                pending.fail(failure)
            else:
                pending.succeed(self.revisions[index])


def apart(batch: list[Pending]) -> list[list[Pending]]:
    """How what was sent over a lost connection is sent again.

    Whole at first: connections are lost for many reasons. Then in halves, until the one with which they are lost is alone.
    """
    if len(batch) > 1 and max(pending.losses for pending in batch) > 1:
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]
    return [batch]


def recovered(batch: list[Pending], written: dict[Key, int]) -> tuple[list[Pending], list[Pending]]:
    """After a lost connection: ``written`` is what the log has of the batch. Delivers the committed transactions;
    returns them and those that were not carried out (their guards failed, or nothing of the batch was committed)."""
    committed, rest = [], []
    for pending in batch:
        writes = pending.transaction.writes
        if writes and writes[0].key in written:
            committed.append(pending)
        else:
            rest.append(pending)
    return committed, rest
