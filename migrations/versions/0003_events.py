"""Events get a table of their own, partitioned by time.

Those that are there are forgotten, as after their time: they lived among the objects and in the log.

Revision ID: 0003
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"

_PARTITIONS = """
CREATE VIEW event_partitions AS
SELECT c.relname AS name,
       CASE WHEN c.relname ~ '^events_[0-9]+_[0-9]+$' THEN split_part(c.relname, '_', 2)::bigint END AS since,
       CASE WHEN c.relname ~ '^events_[0-9]+_[0-9]+$' THEN split_part(c.relname, '_', 3)::bigint END AS until,
       i.inhrelid IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS pending
FROM pg_class c JOIN pg_class parent ON parent.oid = 'events'::regclass AND parent.relnamespace = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relname ~ '^events_[0-9]+_[0-9]+$'
"""


def _name(column: str) -> sa.Column:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("revision", sa.BigInteger, nullable=False),
        _name("namespace"),
        _name("name"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("previous", sa.BigInteger, nullable=False),
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("events_revision", "events", ["revision"])
    op.create_index("events_key", "events", ["namespace", "name", sa.text("revision DESC")])
    op.create_table(
        "expiries",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(sa.text(_PARTITIONS.replace(":", r"\:")))
    op.execute("INSERT INTO expiries VALUES (0, 0, clock_timestamp())")
    for name in ("ensure_event_partitions_v1", "expire_events_v1", "commit_batch_v3"):
        op.execute(sa.text((_FUNCTIONS / f"{name}.sql").read_text().replace(":", r"\:")))
    op.execute("DELETE FROM objects WHERE resource = 'events'")


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
