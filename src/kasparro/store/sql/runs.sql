-- lock: one run per source; the lock dies with its connection, however the process ends
SELECT pg_try_advisory_lock(hashtextextended('kasparro.run.' || %(source)s, 0))

-- holder: who runs the source now
SELECT id, holder, started_at FROM etl_run WHERE source = %(source)s AND status = 'running' ORDER BY id DESC LIMIT 1

-- known: how the rows of the source are known so far, and how many there are
SELECT known.dataset, known.primary_key, coalesce((
    SELECT sum(rows) FROM dataset_total AS total WHERE total.dataset = known.dataset AND total.source = known.source), 0)::bigint
FROM etl_source AS known WHERE known.source = %(source)s

-- declare: make the source known
INSERT INTO etl_source (source, kind, dataset, origin, primary_key)
VALUES (%(source)s, %(kind)s, %(dataset)s, %(origin)s, %(primary_key)s::json)
ON CONFLICT (source) DO UPDATE
SET kind = excluded.kind, dataset = excluded.dataset, origin = excluded.origin, primary_key = excluded.primary_key
WHERE (etl_source.kind, etl_source.dataset, etl_source.origin, etl_source.primary_key::text)
   IS DISTINCT FROM (excluded.kind, excluded.dataset, excluded.origin, excluded.primary_key::text)

-- abandoned: runs of the source that died; we hold its lock, so nobody works on them
SELECT id FROM etl_run WHERE source = %(source)s AND status = 'running' ORDER BY id

-- unfinished: is there anything to go on from
SELECT EXISTS (SELECT FROM etl_checkpoint WHERE source = %(source)s AND lane = %(lane)s AND NOT finished AND pages > 0)

-- begin: a new run
INSERT INTO etl_run (source, holder, config_hash, code_version, trigger)
VALUES (%(source)s, %(holder)s, %(config_hash)s, %(code_version)s, %(trigger)s)
RETURNING id

-- pass: a run that goes on where another was interrupted belongs to the same pass
UPDATE etl_run
SET pass_id = CASE WHEN %(resumed)s THEN coalesce(
    (SELECT before.pass_id FROM etl_run AS before WHERE before.source = %(source)s AND before.id < %(run_id)s ORDER BY before.id DESC LIMIT 1),
    id) ELSE id END
WHERE id = %(run_id)s

-- finish: end a run and add it to the totals of its source; a run that has ended already is left as it is
WITH ended AS (
    UPDATE etl_run
    SET status = %(status)s, finished_at = clock_timestamp(), error_code = %(error_code)s, error = %(error)s, retries = %(retries)s
    WHERE id = %(run_id)s AND status = 'running'
    RETURNING *
)
UPDATE etl_source AS total
SET runs = total.runs + 1,
    failures = total.failures + (ended.status IN ('failed', 'interrupted'))::int,
    extracted = total.extracted + ended.extracted,
    inserted = total.inserted + ended.inserted,
    updated = total.updated + ended.updated,
    unchanged = total.unchanged + ended.unchanged,
    duplicates = total.duplicates + ended.duplicates,
    rejected = total.rejected + ended.rejected,
    seconds = total.seconds + extract(epoch FROM ended.finished_at - ended.started_at),
    last_run_id = greatest(total.last_run_id, ended.id),
    last_success_at = CASE WHEN ended.status = 'success' THEN ended.finished_at ELSE total.last_success_at END,
    last_failure_at = CASE WHEN ended.status IN ('failed', 'interrupted') THEN ended.finished_at ELSE total.last_failure_at END,
    last_error = CASE WHEN ended.status IN ('failed', 'interrupted') THEN ended.error ELSE total.last_error END
FROM ended WHERE total.source = ended.source

-- counts: what a run has committed
SELECT extracted, inserted, updated, unchanged, duplicates, rejected FROM etl_run WHERE id = %(run_id)s
