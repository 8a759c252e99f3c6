-- several: keys that come more than once, so that their order matters
CREATE TEMP TABLE several ON COMMIT DROP AS
SELECT record_key FROM {log} GROUP BY record_key HAVING count(*) > 1

-- size: how many rows wait
SELECT count(*) FROM {log}

-- repeated: their rows
CREATE TEMP TABLE repeated ON COMMIT DROP AS
SELECT made.*, page.slice AS page_slice, page.batch AS page_batch
FROM {log} AS made
JOIN staged_page AS page ON page.source = %(source)s AND page.lane = 'hold' AND page.number = made.raw_page_id
WHERE made.record_key IN (SELECT record_key FROM pg_temp.several)

-- batches: in which they came, in the order in which they count: later slices last
SELECT one.page_slice, one.page_batch, one.count, page.again, page.numbers, page.page_ids
FROM (SELECT page_slice, page_batch, count(*) AS count FROM pg_temp.repeated GROUP BY 1, 2) AS one
JOIN LATERAL (
    SELECT bool_and(again) AS again, array_agg(number) FILTER (WHERE number <> page_id) AS numbers,
           array_agg(page_id) FILTER (WHERE number <> page_id) AS page_ids
    FROM staged_page AS page
    WHERE page.source = %(source)s AND page.lane = 'hold' AND page.slice = one.page_slice AND page.batch = one.page_batch
) AS page ON true
ORDER BY one.page_slice, one.page_batch

-- batch: the rows of one
INSERT INTO pg_temp.held_batch ({columns})
SELECT {columns} FROM pg_temp.repeated WHERE page_slice = %(slice)s AND page_batch = %(batch)s
ORDER BY raw_page_id, raw_index

-- update: rows that differ, of keys that came once
WITH changed AS (
    UPDATE {table} AS known
    SET record_hash = made.record_hash, run_id = made.run_id, raw_page_id = page.page_id, raw_index = made.raw_index,
        updated_at = now(), {changes}
    FROM {log} AS made
    JOIN staged_page AS page ON page.source = %(source)s AND page.lane = 'hold' AND page.number = made.raw_page_id
    WHERE known.source = %(source)s AND known.record_key = made.record_key AND {differs} AND {once}
    RETURNING 1
)
SELECT count(*) FROM changed

-- insert: rows that are new, of keys that came once
WITH added AS (
    INSERT INTO {table} (source, record_key, record_hash, run_id, raw_page_id, raw_index, {fields})
    SELECT made.source, made.record_key, made.record_hash, made.run_id, page.page_id, made.raw_index, {made}
    FROM {log} AS made
    JOIN staged_page AS page ON page.source = %(source)s AND page.lane = 'hold' AND page.number = made.raw_page_id
    WHERE {once} AND NOT EXISTS (
        SELECT FROM {table} AS known WHERE known.source = %(source)s AND known.record_key = made.record_key)
    RETURNING 1
)
SELECT count(*) FROM added

-- append: every row, under a key that says which record of which page of which run it was
WITH added AS (
    INSERT INTO {table} (source, record_key, record_hash, run_id, raw_page_id, raw_index, {fields})
    SELECT made.source, concat_ws('.', made.run_id, made.raw_page_id, made.raw_index), made.record_hash, made.run_id,
           page.page_id, made.raw_index, {made}
    FROM {log} AS made
    JOIN staged_page AS page ON page.source = %(source)s AND page.lane = 'hold' AND page.number = made.raw_page_id
    RETURNING 1
)
SELECT count(*) FROM added

-- lead: where the slices stand that this pass has read is where the next run goes on; the others stand where they stood
WITH moved AS (
    DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = 'hold' RETURNING *
)
INSERT INTO etl_checkpoint (source, lane, slice, bookmark, lease_epoch, finished, extracted, pages, updated_at)
SELECT source, '', slice, bookmark, lease_epoch, finished, extracted, pages, updated_at FROM moved WHERE finished
ON CONFLICT (source, lane, slice) DO UPDATE
SET bookmark = excluded.bookmark, lease_epoch = excluded.lease_epoch, finished = excluded.finished,
    extracted = excluded.extracted, pages = excluded.pages, updated_at = excluded.updated_at

-- lead_refresh: the same for what was read anew; slices that are no more are forgotten
WITH moved AS (
    DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = 'refresh' RETURNING *
), before AS (
    DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = '' AND slice NOT IN (SELECT slice FROM moved)
)
INSERT INTO etl_checkpoint (source, lane, slice, bookmark, lease_epoch, finished, extracted, pages, updated_at)
SELECT source, '', slice, bookmark, %(run_id)s, finished, extracted, pages, updated_at FROM moved
ON CONFLICT (source, lane, slice) DO UPDATE
SET bookmark = excluded.bookmark, lease_epoch = excluded.lease_epoch, finished = excluded.finished,
    extracted = excluded.extracted, pages = excluded.pages, updated_at = excluded.updated_at

