-- runs: the latest, newest first
SELECT id, source, status, started_at, finished_at, resume_at, holder, pages, bytes, extracted, inserted, updated, unchanged,
       duplicates, rejected, deleted, retries, waits, waited_seconds, breaker_changes, trigger, requested_by, due_at, job_id, verdict, held, decided_by, decided_at, skipped, schema_version, error_code, error, config_hash,
       code_version
FROM etl_run
WHERE {conditions} ORDER BY {order} LIMIT %(limit)s

-- run: one of them
SELECT id, source, status, started_at, finished_at, resume_at, holder, pages, bytes, extracted, inserted, updated, unchanged,
       duplicates, rejected, deleted, retries, waits, waited_seconds, breaker_changes, trigger, requested_by, due_at, job_id, verdict, held, decided_by, decided_at, skipped, schema_version, error_code, error, config_hash,
       code_version
FROM etl_run WHERE id = %(run_id)s

-- sources: with their totals
SELECT source, kind, dataset, origin, runs, failures, extracted, inserted, updated, unchanged, duplicates, rejected, seconds,
       last_run_id, last_success_at, last_failure_at, last_error
FROM etl_source ORDER BY source
