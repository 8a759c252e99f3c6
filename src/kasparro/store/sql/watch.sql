-- parts: profiles of the batches of a run, and of the runs before it that it went on with
SELECT part.profile FROM run_profile AS part
WHERE part.run_id IN (SELECT one.id FROM etl_run AS one JOIN etl_run AS run USING (source, pass_id) WHERE run.id = %(run_id)s)

-- whole: in their place stands the one of the run
WITH gone AS (
    DELETE FROM run_profile WHERE run_id IN (
        SELECT one.id FROM etl_run AS one JOIN etl_run AS run USING (source, pass_id) WHERE run.id = %(run_id)s)
)
INSERT INTO run_profile (run_id, profile) VALUES (%(run_id)s, %(profile)s::json)

-- forget: profiles of runs long ago
DELETE FROM run_profile WHERE run_id IN (
    SELECT id FROM etl_run WHERE source = %(source)s AND facts IS NOT NULL AND -id > -%(run_id)s::bigint
    ORDER BY -id OFFSET %(keep)s LIMIT 10)

-- profile: of one run
SELECT profile FROM run_profile WHERE run_id = %(run_id)s

-- pass: what the runs of a pass have read together, when the first of them began, and when that was due
SELECT run.source, min(one.started_at), extract(epoch FROM clock_timestamp() - min(one.started_at))::float,
       sum(one.rejected)::bigint, sum(one.bytes)::bigint, sum(one.pages)::bigint,
       (array_agg(one.due_at ORDER BY one.id))[1]
FROM etl_run AS one JOIN etl_run AS run USING (source, pass_id) WHERE run.id = %(run_id)s GROUP BY run.source

-- history: facts of earlier runs of the same kind that came to their end and took effect, the latest first
SELECT facts FROM etl_run
WHERE source = %(source)s AND id * -1 > %(run_id)s::bigint * -1 AND facts IS NOT NULL AND status = 'success'
  AND (held IS NULL OR held = 'released')
  AND trigger = (SELECT trigger FROM etl_run WHERE id = %(run_id)s)
ORDER BY id * -1 LIMIT %(limit)s

-- schema: the accepted one
SELECT version, fields FROM source_schema WHERE source = %(source)s ORDER BY version DESC LIMIT 1

-- version: one of them
SELECT version, fields, run_id, accepted_by, accepted_at FROM source_schema
WHERE source = %(source)s AND (%(version)s::int IS NULL OR version = %(version)s) ORDER BY version DESC LIMIT 1

-- versions: all of a source, newest first
SELECT version, run_id, accepted_by, accepted_at FROM source_schema WHERE source = %(source)s ORDER BY version DESC

-- accept: another version
INSERT INTO source_schema (source, version, fields, run_id, accepted_by)
SELECT %(source)s, coalesce(max(version), 0) + 1, %(fields)s::json, %(run_id)s, %(who)s FROM source_schema
WHERE source = %(source)s
RETURNING version

-- found: what is odd; what channels may want to be told of it is written down
WITH added AS (
    INSERT INTO finding (source, run_id, kind, severity, subject, message, expected, observed, facts)
    SELECT %(source)s, %(run_id)s, one.kind, one.severity, one.subject, one.message, one.expected::json, one.observed::json, one.facts::json
    FROM unnest(%(kinds)s::text[], %(severities)s::text[], %(subjects)s::text[], %(messages)s::text[], %(expected)s::text[],
                %(observed)s::text[], %(facts)s::text[])
         AS one (kind, severity, subject, message, expected, observed, facts)
    RETURNING id, source, run_id
)
INSERT INTO notification_event (channel, what, source, run_id, first_id, last_id)
SELECT channel.name, 'findings', added.source, added.run_id, min(added.id), max(added.id)
FROM added CROSS JOIN notification_channel AS channel WHERE channel.seen_at > now() - interval '7 days'
GROUP BY channel.name, added.source, added.run_id

-- judged: the verdict, and what later runs are compared with
WITH counted AS (
    INSERT INTO metric_change (name, labels, value)
    SELECT 'kasparro_verdicts_total', ARRAY[source, %(verdict)s], 1 FROM etl_run WHERE id = %(run_id)s
)
UPDATE etl_run SET verdict = %(verdict)s, facts = %(run_facts)s::json, schema_version = %(version)s WHERE id = %(run_id)s

-- findings: newest first
SELECT id, source, run_id, kind, severity, subject, message, expected, observed, facts, created_at
FROM finding
WHERE {conditions}
ORDER BY {order} LIMIT %(limit)s
