-- columns: of a table, in order
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- lock: whoever changes datasets
SELECT pg_advisory_xact_lock(hashtextextended('kasparro.dataset.' || %(dataset)s, 0))

-- declare: remember the fields for those who serve them
INSERT INTO dataset_declared (dataset, fields) VALUES (%(dataset)s, %(fields)s)
ON CONFLICT (dataset) DO UPDATE SET fields = excluded.fields, declared_at = now()
WHERE dataset_declared.fields::text <> excluded.fields::text

-- declared: the fields of a dataset
SELECT fields FROM dataset_declared WHERE dataset = %(dataset)s
