-- The key by which the rows of a source are known: another one would make another set of rows of the same records.

ALTER TABLE etl_source ADD COLUMN primary_key json;
