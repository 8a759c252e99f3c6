-- turn: one process at a time looks for late sources; the others need not
SELECT pg_try_advisory_xact_lock(hashtextextended('kasparro.lateness', 0))

-- wait: the same, after the others
SELECT pg_advisory_xact_lock(hashtextextended('kasparro.lateness', 0))

-- clock: the present, unless a test gives one
SELECT coalesce(%(now)s::timestamptz, clock_timestamp())

-- look: what is known of each source: its schedule, its latest good runs, and whether it was found late; as many rows of
-- each source are read, whatever its history
SELECT name.source, plan.schedule, plan.since, plan.source IS NOT NULL AND plan.schedule IS NULL AS forgotten,
       known.declared_at AS first_seen, known.last_read_id, last.finished_at AS last_success,
       coalesce(past.starts, '{}') AS starts, coalesce(past.seconds, '{}') AS durations,
       late.due_at, late.severity, late.after_run_id, late.since AS late_since, late.finding_id, late.given_up_at
FROM (SELECT source FROM etl_source UNION SELECT source FROM source_schedule) AS name
LEFT JOIN etl_source AS known USING (source)
LEFT JOIN source_schedule AS plan USING (source)
LEFT JOIN source_lateness AS late USING (source)
LEFT JOIN etl_run AS last ON last.id = known.last_read_id
LEFT JOIN LATERAL (
    SELECT array_agg(started_at ORDER BY id) AS starts,
           array_agg(extract(epoch FROM finished_at - started_at)::double precision ORDER BY id) AS seconds
    FROM (SELECT id, started_at, finished_at FROM etl_run AS run
          WHERE run.source = name.source AND run.status = 'success' AND run.trigger IN ('run', 'full_refresh')
          ORDER BY 0 - id LIMIT CASE WHEN plan.schedule IS NULL THEN %(habit)s ELSE %(usual)s END) AS one
) AS past ON true
ORDER BY name.source

-- found: a source is late, unless a run has succeeded meanwhile; what channels may want to be told of it is written down
WITH added AS (
    INSERT INTO finding (source, run_id, kind, severity, subject, message, expected, observed, facts)
    SELECT %(source)s, NULL, %(kind)s, %(severity)s, %(subject)s, %(message)s, %(expected)s::json, %(observed)s::json, %(facts)s::json
    WHERE (SELECT last_read_id FROM etl_source WHERE source = %(source)s) IS NOT DISTINCT FROM %(after_run_id)s::bigint
    RETURNING id, source
), told AS (
    INSERT INTO notification_event (channel, what, source, first_id, last_id)
    SELECT channel.name, 'findings', added.source, added.id, added.id
    FROM added CROSS JOIN notification_channel AS channel WHERE channel.seen_at > now() - interval '7 days'
)
INSERT INTO source_lateness (source, due_at, severity, after_run_id, since, finding_id, found_at)
SELECT source, %(due_at)s, %(severity)s, %(after_run_id)s, %(since)s, id, %(now)s FROM added

-- worse: it is critical now: the finding says so, and channels may want to be told again
WITH grown AS (
    UPDATE source_lateness SET severity = %(severity)s WHERE source = %(source)s RETURNING source, finding_id
), told AS (
    INSERT INTO notification_event (channel, what, source, first_id, last_id)
    SELECT channel.name, 'findings', grown.source, grown.finding_id, grown.finding_id
    FROM grown CROSS JOIN notification_channel AS channel WHERE channel.seen_at > now() - interval '7 days'
)
UPDATE finding SET severity = %(severity)s, message = %(message)s, facts = (facts::jsonb || %(facts)s::jsonb)::json
FROM grown WHERE finding.id = grown.finding_id

-- over: it is late no more; the finding says since when, and by which run
WITH gone AS (
    DELETE FROM source_lateness WHERE source = %(source)s RETURNING finding_id
)
UPDATE finding SET facts = (facts::jsonb || jsonb_build_object('over_at', %(now)s::timestamptz, 'over_by_run', %(run_id)s::bigint))::json
FROM gone WHERE finding.id = gone.finding_id

-- give_up: nobody waits any more
UPDATE source_lateness SET given_up_at = %(now)s WHERE source = %(source)s

-- late: sources that are late now
SELECT late.source, late.severity, late.due_at, late.found_at, last.finished_at AS last_success_at, late.finding_id,
       found.message
FROM source_lateness AS late
LEFT JOIN etl_source AS known USING (source)
LEFT JOIN etl_run AS last ON last.id = known.last_read_id
LEFT JOIN finding AS found ON found.id = late.finding_id
WHERE late.given_up_at IS NULL AND known.last_read_id IS NOT DISTINCT FROM late.after_run_id
ORDER BY late.source

-- forget: nobody waits for the source until it runs again
INSERT INTO source_schedule AS known (source, schedule)
SELECT source, NULL FROM (SELECT source FROM etl_source UNION SELECT source FROM source_schedule) AS one
WHERE one.source = %(source)s
ON CONFLICT (source) DO UPDATE SET schedule = NULL, since = clock_timestamp()
RETURNING source
