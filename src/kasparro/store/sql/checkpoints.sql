-- show: of one source, or all
SELECT source, lane, slice, bookmark, finished, pages, extracted, lease_epoch, updated_at
FROM etl_checkpoint WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, lane, slice

-- known: where each slice stands whose records have all taken effect, with a refresh and by the mapping of now
SELECT now.slice, now.bookmark
FROM etl_checkpoint AS now
JOIN etl_source AS known ON known.source = now.source AND known.shape = %(shape)s
JOIN etl_run AS run ON run.id = now.lease_epoch AND run.lane = 'refresh'
WHERE now.source = %(source)s AND now.lane = '' AND now.finished

-- to_forget: what a reset would let the next run read again
SELECT slice, lane, extracted AS records, bookmark AS now, NULL AS back, NULL::bigint AS run_id FROM etl_checkpoint
WHERE source = %(source)s AND (%(slice)s::text IS NULL OR slice = %(slice)s) ORDER BY lane, slice

-- reset: forget where a source stands; its rows stay
DELETE FROM etl_checkpoint WHERE source = %(source)s AND (%(slice)s::text IS NULL OR slice = %(slice)s)

-- lanes: of the source that are under way
SELECT lane FROM etl_refresh WHERE source = %(source)s

-- dataset_of: where the rows of a source are, and how many
SELECT known.dataset, coalesce((SELECT sum(rows) FROM dataset_total AS total
                                WHERE total.dataset = known.dataset AND total.source = known.source), 0)::bigint
FROM etl_source AS known WHERE known.source = %(source)s

-- forget_rows: no row of the source is left, and its next run may know them by another key; no raw page says what is there
WITH key AS (UPDATE etl_source SET primary_key = NULL, shape = NULL WHERE source = %(source)s)
UPDATE dataset_total SET rows = 0, changes = changes + %(deleted)s, rewrites = rewrites + %(deleted)s + 1
WHERE dataset = %(dataset)s AND source = %(source)s

-- run_at: the last run of a source before the first that ended after a moment; so a clock that was set back in between
-- lets too much be read again rather than too little
SELECT max(id) FROM etl_run
WHERE source = %(source)s AND finished_at <= %(moment)s AND id < coalesce((
    SELECT min(id) FROM etl_run WHERE source = %(source)s AND finished_at > %(moment)s), id + 1)

-- run_of: is it a run of the source
SELECT id FROM etl_run WHERE source = %(source)s AND id = %(run_id)s

-- to_rewind: slices that stood elsewhere when a run ended, or were not there yet; from where to where, and the records between
SELECT now.slice, now.lane, now.extracted - coalesce(old.extracted, 0) AS records, now.bookmark AS now, old.bookmark AS back,
       old.run_id
FROM etl_checkpoint AS now
LEFT JOIN LATERAL (SELECT * FROM checkpoint_history AS one
                   WHERE one.source = now.source AND one.slice = now.slice AND one.run_id <= %(run_id)s
                   ORDER BY one.run_id DESC LIMIT 1) AS old ON true
WHERE now.source = %(source)s AND now.lane = '' AND (%(slice)s::text IS NULL OR now.slice = %(slice)s)
  AND now.bookmark::text IS DISTINCT FROM old.bookmark::text
ORDER BY now.slice

-- oldest: how far back the places are remembered
SELECT min(run_id) FROM checkpoint_history WHERE source = %(source)s

-- rewind: set a slice back to where it stood
UPDATE etl_checkpoint AS now
SET bookmark = old.bookmark, extracted = old.extracted, pages = old.pages, finished = true, updated_at = now()
FROM checkpoint_history AS old
WHERE now.source = %(source)s AND now.lane = '' AND now.slice = %(slice)s
  AND old.source = now.source AND old.slice = now.slice AND old.run_id = %(run_id)s

-- written: what runs have written since
SELECT coalesce(sum(inserted), 0)::bigint AS inserted, coalesce(sum(updated), 0)::bigint AS updated
FROM etl_run WHERE source = %(source)s AND id > %(run_id)s
