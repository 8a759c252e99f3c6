-- claim: take the lease of a slice, unless a later run has it, and tell where it stands; what a lane of its own has read is read
INSERT INTO etl_checkpoint AS kept (source, lane, slice, lease_epoch) VALUES (%(source)s, %(lane)s, %(slice)s, %(run_id)s)
ON CONFLICT (source, lane, slice) DO UPDATE SET lease_epoch = excluded.lease_epoch, finished = kept.finished AND kept.lane <> ''
WHERE kept.lease_epoch <= excluded.lease_epoch
RETURNING bookmark, finished

-- pass: the runs that go on with the same pass, this one among them
SELECT array_agg(run.id) FROM etl_run AS run
WHERE run.source = %(source)s AND run.pass_id = (SELECT pass_id FROM etl_run WHERE id = %(run_id)s)

-- numbers: unused page numbers, ascending
SELECT nextval('raw_page_id_seq') FROM generate_series(1, %(count)s)

-- raw_page: keep the pages; the same content of the same slice is there already; what is staged has no place yet among those that count
INSERT INTO raw_page
    (id, source, kind, run_id, slice, origin, content_type, records, sha256, layout, content, merged_shape, merged_at,
     last_pass_id, last_number)
SELECT page.id, %(source)s, %(kind)s, %(run_id)s, %(slice)s, page.origin, page.content_type, page.records, page.sha256,
       page.layout::json, page.content, %(shape)s, coalesce((
           SELECT sum(rewrites) FROM dataset_total WHERE dataset = %(dataset)s AND source = %(source)s), 0),
       CASE WHEN %(staged)s THEN -1 ELSE coalesce((SELECT pass_id FROM etl_run WHERE etl_run.id = %(run_id)s), %(run_id)s) END, page.id
FROM unnest(%(ids)b::bigint[], %(origins)b::text[], %(content_types)b::text[], %(records)b::int[], %(sha256s)b::bytea[],
            %(layouts)b::text[], %(contents)b::text[])
     AS page (id, origin, content_type, records, sha256, layout, content)
ON CONFLICT (source, md5(slice), sha256) DO NOTHING
RETURNING id

-- raw_pages_known: of pages that come again: their numbers, and whether their rows are still as they left them; now they are the last
UPDATE raw_page AS page
SET last_number = CASE WHEN %(staged)s THEN page.last_number ELSE greatest(page.last_number, given.number) END, last_at = now(),
    last_pass_id = CASE WHEN %(staged)s THEN page.last_pass_id
                   ELSE coalesce((SELECT pass_id FROM etl_run WHERE etl_run.id = %(run_id)s), %(run_id)s) END
FROM (SELECT sha256, max(id) AS number FROM unnest(%(sha256s)b::bytea[], %(ids)b::bigint[]) AS one (sha256, id) GROUP BY sha256) AS given
WHERE page.source = %(source)s AND md5(page.slice) = md5(%(slice)s) AND page.sha256 = given.sha256 AND (page.id <> ALL (%(added)s) OR page.id < given.number)
RETURNING page.sha256, page.id, page.run_id = %(run_id)s,
       page.merged_shape = %(shape)s AND page.merged_at = coalesce((
           SELECT sum(rewrites) FROM dataset_total WHERE dataset = %(dataset)s AND source = %(source)s), 0)

-- merged: the rows of these pages are as the pages say
UPDATE raw_page
SET merged_shape = %(shape)s, merged_at = coalesce((
    SELECT sum(rewrites) FROM dataset_total WHERE dataset = %(dataset)s AND source = %(source)s), 0)
WHERE id = ANY (%(ids)s)

-- doubted: not every row of these pages is as the pages say
UPDATE raw_page SET merged_at = NULL WHERE id = ANY (%(ids)s)

-- rejects: keep what could not become a row; met again, it is counted, not doubled
WITH counted AS (
    INSERT INTO metric_change (name, labels, value)
    SELECT 'kasparro_rejects_total', ARRAY[%(source)s, code], count(*) FROM unnest(%(codes)s::text[]) AS code GROUP BY code
)
INSERT INTO rejected_record AS kept
    (source, run_id, last_run_id, slice, raw_page_id, raw_index, place, path, code, reason, value, raw, fingerprint)
