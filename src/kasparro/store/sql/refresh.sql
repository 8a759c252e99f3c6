-- under_way: is there a refresh of the source to go on with, and its table
SELECT to_regclass(%(beside)s) IS NOT NULL AND EXISTS (
    SELECT FROM etl_refresh WHERE source = %(source)s AND lane = %(lane)s)

-- note: a refresh begins
INSERT INTO etl_refresh (source, lane, shape) VALUES (%(source)s, %(lane)s, %(shape)s)

-- fence: holds the run, so that none can take over meanwhile; no row: one has
SELECT pass_id FROM etl_run WHERE id = %(run_id)s AND status = 'running' FOR UPDATE

-- rows: how many rows the source has
SELECT coalesce(sum(rows), 0)::bigint FROM dataset_total WHERE dataset = %(dataset)s AND source = %(source)s

-- refused: the rows wait for a decision
UPDATE etl_refresh SET refused = true WHERE source = %(source)s AND lane = %(lane)s

-- counted: the rows have taken effect
WITH total AS (
    INSERT INTO dataset_total AS kept (dataset, source, shard, rows, changes, rewrites)
    SELECT %(dataset)s, %(source)s, 0, %(inserted)s::bigint - %(deleted)s - %(lost)s,
           %(inserted)s::bigint + %(updated)s + %(deleted)s + abs(%(lost)s), %(updated)s::bigint + %(deleted)s + abs(%(lost)s)
    WHERE %(inserted)s::bigint + %(updated)s + %(deleted)s + abs(%(lost)s) > 0
    ON CONFLICT (dataset, source, shard) DO UPDATE
    SET rows = kept.rows + excluded.rows, changes = kept.changes + excluded.changes, rewrites = kept.rewrites + excluded.rewrites
)
UPDATE etl_run
SET extracted = extracted + %(inserted)s + %(updated)s + %(unchanged)s, inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s, unchanged = unchanged + %(unchanged)s, deleted = deleted + %(deleted)s
WHERE id = %(run_id)s

-- unled: of the slices that were read before, those that are no more, and those that were read again
DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = ''

-- lead: where the refresh stands is where the next run goes on
UPDATE etl_checkpoint SET lane = '', lease_epoch = %(run_id)s WHERE source = %(source)s AND lane = %(lane)s

-- over: nothing is left of a refresh
WITH led AS (DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = %(lane)s)
DELETE FROM etl_refresh WHERE source = %(source)s AND lane = %(lane)s

-- made: by which mapping and key the rows are made now, and from which pass on pages say what is there
UPDATE etl_source
SET shape = %(shape)s, primary_key = %(primary_key)s::json,
    refreshed_from = CASE WHEN %(whole)s THEN %(pass_id)s ELSE refreshed_from END
WHERE source = %(source)s

-- rejects: open rejects of the source that this pass did not meet again
UPDATE rejected_record
SET status = %(status)s, resolved_at = now(), resolved_by = %(who)s, resolved_run_id = %(run_id)s
WHERE source = %(source)s AND status = 'open' AND (%(every)s OR raw_index IS NOT NULL)
  AND last_run_id NOT IN (SELECT id FROM etl_run WHERE source = %(source)s AND pass_id = %(pass_id)s)

-- pages: stored pages of a source from a place on, in the order in which they count
SELECT page.id, page.records, page.last_pass_id, page.slice, page.last_number
FROM raw_page AS page JOIN etl_source AS known USING (source)
WHERE page.source = %(source)s AND page.last_pass_id >= coalesce(known.refreshed_from, 0)
  AND (page.last_pass_id, page.slice, page.last_number) > (%(pass_id)s, %(slice)s, %(number)s)
ORDER BY page.last_pass_id, page.slice, page.last_number

-- known: by which key the rows are known, and by which mapping they were made
SELECT primary_key, shape FROM etl_source WHERE source = %(source)s

-- extent: how many pages and records that is
SELECT count(*), coalesce(sum(page.records), 0)::bigint
FROM raw_page AS page JOIN etl_source AS known USING (source)
WHERE page.source = %(source)s AND page.last_pass_id >= coalesce(known.refreshed_from, 0)

-- contents: stored pages
SELECT id, kind, origin, content_type, layout, content FROM raw_page WHERE id = ANY (%(ids)s)
