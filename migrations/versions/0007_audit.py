"""Who changed what: a table of its own, partitioned by time. Its partitions are made by who writes (``store/audit.py``).

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("terms", sa.ARRAY(sa.Integer), nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("at", "id", name="audit_pkey"),
        postgresql_partition_by="RANGE (at)",
    )


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
