"""What search.karmada.io keeps of members' objects: tables of their own, which can be filled from the members again.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "search_resources",
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
    op.create_table(
        "search_objects",
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
    )
    op.create_index("search_objects_version", "search_objects", ["resource", "cluster", "version", "namespace", "name"])
    op.create_index("search_objects_deleted", "search_objects", ["at"], postgresql_where=sa.text("deleted"))


def downgrade() -> None:
    op.drop_table("search_objects")
    op.drop_table("search_resources")
