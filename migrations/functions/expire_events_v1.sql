-- Says that every event whose newest row is not above p_upto has ended. That takes one revision, however many those are: who
-- watches reads from the table which ones, as long as their rows are there. Returns that revision.
CREATE OR REPLACE FUNCTION expire_events(p_upto bigint, p_writer bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471902);
    SELECT l.revision INTO head FROM log l ORDER BY l.revision DESC LIMIT 1;
    head := head + 1;
    INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, writer, seq, at)
    VALUES (head, 'events', '', '', '', '', true, false, p_upto, p_writer, 0, clock_timestamp());
    INSERT INTO expiries VALUES (head, p_upto, clock_timestamp());
    PERFORM pg_notify('kafila_log', head::text);
    RETURN head;
END $$;
