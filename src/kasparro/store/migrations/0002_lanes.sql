-- Lanes of checkpoints, passes of runs, pages that need no second merge, and compression where the server has it.

-- A slice is read in the lane '' by usual runs; a refresh, a replay or a backfill has a checkpoint of its own.
ALTER TABLE etl_checkpoint ADD COLUMN lane text NOT NULL DEFAULT '' COLLATE "C";
ALTER TABLE etl_checkpoint DROP CONSTRAINT etl_checkpoint_pkey;
ALTER TABLE etl_checkpoint ADD PRIMARY KEY (source, lane, slice);

-- What started a run; and the first run of the pass that it goes on with (a run that was interrupted, and those after it).
ALTER TABLE etl_run ADD COLUMN trigger text NOT NULL DEFAULT 'run';
ALTER TABLE etl_run ADD COLUMN pass_id bigint;
UPDATE etl_run SET pass_id = id;

-- How often rows of a source were changed or deleted, other than by being added. A page whose content came before is
-- not merged again while this has not moved since: its rows are still as it left them.
ALTER TABLE dataset_total ADD COLUMN rewrites bigint NOT NULL DEFAULT 0;
ALTER TABLE raw_page ADD COLUMN merged_shape text;
ALTER TABLE raw_page ADD COLUMN merged_at bigint;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE raw_page ALTER COLUMN content SET STORAGE EXTENDED;
        ALTER TABLE raw_page ALTER COLUMN content SET COMPRESSION lz4;
    END IF;
END $$;
