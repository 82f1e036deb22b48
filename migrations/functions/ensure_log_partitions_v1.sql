-- Creates the partition that holds p_revision and the two after it. Attaching takes SHARE UPDATE EXCLUSIVE on log, which
-- readers and writers do not wait for; CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE and wait for the longest reader.
CREATE OR REPLACE FUNCTION ensure_log_partitions(p_revision bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    size CONSTANT bigint := 32768;
    lower_bound bigint := (p_revision / size) * size;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(7236837471903);
    FOR i IN 0..2 LOOP
        partition := 'log_' || lower_bound;
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE log INCLUDING ALL)', partition);
            EXECUTE format('ALTER TABLE %I ADD CHECK (revision >= %s AND revision < %s)',
                           partition, lower_bound, lower_bound + size);
            EXECUTE format('ALTER TABLE log ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                           partition, lower_bound, lower_bound + size);
        END IF;
        lower_bound := lower_bound + size;
    END LOOP;
    RETURN lower_bound;  -- first revision that has no partition yet
END $$;
