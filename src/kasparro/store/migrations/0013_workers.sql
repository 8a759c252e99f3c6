-- Workers, the leases of runs, and which schema the queue's own tables have.

-- Processes that take runs from the queue. `id` is that of procrastinate_workers; one that has not said for longer than
-- its lease that it is alive is lost, and what it had in hand is taken over.
CREATE TABLE worker (
    id           bigint PRIMARY KEY,
    name         text        NOT NULL,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    config_hash  text        NOT NULL,
    sources      text[]      NOT NULL COLLATE "C",
    concurrency  integer     NOT NULL,
    lease        interval    NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- For how long a run may be silent (heartbeat_at) before another may take its source over. Null: it never says that it
-- is alive, as it was begun by a version that did not; then only the end of its connection frees the source.
ALTER TABLE etl_run ADD COLUMN lease interval;

-- The last migration of procrastinate that the tables procrastinate_* have; they are made and moved on by `migrate`.
CREATE TABLE queue_schema (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    made    text        NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
