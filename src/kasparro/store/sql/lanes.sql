-- under_way: is there a lane of the source to go on with, and its table
SELECT to_regclass(%(beside)s) IS NOT NULL AND EXISTS (
    SELECT FROM etl_refresh WHERE source = %(source)s AND lane = %(lane)s)

-- begun: is there such a lane
SELECT EXISTS (SELECT FROM etl_refresh WHERE source = %(source)s AND lane = %(lane)s)

-- note: a lane begins, or goes on by the rules of now
INSERT INTO etl_refresh (source, lane, shape, terms) VALUES (%(source)s, %(lane)s, %(shape)s, %(terms)s::json)
ON CONFLICT (source, lane) DO UPDATE SET terms = excluded.terms

-- follow: its slices go on where the usual ones stand
INSERT INTO etl_checkpoint (source, lane, slice, bookmark, lease_epoch, finished, extracted, pages, updated_at)
SELECT source, %(lane)s, slice, bookmark, lease_epoch, false, extracted, pages, updated_at
FROM etl_checkpoint WHERE source = %(source)s AND lane = ''

-- over: nothing is left of a lane but its table
WITH led AS (DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = %(lane)s),
     staged AS (DELETE FROM staged_page WHERE source = %(source)s AND lane = %(lane)s)
DELETE FROM etl_refresh WHERE source = %(source)s AND lane = %(lane)s

-- stage: the pages of a batch were read into a lane
INSERT INTO staged_page (source, lane, number, page_id, slice, batch, again)
SELECT %(source)s, %(lane)s, one.number, one.page_id, %(slice)s, %(batch)s, %(again)s
FROM unnest(%(numbers)s::bigint[], %(page_ids)s::bigint[]) AS one (number, page_id)

-- in_force: what the pages of a lane say is so from now on, and they came last
WITH staged AS (
    DELETE FROM staged_page WHERE source = %(source)s AND lane = %(lane)s RETURNING page_id, number
), latest AS (SELECT page_id, max(number) AS number FROM staged GROUP BY page_id)
UPDATE raw_page AS page SET last_pass_id = %(pass_id)s, last_number = greatest(page.last_number, latest.number)
FROM latest WHERE page.id = latest.page_id

-- fence: holds the run, so that none can take over meanwhile; no row: one has
SELECT pass_id FROM etl_run WHERE id = %(run_id)s AND status = 'running' FOR UPDATE

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
SET extracted = extracted + %(inserted)s + %(updated)s + %(unchanged)s + %(duplicates)s, inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s, unchanged = unchanged + %(unchanged)s, duplicates = duplicates + %(duplicates)s,
    deleted = deleted + %(deleted)s
WHERE id = %(run_id)s

-- waiting_run: the run of a source whose rows wait for a decision
SELECT id FROM etl_run WHERE source = %(source)s AND held = 'held'

-- hold: the rows of a run wait for a decision; no row: another run has taken over
WITH mine AS (
    UPDATE etl_run SET held = 'held' WHERE id = %(run_id)s AND status = 'running' RETURNING source, lane
)
UPDATE etl_refresh AS one SET pending = %(pending)s::json FROM mine
WHERE one.source = mine.source AND one.lane = mine.lane RETURNING 1
