-- Creates the partitions of events for now and the next p_ahead seconds, each p_width seconds long. The name says what one has:
-- events_<from>_<until>, in seconds of the epoch. Those that were made with another width stay: new ones fill what is between.
-- Attaching takes a lock that nobody waits for, as for the log.
CREATE OR REPLACE FUNCTION ensure_event_partitions(p_width bigint, p_ahead bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_at CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()));
    moment bigint := now_at;
    lower_bound bigint;
    upper_bound bigint;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471903);
    WHILE moment < now_at + p_ahead LOOP
        SELECT p.until INTO upper_bound FROM event_partitions p WHERE p.attached AND p.since <= moment AND p.until > moment;
        IF upper_bound IS NULL THEN
            SELECT greatest(moment / p_width * p_width, max(p.until)) INTO lower_bound
            FROM event_partitions p WHERE p.until <= moment;
            SELECT least((moment / p_width + 1) * p_width, min(p.since)) INTO upper_bound
            FROM event_partitions p WHERE p.since > moment;
            partition := format('events_%s_%s', lower_bound, upper_bound);
            EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL)', partition);
            -- rows are never changed, and go with the partition: to visit them for old versions would only read and write
            EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_threshold = -1)', partition);
            EXECUTE format('ALTER TABLE %I ADD CHECK (at >= %L AND at < %L)',
                           partition, to_timestamp(lower_bound), to_timestamp(upper_bound));
            EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           partition, to_timestamp(lower_bound), to_timestamp(upper_bound));
        END IF;
        moment := upper_bound;
    END LOOP;
END $$;
