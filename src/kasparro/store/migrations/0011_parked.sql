-- Runs that wait for a rate limit to reset, and runs that say that they are alive.

-- parked: what was read is committed, and the source goes on at resume_at.
ALTER TABLE etl_run DROP CONSTRAINT etl_run_status_check;
ALTER TABLE etl_run
    ADD COLUMN resume_at timestamptz,
    -- A run that has not said for longer than its lease that it is alive may be taken over.
    ADD COLUMN heartbeat_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT etl_run_status_check
        CHECK (status IN ('running', 'success', 'partial', 'failed', 'stopped', 'parked', 'interrupted')),
    ADD CONSTRAINT etl_run_resume_check CHECK ((status = 'parked') = (resume_at IS NOT NULL));
