-- clock: the moment that everything of a transaction goes by; the database's, unless a test gives one
SELECT coalesce(%(now)s::timestamptz, clock_timestamp())

-- register: make channels known, so that what happens from now on is written down for them
INSERT INTO notification_channel (name, seen_at) SELECT name, %(now)s FROM unnest(%(names)s::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at

-- unregister: channels that no process has named for so long
DELETE FROM notification_channel WHERE seen_at < %(now)s - make_interval(secs => %(unseen)s)

-- unheard: what was written down for channels that are not known any more
DELETE FROM notification_event WHERE id = ANY (ARRAY(
    SELECT event.id FROM notification_event AS event
    WHERE NOT EXISTS (SELECT FROM notification_channel AS channel WHERE channel.name = event.channel) LIMIT %(step)s))

-- lapsed: messages that wait for a channel that no process has named for as long as is tried
UPDATE notification AS message
SET status = 'failed', ended_at = %(now)s, lease = NULL, lease_until = NULL, answer = %(answer)s
WHERE status = 'waiting' AND channel <> ALL (%(names)s) AND since < %(now)s - make_interval(secs => %(patience)s)
  AND (lease_until IS NULL OR lease_until < %(now)s)
  AND NOT EXISTS (SELECT FROM notification_channel AS known
                  WHERE known.name = message.channel AND known.seen_at >= %(now)s - make_interval(secs => %(patience)s))
RETURNING message.id, message.channel

-- old: messages that ended long ago
DELETE FROM notification WHERE id = ANY (ARRAY(
    SELECT id FROM notification WHERE ended_at < %(now)s - make_interval(secs => %(kept)s) ORDER BY ended_at LIMIT %(step)s))

-- forgotten: what was told so long ago that it may be told again in any case
DELETE FROM notification_told WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM notification_told
    WHERE told_at < %(now)s - make_interval(secs => %(kept)s) ORDER BY told_at LIMIT %(step)s FOR UPDATE SKIP LOCKED))

-- refused: a run that could not even begin; there is no record of it
INSERT INTO notification_event (channel, what, source, code, error)
SELECT channel.name, 'failure', %(source)s, %(code)s, %(error)s FROM notification_channel AS channel
WHERE channel.seen_at > now() - interval '7 days'

-- any: is there anything that a channel has not been told of
SELECT EXISTS (SELECT FROM notification_event WHERE channel = %(channel)s)

-- turn: one process at a time makes messages for a channel, so that what happened is taken in its order; or makes channels known
SELECT pg_advisory_xact_lock(hashtextextended('kasparro.notification.' || %(channel)s, 0))

-- take: what happened, a part of it, the first of it first
WITH taken AS (
    DELETE FROM notification_event WHERE id = ANY (ARRAY(
        SELECT id FROM notification_event WHERE channel = %(channel)s ORDER BY id LIMIT %(step)s))
    RETURNING *
)
SELECT what, source, run_id, first_id, last_id, code, error, happened_at FROM taken ORDER BY id

