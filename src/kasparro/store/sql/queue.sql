-- bounds: a process that is frozen in the middle of a transaction does not keep the others from the queue
SELECT set_config('idle_in_transaction_session_timeout', '10s', true)

-- put: let a run of a source wait; where one waits already, it is that one, as early and as thorough as either was to be
WITH put AS (
    INSERT INTO procrastinate_jobs AS kept (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
    VALUES (%(queue)s, %(task)s, %(lock)s, %(lock)s, %(args)s::jsonb, %(at)s)
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE
    SET args = kept.args
            || CASE WHEN excluded.args ->> 'trigger' <> 'run' THEN jsonb_build_object('trigger', excluded.args -> 'trigger') ELSE '{}' END
            || CASE WHEN excluded.args -> 'accept' = 'true' THEN '{"accept": true}'::jsonb ELSE '{}' END,
        scheduled_at = CASE WHEN kept.scheduled_at IS NOT NULL AND excluded.scheduled_at IS NOT NULL
                            THEN least(kept.scheduled_at, excluded.scheduled_at) END
    RETURNING id, args, status, scheduled_at, attempts, xmax = 0 AS new
), told AS (
    SELECT pg_notify('procrastinate_queue_v1#' || %(queue)s, json_build_object('type', 'job_inserted', 'job_id', id)::text)
    FROM put WHERE NOT new
)
SELECT put.id, put.args, put.status::text, put.scheduled_at, put.attempts, put.new FROM put LEFT JOIN told ON true

-- waiting: what waits, in the order in which it is taken
SELECT id, args, status::text, scheduled_at, attempts, false FROM procrastinate_jobs
WHERE status = 'todo' AND task_name = %(task)s ORDER BY priority DESC, id LIMIT %(most)s

-- running: what workers have in hand
SELECT id, args, status::text, scheduled_at, attempts, false FROM procrastinate_jobs
WHERE status = 'doing' AND task_name = %(task)s ORDER BY lock LIMIT %(most)s

-- get: one of the last day, whatever became of it
SELECT id, args, status::text, scheduled_at, attempts, false FROM procrastinate_jobs WHERE id = %(id)s AND task_name = %(task)s

-- cancel: a job that waits is not run
UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = %(id)s AND task_name = %(task)s AND status = 'todo'
RETURNING id, args, status::text, scheduled_at, attempts, false

-- joining: a job that another one is to stand for, and when it was to begin
SELECT id, args, status::text, scheduled_at, attempts, false,
       CASE WHEN %(wait)s::float8 > 0 THEN now() + make_interval(secs => %(wait)s::float8) END
FROM procrastinate_jobs WHERE id = %(id)s

-- number: what the next worker is known by
SELECT nextval(pg_get_serial_sequence('procrastinate_workers', 'id'))

-- beat: a worker says that it is alive; one that was given up as lost meanwhile is known again
WITH known AS (
    INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (%(worker)s, now())
    ON CONFLICT (id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat
)
INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease)
VALUES (%(worker)s, %(name)s, %(host)s, %(pid)s, %(version)s, %(config_hash)s, %(sources)s, %(concurrency)s, make_interval(secs => %(lease)s))
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp()

-- leave: a worker ends; what it should still have in hand is then nobody's
WITH gone AS (DELETE FROM worker WHERE id = %(worker)s)
DELETE FROM procrastinate_workers WHERE id = %(worker)s

-- fetch: take what is to be run next
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
FROM procrastinate_fetch_job_v2(%(queues)s::varchar[], %(worker)s) WHERE id IS NOT NULL

-- finish: a job has ended, if it is still in the hand that took it
UPDATE procrastinate_jobs SET status = %(status)s::procrastinate_job_status, attempts = attempts + 1, abort_requested = false
WHERE id = %(id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker)s AND attempts = %(attempts)s

-- back: a job waits again, if it is still in the hand that took it; workers are told
WITH back AS (
    UPDATE procrastinate_jobs
    SET status = 'todo', attempts = attempts + 1, worker_id = NULL, abort_requested = false, args = args || %(args)s::jsonb,
        scheduled_at = CASE WHEN %(wait)s::float8 > 0 THEN now() + make_interval(secs => %(wait)s::float8) END
    WHERE id = %(id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker)s AND attempts = %(attempts)s
    RETURNING id, queue_name
)
SELECT pg_notify('procrastinate_queue_v1#' || queue_name, json_build_object('type', 'job_inserted', 'job_id', id)::text) FROM back

-- ahead: a clock was set back since these workers were heard of: they were heard of now
UPDATE worker SET heartbeat_at = clock_timestamp() WHERE heartbeat_at > clock_timestamp() + lease / 4

-- silent: workers that have not said for longer than their lease that they are alive; a server that came back just now has heard nobody;
-- those that somebody else is about to delete are left to them
DELETE FROM worker WHERE id IN (
    SELECT id FROM worker WHERE heartbeat_at < clock_timestamp() - lease AND pg_postmaster_start_time() < clock_timestamp() - lease
    FOR UPDATE SKIP LOCKED)
RETURNING id, name, host, pid

-- orphans: jobs in the hands of nobody; whoever else looks for them now has the others
SELECT id, worker_id, attempts, coalesce((args -> 'lost')::int, 0) FROM procrastinate_jobs AS job
WHERE status = 'doing' AND task_name = %(task)s AND NOT EXISTS (SELECT FROM worker WHERE worker.id = job.worker_id)
ORDER BY id FOR UPDATE SKIP LOCKED

-- unknown: what procrastinate knows of workers that are gone
DELETE FROM procrastinate_workers WHERE id IN (
    SELECT id FROM procrastinate_workers AS old WHERE NOT EXISTS (SELECT FROM worker WHERE worker.id = old.id)
      AND old.last_heartbeat < now() - interval '1 minute'
    FOR UPDATE SKIP LOCKED)

-- strays: jobs that a worker is said to have in hand, and knows nothing of: the answer to its question was lost
SELECT id, worker_id, attempts, coalesce((args -> 'lost')::int, 0) FROM procrastinate_jobs
WHERE worker_id = %(worker)s AND status = 'doing' AND id <> ALL (%(held)s) FOR UPDATE SKIP LOCKED

-- forget: what ended more than a day ago; the history is in etl_run
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status NOT IN ('todo', 'doing') AND task_name = %(task)s
      AND NOT EXISTS (SELECT FROM procrastinate_events AS event WHERE event.job_id = job.id AND event.at > now() - interval '1 day')
    ORDER BY id LIMIT 1000)

-- workers: that are known, the latest last; one that is lost is so until another one finds it
SELECT id, name, host, pid, version, config_hash, sources, concurrency, started_at, heartbeat_at,
       heartbeat_at >= clock_timestamp() - lease AS alive
FROM worker ORDER BY name, id LIMIT %(most)s

-- knowing: how many workers that are alive run a source
SELECT count(*) FROM worker WHERE sources @> ARRAY[%(source)s] AND heartbeat_at >= clock_timestamp() - lease
