-- at_point: a process of PostgreSQL that is at a point of a commit; any process that serves a run for the point random
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'kasparro'
  AND (%(pattern)s::text IS NULL OR (query ~ %(pattern)s AND state IN ('active', 'idle in transaction')))
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
  AND column_name NOT IN ('record_hash', 'run_id', 'raw_page_id', 'raw_index', 'first_seen_at', 'updated_at')
GROUP BY table_schema, table_name ORDER BY 1

-- rejects: what was rejected, by source, whatever run it was
SELECT source, count(*), md5(string_agg(md5(concat_ws('|', place, code, path, raw)), '' ORDER BY encode(fingerprint, 'hex')))
FROM rejected_record GROUP BY source ORDER BY source

-- counters_of_runs: runs whose counts do not add up, or that nobody ended
SELECT id, source, status FROM etl_run
WHERE extracted <> inserted + updated + unchanged + duplicates + rejected OR status = 'running'

-- counters_of_sources: totals that differ from the sum of their runs
SELECT total.source FROM etl_source AS total LEFT JOIN (
    SELECT source, count(*) AS runs, sum(extracted) AS extracted, sum(inserted) AS inserted, sum(updated) AS updated,
           sum(unchanged) AS unchanged, sum(duplicates) AS duplicates, sum(rejected) AS rejected
    FROM etl_run GROUP BY source) AS run USING (source)
WHERE (total.runs, total.extracted, total.inserted, total.updated, total.unchanged, total.duplicates, total.rejected)
   IS DISTINCT FROM (run.runs, run.extracted, run.inserted, run.updated, run.unchanged, run.duplicates, run.rejected)

-- checkpoints: sources whose checkpoints count other records than their runs
SELECT source FROM (SELECT source, sum(extracted) AS records FROM etl_checkpoint GROUP BY source) AS checkpoint
FULL JOIN (SELECT source, sum(extracted) AS records FROM etl_run GROUP BY source) AS run USING (source)
WHERE checkpoint.records IS DISTINCT FROM run.records

-- unaccounted: sources with raw records that no run counted as anything
SELECT page.source, page.records, run.extracted
FROM (SELECT source, sum(records) AS records FROM raw_page GROUP BY source) AS page
JOIN (SELECT source, sum(extracted) AS extracted FROM etl_run GROUP BY source) AS run USING (source)
WHERE page.records > run.extracted
