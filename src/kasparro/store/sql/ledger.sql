-- claim: take the lease of a slice, unless a later run has it, and tell where it stands
INSERT INTO etl_checkpoint AS kept (source, slice, lease_epoch) VALUES (%(source)s, %(slice)s, %(run_id)s)
ON CONFLICT (source, slice) DO UPDATE SET lease_epoch = excluded.lease_epoch, finished = false
WHERE kept.lease_epoch <= excluded.lease_epoch
RETURNING bookmark

-- advance: move the checkpoint, only while the lease is ours
UPDATE etl_checkpoint
SET bookmark = %(bookmark)s, profile = %(profile)s, extracted = extracted + %(extracted)s, pages = pages + 1, updated_at = now()
WHERE source = %(source)s AND slice = %(slice)s AND lease_epoch = %(run_id)s

-- profile: the sum so far
SELECT profile FROM etl_checkpoint WHERE source = %(source)s AND slice = %(slice)s AND lease_epoch = %(run_id)s FOR UPDATE

-- close: the slice was read to its end
UPDATE etl_checkpoint SET finished = true, updated_at = now()
WHERE source = %(source)s AND slice = %(slice)s AND lease_epoch = %(run_id)s

-- raw_page: keep the page; the same content of the same slice is there already
INSERT INTO raw_page (source, kind, run_id, slice, origin, content_type, records, sha256, layout, content)
VALUES (%(source)s, %(kind)s, %(run_id)s, %(slice)s, %(origin)s, %(content_type)s, %(records)s, %(sha256)s, %(layout)s, %(content)s)
ON CONFLICT (source, md5(slice), sha256) DO NOTHING
RETURNING id

-- raw_page_known: the page that is there already
SELECT id FROM raw_page WHERE source = %(source)s AND md5(slice) = md5(%(slice)s) AND sha256 = %(sha256)s

-- rejects: keep what could not become a row; met again, it is counted, not doubled
INSERT INTO rejected_record AS kept
    (source, run_id, last_run_id, slice, raw_page_id, raw_index, place, path, code, reason, value, raw, fingerprint)
SELECT DISTINCT ON (fingerprint)
    %(source)s, %(run_id)s, %(run_id)s, %(slice)s, %(raw_page_id)s::bigint, one.raw_index, one.place, one.path, one.code,
    one.reason, one.value, one.raw,
    decode(md5(concat_ws(E'\x1f', one.place, one.code, one.path, one.raw)), 'hex') AS fingerprint
FROM unnest(%(indexes)s::int[], %(places)s::text[], %(paths)s::text[], %(codes)s::text[], %(reasons)s::text[],
            %(values)s::text[], %(raws)s::text[])
     AS one (raw_index, place, path, code, reason, value, raw)
ON CONFLICT (source, fingerprint) DO UPDATE SET last_run_id = excluded.last_run_id, times = kept.times + 1

-- total: keep the exact number of rows, and tell readers that something changed
INSERT INTO dataset_total AS kept (dataset, source, shard, rows, changes)
VALUES (%(dataset)s, %(source)s, %(shard)s, %(inserted)s, %(changes)s)
ON CONFLICT (dataset, source, shard) DO UPDATE SET rows = kept.rows + excluded.rows, changes = kept.changes + excluded.changes

-- count: add the page to its run; the last statement before the commit, as slices of one run meet here
UPDATE etl_run
SET pages = pages + 1, bytes = bytes + %(bytes)s, extracted = extracted + %(extracted)s, inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s, unchanged = unchanged + %(unchanged)s, duplicates = duplicates + %(duplicates)s,
    rejected = rejected + %(rejected)s
WHERE id = %(run_id)s AND status = 'running'
