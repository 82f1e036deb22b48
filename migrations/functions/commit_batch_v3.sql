-- Commits one batch of transactions of one writer. Every guard looks at the state before the batch: the committer never puts
-- two transactions into a batch of which the later one looks at what the earlier one writes.
--
-- VOLATILE and READ COMMITTED on purpose: each statement below sees what the previous holder of the lock committed. One
-- statement for all of it would look at a snapshot older than the lock, and lose a compare-and-set.
--
-- p_known: a revision the writer has seen; only makes the look for the newest one cheap (partitions before it are pruned).
-- guard_kind: 0 exists at guard_revision, 1 absent, 2 exists and is not terminating, 3 exists,
-- 4 the lease guard_name is held by guard_namespace with the token guard_revision (it cannot change hands meanwhile:
-- acquire_lease takes the same lock).
-- Numbers of transactions, guards and writes start at 1. A write without a body deletes.
--
-- Writes of the resource events come before all others. Their table holds every version until its time is over: what is current
-- is a key's newest row above the horizon. The log has no row of them, but its newest row is always the newest revision: a batch
-- of nothing but events ends with a row that says no more than that.
CREATE OR REPLACE FUNCTION commit_batch(
    p_writer bigint, p_epoch bigint, p_seq bigint, p_known bigint,
    guard_transaction int[], guard_resource text[], guard_namespace text[], guard_name text[],
    guard_revision bigint[], guard_kind smallint[],
    write_transaction int[], write_resource text[], write_namespace text[], write_name text[],
    write_body bytea[], write_last bytea[], write_uid text[], write_terminating boolean[],
    OUT head bigint,               -- newest revision before this batch
    OUT failed_guards int[],       -- every guard that does not hold, with what is there instead
    OUT failed_revisions bigint[],
    OUT failed_terminating boolean[],
    OUT previous bigint[]          -- per write of a transaction that was carried out: the key's revision before
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    current_epoch bigint;
    failed int[];
    now_at timestamptz;
    with_events CONSTANT boolean := 'events' = ANY (write_resource) OR 'events' = ANY (guard_resource);
    horizon bigint;  -- events whose newest row is not above it have ended
    events_found record;
    events_previous bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471902);

    SELECT epoch INTO current_epoch FROM writers WHERE id = p_writer;
    IF current_epoch IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'writer % has epoch %, this batch has %', p_writer, current_epoch, p_epoch
            USING ERRCODE = 'KF001';
    END IF;

    SELECT l.revision INTO head FROM log l WHERE l.revision >= p_known ORDER BY l.revision DESC LIMIT 1;
    IF head IS NULL THEN
        SELECT l.revision INTO head FROM log l ORDER BY l.revision DESC LIMIT 1;
    END IF;

    SELECT array_agg(g.number), array_agg(coalesce(o.revision, 0)), array_agg(coalesce(o.terminating, false)),
           array_agg(DISTINCT g.transaction)
    INTO failed_guards, failed_revisions, failed_terminating, failed
    FROM unnest(guard_transaction, guard_resource, guard_namespace, guard_name, guard_revision, guard_kind)
        WITH ORDINALITY AS g(transaction, resource, namespace, name, revision, kind, number)
    LEFT JOIN LATERAL (
        SELECT c.revision, c.terminating FROM objects c
        WHERE c.resource = g.resource AND c.namespace = g.namespace AND c.name = g.name OFFSET 0
    ) o ON true
    WHERE g.resource <> 'events' AND CASE g.kind
        WHEN 0 THEN o.revision IS DISTINCT FROM g.revision
        WHEN 1 THEN o.revision IS NOT NULL
        WHEN 2 THEN o.revision IS NULL OR o.terminating
        WHEN 3 THEN o.revision IS NULL
        ELSE NOT EXISTS (
            SELECT FROM leases l WHERE l.name = g.name AND l.holder = g.namespace AND l.token = g.revision
        )
    END;

    now_at := clock_timestamp();
    IF with_events THEN
        SELECT x.upto INTO horizon FROM expiries x ORDER BY x.revision DESC LIMIT 1;
        SELECT array_agg(g.number) AS guards, array_agg(coalesce(e.revision, 0)) AS revisions,
               array_agg(false) AS terminating, array_agg(DISTINCT g.transaction) AS transactions
        INTO events_found
        FROM unnest(guard_transaction, guard_resource, guard_namespace, guard_name, guard_revision, guard_kind)
            WITH ORDINALITY AS g(transaction, resource, namespace, name, revision, kind, number)
        LEFT JOIN LATERAL (
            SELECT c.revision, c.deleted FROM events c
            WHERE c.namespace = g.namespace AND c.name = g.name AND c.revision > horizon
            ORDER BY c.revision DESC LIMIT 1
        ) e ON NOT e.deleted
        WHERE g.resource = 'events' AND CASE g.kind
            WHEN 0 THEN e.revision IS DISTINCT FROM g.revision
            WHEN 1 THEN e.revision IS NOT NULL
            ELSE e.revision IS NULL
        END;
        failed_guards := failed_guards || events_found.guards;
        failed_revisions := failed_revisions || events_found.revisions;
        failed_terminating := failed_terminating || events_found.terminating;
        failed := failed || events_found.transactions;

        WITH added AS (
            INSERT INTO events (revision, namespace, name, body, deleted, previous, writer, seq, at)
            SELECT w.revision, w.namespace, w.name, coalesce(w.body, w.last, e.body), w.body IS NULL,
                   coalesce(e.revision, 0), p_writer, p_seq, now_at
            FROM (
                SELECT s.*, head + row_number() OVER (ORDER BY s.number) AS revision
                FROM unnest(write_transaction, write_resource, write_namespace, write_name, write_body, write_last)
                    WITH ORDINALITY AS s(transaction, resource, namespace, name, body, last, number)
                WHERE failed IS NULL OR NOT s.transaction = ANY (failed)
            ) w
            LEFT JOIN LATERAL (
                SELECT c.revision, c.body, c.deleted FROM events c
                WHERE c.namespace = w.namespace AND c.name = w.name AND c.revision > horizon
                ORDER BY c.revision DESC LIMIT 1
            ) e ON NOT e.deleted
            WHERE w.resource = 'events'
            RETURNING revision, previous
        )
        SELECT array_agg(added.previous ORDER BY added.revision) INTO events_previous FROM added;
    END IF;

    -- The previous body is kept where the row that has it may be dropped before this one (32768: size of a partition).
    WITH added AS (
        INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, previous_body,
                         writer, seq, at)
        SELECT w.revision, w.resource, w.namespace, w.name, w.uid, coalesce(w.body, w.last, o.body), w.body IS NULL,
               w.terminating, coalesce(o.revision, 0),
               CASE WHEN o.revision / 32768 < w.revision / 32768 THEN o.body END,
               p_writer, p_seq, now_at
        FROM (
            SELECT s.*, head + row_number() OVER (ORDER BY s.number) AS revision
            FROM unnest(write_transaction, write_resource, write_namespace, write_name, write_body, write_last,
                        write_uid, write_terminating)
                WITH ORDINALITY AS s(transaction, resource, namespace, name, body, last, uid, terminating, number)
            WHERE failed IS NULL OR NOT s.transaction = ANY (failed)
        ) w
        LEFT JOIN LATERAL (
            SELECT c.revision, c.body FROM objects c
            WHERE c.resource = w.resource AND c.namespace = w.namespace AND c.name = w.name OFFSET 0
        ) o ON true
        WHERE w.resource <> 'events'
        RETURNING revision, previous
    )
    SELECT array_agg(added.previous ORDER BY added.revision) INTO previous FROM added;

    IF previous IS NULL THEN
        IF events_previous IS NOT NULL THEN
            previous := events_previous;
            INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, writer, seq, at)
            VALUES (head + cardinality(previous) + 1, 'events', '', '', '', '', false, false, 0, p_writer, p_seq, now_at);
            PERFORM pg_notify('kafila_log', (head + cardinality(previous) + 1)::text);
        END IF;
        RETURN;
    END IF;

    INSERT INTO objects AS o (resource, namespace, name, revision, uid, terminating, body)
    SELECT w.resource, w.namespace, w.name, w.revision, w.uid, w.terminating, w.body
    FROM (
        SELECT s.*, head + row_number() OVER (ORDER BY s.number) AS revision
        FROM unnest(write_transaction, write_resource, write_namespace, write_name, write_body, write_uid,
                    write_terminating)
            WITH ORDINALITY AS s(transaction, resource, namespace, name, body, uid, terminating, number)
        WHERE failed IS NULL OR NOT s.transaction = ANY (failed)
    ) w
    WHERE w.body IS NOT NULL AND w.resource <> 'events'
    ON CONFLICT (resource, namespace, name) DO UPDATE
        SET revision = excluded.revision, uid = excluded.uid, terminating = excluded.terminating, body = excluded.body;

    IF array_position(write_body, NULL) IS NOT NULL THEN
        DELETE FROM objects o
        USING unnest(write_transaction, write_resource, write_namespace, write_name, write_body)
            AS w(transaction, resource, namespace, name, body)
        WHERE w.body IS NULL AND (failed IS NULL OR NOT w.transaction = ANY (failed))
            AND o.resource = w.resource AND o.namespace = w.namespace AND o.name = w.name;
    END IF;

    previous := events_previous || previous;
    PERFORM pg_notify('kafila_log', (head + cardinality(previous))::text);
END $$;
