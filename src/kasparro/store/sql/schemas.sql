-- accepted: the accepted schema of a source
SELECT version, fields, run_id FROM source_schema WHERE source = %(source)s ORDER BY version DESC LIMIT 1

-- run: whose it is, and whether it was judged
SELECT source, facts IS NOT NULL FROM etl_run WHERE id = %(run_id)s

-- profiles: what was seen of the records of a run: of its batches, or of all of it
SELECT profile FROM run_profile WHERE run_id = %(run_id)s ORDER BY part

-- kept_out: what a run met against the contract of its source
SELECT kind, subject, facts FROM finding WHERE run_id = %(run_id)s AND kind = ANY (%(kinds)s)

-- kind: of a source
SELECT kind FROM etl_source WHERE source = %(source)s

-- lock: who else accepts a schema of the source waits
SELECT pg_advisory_xact_lock(hashtextextended('kasparro.schema.' || %(source)s, 0))

-- accept: another version, unless somebody was faster
INSERT INTO source_schema (source, version, fields, run_id, accepted_by)
SELECT %(source)s, coalesce(max(version), 0) + 1, %(fields)s::json, %(run_id)s, %(who)s FROM source_schema
WHERE source = %(source)s HAVING coalesce(max(version), 0) = %(version)s
RETURNING version

-- last: the latest run of a source that was judged, or was found to break its contract
SELECT greatest(
    (SELECT id FROM etl_run WHERE source = %(source)s AND facts IS NOT NULL ORDER BY id DESC LIMIT 1),
    (SELECT run_id FROM finding WHERE source = %(source)s AND kind = 'contract_broken' ORDER BY id DESC LIMIT 1))

-- renames: which fields were renamed, as a run found
SELECT subject, observed, facts FROM finding WHERE run_id = %(run_id)s AND kind = 'field_renamed' ORDER BY id
