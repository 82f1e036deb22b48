"""Objects, their log, writers, leases and the two functions that write.

Revision ID: 0001
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"


def _name(column: str) -> sa.Column:
    # "C": the order of bytes is the order of Python's strings and of etcd's keys, and the fastest to compare.
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "objects",
        _name("resource"),
        _name("namespace"),
        _name("name"),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("terminating", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("resource", "namespace", "name", name="objects_pkey"),
        # Room on each page for new versions of its rows: updates then touch no index.
        postgresql_with={"fillfactor": 75, "autovacuum_vacuum_scale_factor": 0.05},
    )
    op.create_table(
        "log",
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
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="log_pkey"),
        postgresql_partition_by="RANGE (revision)",
    )
    op.create_table(
        "writers",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table("history", sa.Column("compacted", sa.BigInteger, nullable=False))
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        postgresql_with={"fillfactor": 50},
    )
    for name in ("ensure_log_partitions_v1", "commit_batch_v1"):
        op.execute(sa.text((_FUNCTIONS / f"{name}.sql").read_text().replace(":", r"\:")))
    op.execute("INSERT INTO history VALUES (0)")
    op.execute("SELECT ensure_log_partitions(1)")
    # A marker (a row without a resource): there is always a newest revision, and it is never 0.
    op.execute(
        "INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, writer, seq, at)"
        " VALUES (1, '', '', '', '', '', false, false, 0, (random() * 4611686018427387904)::bigint, 0, clock_timestamp())"
    )


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
