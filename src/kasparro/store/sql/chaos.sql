-- at_point: a process of PostgreSQL that is at a point of a commit; any process that serves a run for the point random
SELECT pid FROM pg_stat_activity AS process
WHERE datname = current_database() AND pid <> pg_backend_pid() AND starts_with(application_name, 'kasparro')
  AND (%(pattern)s::text IS NULL OR (query ~ %(pattern)s AND (state IN ('active', 'idle in transaction') OR (
       %(after)s AND state = 'idle' AND state_change > clock_timestamp() - interval '30 milliseconds'
       AND NOT EXISTS (SELECT FROM pg_locks AS held WHERE held.pid = process.pid AND held.locktype = 'advisory')))))
ORDER BY pid DESC LIMIT 1

-- cut: end the connection of a process
SELECT pg_terminate_backend(%(pid)s)

-- unlock: end the connections that hold the lock of a source, so that another run may begin
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- tables: of all datasets, each with its own columns
SELECT format('%%I.%%I', table_schema, table_name), string_agg(format('%%I', column_name), ', ' ORDER BY ordinal_position)
FROM information_schema.columns
WHERE (table_schema = 'data' OR (table_schema = 'public' AND table_name = 'normalized_data'))
  AND column_name NOT IN ('record_key', 'record_hash', 'run_id', 'raw_page_id', 'raw_index', 'first_seen_at', 'updated_at')
GROUP BY table_schema, table_name ORDER BY 1

-- records: the raw records of each source, each content once, whichever page brought it
SELECT source, count(*), md5(string_agg(record, '' ORDER BY record)) FROM (
    SELECT page.source, md5(line.record) AS record
    FROM raw_page AS page CROSS JOIN LATERAL csv_records(page.content, page.layout ->> 'quote') AS line
    WHERE page.content_type = 'text/csv'
    UNION
    SELECT page.source, md5(one.payload::text)
    FROM raw_page AS page CROSS JOIN LATERAL json_records(
        page.content::json, ARRAY(SELECT json_array_elements_text(page.layout -> 'steps'))) AS one
    WHERE page.content_type = 'application/json'
) AS kept GROUP BY source ORDER BY source

-- rejects: what was rejected, by source, whatever run it was
SELECT source, count(*), md5(string_agg(md5(concat_ws('|', place, code, path, raw)), '' ORDER BY encode(fingerprint, 'hex')))
FROM rejected_record GROUP BY source ORDER BY source

-- ended: the runs that are over, and what they committed
SELECT id, source, pages, extracted FROM etl_run WHERE status <> 'running'

-- doubled: rows that share their raw record with another row of the same pass, or have none
SELECT one.source, one.raw_page_id, one.raw_index, count(*) AS rows
FROM ({rows}) AS one JOIN etl_run AS run ON run.id = one.run_id
GROUP BY one.source, run.pass_id, one.raw_page_id, one.raw_index HAVING count(*) > 1
UNION ALL
SELECT one.source, one.raw_page_id, one.raw_index, 1
FROM ({rows}) AS one LEFT JOIN raw_page AS page ON page.id = one.raw_page_id AND page.source = one.source
WHERE page.id IS NULL OR one.raw_index >= page.records
LIMIT 10

-- unaccounted: runs that kept more records than they counted as a row, an unchanged row, a duplicate or a reject; where rows
-- take effect at the end, the last run of a pass counts for all of it, and pages whose rows have not taken effect do not count
WITH each AS (
    SELECT source, id, CASE WHEN lane = '' THEN id ELSE pass_id END AS pass,
           inserted + updated + unchanged + duplicates + rejected AS counted
    FROM etl_run
), counted AS (SELECT source, pass, sum(counted) AS records FROM each GROUP BY source, pass)
SELECT counted.source, counted.pass, received.records, counted.records
FROM counted JOIN (
    SELECT each.pass, sum(one.records) AS records FROM (
        SELECT run_id, records FROM raw_page WHERE last_pass_id >= 0
        UNION ALL
        SELECT run_id, 1 FROM rejected_record WHERE raw_index IS NULL) AS one
    JOIN each ON each.id = one.run_id
    GROUP BY each.pass) AS received USING (pass)
