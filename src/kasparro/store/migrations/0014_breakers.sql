-- Hosts that are left alone for a while, and what runs have waited.

-- One row for each host that has ever been left alone. open: nobody asks it before retry_at. half_open: one process, the
-- one that holds probe, asks it once; when nothing was heard of it until retry_at, another may.
CREATE TABLE host_breaker (
    host     text PRIMARY KEY,
    state    text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_at timestamptz,
    openings int NOT NULL,
    failures int NOT NULL,
    reason   text NOT NULL,
    probe    text,
    CHECK ((state = 'closed') = (retry_at IS NULL)),
    CHECK ((state = 'half_open') = (probe IS NOT NULL))
);

ALTER TABLE etl_run
    ADD COLUMN waits           int NOT NULL DEFAULT 0,
    ADD COLUMN waited_seconds  double precision NOT NULL DEFAULT 0,
    ADD COLUMN breaker_changes int NOT NULL DEFAULT 0;

ALTER TABLE etl_source
    ADD COLUMN retries         bigint NOT NULL DEFAULT 0,
    ADD COLUMN waits           bigint NOT NULL DEFAULT 0,
    ADD COLUMN waited_seconds  double precision NOT NULL DEFAULT 0,
    ADD COLUMN breaker_changes bigint NOT NULL DEFAULT 0;
