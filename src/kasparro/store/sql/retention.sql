-- step: a few raw pages that no longer need to be kept, oldest first; those that a commit holds now, those with open rejects, and those of rows that have not taken effect yet, stay
WITH old AS (
    SELECT page.id, page.last_at FROM raw_page AS page
    WHERE page.source = %(source)s AND page.last_at >= %(after)s AND page.last_at < least(now(), %(here)s) - make_interval(secs => %(seconds)s)
      AND NOT EXISTS (SELECT FROM rejected_record AS one WHERE one.raw_page_id = page.id AND one.status = 'open')
      AND NOT EXISTS (SELECT FROM staged_page AS one WHERE one.page_id = page.id)
    ORDER BY page.last_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM raw_page AS page USING old WHERE page.id = old.id RETURNING page.records, old.last_at
)
SELECT count(*), coalesce(sum(records), 0)::bigint, max(last_at) FROM gone

-- extent: how many pages and records that would be
SELECT count(*) AS pages, coalesce(sum(page.records), 0)::bigint AS records FROM raw_page AS page
WHERE page.source = %(source)s AND page.last_at < least(now(), %(here)s) - make_interval(secs => %(seconds)s)
  AND NOT EXISTS (SELECT FROM rejected_record AS one WHERE one.raw_page_id = page.id AND one.status = 'open')
  AND NOT EXISTS (SELECT FROM staged_page AS one WHERE one.page_id = page.id)
