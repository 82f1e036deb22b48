"""The schema ``fleet``: what ``kafila sql`` reads. It follows from what is stored elsewhere, but for ``reader``, which says who sees what.

Its tables are filled by the controller ``sql-views``, and can be emptied at any time. Nobody else than their owner sees a row of them
without a row in ``reader``. A role that may only read is made where ours may make one; ``fleet.adopt()`` does it later otherwise.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "fleet"
TIME = sa.DateTime(timezone=True)


def _key(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def _text(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text)


def _table(name: str, key: tuple[str, ...], *columns: sa.Column[object]) -> None:
    primary = sa.PrimaryKeyConstraint(*key, name=f"{name}_pkey")
    op.create_table(name, *map(_key, key[: len(key) - (key[-1] == "number")]), *columns, primary, schema=SCHEMA)


def upgrade() -> None:
    op.execute("CREATE SCHEMA fleet")
    _tables()
    _indexes()
    for statement in (*FUNCTIONS, *VIEWS, *_rights()):
        op.execute(statement)
    op.execute(ADOPTED)


def downgrade() -> None:
    op.execute("DROP SCHEMA fleet CASCADE")


def _tables() -> None:
    op.create_table(
        "state",
        sa.Column("one", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("one", name="state_pkey"),
        sa.CheckConstraint("one", name="state_one"),
        schema=SCHEMA,
    )
    _table("reader", ("role", "namespace"))
    _table("followed", ("resource", "cluster"), sa.Column("version", sa.BigInteger, nullable=False))
    _table(
        "cluster",
        ("name",),
        _text("mode"),
        _text("ready"),
        _text("reason"),
        _text("message"),
        sa.Column("since", TIME),
        _text("version"),
        _text("provider"),
        _text("region"),
        sa.Column("zones", sa.ARRAY(sa.Text)),
        sa.Column("labels", JSONB),
        sa.Column("taints", sa.ARRAY(sa.Text)),
        sa.Column("cordoned", sa.Boolean),
        sa.Column("nodes", sa.BigInteger),
        sa.Column("nodes_ready", sa.BigInteger),
        sa.Column("cpu", sa.Numeric),
        sa.Column("cpu_used", sa.Numeric),
        sa.Column("memory", sa.Numeric),
        sa.Column("memory_used", sa.Numeric),
        sa.Column("created", TIME),
        sa.Column("deleting", sa.Boolean),
    )
    _table(
        "binding",
        ("namespace", "binding"),
        _text("api_version"),
        _text("kind"),
        _text("name"),
        _text("id"),
        _text("policy"),
        sa.Column("replicas", sa.BigInteger),
        sa.Column("scheduled", sa.Boolean),
        _text("reason"),
        _text("message"),
        sa.Column("since", TIME),
        sa.Column("suspended", sa.Boolean),
        sa.Column("created", TIME),
        sa.Column("deleting", sa.Boolean),
    )
    _table(
        "placement",
        ("namespace", "binding", "cluster"),
        _text("api_version"),
        _text("kind"),
        _text("name"),
        _text("policy"),
        _text("why"),
        sa.Column("leaving", sa.Boolean),
        sa.Column("replicas", sa.BigInteger),
        sa.Column("ready", sa.BigInteger),
        sa.Column("applied", sa.Boolean),
        _text("health"),
        _text("message"),
    )
    _table(
        "work",
        ("cluster", "work", "number"),
        sa.Column("number", sa.Integer, nullable=False),
        _text("namespace"),
        _text("api_version"),
        _text("kind"),
        _text("name"),
        _text("id"),
        sa.Column("applied", sa.Boolean),
        _text("reason"),
        _text("message"),
        sa.Column("since", TIME),
        _text("health"),
        sa.Column("images", sa.ARRAY(sa.Text)),
        sa.Column("suspended", sa.Boolean),
        sa.Column("created", TIME),
        sa.Column("deleting", sa.Boolean),
    )
    _table(
        "object",
        ("cluster", "resource", "namespace", "name"),
        _text("api_version"),
        _text("kind"),
        _text("uid"),
        sa.Column("labels", JSONB),
        sa.Column("generation", sa.BigInteger),
        sa.Column("revision", sa.BigInteger),
        sa.Column("wanted", sa.BigInteger),
        sa.Column("ready", sa.BigInteger),
        sa.Column("images", sa.ARRAY(sa.Text)),
        sa.Column("created", TIME),
        sa.Column("deleting", sa.Boolean),
    )
    _table(
        "event",
        ("namespace", "event"),
        _text("type"),
        _text("reason"),
        _text("message"),
        _text("source"),
        _text("kind"),
        _text("name"),
        sa.Column("count", sa.BigInteger),
        sa.Column("first", TIME),
        sa.Column("last", TIME),
    )


def _indexes() -> None:
    op.create_index("placement_cluster", "placement", ["cluster"], schema=SCHEMA)
    op.create_index("binding_id", "binding", ["id"], schema=SCHEMA)
    op.create_index("work_object", "work", ["cluster", "namespace", "name"], schema=SCHEMA)


# What the caller may see: names of namespaces, * for everything. A list in ``fleet.namespaces`` makes it less, never more.
FUNCTIONS = (
    """
    CREATE FUNCTION fleet.namespaces() RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
        WITH own AS (
            SELECT coalesce(array_agg(DISTINCT r.namespace), '{}') AS all_of
            FROM fleet.reader r JOIN pg_roles p ON p.rolname = r.role WHERE pg_has_role(current_user, p.oid, 'USAGE')
        ), asked AS (SELECT string_to_array(nullif(current_setting('fleet.namespaces', true), ''), ',') AS only_of)
        SELECT CASE
            WHEN only_of IS NULL THEN all_of
            WHEN '*' = ANY (all_of) THEN only_of
            ELSE ARRAY(SELECT unnest(all_of) INTERSECT SELECT unnest(only_of))
        END FROM own, asked
    $$
    """,
    """
    CREATE FUNCTION fleet.admit(role text, VARIADIC namespaces text[]) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        EXECUTE format('GRANT USAGE ON SCHEMA fleet TO %I', role);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA fleet TO %I', role);
        INSERT INTO fleet.reader SELECT role, each FROM unnest(namespaces) each ON CONFLICT DO NOTHING;
    END
    $$
    """,
    """
    CREATE FUNCTION fleet.adopt() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        each text;
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kafila_reader') THEN
            BEGIN
                CREATE ROLE kafila_reader NOLOGIN;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- of another database here, at the same moment
            END;
        END IF;
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            BEGIN
                EXECUTE format('GRANT kafila_reader TO %I', current_user);
            EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
                NULL;  -- somebody else has made it, and has to have said so
            END;
        END IF;
        INSERT INTO fleet.reader VALUES ('kafila_reader', '*') ON CONFLICT DO NOTHING;
        FOR each IN SELECT DISTINCT r.role FROM fleet.reader r JOIN pg_roles p ON p.rolname = r.role LOOP
            PERFORM fleet.admit(each, VARIADIC '{}');
        END LOOP;
    END
    $$
    """,
)

_MINE = "('*' = ANY ((SELECT fleet.namespaces())::text[]) OR {column} = ANY ((SELECT fleet.namespaces())::text[]))"
_GROUP = "CASE WHEN {0}.api_version LIKE '%/%' THEN split_part({0}.api_version, '/', 1) ELSE '' END"

# Their owner sees every row of the tables: what the caller may see is asked here.
VIEWS = (
    f"""
    CREATE VIEW fleet.pending WITH (security_barrier) AS
    SELECT * FROM (
        SELECT namespace, api_version, kind, name, '' AS cluster, 'Scheduled' AS awaits, reason, message,
            coalesce(since, created) AS since, binding, '' AS work
        FROM fleet.binding WHERE scheduled IS NOT TRUE AND NOT deleting
        UNION ALL
        SELECT namespace, api_version, kind, name, cluster, 'Applied', reason, message, coalesce(since, created), '', work
        FROM fleet.work WHERE applied IS NOT TRUE AND NOT deleting
    ) p WHERE {_MINE.format(column="namespace")}
    """,
    f"""
    CREATE VIEW fleet.drift WITH (security_barrier) AS
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
        WHERE NOT p.leaving AND NOT EXISTS (
            SELECT FROM fleet.work w WHERE w.cluster = p.cluster AND w.namespace = p.namespace AND w.name = p.name
            AND w.kind = p.kind AND {_GROUP.format("w")} = {_GROUP.format("p")})
    ) d WHERE {_MINE.format(column="namespace")}
    """,
)


def _rights() -> list[str]:
    found = []
    of_namespace = _MINE.format(column="namespace")
    rules = dict.fromkeys(("binding", "placement", "work", "object", "event"), of_namespace)
    # a cluster is shown to who sees something placed there
    rules["cluster"] = (
        "'*' = ANY ((SELECT fleet.namespaces())::text[]) OR EXISTS"
        " (SELECT FROM fleet.placement p WHERE p.cluster = fleet.cluster.name)"
    )
    rules["reader"] = (
        "EXISTS (SELECT FROM pg_catalog.pg_roles p WHERE p.rolname = role AND pg_has_role(current_user, p.oid, 'USAGE'))"
    )
    for table, rule in rules.items():
        found.append(f"ALTER TABLE fleet.{table} ENABLE ROW LEVEL SECURITY")
        found.append(f"CREATE POLICY own ON fleet.{table} FOR SELECT USING ({rule})")
    found.append("REVOKE EXECUTE ON FUNCTION fleet.adopt() FROM PUBLIC")
    found.append("REVOKE EXECUTE ON FUNCTION fleet.admit(text, VARIADIC text[]) FROM PUBLIC")
    return found


ADOPTED = """
DO $$
BEGIN
    PERFORM fleet.adopt();
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'this role may not make the role kafila_reader: kafila sql says what to do';
END
$$
"""
