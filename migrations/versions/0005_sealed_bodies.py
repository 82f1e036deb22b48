"""Bodies may be sealed (``app/kafila/store/sealing.py``).

Nothing changes in the tables, and rows in clear stay readable: this only keeps out programs that could not read sealed ones.

Revision ID: 0005
"""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