SELECT DISTINCT ON (fingerprint)
    %(source)s, %(run_id)s, %(run_id)s, %(slice)s, one.raw_page_id, one.raw_index, one.place, one.path, one.code,
    one.reason, one.value, one.raw, decode(md5(one.place || E'\x1f' || one.raw), 'hex') AS fingerprint
FROM unnest(%(page_ids)s::bigint[], %(indexes)s::int[], %(places)s::text[], %(paths)s::text[], %(codes)s::text[],
            %(reasons)s::text[], %(values)s::text[], %(raws)s::text[])
     AS one (raw_page_id, raw_index, place, path, code, reason, value, raw)
ON CONFLICT (source, fingerprint) DO UPDATE
SET last_run_id = excluded.last_run_id, times = kept.times + 1, path = excluded.path, code = excluded.code,
    reason = excluded.reason, value = excluded.value, raw_page_id = excluded.raw_page_id, raw_index = excluded.raw_index,
    status = CASE WHEN kept.status = 'discarded' THEN kept.status ELSE 'open' END,
    resolved_at = CASE WHEN kept.status = 'discarded' THEN kept.resolved_at END,
    resolved_by = CASE WHEN kept.status = 'discarded' THEN kept.resolved_by END,
    resolved_run_id = CASE WHEN kept.status = 'discarded' THEN kept.resolved_run_id END

-- replayed: open rejects of these records that were not rejected again by this run
UPDATE rejected_record AS kept
SET status = 'replayed', resolved_at = now(), resolved_by = %(who)s, resolved_run_id = %(run_id)s
FROM unnest(%(page_ids)s::bigint[], %(indexes)s::int[]) AS one (raw_page_id, raw_index)
WHERE kept.source = %(source)s AND kept.status = 'open' AND kept.raw_page_id = one.raw_page_id
  AND kept.raw_index = one.raw_index AND kept.last_run_id <> %(run_id)s

-- blocked: does the commit before ours wait for anybody, while anybody waits for us
SELECT pg_blocking_pids(%(pid)s) <> '{}' AND EXISTS (
    SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))

-- lease: is it ours; locks the checkpoint, so that a later run waits for this commit, or has won already
SELECT FROM etl_checkpoint
WHERE source = %(source)s AND lane = %(lane)s AND slice = %(slice)s AND lease_epoch = %(run_id)s FOR UPDATE

-- advance: move the checkpoint, only while the lease is ours, keep the exact number of rows, and add the pages to their run
WITH moved AS (
    UPDATE etl_checkpoint
    SET bookmark = %(bookmark)s::json, extracted = extracted + %(read)s,
        pages = pages + %(pages)s, updated_at = now()
    WHERE source = %(source)s AND lane = %(lane)s AND slice = %(slice)s AND lease_epoch = %(run_id)s
    RETURNING 1
), profile AS (
    INSERT INTO run_profile (run_id, profile) SELECT %(run_id)s, %(profile)s::json FROM moved WHERE %(profiled)s
), total AS (
    INSERT INTO dataset_total AS kept (dataset, source, shard, rows, changes, rewrites)
    SELECT %(dataset)s, %(source)s, %(shard)s, %(inserted)s, %(changes)s, %(updated)s WHERE %(changes)s > 0 AND %(counted)s
    ON CONFLICT (dataset, source, shard) DO UPDATE
    SET rows = kept.rows + excluded.rows, changes = kept.changes + excluded.changes, rewrites = kept.rewrites + excluded.rewrites
)
UPDATE etl_run
SET pages = pages + %(pages)s, bytes = bytes + %(bytes)s, extracted = extracted + %(extracted)s, inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s, unchanged = unchanged + %(unchanged)s, duplicates = duplicates + %(duplicates)s,
    rejected = rejected + %(rejected)s, last_commit_at = clock_timestamp()
WHERE id = %(run_id)s AND status = 'running' AND EXISTS (SELECT FROM moved)

-- close: the slice was read to its end
UPDATE etl_checkpoint SET finished = true, updated_at = now()
WHERE source = %(source)s AND lane = %(lane)s AND slice = %(slice)s AND lease_epoch = %(run_id)s
