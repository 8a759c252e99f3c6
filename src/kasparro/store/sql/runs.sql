-- lock: one run per source; the lock dies with its connection, however the process ends
SELECT pg_try_advisory_lock(hashtextextended('kasparro.run.' || %(source)s, 0))

-- guard: the server ends this session, and with it the lock, when nothing is said in it for so long
SELECT set_config('idle_session_timeout', %(milliseconds)s, false),
       set_config('idle_in_transaction_session_timeout', %(milliseconds)s, false)

-- beat: the run says that it is alive; its record may be locked, as its rows take effect: then that it said anything is enough
WITH free AS (
    SELECT id FROM etl_run WHERE id = %(run_id)s AND status = 'running' FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE etl_run SET heartbeat_at = clock_timestamp() FROM free WHERE etl_run.id = free.id

-- status: what has become of a run
SELECT status FROM etl_run WHERE id = %(run_id)s

-- leftovers: end what a process that lost its lease has left in the middle of a transaction: it holds rows, and waits for its client
SELECT pg_terminate_backend(stuck.pid, 5000)
FROM etl_run AS run
CROSS JOIN LATERAL (
    SELECT pid FROM pg_stat_activity AS process
    WHERE process.datname = current_database() AND process.pid <> pg_backend_pid()
      AND process.application_name = left('kasparro ' || run.holder, 63)
      AND (process.state LIKE 'idle in transaction%%' OR (process.state = 'active' AND process.wait_event_type = 'Client'))
      AND process.state_change < clock_timestamp() - coalesce(run.lease, interval '60 s') / 2
) AS stuck
WHERE run.source = %(source)s AND run.status = 'running' AND run.holder <> %(holder)s

-- holder: who runs the source now
SELECT id, holder, started_at FROM etl_run WHERE source = %(source)s AND status = 'running' ORDER BY id DESC LIMIT 1

-- known: how the rows of the source are known so far, how many there are, and by which mapping they were made
SELECT known.dataset, known.primary_key, coalesce((
    SELECT sum(rows) FROM dataset_total AS total WHERE total.dataset = known.dataset AND total.source = known.source), 0)::bigint,
    known.shape
FROM etl_source AS known WHERE known.source = %(source)s

-- declare: make the source known; while a refresh is under way its rows are still known as before
INSERT INTO etl_source (source, kind, dataset, origin, primary_key, shape)
VALUES (%(source)s, %(kind)s, %(dataset)s, %(origin)s, %(primary_key)s::json, %(shape)s)
ON CONFLICT (source) DO UPDATE
SET kind = excluded.kind, dataset = excluded.dataset, origin = excluded.origin,
    primary_key = CASE WHEN %(beside)s AND NOT %(first)s THEN etl_source.primary_key ELSE excluded.primary_key END,
    shape = CASE WHEN %(first)s THEN excluded.shape ELSE etl_source.shape END

-- schedule: when the source is to run, as it is declared now; null: nobody says
WITH gone AS (
    DELETE FROM source_schedule WHERE source = %(source)s AND %(schedule)s::text IS NULL
)
INSERT INTO source_schedule AS known (source, schedule)
SELECT %(source)s, %(schedule)s::json WHERE %(schedule)s::text IS NOT NULL
ON CONFLICT (source) DO UPDATE SET schedule = excluded.schedule, since = clock_timestamp()
WHERE known.schedule::text IS DISTINCT FROM excluded.schedule::text

-- abandoned: runs of the source that died, and whether their rows are held; we hold its lock, so nobody works on them
SELECT id, held IS NOT NULL FROM etl_run WHERE source = %(source)s AND status = 'running' ORDER BY id FOR UPDATE

-- stale: what is left of a refresh that cannot be gone on with: of another mapping, or refused at its end
DELETE FROM etl_refresh
WHERE source = %(source)s AND lane = %(lane)s AND (shape <> %(shape)s OR (refused AND NOT %(accept)s))

-- unled: checkpoints of a refresh that is not under way
DELETE FROM etl_checkpoint AS one
WHERE source = %(source)s AND lane = %(lane)s
  AND NOT EXISTS (SELECT FROM etl_refresh AS kept WHERE kept.source = one.source AND kept.lane = one.lane)

-- unfinished: is there anything to go on from; a refresh, replay or backfill that ended well leaves no checkpoint
SELECT EXISTS (SELECT FROM etl_checkpoint
               WHERE source = %(source)s AND lane = %(lane)s AND pages > 0 AND (NOT finished OR lane <> ''))

-- begin: a new run
INSERT INTO etl_run (source, holder, config_hash, code_version, trigger, lane, requested_by, due_at, job_id, lease)
VALUES (%(source)s, %(holder)s, %(config_hash)s, %(code_version)s, %(trigger)s, %(lane)s, %(requested_by)s, %(due_at)s, %(job_id)s,
        make_interval(secs => %(lease)s))
RETURNING id

-- pass: a run that goes on where another was interrupted belongs to the same pass
UPDATE etl_run
SET pass_id = CASE WHEN %(resumed)s THEN coalesce(
    (SELECT before.pass_id FROM etl_run AS before
     WHERE before.source = %(source)s AND before.lane = %(lane)s AND before.id < %(run_id)s ORDER BY before.id DESC LIMIT 1),
    id) ELSE id END
WHERE id = %(run_id)s

-- finish: end a run and add it to the totals of its source; a run that has ended already is left as it is; no clock that
-- was set back makes a run end before it began; what channels may want to be told of it is written down
WITH ended AS (
    UPDATE etl_run
    SET status = %(status)s, resume_at = clock_timestamp() + make_interval(secs => %(resume_in)s), finished_at = greatest(clock_timestamp(), started_at), error_code = %(error_code)s, error = %(error)s,
        retries = %(retries)s, waits = %(waits)s, waited_seconds = %(waited_seconds)s, breaker_changes = %(breaker_changes)s
    WHERE id = %(run_id)s AND status = 'running'
    RETURNING *
), told AS (
    INSERT INTO notification_event (channel, what, source, run_id)
    SELECT channel.name, CASE WHEN ended.status = 'success' THEN 'recovery' ELSE 'failure' END, ended.source, ended.id
    FROM ended CROSS JOIN notification_channel AS channel
    WHERE channel.seen_at > now() - interval '7 days' AND (ended.status IN ('failed', 'partial', 'interrupted') OR (
        ended.status = 'success' AND ended.trigger IN ('run', 'full_refresh') AND (
            EXISTS (SELECT FROM notification_told AS known
                    WHERE known.channel = channel.name AND known.source = ended.source AND known.what = 'failure')
            OR EXISTS (SELECT FROM notification_event AS event
                       WHERE event.channel = channel.name AND event.source = ended.source AND event.what = 'failure'))))
), counted AS (
    INSERT INTO metric_change (name, labels, value)
    SELECT 'kasparro_runs_total', ARRAY[source, status], 1 FROM ended
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
    deleted = total.deleted + ended.deleted,
    pages = total.pages + ended.pages,
    bytes = total.bytes + ended.bytes,
    retries = total.retries + ended.retries,
    waits = total.waits + ended.waits,
    waited_seconds = total.waited_seconds + ended.waited_seconds,
    breaker_changes = total.breaker_changes + ended.breaker_changes,
    last_commit_at = CASE WHEN ended.trigger IN ('replay', 'rejects') THEN total.last_commit_at
                          ELSE greatest(total.last_commit_at, ended.last_commit_at) END,
    seconds = total.seconds + extract(epoch FROM ended.finished_at - ended.started_at),
    last_run_id = greatest(total.last_run_id, ended.id),
    last_read_id = CASE WHEN ended.status = 'success' AND ended.trigger IN ('run', 'full_refresh') THEN ended.id
                        ELSE total.last_read_id END,
    last_success_at = CASE WHEN ended.status = 'success' THEN ended.finished_at ELSE total.last_success_at END,
    last_failure_at = CASE WHEN ended.status IN ('failed', 'interrupted') THEN ended.finished_at ELSE total.last_failure_at END,
    last_error = CASE WHEN ended.status IN ('failed', 'interrupted') THEN ended.error ELSE total.last_error END
FROM ended WHERE total.source = ended.source
RETURNING ended.resume_at

-- committed: what runs have committed together
SELECT coalesce(sum(extracted), 0)::bigint, coalesce(sum(inserted), 0)::bigint, coalesce(sum(updated), 0)::bigint,
       coalesce(sum(unchanged), 0)::bigint, coalesce(sum(duplicates), 0)::bigint, coalesce(sum(rejected), 0)::bigint,
       coalesce(sum(deleted), 0)::bigint
FROM etl_run WHERE id = ANY (%(run_ids)s)

-- remember: where the slices stand that this run has moved, so that they can be set back to there
INSERT INTO checkpoint_history (source, slice, run_id, bookmark, extracted, pages)
SELECT now.source, now.slice, now.lease_epoch, now.bookmark, now.extracted, now.pages
FROM etl_run AS run
JOIN etl_checkpoint AS now ON now.source = run.source AND now.lane = '' AND now.lease_epoch = run.id AND now.pages > 0
LEFT JOIN LATERAL (SELECT bookmark, pages FROM checkpoint_history AS old
                   WHERE old.source = now.source AND old.slice = now.slice ORDER BY old.run_id DESC LIMIT 1) AS before ON true
WHERE run.id = %(run_id)s AND (now.bookmark::text, now.pages) IS DISTINCT FROM (before.bookmark::text, before.pages)
ON CONFLICT DO NOTHING

-- forget: what was remembered of these slices long ago
DELETE FROM checkpoint_history AS old USING checkpoint_history AS added
WHERE added.run_id = %(run_id)s AND old.source = added.source AND old.slice = added.slice AND old.run_id < (
    SELECT run_id FROM checkpoint_history AS kept WHERE kept.source = added.source AND kept.slice = added.slice
    ORDER BY run_id DESC OFFSET %(keep)s LIMIT 1)
