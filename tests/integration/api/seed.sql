INSERT INTO normalized_data
    (source, record_key, title, description, url, value, occurred_at, attributes, record_hash, run_id, raw_page_id, raw_index)
SELECT %(source)s, CASE WHEN i %% 50 = 0 THEN 'ключ "' || i || '"' ELSE md5(i::text) END, 'Title ' || i,
       CASE WHEN i %% 3 = 0 THEN NULL ELSE E'a "quoted"\nline\t\\ ' || i END,
       'https://example.com/' || i, ('12345678901234567890.' || lpad(i::text, 12, '0'))::numeric,
       '2024-02-29T23:59:59.123456Z'::timestamptz + i * interval '1 minute',
       json_build_object('n', i, 'exact', '0.12345678901234567891', 'text', 'snow ☃'), i, 1, 1, i
FROM generate_series(1, %(rows)s) AS i;
INSERT INTO dataset_total (dataset, source, shard, rows, changes)
SELECT 'normalized_data', %(source)s, shard, %(rows)s / 2 + CASE shard WHEN 1 THEN %(rows)s %% 2 ELSE 0 END, %(rows)s
FROM generate_series(0, 1) AS shard;
INSERT INTO etl_run (source, status, started_at, finished_at, holder, pages, bytes, extracted, inserted, config_hash, code_version)
VALUES (%(source)s, 'success', now() - interval '90 seconds', now(), 'test:1', 3, 4096, %(rows)s, %(rows)s, 'x', '0');
INSERT INTO etl_source (source, kind, dataset, runs, extracted, inserted, seconds, last_run_id, last_success_at)
SELECT %(source)s, 'csv', 'normalized_data', 1, %(rows)s, %(rows)s, 90, max(id), now() FROM etl_run