WHERE received.records > counted.records

-- ahead: sources whose checkpoints count records that are no row, and were not counted as anything else either
SELECT checkpoint.source, checkpoint.records, coalesce(there.rows, 0), coalesce(run.others, 0)
FROM (SELECT source, sum(extracted) AS records FROM etl_checkpoint WHERE lane = '' GROUP BY source) AS checkpoint
LEFT JOIN (SELECT source, count(*) AS rows FROM ({rows}) AS one GROUP BY source) AS there USING (source)
LEFT JOIN (SELECT source, sum(updated + unchanged + duplicates + rejected) AS others FROM etl_run GROUP BY source) AS run
    USING (source)
WHERE checkpoint.records > coalesce(there.rows, 0) + coalesce(run.others, 0)

-- checkpoints: sources whose checkpoints count other records than their runs, apart from those whose rows have not taken effect
WITH waiting AS (
    SELECT run.source, run.lane, max(run.pass_id) AS pass_id
    FROM etl_refresh JOIN etl_run AS run USING (source, lane) GROUP BY run.source, run.lane
)
SELECT source, checkpoint.records, run.records
FROM (SELECT source, sum(extracted) AS records FROM etl_checkpoint WHERE lane = '' GROUP BY source) AS checkpoint
FULL JOIN (
    SELECT source, sum(extracted) AS records FROM etl_run
    WHERE (source, lane, pass_id) NOT IN (SELECT source, lane, pass_id FROM waiting) GROUP BY source
) AS run USING (source)
WHERE coalesce(checkpoint.records, 0) <> coalesce(run.records, 0)

-- miscounted: sources whose rows are not as many as their totals say, or as their runs have inserted
SELECT source, coalesce(there.rows, 0), coalesce(total.rows, 0), coalesce(run.inserted, 0)
FROM (SELECT source, count(*) AS rows FROM ({rows}) AS one GROUP BY source) AS there
FULL JOIN (SELECT source, sum(rows) AS rows FROM dataset_total GROUP BY source) AS total USING (source)
FULL JOIN (SELECT source, sum(inserted) AS inserted FROM etl_run GROUP BY source) AS run USING (source)
WHERE coalesce(there.rows, 0) <> coalesce(total.rows, 0) OR coalesce(there.rows, 0) <> coalesce(run.inserted, 0)

-- unforeseen: runs that failed of what no fault explains
SELECT id, source, error_code, error FROM etl_run
WHERE error_code NOT IN ('interrupted', 'stopped', 'conflict', 'store_busy', 'unreachable', 'rate_limited')

-- counters_of_runs: runs whose counts do not add up, or that nobody ended
SELECT id, source, status FROM etl_run
WHERE extracted <> inserted + updated + unchanged + duplicates + rejected OR status = 'running'

-- counters_of_sources: totals that differ from the sum of their runs
SELECT total.source FROM etl_source AS total LEFT JOIN (
    SELECT source, count(*) AS runs, sum(extracted) AS extracted, sum(inserted) AS inserted, sum(updated) AS updated,
           sum(unchanged) AS unchanged, sum(duplicates) AS duplicates, sum(rejected) AS rejected, sum(deleted) AS deleted,
           sum(pages) AS pages, sum(bytes) AS bytes
    FROM etl_run GROUP BY source) AS run USING (source)
WHERE (total.runs, total.extracted, total.inserted, total.updated, total.unchanged, total.duplicates, total.rejected,
       total.deleted, total.pages, total.bytes)
   IS DISTINCT FROM (run.runs, run.extracted, run.inserted, run.updated, run.unchanged, run.duplicates, run.rejected,
       run.deleted, run.pages, run.bytes)
