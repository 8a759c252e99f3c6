-- columns: of a table, in order, and whether a row must bring a value for it
SELECT attname, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- lock: whoever changes datasets
SELECT pg_advisory_xact_lock(hashtextextended('kasparro.dataset.' || %(dataset)s, 0))

-- declare: remember the fields for those who serve them
INSERT INTO dataset_declared (dataset, fields) VALUES (%(dataset)s, %(fields)s)
ON CONFLICT (dataset) DO UPDATE SET fields = excluded.fields, declared_at = now()
WHERE dataset_declared.fields::text <> excluded.fields::text

-- declared: the fields of a dataset
SELECT fields FROM dataset_declared WHERE dataset = %(dataset)s

-- has_key: is there but one row of each source and key
SELECT EXISTS (
    SELECT FROM pg_index AS one
    WHERE one.indrelid = to_regclass(%(table)s) AND one.indisunique AND one.indisvalid AND one.indimmediate
      AND one.indpred IS NULL AND one.indnkeyatts = 2 AND 2 = (
        SELECT count(*) FROM pg_attribute AS part
        WHERE part.attrelid = one.indrelid AND part.attnum IN (one.indkey[0], one.indkey[1])
          AND part.attname IN ('source', 'record_key')))

-- hollow: no mapping has made the rows as they are now; this is said until a replay
UPDATE etl_source SET shape = '' WHERE dataset = %(dataset)s AND shape IS NOT NULL
