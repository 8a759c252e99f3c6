-- Refreshes and replays beside the table, rows that a refresh found gone, the way back for checkpoints, and what was done
-- about rejects.

-- In which order pages came last: of the pages with one key, the one that came last counts. A page that comes again is not
-- stored again, but moves to the end.
ALTER TABLE raw_page ADD COLUMN last_pass_id bigint, ADD COLUMN last_number bigint, ADD COLUMN last_at timestamptz;
UPDATE raw_page SET last_number = id, last_at = fetched_at,
   last_pass_id = coalesce((SELECT pass_id FROM etl_run WHERE etl_run.id = raw_page.run_id), run_id);
ALTER TABLE raw_page ALTER COLUMN last_pass_id SET NOT NULL, ALTER COLUMN last_number SET NOT NULL,
    ALTER COLUMN last_at SET NOT NULL, ALTER COLUMN last_at SET DEFAULT now();
CREATE INDEX raw_page_by_age ON raw_page (source, last_at);

-- The lane of a run, and the rows that it deleted.
ALTER TABLE etl_run ADD COLUMN lane text NOT NULL DEFAULT '' COLLATE "C";
ALTER TABLE etl_run ADD COLUMN deleted bigint NOT NULL DEFAULT 0;

-- shape: by which mapping the rows that are there were made. refreshed_from: the pass of the last full refresh; older pages
-- say nothing of what is there now.
ALTER TABLE etl_source ADD COLUMN shape text, ADD COLUMN refreshed_from bigint;

-- Rows of a refresh that is not over: they stand in a table of their own until all are there, then take effect at once.
CREATE SCHEMA refresh;
CREATE TABLE etl_refresh (
    source     text        NOT NULL COLLATE "C",
    lane       text        NOT NULL COLLATE "C",
    shape      text        NOT NULL,
    refused    boolean     NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, lane)
);

-- Rows that a refresh did not find any more, as they were.
CREATE TABLE deleted_record (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source     text        NOT NULL COLLATE "C",
    dataset    text        NOT NULL,
    record_key text        NOT NULL COLLATE "C",
    row        json        NOT NULL,
    run_id     bigint      NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deleted_record_by_source ON deleted_record (source, id DESC);

-- Where each slice stood when a run ended, so that it can be set back to there.
CREATE TABLE checkpoint_history (
    source    text        NOT NULL COLLATE "C",
    slice     text        NOT NULL COLLATE "C",
    run_id    bigint      NOT NULL,
    bookmark  json        NOT NULL,
    profile   json        NOT NULL,
    extracted bigint      NOT NULL,
    pages     bigint      NOT NULL,
    saved_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, slice, run_id)
);

-- What became of a reject, when, by whom, and in which run. `gone`: a full refresh did not meet it any more. A record that
-- is rejected again, whatever the reason, is the same reject.
ALTER TABLE rejected_record
    ADD COLUMN status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'discarded', 'gone')),
    ADD COLUMN resolved_at timestamptz, ADD COLUMN resolved_by text, ADD COLUMN resolved_run_id bigint,
    ADD CHECK ((status = 'open') = (resolved_at IS NULL));
DELETE FROM rejected_record AS one USING rejected_record AS later
WHERE one.source = later.source AND one.place = later.place AND one.raw = later.raw AND one.id < later.id;
UPDATE rejected_record SET fingerprint = decode(md5(place || E'\x1f' || raw), 'hex');
CREATE INDEX rejected_record_open ON rejected_record (source, id) WHERE status = 'open';
CREATE INDEX rejected_record_of_page ON rejected_record (raw_page_id) WHERE status = 'open';
