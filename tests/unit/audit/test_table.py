"""The journal: what rows it makes of notes, and that neither a slow database nor one that is away costs more than what is counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from kafila.audit.policy import GroupResources, Level, Policy, Rule
from kafila.audit.table import CONTROLLER, MOST_OBJECTS, Changed, Journal, Note, level_by_default, rows_of
from kafila.authorization import Attributes
from kafila.core.resources import Key
from kafila.registry import User
from kafila.registry.collecting import working
from kafila.store.audit import AuditQuery, AuditRow
from kafila.store.interface import StoreUnavailable
from kafila.store.memory import MemoryStore

ANN, BOB = User("ann", ("dev",)), User("bob")
WEB = Key("deployments.apps", "team-a", "web")


def body(replicas: int) -> bytes:
    return json.dumps({"metadata": {"name": "web"}, "spec": {"replicas": replicas}}).encode()


def note(*changed: Changed, user: User = ANN, verb: str = "patch", at: float = 1.5, code: int = 200) -> Note:
    asked = Attributes(user, verb, "apps", "v1", "deployments", "", "team-a", "web")
    return Note(at, f"n-{at}", asked, ANN, code, "192.0.2.1", b"kubectl", changed)


def lost() -> float:
    return REGISTRY.get_sample_value("apiserver_audit_error_total", {"plugin": "table"}) or 0.0


class Gate(MemoryStore):
    """A store whose table answers when a test says so, and first with what the test has put there."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.open_ = threading.Event()
        self.open_.set()
        self.asked, self.written = threading.Event(), threading.Event()

    def audit(self) -> Gate:  # type: ignore[override]
        return self

    async def insert(self, rows: Sequence[AuditRow]) -> None:
        self.asked.set()
        self.open_.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        await self.database.audit.insert(rows)
        self.written.set()

    def kept(self) -> list[AuditRow]:
        return self.database.audit.select(AuditQuery(0, 10**6)).rows


def test_a_row_for_each_object() -> None:
    changed = [
        Changed(WEB, body(1), body(3)),
        Changed(WEB._replace(name="b"), b"", body(1)),
        Changed(WEB, body(3), b""),
    ]
    rows = list(rows_of(note(*changed, user=BOB), Level.REQUEST))
    assert [row.id for row in rows] == ["n-1.5", "n-1.5/1", "n-1.5/2"]
    assert [json.loads(row.changes) for row in rows] == [
        {"outcome": "changed", "fields": [{"path": "spec.replicas", "from": "1", "to": "3"}]},
        {"outcome": "created"},
        {"outcome": "deleted"},
    ]
    first = rows[0]
    assert (first.username, first.acting, first.verb, first.resource) == ("ann", "bob", "patch", "deployments.apps")
    assert (first.namespace, first.name, first.code, first.source, first.agent) == (
        *("team-a", "web"),
        *(200, "192.0.2.1", "kubectl"),
    )


def test_a_request_that_changed_nothing_has_a_row_too() -> None:
    (row,) = rows_of(note(code=403), Level.REQUEST)
    assert (row.acting, row.resource, row.name, row.code, row.changes) == ("", "deployments.apps", "web", 403, "{}")


def test_what_is_asked_of_a_member_is_told() -> None:
    asked = Attributes(ANN, "delete", "cluster.karmada.io", "v1alpha1", "clusters", "proxy", "", "member1")
    (row,) = rows_of(note()._replace(asked=asked, path="api/v1/namespaces/a/pods/\0x"), Level.REQUEST)
    assert (row.name, row.subresource) == ("member1", "proxy")
    assert json.loads(row.changes) == {"path": "api/v1/namespaces/a/pods/\ufffdx"}


def test_a_policy_may_keep_contents_out() -> None:
    (row,) = rows_of(note(Changed(WEB, body(1), body(3))), Level.METADATA)
    assert json.loads(row.changes) == {"outcome": "changed"}


def test_of_what_is_encrypted_at_rest_no_value_is_told() -> None:
    (row,) = rows_of(note(Changed(WEB, body(1), body(3))), Level.REQUEST, lambda key, clear: b"3" in clear)
    assert json.loads(row.changes)["fields"] == [{"path": "spec.replicas", "from": "(secret)", "to": "(secret)"}]


