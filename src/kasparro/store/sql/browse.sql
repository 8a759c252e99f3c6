-- page: rows as JSON in the order of the primary key, total and version, all of one snapshot. One row more than asked for tells whether more follow; a version that the reader has keeps the table untouched. ("Row" is upper case as no field is.)
WITH total AS MATERIALIZED (
    SELECT coalesce(sum(rows), 0)::bigint AS rows,
           hashtextextended(concat_ws('.', coalesce(sum(changes), 0),
               (SELECT extract(epoch FROM applied_at) FROM schema_migration WHERE number = 1)), 0) AS version
    FROM dataset_total
    WHERE dataset = %(dataset)s AND (%(source)s::text IS NULL OR source = %(source)s)
){start}, page AS MATERIALIZED (
    SELECT {columns} FROM {table}
    WHERE (SELECT version FROM total) <> ALL (%(known)s::bigint[]) AND {condition}
    ORDER BY source, record_key LIMIT {more}
), kept AS (
    SELECT array_agg(source) AS sources, array_agg(record_key) AS keys, count(*) AS count FROM page
)
SELECT array_to_json(ARRAY(SELECT "Row" FROM page AS "Row" LIMIT {limit})), total.rows, total.version, count > {limit},
       sources[least(count, {limit})], keys[least(count, {limit})]
FROM kept, total

-- start: where an offset leads, read from the index alone
, start AS (SELECT source, record_key FROM {table} WHERE {among} ORDER BY source, record_key OFFSET %(offset)s LIMIT 1)

-- fields: of a declared dataset
SELECT fields FROM dataset_declared WHERE dataset = %(dataset)s

-- stats: totals, latest runs and sources as JSON, at the same cost for any length of history
WITH each AS (
    SELECT source, kind, dataset,
           (SELECT coalesce(sum(rows), 0)::bigint FROM dataset_total AS total
            WHERE total.dataset = known.dataset AND total.source = known.source) AS rows,
           runs, failures, extracted AS processed, inserted, updated, unchanged, duplicates, rejected,
           retries, waits, waited_seconds, breaker_changes,
           seconds AS total_seconds, seconds / nullif(runs, 0) AS average_seconds, last_run_id,
           last.status AS last_status, last.resume_at, last_success_at, last_failure_at, last_error
    FROM etl_source AS known LEFT JOIN LATERAL (SELECT status, resume_at FROM etl_run WHERE id = last_run_id) AS last ON true
), recent AS (
    SELECT id AS run_id, source, status, verdict, held, started_at, finished_at, resume_at,
           extract(epoch FROM finished_at - started_at)::double precision AS seconds,
           extracted AS processed, inserted, updated, unchanged, duplicates, rejected, retries, waits, waited_seconds,
           error_code, error
    FROM etl_run ORDER BY id DESC LIMIT %(limit)s
), totals AS (
    SELECT coalesce(sum(rows), 0) AS rows, coalesce(sum(runs), 0) AS runs, coalesce(sum(processed), 0) AS processed,
           coalesce(sum(inserted), 0) AS inserted, coalesce(sum(updated), 0) AS updated,
           coalesce(sum(unchanged), 0) AS unchanged, coalesce(sum(duplicates), 0) AS duplicates,
           coalesce(sum(rejected), 0) AS rejected, coalesce(sum(failures), 0) AS failures,
           coalesce(sum(retries), 0) AS retries, coalesce(sum(waits), 0) AS waits,
           coalesce(sum(waited_seconds), 0) AS waited_seconds, coalesce(sum(breaker_changes), 0) AS breaker_changes
    FROM each
), durations AS (
    SELECT coalesce(sum(total_seconds), 0) AS total_seconds, sum(total_seconds) / nullif(sum(runs), 0) AS average_seconds,
           (SELECT seconds FROM recent WHERE finished_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS last_seconds
    FROM each
), succeeded AS (
    SELECT source, last_success_at AS finished_at FROM each
    WHERE last_success_at IS NOT NULL ORDER BY last_success_at DESC LIMIT 1
), failed AS (
    SELECT source, last_failure_at AS finished_at, last_error AS error FROM each
    WHERE last_failure_at IS NOT NULL ORDER BY last_failure_at DESC LIMIT 1
)
SELECT json_build_object(
    'totals', (SELECT row_to_json(totals) FROM totals),
    'durations', (SELECT row_to_json(durations) FROM durations),
    'last_success', (SELECT row_to_json(succeeded) FROM succeeded),
    'last_failure', (SELECT row_to_json(failed) FROM failed),
    'recent_runs', (SELECT coalesce(json_agg(recent ORDER BY run_id DESC), '[]') FROM recent),
    'sources', (SELECT coalesce(json_agg(each ORDER BY source), '[]') FROM each),
    'hosts', (SELECT coalesce(json_agg(breaker ORDER BY host), '[]') FROM (
        SELECT host, state, since, retry_at, failures, openings, reason FROM host_breaker ORDER BY since DESC, host LIMIT 100)
        AS breaker))

-- health: the latest run, how the last finished run of each source ended, which sources are late or parked, and which hosts
-- were left alone lately; and whether something of it is bad: to be parked is not, nor is a host that nobody has tried again
WITH each AS (
    SELECT known.source, run.id AS run_id, run.status, run.finished_at, known.last_success_at, run.resume_at
    FROM etl_source AS known LEFT JOIN etl_run AS run ON run.id = known.last_run_id
), latest AS (
    SELECT id AS run_id, source, status, finished_at FROM etl_run ORDER BY id DESC LIMIT 1
), late AS (
    SELECT late.source, late.severity, late.due_at FROM source_lateness AS late LEFT JOIN etl_source AS known USING (source)
    WHERE late.given_up_at IS NULL AND known.last_read_id IS NOT DISTINCT FROM late.after_run_id
), breaker AS (
    SELECT host, state, since, retry_at, failures FROM host_breaker
    WHERE coalesce(retry_at, since) > clock_timestamp() - interval '1 day' ORDER BY since DESC, host LIMIT 100
)
SELECT (json_build_object(
           'last_run', (SELECT row_to_json(latest) FROM latest),
           'sources', (SELECT coalesce(json_agg(json_build_object('source', source, 'run_id', run_id, 'status', status,
               'finished_at', finished_at, 'last_success_at', last_success_at) ORDER BY source), '[]') FROM each),
           'late', (SELECT coalesce(json_agg(late ORDER BY source), '[]') FROM late),
           'parked', (SELECT coalesce(json_agg(json_build_object('source', source, 'run_id', run_id, 'resume_at', resume_at)
               ORDER BY source), '[]') FROM each WHERE status = 'parked'),
           'hosts', (SELECT coalesce(json_agg(breaker ORDER BY host), '[]') FROM breaker)))::text,
       EXISTS (SELECT FROM each WHERE status IN ('failed', 'interrupted')) OR EXISTS (SELECT FROM late)
       OR EXISTS (SELECT FROM breaker WHERE state <> 'closed' AND retry_at > clock_timestamp() - interval '1 hour')
