-- What was seen of the records of a run, what is odd about it, and the accepted schemas of its source.

-- Profiles as they are committed with each batch; when the run has ended they are one.
CREATE TABLE run_profile (
    run_id  bigint NOT NULL,
    part    bigint GENERATED ALWAYS AS IDENTITY,
    profile json   NOT NULL,
    PRIMARY KEY (run_id, part)
);
ALTER TABLE etl_checkpoint DROP COLUMN profile;
ALTER TABLE checkpoint_history DROP COLUMN profile;

-- facts: what later runs are compared with. schema_version: of the schema that the run was judged by.
ALTER TABLE etl_run ADD COLUMN verdict text CHECK (verdict IN ('ok', 'suspicious', 'bad')), ADD COLUMN facts json,
    ADD COLUMN schema_version int;
CREATE INDEX etl_run_judged ON etl_run (source, id DESC) WHERE facts IS NOT NULL;

CREATE TABLE source_schema (
    source      text        NOT NULL COLLATE "C",
    version     int         NOT NULL,
    fields      json        NOT NULL,
    run_id      bigint      NOT NULL,
    accepted_by text        NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, version)
);

CREATE TABLE finding (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source     text        NOT NULL COLLATE "C",
    run_id     bigint      NOT NULL,
    kind       text        NOT NULL,
    severity   text        NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    subject    text        NOT NULL,
    message    text        NOT NULL,
    expected   json,
    observed   json,
    facts      json        NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX finding_by_source ON finding (source, id DESC);
CREATE INDEX finding_by_run ON finding (run_id, id DESC);
CREATE INDEX finding_by_kind ON finding (kind, id DESC);
CREATE INDEX finding_by_severity ON finding (severity, id DESC);
CREATE INDEX finding_by_source_and_kind ON finding (source, kind, id DESC);
CREATE INDEX finding_by_source_and_severity ON finding (source, severity, id DESC);

-- The runs of a pass, and those in a state or with a verdict, for any length of history.
CREATE INDEX etl_run_by_pass ON etl_run (source, pass_id);
CREATE INDEX etl_run_by_status ON etl_run (status, id DESC);
CREATE INDEX etl_run_by_verdict ON etl_run (verdict, id DESC);
CREATE INDEX etl_run_by_source_and_status ON etl_run (source, status, id DESC);
CREATE INDEX etl_run_by_source_and_verdict ON etl_run (source, verdict, id DESC);
