-- rows: how many rows the source has
SELECT coalesce(sum(rows), 0)::bigint FROM dataset_total WHERE dataset = %(dataset)s AND source = %(source)s

-- refused: the rows wait for a decision
UPDATE etl_refresh SET refused = true WHERE source = %(source)s AND lane = %(lane)s

-- unled: of the slices that were read before, those that are no more, and those that were read again
DELETE FROM etl_checkpoint WHERE source = %(source)s AND lane = ''

-- lead: where the refresh stands is where the next run goes on
UPDATE etl_checkpoint SET lane = '', lease_epoch = %(run_id)s WHERE source = %(source)s AND lane = %(lane)s

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
