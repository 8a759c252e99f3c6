-- source: which source a run is of; most are of few, and one has retired
CREATE FUNCTION pg_temp.source_of(run bigint, runs bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN run < runs / 10 AND run % 4 = 0 THEN 'retired'
        ELSE 'source-' || lpad(floor(200 * power((hashint8(run) & 65535) / 65536.0, 3))::int::text, 3, '0') END
$$

-- runs: judged since a while, with facts of late
INSERT INTO etl_run (source, status, verdict, facts, trigger, started_at, finished_at, holder, pages, bytes, extracted,
                     inserted, config_hash, code_version, pass_id, error_code, error, schema_version)
SELECT pg_temp.source_of(n, %(runs)s), status,
       CASE WHEN n > %(runs)s * 0.4 AND status IN ('success', 'partial') THEN
           CASE WHEN n %% 53 = 0 THEN 'bad' WHEN n %% 11 = 0 THEN 'suspicious' ELSE 'ok' END END,
       CASE WHEN n > %(runs)s - %(profiled)s AND status = 'success' THEN %(facts)s::json END,
       CASE WHEN n %% 97 = 0 THEN 'full_refresh' WHEN n %% 499 = 0 THEN 'replay' ELSE 'run' END,
       began, began + (10 + n %% 300) * interval '1 second', 'bench:1', 5, 100000, n %% 5000, n %% 5000, 'c0ffee', '0.1.0', n,
       CASE WHEN status IN ('failed', 'partial') THEN 'unreachable' END,
       CASE WHEN status IN ('failed', 'partial') THEN 'https://api.example.com/v1/items answered 503 five times.' END, 1
FROM (SELECT n, now() - (%(runs)s - n) * interval '90 seconds' AS began,
             CASE WHEN n %% 24 = 0 THEN 'failed' WHEN n %% 101 = 0 THEN 'partial' WHEN n %% 67 = 0 THEN 'interrupted'
                  WHEN n %% 211 = 0 THEN 'stopped' ELSE 'success' END AS status
      FROM generate_series(1, %(runs)s::bigint) AS n) AS one

-- findings: of a run, none to some hundred; kinds and severities go together, and one kind is past
INSERT INTO finding (source, run_id, kind, severity, subject, message, expected, observed, created_at)
SELECT pg_temp.source_of(run, %(runs)s), run, kind,
       CASE WHEN kind IN ('field_added', 'value_added', 'null_share_low') THEN 'info' WHEN kind = 'row_count_zero' THEN 'critical'
            WHEN n %% 40 = 0 THEN 'critical' ELSE 'warning' END,
       'field_' || n %% 20, 'The run read ' || n %% 5000 || ' records; 4,000 to 6,000 were to be expected.',
       '{"low": 4000, "high": 6000}'::json, to_json(n %% 5000), now() - (%(findings)s - n) * interval '8 seconds'
FROM (SELECT n, kinds[1 + floor(cardinality(kinds) * power((hashint8(n) & 65535) / 65536.0, 3))::int] AS kind,
             CASE WHEN n > %(findings)s THEN %(wide)s
                  ELSE first + 2 * ((n / CASE WHEN n %% 2 = 0 THEN 60 ELSE 8 END * CASE WHEN n %% 2 = 0 THEN 60 ELSE 8 END)
                                    * ((%(runs)s - first) / 2 - 1) / %(findings)s) END AS run
      FROM generate_series(1, %(findings)s::bigint + 10000) AS n,
           LATERAL (SELECT (%(runs)s * 0.4)::bigint AS first,
                           CASE WHEN n < %(findings)s / 10 THEN ARRAY[%(old)s] ELSE %(kinds)s::text[] END AS kinds) AS given) AS one

-- totals: of each source
INSERT INTO etl_source (source, kind, dataset, runs, failures, extracted, inserted, seconds, last_run_id, last_success_at,
                        last_failure_at, last_read_id, declared_at)
SELECT source, 'csv', 'normalized_data', count(*), count(*) FILTER (WHERE status IN ('failed', 'interrupted')), sum(extracted),
       sum(inserted), sum(extract(epoch FROM finished_at - started_at)), max(id),
       max(finished_at) FILTER (WHERE status = 'success'), max(finished_at) FILTER (WHERE status = 'failed'),
       max(id) FILTER (WHERE status = 'success' AND trigger <> 'replay'), min(started_at)
FROM etl_run GROUP BY source

-- schedules: of one source of two
INSERT INTO source_schedule (source, schedule, since)
SELECT source, '{"cron": "*/30 * * * *", "timezone": "UTC", "jitter": 0, "catch_up": true, "grace": null}', now() - interval '1 year'
FROM etl_source WHERE right(source, 1) < '5'

-- profiles: of the runs that have facts
INSERT INTO run_profile (run_id, profile) SELECT id, %(profile)s::json FROM etl_run WHERE facts IS NOT NULL

-- metrics: what was timed of each source
INSERT INTO metric (name, labels, bounds, value, counts)
SELECT one.name, ARRAY[known.source], one.bounds, 1000, (SELECT array_agg(100) FROM generate_series(0, one.buckets))
FROM etl_source AS known, unnest(%(names)s::text[], %(bounds)s::text[], %(buckets)s::int[]) AS one (name, bounds, buckets)
