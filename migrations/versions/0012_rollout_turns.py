"""Placements that wait for their turn in a rollout: they have no Work, and nothing of them is missing.

The column is filled when the controller sql-views projects all objects anew, which it does for the rows of an earlier format.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MINE = "('*' = ANY ((SELECT fleet.namespaces())::text[]) OR namespace = ANY ((SELECT fleet.namespaces())::text[]))"
_GROUP = "CASE WHEN {0}.api_version LIKE '%/%' THEN split_part({0}.api_version, '/', 1) ELSE '' END"

# Who may read it goes on to: a view that is replaced keeps its rights.
DRIFT = f"""
    CREATE OR REPLACE VIEW fleet.drift WITH (security_barrier) AS
    SELECT * FROM (
        SELECT w.namespace, w.api_version, w.kind, w.name, w.cluster,
            CASE WHEN c.name IS NULL THEN 'WorkWithoutCluster' WHEN b.id IS NULL THEN 'WorkWithoutBinding'
                ELSE 'WorkNotWanted' END AS reason,
            CASE WHEN c.name IS NULL THEN 'there is no cluster ' || w.cluster
                WHEN b.id IS NULL THEN 'its binding is not there'
                ELSE concat_ws('/', CASE WHEN b.namespace = '' THEN 'ClusterResourceBinding' ELSE 'ResourceBinding' END,
                    nullif(b.namespace, ''), b.binding) || ' does not place anything in ' || w.cluster END AS message,
            coalesce(b.binding, '') AS binding, w.work
        FROM fleet.work w
        LEFT JOIN fleet.cluster c ON c.name = w.cluster
        LEFT JOIN fleet.binding b ON b.id = w.id AND w.id <> ''
        LEFT JOIN fleet.placement p ON p.namespace = b.namespace AND p.binding = b.binding AND p.cluster = w.cluster
        WHERE w.number = 0 AND NOT w.deleting AND (c.name IS NULL OR (w.id <> '' AND p.cluster IS NULL))
        UNION ALL
        SELECT p.namespace, p.api_version, p.kind, p.name, p.cluster, 'WorkMissing',
            'there is no Work of it for cluster ' || p.cluster, p.binding, ''
        FROM fleet.placement p
        JOIN fleet.binding b ON b.namespace = p.namespace AND b.binding = p.binding AND NOT b.deleting
        JOIN fleet.cluster c ON c.name = p.cluster
        WHERE NOT p.leaving AND p.waits IS NOT TRUE AND NOT EXISTS (
            SELECT FROM fleet.work w WHERE w.cluster = p.cluster AND w.namespace = p.namespace AND w.name = p.name
            AND w.kind = p.kind AND {_GROUP.format("w")} = {_GROUP.format("p")})
    ) d WHERE {_MINE}
"""


def upgrade() -> None:
    op.add_column("placement", sa.Column("waits", sa.Boolean), schema="fleet")
    op.execute(DRIFT)


def downgrade() -> None:
    raise NotImplementedError("history is never thrown away by a downgrade: restore a backup")
