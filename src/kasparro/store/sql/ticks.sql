-- look: what is known of each source: its schedule as it was declared last, what was seen to, and its latest run
SELECT name.source, plan.schedule::text AS schedule, plan.since, plan.source IS NOT NULL AS declared, tick.last_due,
       latest.id AS run_id, latest.status, latest.resume_at, clock.now
FROM unnest(%(sources)s::text[]) AS name (source)
CROSS JOIN (SELECT coalesce(%(now)s::timestamptz, clock_timestamp()) AS now) AS clock
LEFT JOIN source_schedule AS plan USING (source)
LEFT JOIN schedule_tick AS tick USING (source)
LEFT JOIN LATERAL (
    SELECT id, status, resume_at FROM etl_run AS run WHERE run.source = name.source ORDER BY -id LIMIT 1
) AS latest ON true

-- undeclare: sources of a configuration that gives them no schedule; those that were forgotten by hand stay so
DELETE FROM source_schedule WHERE source = ANY (%(sources)s) AND schedule IS NOT NULL

-- move: what is due is seen to, unless another process was first; whoever moves it holds the row until its job is queued
INSERT INTO schedule_tick AS tick (source, last_due, last_was, missed)
VALUES (%(source)s, %(seen_to)s, %(was)s, %(missed)s)
ON CONFLICT (source) DO UPDATE
SET last_due = excluded.last_due, last_was = excluded.last_was, missed = tick.missed + excluded.missed
WHERE tick.last_due IS NOT DISTINCT FROM %(last_due)s
RETURNING source

-- note: what became of the due moment
UPDATE schedule_tick
SET last_was = %(was)s, job_id = coalesce(%(job_id)s, job_id), queued = queued + (%(was)s = 'queued')::int,
    joined = joined + (%(was)s = 'joined')::int
WHERE source = %(source)s

-- resume: a parked run goes on, unless one of the source is in the queue, or another process saw to it; again only where
-- nothing came of that for a while
INSERT INTO schedule_tick AS tick (source, resumed_run, resumed_at)
SELECT %(source)s, %(run_id)s, %(now)s
WHERE NOT EXISTS (SELECT FROM procrastinate_jobs WHERE lock = %(lock)s AND status IN ('todo', 'doing'))
ON CONFLICT (source) DO UPDATE SET resumed_run = excluded.resumed_run, resumed_at = excluded.resumed_at
WHERE tick.resumed_run IS DISTINCT FROM excluded.resumed_run
   OR tick.resumed_at NOT BETWEEN excluded.resumed_at - %(again)s::interval AND excluded.resumed_at
RETURNING source

-- schedules: of all sources, what was seen to, and how
SELECT coalesce(plan.source, tick.source) AS source, plan.schedule::text AS schedule, plan.since, tick.last_due, tick.last_was,
       tick.job_id, coalesce(tick.queued, 0) AS queued, coalesce(tick.joined, 0) AS joined, coalesce(tick.missed, 0) AS missed,
       clock_timestamp() AS now
FROM source_schedule AS plan FULL JOIN schedule_tick AS tick USING (source)
WHERE plan.schedule IS NOT NULL
ORDER BY 1

-- never_read: which of some sources have never been read to their end
SELECT name.source FROM unnest(%(sources)s::text[]) AS name (source)
LEFT JOIN etl_source AS known USING (source) WHERE known.last_read_id IS NULL
