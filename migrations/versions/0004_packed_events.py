"""Bodies of Events may be packed (``app/kafila/store/packing.py``).

Nothing changes in the tables, and rows that are not packed stay readable: this only keeps out programs that could not read them.

Revision ID: 0004
"""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