-- last: of the rows of each key the one that will stand in the table
SELECT DISTINCT ON (one.record_key) one.*
FROM {log} AS one
JOIN staged_page AS page ON page.source = %(source)s AND page.lane = 'hold' AND page.number = one.raw_page_id
ORDER BY one.record_key, page.slice DESC, page.batch DESC, one.raw_page_id DESC, one.raw_index DESC

-- appended: every row by the key that it will have
SELECT one.source, concat_ws('.', one.run_id, one.raw_page_id, one.raw_index) AS record_key, one.record_hash, {ones}
FROM {log} AS one

-- count: how many rows wait, and what they would change
SELECT count(*), count(*) FILTER (WHERE known.record_key IS NULL),
       count(*) FILTER (WHERE known.record_key IS NOT NULL AND {differs}),
       (SELECT count(*) FROM {table} AS known WHERE {removable})
FROM ({waiting}) AS made
LEFT JOIN {table} AS known ON known.source = %(source)s AND known.record_key = made.record_key

-- rows: what would change, by key: as it is, and as it would be
SELECT record_key, change, old, new FROM (
    SELECT made.record_key, CASE WHEN known.record_key IS NULL THEN 'new' ELSE 'changed' END AS change,
           CASE WHEN known.record_key IS NOT NULL THEN (SELECT row_to_json(one) FROM (SELECT {knowns}) AS one) END AS old,
           (SELECT row_to_json(one) FROM (SELECT {mades}) AS one) AS new
    FROM ({waiting}) AS made
    LEFT JOIN {table} AS known ON known.source = %(source)s AND known.record_key = made.record_key
    WHERE known.record_key IS NULL OR {differs}
    UNION ALL
    SELECT known.record_key, 'removed', (SELECT row_to_json(one) FROM (SELECT {knowns}) AS one), NULL
    FROM {table} AS known WHERE {removable}
) AS found
ORDER BY record_key, change LIMIT %(limit)s

-- run: whose rows wait, or did
SELECT run.source, run.lane, run.status, run.held, run.decided_by, run.decided_at, run.skipped FROM etl_run AS run
WHERE run.id = %(run_id)s

-- held: the same, with what its rows need to take effect; for whoever decides, nobody else can meanwhile
SELECT run.source, run.lane, run.status, run.pass_id, run.verdict, run.schema_version, lane.shape, lane.terms,
       lane.pending::text AS pending
FROM etl_run AS run LEFT JOIN etl_refresh AS lane ON lane.source = run.source AND lane.lane = run.lane
WHERE run.id = %(run_id)s AND run.held = 'held' {lock}

-- reasons: why its rows wait
SELECT severity, message FROM finding WHERE run_id = %(run_id)s AND severity <> 'info'
ORDER BY severity <> 'critical', id LIMIT 100

-- decided: by whom, and when
UPDATE etl_run
SET held = %(held)s, skipped = %(skipped)s, decided_by = %(who)s, decided_at = greatest(clock_timestamp(), finished_at)
WHERE id = %(run_id)s

-- totals: what was released counts for its source
UPDATE etl_source
SET extracted = extracted + %(inserted)s + %(updated)s + %(unchanged)s + %(duplicates)s, inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s, unchanged = unchanged + %(unchanged)s, duplicates = duplicates + %(duplicates)s,
    deleted = deleted + %(deleted)s
WHERE source = %(source)s

-- evolve: the schema that waited with the rows is accepted, unless another one was meanwhile
WITH accepted AS (
    INSERT INTO source_schema (source, version, fields, run_id, accepted_by)
    SELECT %(source)s, coalesce(max(version), 0) + 1, %(pending)s::json, %(run_id)s, %(who)s
    FROM source_schema WHERE source = %(source)s
    HAVING max(version) IS NOT DISTINCT FROM %(version)s::int
    RETURNING version
)
UPDATE etl_run SET schema_version = accepted.version FROM accepted WHERE etl_run.id = %(run_id)s

-- unmet: rejects that only a run has met whose rows are gone
UPDATE rejected_record
SET status = 'gone', resolved_at = now(), resolved_by = %(who)s, resolved_run_id = %(run_id)s
WHERE source = %(source)s AND status = 'open'
  AND run_id IN (SELECT id FROM etl_run WHERE source = %(source)s AND pass_id = %(pass_id)s)
