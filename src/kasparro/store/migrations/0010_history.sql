-- When sources are to run, which of them are late, and lists of runs and findings that are as fast for any history.

-- The schedule of a source as it was declared last, so that a process without the configuration can tell that it is late.
-- schedule: null where nobody waits for the source until it runs again. since: when this very schedule was declared first;
-- what was due before that was promised by nobody.
CREATE TABLE source_schedule (
    source   text PRIMARY KEY COLLATE "C",
    schedule json,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The last run that read the source and ended well; a replay asks nobody, so it makes no source punctual.
ALTER TABLE etl_source ADD COLUMN last_read_id bigint;

-- Sources that are late: a row from the moment that it is found until it is found to be over. after_run_id, since: the last
-- good run, and the schedule, by then. With the next good run the source is well again, whatever the clock says.
-- given_up_at: nobody waits any more, as it had no schedule.
CREATE TABLE source_lateness (
    source       text PRIMARY KEY COLLATE "C",
    due_at       timestamptz NOT NULL,
    severity     text        NOT NULL CHECK (severity IN ('warning', 'critical')),
    after_run_id bigint,
    since        timestamptz,
    finding_id   bigint      NOT NULL,
    found_at     timestamptz NOT NULL,
    given_up_at  timestamptz
);

-- What is said of a source as a whole is not about a run.
ALTER TABLE finding ALTER COLUMN run_id DROP NOT NULL;

-- A list is read along the one index of all its filters. Its order is written otherwise for each number of filters, so that
-- no other index has it: by id, PostgreSQL would go down the primary key, or along the index of some of the filters, in the
-- hope of meeting soon what may be millions of rows away, see store/browse_runs.py.
DROP INDEX etl_run_by_status, etl_run_by_verdict, etl_run_by_source_and_status, etl_run_by_source_and_verdict;
CREATE INDEX etl_run_of_source ON etl_run (source, (-id));
CREATE INDEX etl_run_by_status ON etl_run (status, (-id));
CREATE INDEX etl_run_by_verdict ON etl_run (verdict, (-id));
CREATE INDEX etl_run_by_status_and_verdict ON etl_run (status, verdict, (0 - id));
CREATE INDEX etl_run_by_source_and_status ON etl_run (source, status, (0 - id));
CREATE INDEX etl_run_by_source_and_verdict ON etl_run (source, verdict, (0 - id));
CREATE INDEX etl_run_by_source_status_and_verdict ON etl_run (source, status, verdict, (id * -1));

DROP INDEX finding_by_source, finding_by_run, finding_by_kind, finding_by_severity, finding_by_source_and_kind,
    finding_by_source_and_severity;
CREATE INDEX finding_by_run ON finding (run_id, (-id));
CREATE INDEX finding_by_source ON finding (source, (-id));
CREATE INDEX finding_by_kind ON finding (kind, (-id));
CREATE INDEX finding_by_severity ON finding (severity, (-id));
CREATE INDEX finding_by_kind_and_severity ON finding (kind, severity, (0 - id));
CREATE INDEX finding_by_source_and_kind ON finding (source, kind, (0 - id));
CREATE INDEX finding_by_source_and_severity ON finding (source, severity, (0 - id));
CREATE INDEX finding_by_source_kind_and_severity ON finding (source, kind, severity, (id * -1));

-- Earlier runs whose profiles are kept; and those of one kind that a run is compared with, however few these are.
DROP INDEX etl_run_judged;
CREATE INDEX etl_run_judged ON etl_run (source, (-id)) WHERE facts IS NOT NULL;
CREATE INDEX etl_run_compared ON etl_run (source, trigger, (-id)) WHERE facts IS NOT NULL AND status = 'success';

UPDATE etl_source AS known SET last_read_id = (
    SELECT id FROM etl_run AS run
    WHERE run.source = known.source AND run.status = 'success' AND run.trigger IN ('run', 'full_refresh')
    ORDER BY 0 - id LIMIT 1);
