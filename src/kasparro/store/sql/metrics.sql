-- add: what a process has gathered since its last batch; a batch that was added already, though nobody could say so, is left out
WITH mine AS (
    INSERT INTO metric_writer AS kept (writer, batch) VALUES (%(writer)s, %(batch)s)
    ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, written_at = now() WHERE kept.batch < excluded.batch
    RETURNING 1
)
INSERT INTO metric AS kept (name, labels, bounds, value, counts)
SELECT one.name, one.labels, one.bounds, one.value, one.counts
FROM json_to_recordset(%(series)s::json)
     AS one (name text, labels text[], bounds text, value double precision, counts bigint[])
WHERE EXISTS (SELECT FROM mine) ORDER BY one.name COLLATE "C", one.labels, one.bounds COLLATE "C"
ON CONFLICT (name, labels, bounds) DO UPDATE
SET value = kept.value + excluded.value,
    counts = CASE WHEN kept.counts IS NOT NULL THEN ARRAY(
        SELECT here + more FROM unnest(kept.counts, excluded.counts) WITH ORDINALITY AS pair (here, more, place) ORDER BY place) END

-- fold: put what transactions have added where it is told from
WITH gone AS (
    DELETE FROM metric_change RETURNING name, labels, value
)
INSERT INTO metric AS kept (name, labels, value)
SELECT name, labels, sum(value) FROM gone GROUP BY name, labels ORDER BY name, labels
ON CONFLICT (name, labels, bounds) DO UPDATE SET value = kept.value + excluded.value

-- leave: this process adds nothing more; and processes that were killed, long ago
DELETE FROM metric_writer WHERE writer = %(writer)s OR written_at < now() - interval '7 days'

-- read: all series at one moment, from totals alone: no statement counts what grows with the history
WITH known AS MATERIALIZED (
    SELECT * FROM etl_source ORDER BY last_run_id DESC NULLS LAST, source LIMIT %(most)s
), held AS MATERIALIZED (
    SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), running AS MATERIALIZED (
    SELECT source, trigger, last_commit_at, inserted, updated, unchanged, duplicates, rejected, deleted, pages, bytes,
           hashtextextended('kasparro.run.' || source, 0) IN (SELECT key FROM held) AS alive
    FROM etl_run WHERE status = 'running'
), now AS MATERIALIZED (
    SELECT source, (count(*) FILTER (WHERE alive))::int AS alive, sum(inserted) AS inserted, sum(updated) AS updated,
           sum(unchanged) AS unchanged, sum(duplicates) AS duplicates, sum(rejected) AS rejected, sum(deleted) AS deleted,
           sum(pages) AS pages, sum(bytes) AS bytes,
           max(last_commit_at) FILTER (WHERE trigger NOT IN ('replay', 'rejects')) AS last_commit_at
    FROM running GROUP BY source
), each AS MATERIALIZED (
    SELECT known.source, known.last_success_at, known.last_failure_at, coalesce(now.alive, 0) AS alive,
           known.inserted + coalesce(now.inserted, 0) AS inserted, known.updated + coalesce(now.updated, 0) AS updated,
           known.unchanged + coalesce(now.unchanged, 0) AS unchanged,
           known.duplicates + coalesce(now.duplicates, 0) AS duplicates,
           known.rejected + coalesce(now.rejected, 0) AS rejected, known.deleted + coalesce(now.deleted, 0) AS deleted,
           known.pages + coalesce(now.pages, 0) AS pages, known.bytes + coalesce(now.bytes, 0) AS bytes,
           greatest(known.last_commit_at, now.last_commit_at) AS last_commit_at
    FROM known LEFT JOIN now USING (source)
), told AS (
    SELECT one.name, one.labels, '' AS bounds, one.value::double precision AS value, NULL::bigint[] AS counts
    FROM each CROSS JOIN LATERAL (VALUES
        ('kasparro_records_total', ARRAY[source, 'inserted'], inserted),
        ('kasparro_records_total', ARRAY[source, 'updated'], updated),
        ('kasparro_records_total', ARRAY[source, 'unchanged'], unchanged),
        ('kasparro_records_total', ARRAY[source, 'duplicate'], duplicates),
        ('kasparro_records_total', ARRAY[source, 'rejected'], rejected),
        ('kasparro_records_total', ARRAY[source, 'deleted'], deleted),
        ('kasparro_pages_total', ARRAY[source], pages),
        ('kasparro_read_bytes_total', ARRAY[source], bytes),
        ('kasparro_runs_running', ARRAY[source], alive),
        ('kasparro_checkpoint_lag_seconds', ARRAY[source],
         CASE WHEN last_commit_at IS NOT NULL THEN greatest(0, extract(epoch FROM clock_timestamp() - last_commit_at)) END),
        ('kasparro_last_success_timestamp_seconds', ARRAY[source], extract(epoch FROM last_success_at)),
        ('kasparro_last_failure_timestamp_seconds', ARRAY[source], extract(epoch FROM last_failure_at))
    ) AS one (name, labels, value) WHERE one.value IS NOT NULL
    UNION ALL
    SELECT name, labels, bounds, value, counts FROM metric
    UNION ALL
    SELECT name, labels, '', value, NULL FROM metric_change
    UNION ALL
    SELECT 'kasparro_dataset_rows', ARRAY[dataset], '', sum(rows), NULL FROM dataset_total GROUP BY dataset
    UNION ALL
    SELECT 'kasparro_queue_depth', ARRAY['notifications'], '', count(*), NULL FROM notification WHERE status = 'waiting'
    UNION ALL
    SELECT 'kasparro_queue_depth', ARRAY['runs'], '', count(*), NULL FROM procrastinate_jobs
    WHERE status = 'todo' AND task_name = 'kasparro.run'
    UNION ALL
    SELECT 'kasparro_workers', '{}', '', count(*), NULL FROM worker WHERE heartbeat_at >= clock_timestamp() - lease
    UNION ALL
    SELECT 'kasparro_breaker_state', ARRAY[host], '', CASE WHEN retry_at < clock_timestamp() - interval '1 hour' THEN 0
           ELSE array_position(ARRAY['closed', 'half_open', 'open'], state) - 1 END, NULL
    FROM (SELECT host, state, retry_at FROM host_breaker ORDER BY since DESC, host LIMIT %(most_hosts)s) AS host
    UNION ALL
    SELECT 'kasparro_sources', '{}', '', count(*), NULL FROM etl_source
    UNION ALL
    SELECT 'kasparro_schema_version', '{}', '', max(number), NULL FROM schema_migration
)
SELECT coalesce(json_agg(json_build_array(name, labels, bounds, value, counts)), '[]')::text FROM told
