"""How far what search.karmada.io keeps of members was written to OpenSearch, by backend store, resource and cluster.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "search_exports",
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


def downgrade() -> None:
    op.drop_table("search_exports")
