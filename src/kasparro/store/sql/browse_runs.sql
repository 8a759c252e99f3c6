-- runs: newest first; one more than asked for tells whether more follow
WITH page AS (
    SELECT id, source, trigger, requested_by, due_at, job_id, status, verdict, held, decided_by, decided_at, skipped, started_at, finished_at, resume_at, extracted, inserted, updated, unchanged, duplicates,
           rejected, deleted, pages, bytes, retries, waits, waited_seconds, breaker_changes, schema_version, config_hash, code_version, error_code, error
    FROM etl_run WHERE {conditions} ORDER BY {order} LIMIT %(limit)s + 1
)
SELECT array_to_json(ARRAY(SELECT one FROM (SELECT * FROM page LIMIT %(limit)s) AS one)), count(*) > %(limit)s,
       (SELECT min(id) FROM (SELECT id FROM page LIMIT %(limit)s) AS one)
FROM page

-- run: one, with its findings
SELECT row_to_json(one) FROM (
    SELECT run.id, run.source, run.trigger, run.requested_by, run.due_at, run.job_id, run.status, run.verdict, run.held, run.decided_by, run.decided_at, run.skipped,
           run.started_at, run.finished_at, run.resume_at, run.extracted,
           run.inserted, run.updated, run.unchanged, run.duplicates, run.rejected, run.deleted, run.pages, run.bytes,
           run.retries, run.waits, run.waited_seconds, run.breaker_changes, run.schema_version, run.config_hash, run.code_version, run.error_code, run.error,
           ARRAY(SELECT row_to_json(found) FROM (
               SELECT id, source, run_id, kind, severity, subject, message, expected, observed, facts, created_at
               FROM finding WHERE run_id = run.id ORDER BY -id LIMIT 1000) AS found) AS findings
    FROM etl_run AS run WHERE run.id = %(run_id)s
) AS one

-- findings: newest first; one more than asked for tells whether more follow
WITH page AS (
    SELECT id, source, run_id, kind, severity, subject, message, expected, observed, facts, created_at
    FROM finding WHERE {conditions} ORDER BY {order} LIMIT %(limit)s + 1
)
SELECT array_to_json(ARRAY(SELECT one FROM (SELECT * FROM page LIMIT %(limit)s) AS one)), count(*) > %(limit)s,
       (SELECT min(id) FROM (SELECT id FROM page LIMIT %(limit)s) AS one)
FROM page
