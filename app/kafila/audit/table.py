"""The table backend: who changed what, with what changed, as rows of the database.

A request leaves no more than a note; what is to be made of it, and the database, are the business of a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, final

import orjson
import structlog

from kafila.authorization import Attributes
from kafila.authorization.attributes import Subject
from kafila.core.rates import Backoff
from kafila.core.resources import Key
from kafila.registry import User
from kafila.registry.collecting import working
from kafila.store.audit import AuditRow, AuditTable
from kafila.store.interface import Store, StoreUnavailable

from .diff import differences
from .metrics import RECORDS, lost
from .policy import GroupResources, Level, Policy, Rule

log = structlog.get_logger(__name__)
PLUGIN: Final = "table"
MOST_NOTES: Final = 10_000
MOST_BYTES: Final = 64 << 20
AT_ONCE: Final = 500  # rows
PERIOD: Final = 0.5  # seconds between two batches
MOST_NAME: Final = 512  # characters of a text in a row
MOST_OBJECTS: Final = 100  # of one request (a collection that is deleted); that there were more is said
CONTROLLER: Final = "system:controller:"  # as whom a controller is known; what follows is the name of its queue
_PAUSES: Final = 0.5, 10.0  # seconds between attempts, shortest and longest

# What is recorded when no policy says otherwise: writes. Not what only asks, is written every few seconds, or tells of something.
DEFAULT: Final = Policy(
    (
        Rule(Level.NONE, resources=(GroupResources("authentication.k8s.io"), GroupResources("authorization.k8s.io"))),
        Rule(
            Level.NONE, resources=(GroupResources("coordination.k8s.io", ("leases",)), GroupResources("events.k8s.io"))
        ),
        Rule(Level.NONE, resources=(GroupResources("", ("events",)),)),
        Rule(Level.REQUEST),
    )
)


@lru_cache(maxsize=1024)
def level_by_default(group: str, resource: str) -> Level:
    return DEFAULT.verdict(Attributes(User(""), "", group, "", resource)).level


Seals = Callable[[Key, bytes], bool]


def _in_clear(key: Key, body: bytes) -> bool:
    return False


class Changed(NamedTuple):
    """Bodies as they are stored; empty: it was not there."""

    key: Key
    before: bytes
    after: bytes


class Note(NamedTuple):
    """What is kept of a request until a row is made of it."""

    at: float  # Unix seconds
    id: str
    asked: Attributes
    sender: Subject  # who sent it, whom ``asked.user`` need not be
    code: int
    source: str
    agent: bytes
    changed: Sequence[Changed]
    path: str = ""  # what is asked of a member, through the proxy

    @property
    def size(self) -> int:
        """Bytes that it keeps, also where others keep them too."""
        size = len(self.agent)
        for each in self.changed:
            size += len(each.before) + len(each.after)
        return size


@final
class Journal:
    """``policy``: as of now; None: the default one. Notes are put by the event loop, rows are written by a thread.
    ``seals``: whether a body is encrypted where it is stored, so that no value of it may lie here in clear."""

    def __init__(
        self, store: Store, most_notes: int = MOST_NOTES, most_bytes: int = MOST_BYTES, seals: Seals = _in_clear
    ) -> None:
        self.policy: Policy | None = None
        self._seals = seals
        self._store = store
        self._most_notes, self._most_bytes = most_notes, most_bytes
        self._waiting: deque[Note] = deque()
        self._put, self._taken = 0, 0  # bytes
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-table", daemon=True)
        self._thread.start()

    def put(self, note: Note) -> None:
        """Never waits."""
        size = note.size
        if len(self._waiting) >= self._most_notes or self._put - self._taken + size > self._most_bytes:
            lost(PLUGIN, 1, "the database takes them more slowly than they come")
            return
        self._put += size
        self._waiting.append(note)

    def of_controllers(self, now: float, new_id: str, key: Key, before: bytes, after: bytes) -> None:
        """A write that no request asked for."""
        verb = "delete" if not after else "update" if before else "create"
        resource, _, group = key.resource.partition(".")
        user = User(f"{CONTROLLER}{working.get() or 'kafila'}")
        asked = Attributes(user, verb, group, "", resource, "", key.namespace, key.name)
        self.put(Note(now, new_id, asked, user, 200, "", b"", (Changed(key, before, after),)))

    def close(self, timeout: float) -> None:
        """Waits so many seconds for what is not written yet; what is left then is lost, and counted."""
        self._closed.set()
        self._thread.join(timeout)
        if self._waiting:
            lost(PLUGIN, len(self._waiting), "the process ends")

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._write())

    async def _write(self) -> None:
        table = self._store.audit()
        while True:
            closing = self._closed.wait(PERIOD)
            while notes := self._take():
                await self._insert(table, [row for note in notes for row in self._rows(note)])
            if closing:
                break
        await table.close()

    def _take(self) -> list[Note]:
        found: list[Note] = []
        while self._waiting and len(found) < AT_ONCE:
            note = self._waiting.popleft()
            self._taken += note.size
            found.append(note)
        return found

    def _rows(self, note: Note) -> list[AuditRow]:
        try:
            level = self._level(note)
            return list(rows_of(note, level, self._seals)) if level > Level.NONE else []
        except Exception as error:  # what strangers sent must not end the thread that records what they do
            lost(PLUGIN, 1, f"{type(error).__name__}: {error}")
            return []

    def _level(self, note: Note) -> Level:
        if self.policy is None:
            return level_by_default(note.asked.group, note.asked.resource)
        return self.policy.verdict(note.asked._replace(user=note.sender)).level

    async def _insert(self, table: AuditTable, rows: Sequence[AuditRow]) -> None:
        pauses = Backoff(*_PAUSES)
        while rows:
            try:
                await table.insert(rows)
                RECORDS.inc(len(rows))
                return
            except StoreUnavailable as error:
                if self._closed.is_set():
                    lost(PLUGIN, len(rows), f"the process ends, and the database takes nothing: {error}")
                    return
                pause = pauses.failed()
                log.warning("audit rows not written yet", rows=len(rows), reason=str(error), again_in=pause)
                self._closed.wait(pause)
            except Exception as error:
                lost(PLUGIN, len(rows), f"{type(error).__name__}: {error}")
                return


def rows_of(note: Note, level: Level, seals: Seals = _in_clear) -> Iterator[AuditRow]:
    """A row for each object that was changed, one for a request that changed none. What changed is told from level Request on."""
    asked = note.asked
    resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    acting = "" if asked.user == note.sender else asked.user.name
    told = note.changed[:MOST_OBJECTS]
    objects: Sequence[Changed | None] = told or (None,)
    for number, changed in enumerate(objects):
        where = changed.key if changed is not None else Key(resource, asked.namespace, asked.name)
        said = _said(changed, level, seals) if changed is not None else {}
        if note.path:
            said = {**said, "path": text_of(note.path)}
        if number == MOST_OBJECTS - 1 and len(note.changed) > MOST_OBJECTS:
            said = {**said, "objects": len(note.changed)}
        yield AuditRow(
            at=round(note.at, 6),
            id=note.id + (f"/{number}" if number else ""),
            username=text_of(note.sender.name),
            acting=text_of(acting),
            verb=asked.verb,
            resource=text_of(where.resource),
            subresource=text_of(asked.subresource),
            namespace=text_of(where.namespace),
            name=text_of(where.name),
            code=note.code,
            source=text_of(note.source),
            agent=text_of(note.agent.decode("utf-8", "replace")),
            changes=orjson.dumps(said).decode(),
        )


def _said(changed: Changed, level: Level, seals: Seals) -> Mapping[str, Any]:
    if not changed.before or not changed.after:
        return {"outcome": "created" if changed.after else "deleted"}
    if level < Level.REQUEST:
        return {"outcome": "changed"}
    before, after = orjson.loads(changed.before), orjson.loads(changed.after)
    found, more = differences(before, after, changed.key.resource == "secrets")
    if seals(changed.key, changed.before) or seals(changed.key, changed.after):
        found = [each.redacted() for each in found]
    fields = [each.document() for each in found]
    return {"outcome": "changed", "fields": fields, **({"more": True} if more else {})}


def text_of(text: str) -> str:
    """What can be kept of a text that a stranger has chosen."""
    if len(text) <= MOST_NAME and text.isprintable():  # as nearly all of them
        return text
    return text[:MOST_NAME].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
