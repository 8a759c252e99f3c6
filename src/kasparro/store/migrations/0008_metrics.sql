-- What /metrics tells and no other table keeps: totals over all processes and hosts, and how long things took.

-- One row per series. labels: their values, in the order of model/metrics.py. A histogram has a row per set of bounds, which
-- is a text of numbers; counts: how many values were at most that large and above the bound before, then how many were above
-- all of them; value is their sum.
CREATE TABLE metric (
    name   text             NOT NULL COLLATE "C",
    labels text[]           NOT NULL,
    bounds text             NOT NULL DEFAULT '' COLLATE "C",
    value  double precision NOT NULL DEFAULT 0,
    counts bigint[],
    PRIMARY KEY (name, labels, bounds)
) WITH (fillfactor = 50);

-- What was added to a series by a transaction that must wait for nobody; folded into `metric` by whoever writes there next.
CREATE TABLE metric_change (
    name   text   NOT NULL COLLATE "C",
    labels text[] NOT NULL,
    value  bigint NOT NULL
);

-- The last batch of each process, so that one whose confirmation was lost is not added twice.
CREATE TABLE metric_writer (
    writer     uuid PRIMARY KEY,
    batch      bigint      NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- When the checkpoint was last moved by the run; of its source, likewise, and totals that it lacked.
ALTER TABLE etl_run ADD COLUMN last_commit_at timestamptz;
ALTER TABLE etl_source ADD COLUMN last_commit_at timestamptz, ADD COLUMN deleted bigint NOT NULL DEFAULT 0,
    ADD COLUMN pages bigint NOT NULL DEFAULT 0, ADD COLUMN bytes bigint NOT NULL DEFAULT 0;
UPDATE etl_source AS known SET deleted = run.deleted, pages = run.pages, bytes = run.bytes
FROM (SELECT source, sum(deleted) AS deleted, sum(pages) AS pages, sum(bytes) AS bytes
      FROM etl_run WHERE status <> 'running' GROUP BY source) AS run WHERE run.source = known.source;
UPDATE etl_source AS known SET last_commit_at = checkpoint.moved_at
FROM (SELECT source, max(updated_at) AS moved_at FROM etl_checkpoint GROUP BY source) AS checkpoint
WHERE checkpoint.source = known.source;

-- What was counted before there were counters.
INSERT INTO metric (name, labels, value)
SELECT 'kasparro_runs_total', ARRAY[source, status], count(*) FROM etl_run WHERE status <> 'running' GROUP BY source, status
UNION ALL
SELECT 'kasparro_verdicts_total', ARRAY[source, verdict], count(*) FROM etl_run WHERE verdict IS NOT NULL GROUP BY source, verdict
UNION ALL
SELECT 'kasparro_findings_total', ARRAY[source, severity], count(*) FROM finding GROUP BY source, severity
UNION ALL
SELECT 'kasparro_rejects_total', ARRAY[source, code], sum(times) FROM rejected_record GROUP BY source, code
UNION ALL
SELECT 'kasparro_open_rejects', ARRAY[source], count(*) FROM rejected_record WHERE status = 'open' GROUP BY source;

-- Findings and open rejects are written in several places, and counted here in the transaction that writes them.
CREATE FUNCTION count_findings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_change
    SELECT 'kasparro_findings_total', ARRAY[source, severity], count(*) FROM added GROUP BY source, severity;
    RETURN NULL;
END $$;
CREATE TRIGGER finding_counted AFTER INSERT ON finding
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_findings();

CREATE FUNCTION count_open_rejects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO metric_change
        SELECT 'kasparro_open_rejects', ARRAY[source], count(*) FROM added WHERE status = 'open' GROUP BY source;
    WHEN 'DELETE' THEN
        INSERT INTO metric_change
        SELECT 'kasparro_open_rejects', ARRAY[source], -count(*) FROM gone WHERE status = 'open' GROUP BY source;
    WHEN 'UPDATE' THEN
        INSERT INTO metric_change
        SELECT 'kasparro_open_rejects', ARRAY[source], sum(step) FROM (
            SELECT source, 1 AS step FROM added WHERE status = 'open'
            UNION ALL
            SELECT source, -1 FROM gone WHERE status = 'open') AS one
        GROUP BY source HAVING sum(step) <> 0;
    ELSE  -- TRUNCATE
        DELETE FROM metric WHERE name = 'kasparro_open_rejects';
        DELETE FROM metric_change WHERE name = 'kasparro_open_rejects';
    END CASE;
    RETURN NULL;
END $$;
CREATE TRIGGER reject_added AFTER INSERT ON rejected_record
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_open_rejects();
CREATE TRIGGER reject_changed AFTER UPDATE ON rejected_record
    REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_open_rejects();
CREATE TRIGGER reject_deleted AFTER DELETE ON rejected_record
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION count_open_rejects();
CREATE TRIGGER rejects_emptied AFTER TRUNCATE ON rejected_record
    FOR EACH STATEMENT EXECUTE FUNCTION count_open_rejects();
