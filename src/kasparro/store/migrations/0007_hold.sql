-- Runs whose rows wait for a decision, and pages that count only when their rows have taken effect.

-- held: the rows of the run wait beside the table, or somebody has decided about them. skipped: dropped, and the next run
-- goes on behind them.
ALTER TABLE etl_run
    ADD COLUMN held text CHECK (held IN ('held', 'released', 'dropped')), ADD COLUMN decided_by text,
    ADD COLUMN decided_at timestamptz, ADD COLUMN skipped boolean NOT NULL DEFAULT false,
    ADD CHECK ((coalesce(held, 'held') = 'held') = (decided_at IS NULL)), ADD CHECK (held = 'dropped' OR NOT skipped);
CREATE UNIQUE INDEX etl_run_held ON etl_run (source) WHERE held = 'held';

-- Runs by what became of their rows, for any length of history: an index for each combination of filters. Few runs are
-- ever held, so these are small.
CREATE INDEX etl_run_held_by_id ON etl_run (held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_source ON etl_run (source, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_status ON etl_run (status, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_verdict ON etl_run (verdict, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_source_status ON etl_run (source, status, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_source_verdict ON etl_run (source, verdict, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_status_verdict ON etl_run (status, verdict, held, (-id)) WHERE held IS NOT NULL;
CREATE INDEX etl_run_held_by_all ON etl_run (source, status, verdict, held, (-id)) WHERE held IS NOT NULL;

-- terms: by which rules the rows take effect, whatever the configuration says by then. pending: the schema that is
-- accepted with them.
ALTER TABLE etl_refresh ADD COLUMN terms json, ADD COLUMN pending json;

-- Pages that were read into a lane: the number that its rows carry, and the one under which the content is stored. A page
-- whose last_pass_id is -1 has never taken effect, and no replay reads it.
CREATE TABLE staged_page (
    source  text    NOT NULL COLLATE "C",
    lane    text    NOT NULL COLLATE "C",
    number  bigint  NOT NULL,
    page_id bigint  NOT NULL,
    slice   text    NOT NULL COLLATE "C",
    batch   bigint  NOT NULL,
    again   boolean NOT NULL,
    PRIMARY KEY (source, lane, number)
);
CREATE INDEX staged_page_of_page ON staged_page (page_id);
