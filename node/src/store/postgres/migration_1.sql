-- Conclave's schema, version 1. Functions carry the version of the schema that made them: nodes of the version before
-- keep calling theirs while the cluster is being upgraded.

-- Ciphertext does not compress, so large values are stored as they are.
CREATE TABLE conclave.rows (
    key bytea PRIMARY KEY,
    value bytea NOT NULL
);
ALTER TABLE conclave.rows ALTER COLUMN value SET STORAGE EXTERNAL;

-- The change feed, append only. A commit's records share its stamp.
CREATE TABLE conclave.changes (
    stamp bigint,
    place integer,
    record bytea NOT NULL,
    PRIMARY KEY (stamp, place)
);

-- The sum of two little-endian 64-bit counters, wrapping. A value of another length is cut or zero-extended.
CREATE FUNCTION conclave.counter_sum_1(stored bytea, added bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    zeros CONSTANT bytea := '\x0000000000000000';
    padded CONSTANT bytea := substring(stored || zeros FROM 1 FOR 8);
    total bytea := zeros;
    digit integer := 0;
BEGIN
    FOR place IN 0 .. 7 LOOP
        digit := (digit >> 8) + get_byte(padded, place) + get_byte(added, place);
        total := set_byte(total, place, digit & 255);
    END LOOP;
    RETURN total;
END
$$;

-- Commits one transaction: takes its locks, looks whether what it read is still so, writes, and returns the commit's
-- stamp; NULL, having written nothing, when something it read has changed. It is called in a transaction of its own
-- under READ COMMITTED, where each statement sees what was committed before it began: so the checks see all that was
-- committed before the locks were obtained, and nothing that they cover can change until the end.
CREATE FUNCTION conclave.commit_1(
    lock_ids bigint[], lock_exclusive boolean[],
    read_keys bytea[], read_versions bigint[],
    range_begins bytea[], range_ends bytea[], range_counts bigint[],
    emptied_begins bytea[], emptied_ends bytea[], removed_keys bytea[],
    set_keys bytea[], set_values bytea[],
    added_keys bytea[], added_values bytea[],
    stamped_keys bytea[], records bytea[],
    stamp_base bigint
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    commit_stamp bigint;
BEGIN
    FOR place IN 1 .. cardinality(lock_ids) LOOP
        IF lock_exclusive[place] THEN
            PERFORM pg_advisory_xact_lock(lock_ids[place]);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(lock_ids[place]);
        END IF;
    END LOOP;

    IF cardinality(read_keys) > 0 AND EXISTS (
        SELECT FROM unnest(read_keys, read_versions) AS seen (key, version)
        LEFT JOIN conclave.rows AS stored ON stored.key = seen.key
        WHERE stored.xmin::text::bigint IS DISTINCT FROM seen.version
    ) THEN
        RETURN NULL;
    END IF;
    IF cardinality(range_begins) > 0 AND EXISTS (
        SELECT FROM unnest(range_begins, range_ends, range_counts) AS seen (first, last, count)
        WHERE seen.count <> (
            SELECT count(*) FROM conclave.rows AS stored
            WHERE stored.key >= seen.first AND stored.key < seen.last
        )
    ) THEN
        RETURN NULL;
    END IF;

    -- Not before the locks are held: of two commits that touch the same, the later one is to have the larger stamp.
    commit_stamp := stamp_base + pg_current_xact_id()::text::bigint;

    IF cardinality(emptied_begins) > 0 THEN
        DELETE FROM conclave.rows AS stored
        USING unnest(emptied_begins, emptied_ends) AS emptied (first, last)
        WHERE stored.key >= emptied.first AND stored.key < emptied.last;
    END IF;
    IF cardinality(removed_keys) > 0 THEN
        DELETE FROM conclave.rows AS stored WHERE stored.key = ANY (removed_keys);
    END IF;
    IF cardinality(set_keys) > 0 THEN
        INSERT INTO conclave.rows AS stored (key, value)
        SELECT written.key, written.value FROM unnest(set_keys, set_values) AS written (key, value)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;
    IF cardinality(added_keys) > 0 THEN
        INSERT INTO conclave.rows AS stored (key, value)
        SELECT written.key, written.value FROM unnest(added_keys, added_values) AS written (key, value)
        ON CONFLICT (key) DO UPDATE SET value = conclave.counter_sum_1(stored.value, excluded.value);
    END IF;
    IF cardinality(stamped_keys) > 0 THEN
        INSERT INTO conclave.rows AS stored (key, value)
        SELECT written.key, int8send(commit_stamp) || '\x0000' FROM unnest(stamped_keys) AS written (key)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;
    IF cardinality(records) > 0 THEN
        INSERT INTO conclave.changes (stamp, place, record)
        SELECT commit_stamp, appended.place, appended.record
        FROM unnest(records) WITH ORDINALITY AS appended (record, place);
    END IF;
    RETURN commit_stamp;
END
$$;
