-- runs: the latest, newest first
SELECT id, source, status, started_at, finished_at, holder, pages, bytes, extracted, inserted, updated, unchanged,
       duplicates, rejected, retries, error_code, error, config_hash, code_version
FROM etl_run
WHERE %(source)s::text IS NULL OR source = %(source)s
ORDER BY id DESC LIMIT %(limit)s

-- run: one of them
SELECT id, source, status, started_at, finished_at, holder, pages, bytes, extracted, inserted, updated, unchanged,
       duplicates, rejected, retries, error_code, error, config_hash, code_version
FROM etl_run WHERE id = %(run_id)s

-- sources: with their totals
SELECT source, kind, dataset, origin, runs, failures, extracted, inserted, updated, unchanged, duplicates, rejected, seconds,
       last_run_id, last_success_at, last_failure_at, last_error
FROM etl_source ORDER BY source

-- checkpoints: of one source, or all
SELECT source, slice, bookmark, finished, pages, extracted, lease_epoch, updated_at
FROM etl_checkpoint WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, slice

-- reset: forget where a source stands; its rows stay
DELETE FROM etl_checkpoint WHERE source = %(source)s AND (%(slice)s::text IS NULL OR slice = %(slice)s)

-- dataset_of: where the rows of a source are
SELECT dataset FROM etl_source WHERE source = %(source)s

-- forget_rows: no row of the source is left, and its next run may know them by another key
WITH key AS (UPDATE etl_source SET primary_key = NULL WHERE source = %(source)s)
UPDATE dataset_total SET rows = 0, changes = changes + %(deleted)s, rewrites = rewrites + %(deleted)s
WHERE dataset = %(dataset)s AND source = %(source)s

-- rejects: the latest, newest first
SELECT id, source, run_id, times, place, path, code, reason, value, raw, created_at
FROM rejected_record
WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(run_id)s::bigint IS NULL OR run_id = %(run_id)s)
ORDER BY id DESC LIMIT %(limit)s
