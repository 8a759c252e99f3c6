-- server: what it is, how it is set, who we are, and how many connections there are
SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::bool AS read_only,
       current_setting('fsync')::bool AS fsync, current_setting('full_page_writes')::bool AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       (SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression') AS compressions,
       pg_database_size(current_database()) AS size,
       own.rolname AS role, quote_ident(own.rolname) AS grantee, quote_ident(current_database()) AS database,
       quote_ident(current_schema()) AS schema, own.rolsuper AS superuser,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
       host(inet_server_addr()) AS address,
       least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                 - coalesce(current_setting('reserved_connections', true)::int, 0)
                 - (SELECT sum(numbackends) FROM pg_stat_database),
             (SELECT datconnlimit - pg_stat_get_db_numbackends(oid)
              FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0),
             (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = own.rolname)
              FROM pg_roles WHERE rolname = own.rolname AND rolconnlimit >= 0))::int AS free_connections
FROM pg_roles AS own WHERE own.rolname = current_user

-- others: roles to which tables of ours belong, and which are not ours
SELECT DISTINCT owner.rolname
FROM pg_class AS one JOIN pg_namespace AS space ON space.oid = one.relnamespace JOIN pg_roles AS owner ON owner.oid = one.relowner
WHERE one.relkind IN ('r', 'p', 'v', 'S') AND NOT pg_has_role(one.relowner, 'USAGE')
  AND (space.nspname IN ('data', 'refresh')
       OR space.oid = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migration')))
ORDER BY 1 LIMIT 5

-- closed: tables of ours that our role may not read and write
SELECT one.oid::regclass::text
FROM pg_class AS one JOIN pg_namespace AS space ON space.oid = one.relnamespace
WHERE one.relkind IN ('r', 'p')
  AND (space.nspname IN ('data', 'refresh')
       OR space.oid = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migration')))
  AND NOT (has_schema_privilege(space.oid, 'USAGE') AND has_table_privilege(one.oid, 'SELECT')
           AND has_table_privilege(one.oid, 'INSERT') AND has_table_privilege(one.oid, 'UPDATE')
           AND has_table_privilege(one.oid, 'DELETE'))
ORDER BY one.relname LIMIT 3

-- clock: what time it is there
SELECT extract(epoch FROM clock_timestamp())::float8

-- pid: of the process that serves the connection
SELECT pg_backend_pid()

-- schema: may schemas be made here?
CREATE SCHEMA kasparro_doctor

-- table: may tables be made where ours stand?
CREATE TABLE kasparro_doctor (n int)

-- temporary: may temporary tables be made?
CREATE TEMP TABLE kasparro_doctor_rows (n int)

-- copy: may they be filled?
COPY pg_temp.kasparro_doctor_rows FROM STDIN

-- lock: a lock that is held beyond the transaction
SELECT pg_advisory_lock(hashtextextended('kasparro doctor ' || pg_backend_pid(), 0))

-- unlock: gives it back; false where the connection did not hold it
SELECT pg_advisory_unlock(hashtextextended('kasparro doctor ' || pg_backend_pid(), 0))

-- terminate: ends another connection of ours
SELECT pg_terminate_backend(%(pid)s, 2000)

-- parked: sources whose last run waits for a rate limit to reset
SELECT run.source, run.resume_at, run.resume_at <= now() AS due
FROM etl_source AS known JOIN etl_run AS run ON run.id = known.last_run_id
WHERE run.status = 'parked' ORDER BY run.source LIMIT 100

-- workers: those that live, with what they run; bounded, as nobody has hundreds
SELECT name, host, version, config_hash, sources FROM worker
WHERE heartbeat_at > clock_timestamp() - lease ORDER BY name, host LIMIT 200

-- breakers: hosts that are left alone
SELECT host, retry_at, reason FROM host_breaker WHERE state <> 'closed' ORDER BY host LIMIT 100
