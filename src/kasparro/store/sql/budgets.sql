-- look: whether anything that counts is known of a budget
SELECT EXISTS (SELECT FROM rate_budget WHERE key = %(key)s AND lasts > clock_timestamp())

-- bounds: a process that is frozen with a book in its hands does not keep it from all others
SELECT set_config('idle_in_transaction_session_timeout', '3s', true), set_config('lock_timeout', '5s', true)

-- open: have a row to lock
INSERT INTO rate_budget (key, host) VALUES (%(key)s, %(host)s) ON CONFLICT (key) DO NOTHING

-- lock: the book, for nobody else until the end of the transaction
SELECT book FROM rate_budget WHERE key = %(key)s FOR UPDATE

-- now: what the clock shows once the book is ours
SELECT extract(epoch FROM clock_timestamp())::double precision

-- write: the book as it is from now on
UPDATE rate_budget
SET host = %(host)s, book = %(book)s, lasts = to_timestamp(%(lasts)s), hold_until = to_timestamp(%(hold)s) WHERE key = %(key)s

-- tidy: books that say nothing any more, of hosts that were not asked for a week
DELETE FROM rate_budget WHERE key IN (
    SELECT key FROM rate_budget WHERE lasts < now() - interval '7 days' FOR UPDATE SKIP LOCKED)

-- list: the budgets that say anything, for people
SELECT key, host, book, extract(epoch FROM clock_timestamp())::double precision,
       CASE WHEN hold_until > clock_timestamp() THEN hold_until END
FROM rate_budget WHERE lasts > clock_timestamp() AND book IS NOT NULL ORDER BY host, key

-- forget: the budgets of a host, or the one of this name
DELETE FROM rate_budget WHERE %(name)s IN (host, key) RETURNING key
