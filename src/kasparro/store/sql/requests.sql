-- known: has anybody ever run or scheduled the source
SELECT EXISTS (SELECT FROM etl_source WHERE source = %(source)s)
       OR EXISTS (SELECT FROM source_schedule WHERE source = %(source)s AND schedule IS NOT NULL)

-- listed: what workers have in hand, then what waits, in the order in which it is taken; one more tells whether more follow
WITH job AS (
    (SELECT *, 1 AS part FROM procrastinate_jobs WHERE status = 'doing' AND task_name = %(task)s
     ORDER BY lock LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT *, 2 FROM procrastinate_jobs WHERE status = 'todo' AND task_name = %(task)s
     ORDER BY priority DESC, id LIMIT %(limit)s + 1)
)
SELECT job.id, job.args, job.status::text, job.scheduled_at, job.attempts, worker.name AS worker, latest.id AS run_id
FROM job
LEFT JOIN worker ON worker.id = job.worker_id
LEFT JOIN LATERAL (SELECT id FROM etl_run AS run WHERE run.job_id = job.id ORDER BY -id LIMIT 1) AS latest ON true
ORDER BY job.part, job.priority DESC, job.id LIMIT %(limit)s + 1

-- one: a job of the last day, whatever became of it
SELECT job.id, job.args, job.status::text, job.scheduled_at, job.attempts, worker.name AS worker, latest.id AS run_id
FROM procrastinate_jobs AS job
LEFT JOIN worker ON worker.id = job.worker_id
LEFT JOIN LATERAL (SELECT id FROM etl_run AS run WHERE run.job_id = job.id ORDER BY -id LIMIT 1) AS latest ON true
WHERE job.id = %(id)s AND job.task_name = %(task)s
