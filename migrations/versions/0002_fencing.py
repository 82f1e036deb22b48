"""Transactions may name the lease they are written under; leases change hands under the lock of commits.

Revision ID: 0002
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parent.parent / "functions"


def upgrade() -> None:
    for name in ("commit_batch_v2", "acquire_lease_v1"):
        op.execute(sa.text((_FUNCTIONS / f"{name}.sql").read_text().replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
