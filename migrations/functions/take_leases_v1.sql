-- Takes leases that have no end of their own: each counts as long as the registration of its holder, which is the lease
-- p_registrations || holder. Nothing is taken for a holder whose registration does not count. Returns those that are the holder's
-- now, with their tokens, which rise with every change of holder. Registrations that ended long ago are forgotten.
--
-- The lock of commit_batch, and one call: as for acquire_lease.
CREATE OR REPLACE FUNCTION take_leases(p_names text[], p_registrations text, p_holder text)
RETURNS TABLE (taken text, number bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471902);
    DELETE FROM leases l WHERE starts_with(l.name, p_registrations) AND l.expires < clock_timestamp() - interval '1 day';
    IF NOT EXISTS (SELECT FROM leases r WHERE r.name = p_registrations || p_holder AND r.expires >= clock_timestamp()) THEN
        RETURN;
    END IF;
    RETURN QUERY
        INSERT INTO leases AS l (name, holder, token, expires)
        SELECT n, p_holder, 1, 'infinity' FROM unnest(p_names) AS n
        ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder, expires = excluded.expires,
                token = l.token + (l.holder <> excluded.holder)::int
            WHERE l.holder = excluded.holder OR l.expires < clock_timestamp()
                OR NOT EXISTS (
                    SELECT FROM leases r WHERE r.name = p_registrations || l.holder AND r.expires >= clock_timestamp()
                )
        RETURNING l.name, l.token;
END $$;
