-- lease: the next message to send, if there is one, for this process alone until the lease ends; one whose times lie ahead
-- because a clock was set back is due
WITH next AS (
    SELECT id FROM notification
    WHERE channel = %(channel)s AND status = 'waiting' AND id > %(after)s
      AND (lease_until IS NULL OR lease_until <= %(now)s OR lease_until > %(now)s + make_interval(secs => %(seconds)s))
      AND (next_at <= %(now)s OR made_at > %(now)s OR %(what)s = 'all' OR (%(what)s = 'fresh' AND attempts = 0))
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE notification AS message
SET attempts = attempts + 1, lease = gen_random_uuid(), lease_until = %(now)s + make_interval(secs => %(seconds)s)
FROM next WHERE message.id = next.id
RETURNING message.id, message.key::text, message.channel, message.instance, message.made_at, message.items, message.counts,
          message.attempts, extract(epoch FROM %(now)s - message.since)::float AS age, message.lease::text

-- ended: a message was sent, or is given up, unless its lease is another's by now
UPDATE notification SET status = %(status)s, ended_at = %(now)s, answer = %(answer)s, lease = NULL, lease_until = NULL
WHERE id = %(id)s AND lease = %(lease)s::uuid
RETURNING id

-- again: a message is tried again after so many seconds
UPDATE notification
SET next_at = %(now)s + make_interval(secs => %(wait)s), answer = %(answer)s, lease = NULL, lease_until = NULL
WHERE id = %(id)s AND lease = %(lease)s::uuid
RETURNING id

-- soonest: in how many seconds the next message of a channel is due, or may be taken over from a process that died
SELECT extract(epoch FROM min(greatest(next_at, lease_until)) - %(now)s)::float FROM notification
WHERE channel = %(channel)s AND status = 'waiting'

-- waiting: messages that wait, by channel
SELECT channel, count(*) AS messages, min(since) AS since FROM notification WHERE status = 'waiting' GROUP BY channel ORDER BY channel

-- depth: how much waits in the outbox, waits to be sent, and was given up, by channel
SELECT channel, 'outbox' AS status, count(*) AS messages FROM notification_event GROUP BY channel
UNION ALL
SELECT channel, status, count(*) FROM notification WHERE status IN ('waiting', 'failed') GROUP BY channel, status
ORDER BY channel, status

-- list: newest first
SELECT id, key::text, channel, status, instance, items, counts, made_at, next_at, attempts, lease_until, ended_at, answer
FROM notification
WHERE {conditions}
ORDER BY id DESC LIMIT %(limit)s

-- one: of them
SELECT id, channel, status, attempts, coalesce(status = 'waiting' AND lease_until > %(now)s, false) AS sending
FROM notification WHERE id = %(id)s FOR UPDATE

-- retry: it waits again, from now on
UPDATE notification
SET status = 'waiting', ended_at = NULL, since = %(now)s, next_at = %(now)s, closes_at = least(closes_at, %(now)s), lease = NULL, lease_until = NULL
WHERE id = %(id)s

-- discard: it is not sent any more
UPDATE notification
SET status = 'discarded', ended_at = %(now)s, answer = %(answer)s, lease = NULL, lease_until = NULL
WHERE id = %(id)s
