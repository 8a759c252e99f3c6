-- Schedules that run things: what was seen to of each, and who asked for a run.

-- last_due: every due moment up to it was seen to, whoever did so. last_was: how; a run was queued for it, it joined one that
-- waited already, it passed without a run, or the clock had been wrong. resumed_run: the parked run that was queued again.
CREATE TABLE schedule_tick (
    source      text PRIMARY KEY COLLATE "C",
    last_due    timestamptz,
    last_was    text CHECK (last_was IN ('queued', 'joined', 'passed', 'healed')),
    job_id      bigint,
    queued      bigint NOT NULL DEFAULT 0,
    joined      bigint NOT NULL DEFAULT 0,
    missed      bigint NOT NULL DEFAULT 0,
    resumed_run bigint,
    resumed_at  timestamptz
);

-- Who asked for a run: schedule, api, cli, resume; null: another program. due_at: the moment that it was due by its schedule.
ALTER TABLE etl_run
    ADD COLUMN requested_by text,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN job_id bigint;

CREATE INDEX etl_run_by_job ON etl_run (job_id, (-id)) WHERE job_id IS NOT NULL;

-- Wider rows make other indexes look as good for the runs that one is compared with; no other has this order.
DROP INDEX etl_run_compared;
CREATE INDEX etl_run_compared ON etl_run (source, trigger, (id * -1)) WHERE facts IS NOT NULL AND status = 'success';
