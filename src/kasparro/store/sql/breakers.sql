-- look: what is known of a host
SELECT state, coalesce(extract(epoch FROM retry_at - clock_timestamp()), 0)::double precision, openings, failures, reason
FROM host_breaker WHERE host = %(host)s

-- open: leave a host alone, unless another process does so already; a probe that failed counts only while it is the one;
-- hosts that nobody has asked for long are forgotten
WITH forgotten AS (
    DELETE FROM host_breaker WHERE host <> %(host)s AND coalesce(retry_at, since) < clock_timestamp() - interval '30 days'
)
INSERT INTO host_breaker AS kept (host, state, retry_at, openings, failures, reason)
VALUES (%(host)s, 'open', clock_timestamp() + make_interval(secs => least(%(seconds)s, %(longest)s)), 1, %(failures)s, %(reason)s)
ON CONFLICT (host) DO UPDATE
SET state = 'open', probe = NULL, failures = excluded.failures, reason = excluded.reason, openings = kept.openings + 1,
    since = CASE WHEN kept.state = 'closed' THEN clock_timestamp() ELSE kept.since END,
    retry_at = clock_timestamp() + make_interval(secs => least(%(seconds)s * 2.0 ^ least(kept.openings, 20), %(longest)s))
WHERE CASE WHEN %(probe)s::text IS NULL THEN kept.state = 'closed' ELSE kept.probe = %(probe)s END
RETURNING state, extract(epoch FROM retry_at - clock_timestamp())::double precision, openings, failures, reason

-- probe: one process tries a host whose time is over; no host is left alone for an hour, so a moment further away is of another clock
UPDATE host_breaker
SET state = 'half_open', probe = %(probe)s, retry_at = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE host = %(host)s AND state <> 'closed'
  AND (retry_at <= clock_timestamp() OR retry_at > clock_timestamp() + interval '1 hour')
RETURNING state, %(lease)s::double precision, openings, failures, reason

-- close: everybody may ask the host again
UPDATE host_breaker
SET state = 'closed', since = clock_timestamp(), retry_at = NULL, probe = NULL, openings = 0, failures = 0, reason = ''
WHERE host = %(host)s AND probe = %(probe)s
RETURNING state, 0::double precision, openings, failures, reason

-- give_back: a probe came to nothing
UPDATE host_breaker SET state = 'open', retry_at = clock_timestamp(), probe = NULL
WHERE host = %(host)s AND probe = %(probe)s
RETURNING state, 0::double precision, openings, failures, reason