-- found: which findings are to be told, the worst of them, and how many there are; what is told is noted, and what is not
-- told again is counted; each is looked up by its whole key, which no plan may leave to a join: there may be thousands
WITH found AS MATERIALIZED (
    SELECT DISTINCT ON (one.kind, one.subject) one.id, one.kind, one.subject, one.severity, one.message, one.expected,
           one.observed, one.created_at, decode(md5(one.kind || E'\x1f' || one.subject), 'hex') AS thing
    FROM finding AS one
    WHERE one.source = %(source)s AND one.id BETWEEN %(first_id)s AND %(last_id)s
      AND one.run_id IS NOT DISTINCT FROM %(run_id)s::bigint
      AND one.severity = ANY (%(severities)s) AND (%(kinds)s::text[] IS NULL OR one.kind = ANY (%(kinds)s::text[]))
    ORDER BY one.kind, one.subject, array_position(%(severities)s::text[], one.severity) DESC, one.id
), judged AS MATERIALIZED (
    SELECT found.*, coalesce(known.held_back, 0) AS again,
           notification_is_news(known.told_at, known.severity, found.severity, %(now)s, %(every)s) AS is_news
    FROM found LEFT JOIN LATERAL (
        SELECT told_at, severity, held_back FROM notification_told
        WHERE channel = %(channel)s AND source = %(source)s AND thing = found.thing OFFSET 0) AS known ON true
), told AS (
    INSERT INTO notification_told (channel, source, thing, what, severity, since, told_at)
    SELECT %(channel)s, %(source)s, thing, 'finding', severity, %(now)s, %(now)s FROM judged WHERE is_news
    ON CONFLICT (channel, source, thing) DO UPDATE
    SET severity = excluded.severity, told_at = excluded.told_at, held_back = 0
), held AS (
    UPDATE notification_told SET held_back = held_back + 1
    WHERE channel = %(channel)s AND source = %(source)s AND thing = ANY (ARRAY(SELECT thing FROM judged WHERE NOT is_news))
)
SELECT kind, severity, subject, message, expected, observed, created_at, again,
       count(*) FILTER (WHERE severity = 'critical') OVER () AS critical,
       count(*) FILTER (WHERE severity = 'warning') OVER () AS warning,
       count(*) FILTER (WHERE severity = 'info') OVER () AS info
FROM judged WHERE is_news
ORDER BY array_position(%(severities)s::text[], severity) DESC, id LIMIT %(most)s

-- ended: a run that failed or ended well
SELECT status, trigger, error_code, error, finished_at FROM etl_run WHERE id = %(run_id)s

-- failed: is a failure to be told, and how often was it met since it was last told; noted as above
WITH judged AS MATERIALIZED (
    SELECT coalesce(known.held_back, 0) AS again,
           notification_is_news(known.told_at, known.severity, %(severity)s, %(now)s, %(every)s) AS is_news
    FROM (SELECT) AS one LEFT JOIN notification_told AS known
         ON known.channel = %(channel)s AND known.source = %(source)s AND known.thing = %(thing)s
), told AS (
    INSERT INTO notification_told (channel, source, thing, what, severity, since, told_at)
    SELECT %(channel)s, %(source)s, %(thing)s, 'failure', %(severity)s, %(happened_at)s, %(now)s FROM judged WHERE is_news
    ON CONFLICT (channel, source, thing) DO UPDATE
    SET severity = excluded.severity, told_at = excluded.told_at, held_back = 0
), held AS (
    UPDATE notification_told AS known SET held_back = known.held_back + 1 FROM judged
    WHERE NOT judged.is_news AND known.channel = %(channel)s AND known.source = %(source)s AND known.thing = %(thing)s
)
SELECT is_news, again FROM judged

-- over: failures of a source that a channel was told of are over; since when it failed
WITH over AS (
    DELETE FROM notification_told WHERE channel = %(channel)s AND source = %(source)s AND what = 'failure' RETURNING since
)
SELECT min(since) FROM over

-- open: the message that is still being added to
SELECT id, items, counts FROM notification
WHERE channel = %(channel)s AND status = 'waiting' AND attempts = 0 AND lease IS NULL AND closes_at > %(now)s AND made_at <= %(now)s
ORDER BY id DESC LIMIT 1 FOR UPDATE

-- add: to it
UPDATE notification SET items = %(items)s::json, counts = %(counts)s::json WHERE id = %(id)s

-- make: a message
INSERT INTO notification (channel, instance, items, counts, made_at, closes_at, since, next_at)
SELECT %(channel)s, %(instance)s, %(items)s::json, %(counts)s::json, %(now)s, closing.at, closing.at, closing.at
FROM (SELECT %(now)s::timestamptz + %(group_for)s::interval AS at) AS closing
