"""The tables as SQLAlchemy metadata, for Alembic's comparison only: nothing at run time imports this (or SQLAlchemy).

``log`` is partitioned by revision; its partitions are made by ``ensure_log_partitions`` in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


objects = sa.Table(
    "objects",
    metadata,
    _name("resource"),
    _name("namespace"),
    _name("name"),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("terminating", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("resource", "namespace", "name", name="objects_pkey"),
)

log = sa.Table(
    "log",
    metadata,
    sa.Column("revision", sa.BigInteger, nullable=False),
    _name("resource"),
    _name("namespace"),
    _name("name"),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("terminating", sa.Boolean, nullable=False),
    sa.Column("previous", sa.BigInteger, nullable=False),
    sa.Column("previous_body", sa.LargeBinary),
    sa.Column("writer", sa.BigInteger, nullable=False),  # with seq: which batch of which process wrote the row
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("revision", name="log_pkey"),
    postgresql_partition_by="RANGE (revision)",
)

# every version of an event until its time is over; partitioned by time, its partitions are made by ``ensure_event_partitions``
events = sa.Table(
    "events",
    metadata,
    sa.Column("revision", sa.BigInteger, nullable=False),
    _name("namespace"),
    _name("name"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("previous", sa.BigInteger, nullable=False),
    sa.Column("writer", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("events_revision", "revision"),
    sa.Index("events_key", "namespace", "name", sa.text("revision DESC")),
    postgresql_partition_by="RANGE (at)",
)

# at ``revision`` every event whose newest row is not above ``upto`` ended
expiries = sa.Table(
    "expiries",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("upto", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

writers = sa.Table(
    "writers",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

# what bodies were packed with, for good
dictionaries = sa.Table(
    "dictionaries",
    metadata,
    sa.Column("id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("id", "kind", name="dictionaries_pkey"),
)

history = sa.Table("history", metadata, sa.Column("compacted", sa.BigInteger, nullable=False))

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
)

# who changed what, many rows of it in one (``store/postgres_audit.py``); partitioned by time, partitions are made by who writes
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),  # of the newest
    _name("id"),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),  # of the oldest
    sa.Column("terms", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("at", "id", name="audit_pkey"),
    postgresql_partition_by="RANGE (at)",
)

# what search.karmada.io keeps of members (``store/search.py``)
search_resources = sa.Table(
    "search_resources",
    metadata,
    _name("resource"),
    _name("cluster"),
    sa.Column("namespaces", sa.ARRAY(sa.Text), nullable=False),
    sa.Column("writer", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("oldest", sa.BigInteger, nullable=False),
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("trouble", sa.Text, nullable=False),
    sa.Column("leaving", sa.Boolean, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("resource", "cluster", name="search_resources_pkey"),
)

search_objects = sa.Table(
    "search_objects",
    metadata,
    _name("resource"),
    _name("cluster"),
    _name("namespace"),
    _name("name"),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("object_version", sa.Text, nullable=False),
    sa.Column("labels", JSONB, nullable=False),
    sa.Column("before", JSONB),
    sa.Column("before_version", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("resource", "cluster", "namespace", "name", name="search_objects_pkey"),
    sa.Index("search_objects_version", "resource", "cluster", "version", "namespace", "name"),
    sa.Index("search_objects_deleted", "at", postgresql_where=sa.text("deleted")),
)

# how far that was written to OpenSearch (``store/exports.py``)
search_exports = sa.Table(
    "search_exports",
    metadata,
    _name("backend"),
    _name("resource"),
    _name("cluster"),
    sa.Column("namespaces", sa.ARRAY(sa.Text), nullable=False),
    _name("index_name"),
    _name("index_uid"),
    sa.Column("version", sa.BigInteger, nullable=False),
    _name("namespace"),
    _name("name"),
    sa.Column("swept", sa.Boolean, nullable=False),
    sa.PrimaryKeyConstraint("backend", "resource", "cluster", name="search_exports_pkey"),
)

# what ``kafila sql`` reads (``store/fleet.py``); views, rights and functions are in the migration
_TIME: Final = sa.DateTime(timezone=True)
_KINDS: Final[Mapping[str, Any]] = {
    "text": sa.Text,
    "bool": sa.Boolean,
    "bigint": sa.BigInteger,
    "int": sa.Integer,
    "numeric": sa.Numeric,
    "json": JSONB,
    "list": sa.ARRAY(sa.Text),
    "time": _TIME,
}


def _fleet(name: str, key: str, columns: str, needed: str = "") -> sa.Table:
    """``columns``, ``needed``: such as "mode ready since:time"; those that are needed are never null."""
    made = [_name(each) for each in key.split() if f"{each}:int" not in needed]
    for words, nullable in ((needed, False), (columns, True)):
        for column, _, kind in (word.partition(":") for word in words.split()):
            made.append(sa.Column(column, _KINDS[kind or "text"], nullable=nullable))
    return sa.Table(name, metadata, *made, sa.PrimaryKeyConstraint(*key.split(), name=f"{name}_pkey"), schema="fleet")


sa.Table(
    "state",
    metadata,
    sa.Column("one", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("writer", sa.BigInteger, nullable=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("at", _TIME, nullable=False),
    sa.PrimaryKeyConstraint("one", name="state_pkey"),
    sa.CheckConstraint("one", name="state_one"),
    schema="fleet",
)
_fleet("reader", "role namespace", "")
_fleet("followed", "resource cluster", "", "version:bigint")
_fleet(
    "cluster",
    "name",
    "mode ready reason message since:time version provider region zones:list labels:json taints:list cordoned:bool"
    " nodes:bigint nodes_ready:bigint cpu:numeric cpu_used:numeric memory:numeric memory_used:numeric"
    " created:time deleting:bool",
)
_of_binding = _fleet(
    "binding",
    "namespace binding",
    "api_version kind name id policy replicas:bigint scheduled:bool reason message since:time suspended:bool"
    " created:time deleting:bool",
)
_placed = _fleet(
    "placement",
    "namespace binding cluster",
    "api_version kind name policy why leaving:bool waits:bool replicas:bigint ready:bigint applied:bool health message",
)
_of_work = _fleet(
    "work",
    "cluster work number",
    "namespace api_version kind name id applied:bool reason message since:time health images:list suspended:bool created:time"
    " deleting:bool",
    "number:int",
)
_fleet(
    "object",
    "cluster resource namespace name",
    "api_version kind uid labels:json generation:bigint revision:bigint wanted:bigint ready:bigint images:list"
    " created:time deleting:bool",
)
_fleet("event", "namespace event", "type reason message source kind name count:bigint first:time last:time")
sa.Index("placement_cluster", _placed.c.cluster)
sa.Index("binding_id", _of_binding.c.id)
sa.Index("work_object", _of_work.c.cluster, _of_work.c.namespace, _of_work.c.name)
