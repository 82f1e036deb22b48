-- Takes or renews a lease; NULL when someone else holds it. The token rises with every change of holder, and when a lease that had
-- ended is taken again by whoever held it: in between it counted for nobody, and what rests on it (take_leases) may be another's.
--
-- p_replacing: a holder that is known to be dead; its lease is taken over before its time. '' for none.
-- The lock of commit_batch: a batch that was let through under a lease is committed before the lease changes hands, and the
-- new holder sees it. One call, so that a process which is stopped cannot keep the lock.
CREATE OR REPLACE FUNCTION acquire_lease(p_name text, p_holder text, p_seconds double precision, p_replacing text)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471902);
    INSERT INTO leases AS l (name, holder, token, expires)
    VALUES (p_name, p_holder, 1, clock_timestamp() + p_seconds * interval '1 second')
    ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, expires = excluded.expires,
            token = l.token + (l.holder <> excluded.holder OR l.expires < clock_timestamp())::int
        WHERE l.holder = excluded.holder OR l.expires < clock_timestamp()
            OR (l.holder = p_replacing AND p_replacing <> '')
    RETURNING token INTO taken;
    RETURN taken;
END $$;
