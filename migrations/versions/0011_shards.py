"""Leases that rest on another one: the shards of member clusters, which worker processes share out among themselves.

Revision ID: 0011
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"


def upgrade() -> None:
    for name in ("acquire_lease_v2", "take_leases_v1"):
        op.execute(sa.text((_FUNCTIONS / f"{name}.sql").read_text().replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
