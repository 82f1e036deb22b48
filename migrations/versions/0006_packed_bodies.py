"""All bodies may be packed, by dictionaries that are learned (``app/kafila/store/packing.py``).

Rows that are not packed stay readable. Programs that could not read the others are kept out.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dictionaries",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", "kind", name="dictionaries_pkey"),
    )


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
