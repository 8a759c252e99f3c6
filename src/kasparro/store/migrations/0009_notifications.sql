-- What is told to people: channels, what happened, messages, and what was told already.

-- Channels that some process has in its configuration. seen_at: when one last said so; a channel that nobody has named for
-- a week gets nothing more.
CREATE TABLE notification_channel (
    name    text        PRIMARY KEY COLLATE "C",
    seen_at timestamptz NOT NULL
);

-- The outbox: what happened, one row for each channel, written in the transaction in which it happened. Whoever makes
-- messages of it deletes it in the same transaction. first_id, last_id: of the findings. code, error: of a run that could
-- not even begin, and so has no record.
CREATE TABLE notification_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel     text        NOT NULL COLLATE "C",
    what        text        NOT NULL CHECK (what IN ('findings', 'failure', 'recovery')),
    source      text        NOT NULL COLLATE "C",
    run_id      bigint,
    first_id    bigint,
    last_id     bigint,
    code        text,
    error       text,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((what = 'findings') = (first_id IS NOT NULL AND last_id IS NOT NULL)),
    CHECK (what = 'findings' OR (run_id IS NULL) = (error IS NOT NULL))
);
CREATE INDEX notification_event_by_channel ON notification_event (channel, id);
CREATE INDEX notification_event_of_failures ON notification_event (channel, source) WHERE what = 'failure';

-- Messages. key: what the other side knows it by, the same in every attempt. closes_at: until then more is added to it.
-- since: giving up is counted from here. lease: of the process that sends it now.
CREATE TABLE notification (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         uuid        NOT NULL DEFAULT gen_random_uuid(),
    channel     text        NOT NULL COLLATE "C",
    status      text        NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'failed', 'discarded')),
    instance    text        NOT NULL,
    items       json        NOT NULL,
    counts      json        NOT NULL,
    made_at     timestamptz NOT NULL,
    closes_at   timestamptz NOT NULL,
    since       timestamptz NOT NULL,
    next_at     timestamptz NOT NULL,
    attempts    int         NOT NULL DEFAULT 0,
    lease       uuid,
    lease_until timestamptz,
    ended_at    timestamptz,
    answer      text,
    CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CHECK ((status = 'waiting') = (ended_at IS NULL)),
    CHECK (status = 'waiting' OR lease IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX notification_waiting ON notification (channel, id) WHERE status = 'waiting';
CREATE INDEX notification_by_channel ON notification (channel, id DESC);
CREATE INDEX notification_by_status ON notification (status, id DESC);
CREATE INDEX notification_by_channel_and_status ON notification (channel, status, id DESC);
CREATE INDEX notification_ended ON notification (ended_at) WHERE ended_at IS NOT NULL;

-- What was told when, so that it is not repeated too often. thing: a digest of kind and subject. held_back: how often it was
-- met since without being told. since: when it was first told; of a failure, until the source is well again.
CREATE TABLE notification_told (
    channel   text        NOT NULL COLLATE "C",
    source    text        NOT NULL COLLATE "C",
    thing     bytea       NOT NULL,
    what      text        NOT NULL CHECK (what IN ('finding', 'failure')),
    severity  text        NOT NULL,
    since     timestamptz NOT NULL,
    told_at   timestamptz NOT NULL,
    held_back int         NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, source, thing)
);
CREATE INDEX notification_told_by_age ON notification_told (told_at);

-- Is a thing to be told (again)? It was never told, or not of late, or it has become worse; or the clock was set back since.
CREATE FUNCTION notification_is_news(told_at timestamptz, told text, now_worth text, now timestamptz, every interval)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT told_at IS NULL OR told_at > now OR told_at <= now - every
        OR array_position(ARRAY['info', 'warning', 'critical'], now_worth)
         > array_position(ARRAY['info', 'warning', 'critical'], told)
$$;