def test_very_many_objects_are_counted() -> None:
    rows = list(
        rows_of(note(*[Changed(WEB, body(1), b"")] * (MOST_OBJECTS + 7), verb="deletecollection"), Level.REQUEST)
    )
    assert len(rows) == MOST_OBJECTS
    assert json.loads(rows[-1].changes) == {"outcome": "deleted", "objects": MOST_OBJECTS + 7}


@pytest.mark.parametrize(
    ("group", "resource", "level"),
    [
        ("apps", "deployments", Level.REQUEST),
        ("", "secrets", Level.REQUEST),
        ("", "events", Level.NONE),
        ("events.k8s.io", "events", Level.NONE),
        ("coordination.k8s.io", "leases", Level.NONE),
        ("authorization.k8s.io", "subjectaccessreviews", Level.NONE),
        ("authentication.k8s.io", "tokenreviews", Level.NONE),
        ("rbac.authorization.k8s.io", "roles", Level.REQUEST),
    ],
)
def test_what_is_recorded_by_default(group: str, resource: str, level: Level) -> None:
    assert level_by_default(group, resource) == level


def test_a_policy_decides_where_there_is_one() -> None:
    store = Gate()
    journal = Journal(store)
    journal.policy = Policy((Rule(Level.REQUEST, users=frozenset({"ann"}), resources=(GroupResources("apps"),)),))
    journal.put(note(Changed(WEB, b"", body(1))))
    journal.put(note()._replace(sender=BOB))
    journal.close(30)
    assert [row.username for row in store.kept()] == ["ann"]


def test_controllers_are_named() -> None:
    store = Gate()
    journal = Journal(store)
    token = working.set("execution/member1")
    journal.of_controllers(1.0, "c-1", WEB, b"", body(1))
    working.reset(token)
    journal.of_controllers(2.0, "c-2", WEB, body(1), b"")
    journal.close(30)
    assert [(row.username, row.verb, row.resource) for row in store.kept()] == [
        (f"{CONTROLLER}kafila", "delete", "deployments.apps"),
        (f"{CONTROLLER}execution/member1", "create", "deployments.apps"),
    ]


def test_a_database_that_is_away_is_asked_again() -> None:
    store, before = Gate(StoreUnavailable("away")), lost()
    journal = Journal(store)
    journal.put(note(Changed(WEB, b"", body(1))))
    assert store.written.wait(30)
    journal.close(30)
    assert len(store.kept()) == 1
    assert lost() == before


@pytest.mark.parametrize(("most_notes", "most_bytes"), [(3, 1 << 20), (100, 3 * (len(body(1)) + len(b"kubectl")))])
def test_what_finds_no_room_is_counted_and_holds_nobody_up(most_notes: int, most_bytes: int) -> None:
    store, before = Gate(), lost()
    store.open_.clear()
    journal = Journal(store, most_notes, most_bytes)
    journal.put(note(Changed(WEB, b"", body(1)), at=0.5))
    assert store.asked.wait(30)  # the writer is held up with the first one
    for number in range(10):
        journal.put(note(Changed(WEB, b"", body(1)), at=1.0 + number))
    assert lost() == before + 7
    store.open_.set()
    journal.close(30)
    assert len(store.kept()) == 4


def test_what_can_never_be_written_takes_nothing_else_with_it() -> None:
    store, before = Gate(ValueError("no")), lost()
    journal = Journal(store)
    journal.put(note(Changed(WEB, b"{", b"}"), at=1.0))  # no JSON: nobody can say what changed
    journal.put(note(Changed(WEB, b"", body(1)), at=2.0))
    assert store.asked.wait(30)
    journal.put(note(Changed(WEB, b"", body(1)), at=3.0))
    journal.close(30)
    assert lost() == before + 2
    assert [row.at for row in store.kept()] == [3.0]


def test_at_the_end_what_is_left_is_counted() -> None:
    store, before = Gate(*[StoreUnavailable("away")] * 1000), lost()
    journal = Journal(store)
    journal.put(note(Changed(WEB, b"", body(1))))
    assert store.asked.wait(30)
    journal.close(30)
    assert lost() == before + 1
