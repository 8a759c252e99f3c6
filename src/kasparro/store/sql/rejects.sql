-- list: newest first
SELECT id, source, run_id, last_run_id, times, status, place, path, code, reason, value, raw, created_at, resolved_at,
       resolved_by, resolved_run_id
FROM rejected_record AS one
WHERE {filter}
ORDER BY id DESC LIMIT %(limit)s

-- count: by source and code
SELECT source, code, count(*) FROM rejected_record AS one WHERE {filter} GROUP BY source, code ORDER BY source, code

-- discard: they are not wanted
UPDATE rejected_record AS one
SET status = 'discarded', resolved_at = now(), resolved_by = %(who)s, resolved_run_id = NULL
WHERE {filter}

-- replayable: their pages and positions, in the order in which the pages count; not those that have never taken effect
SELECT page.id, cardinality(array_agg(one.raw_index)), page.last_pass_id, page.slice, page.last_number, array_agg(one.raw_index ORDER BY one.raw_index)
FROM rejected_record AS one JOIN raw_page AS page ON page.id = one.raw_page_id
WHERE {filter} AND one.raw_index IS NOT NULL AND page.last_pass_id >= 0
  AND (page.last_pass_id, page.slice, page.last_number) > (%(pass_id)s, %(slice)s, %(number)s)
GROUP BY page.id ORDER BY page.last_pass_id, page.slice, page.last_number
