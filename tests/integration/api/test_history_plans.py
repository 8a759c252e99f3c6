"""Nothing that is asked about runs and findings is read by going through them, however they are distributed.

The history has what makes plans fail: a source that retired, runs that are judged only of late, a kind of findings that
is found no more, severities that go with kinds, a run with thousands of findings, and things that are not there at all.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.integration.conftest import copied

from kasparro.store.browse_runs import ListQuery, listed
from kasparro.store.queries import queries

Plan = dict[str, Any]

RUNS, FINDINGS, WIDE = 30_000, 60_000, 29_000
LIMIT = 10
EARLY = 300
GROWING = {"etl_run", "finding", "run_profile"}

SEED = """
INSERT INTO etl_run (source, status, verdict, facts, trigger, started_at, finished_at, holder, config_hash,
                     code_version, pass_id)
SELECT CASE WHEN n < 5000 AND n %% 2 = 0 THEN 'retired' WHEN n = 20000 THEN 'rare'
            ELSE 'source-' || floor(20 * power(n * 7919 %% 1000 / 1000.0, 3)) END,
       status, CASE WHEN n > 12000 AND status = 'success' THEN CASE WHEN n %% 53 = 0 THEN 'bad' ELSE 'ok' END END,
       CASE WHEN n > 12000 AND status = 'success' THEN '{}'::json END,
       CASE WHEN n %% 997 = 0 THEN 'backfill' ELSE 'run' END, now() - (30000 - n) * interval '1 hour',
       CASE WHEN status <> 'running' THEN now() - (30000 - n) * interval '1 hour' + interval '1 minute' END,
       'x', 'x', '0', n
FROM (SELECT n, CASE WHEN n %% 24 = 0 THEN 'failed' WHEN n = 29999 THEN 'running' ELSE 'success' END AS status
      FROM generate_series(1, 30000) AS n) AS one;
INSERT INTO finding (source, run_id, kind, severity, subject, message)
SELECT run.source, run.id, CASE WHEN n < 6000 THEN 'past' WHEN n %% 3 = 0 THEN 'field_added' ELSE 'row_count_low' END,
       CASE WHEN n < 6000 OR n %% 3 = 0 THEN 'info' WHEN n %% 50 = 0 THEN 'critical' ELSE 'warning' END, 'run', 'said'
FROM generate_series(1, 60000) AS n JOIN etl_run AS run
     ON run.id = CASE WHEN n %% 10 = 0 THEN 29000 ELSE 12000 + n * 17999 / 60000 END ORDER BY n;
INSERT INTO run_profile (run_id, profile) SELECT id, '{}' FROM etl_run WHERE id > 20000;
INSERT INTO etl_source (source, kind, dataset, last_run_id, last_read_id)
SELECT source, 'csv', 'normalized_data', max(id), max(id) FROM etl_run GROUP BY source
"""

VALUES: dict[str, tuple[object, ...]] = {
    "source": ("source-0", "source-19", "retired", "rare", "nobody"),
    "status": ("success", "failed", "running", "partial"),
    "verdict": ("ok", "bad", "suspicious"),
    "kind": ("field_added", "row_count_low", "past", "nothing"),
    "severity": ("info", "warning", "critical"),
    "run_id": (WIDE, 15_001, 5, 10**9),
}


@pytest.fixture(scope="module")
def history(server_url: str, template: str) -> Iterator[psycopg.Connection]:
    with copied(server_url, template) as url, psycopg.connect(url, autocommit=True) as opened:
        for statement in SEED.split(";\n"):
            opened.execute(statement.replace("%%", "%").encode())
        opened.execute("VACUUM ANALYZE")
        yield opened


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def read(history: psycopg.Connection, text: sql.Composable, facts: dict[str, Any]) -> list[Plan]:
    """The nodes that read tables which grow, of a plan that was carried out."""
    with history.transaction(force_rollback=True):
        rows = history.execute(sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ") + text, facts).fetchall()
    return [one for one in nodes(rows[0][0][0]["Plan"]) if one.get("Relation Name") in GROWING]


def rows_of(plan: list[Plan]) -> float:
    """Rows that were looked at, whether they were of use or not."""
    unused = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    each: list[float] = [
        float(one["Actual Rows"] + sum(one.get(name, 0) for name in unused)) * one["Actual Loops"] for one in plan
    ]
    return sum(each)


def check(plan: list[Plan], most: float, question: object) -> None:
    scanned = [one["Relation Name"] for one in plan if "Seq Scan" in one["Node Type"] and one["Actual Loops"]]
    assert not scanned, (question, scanned)
    assert rows_of(plan) <= most, (
        question,
        [(one["Node Type"], one.get("Index Name"), one["Actual Rows"]) for one in plan],
    )


def combinations(names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Each set of filters, with each of their values: common, rare, absent, and those of long ago."""
    found: list[dict[str, Any]] = [{}]
    for name in names:
        found = [{**one, **more} for one in found for more in ({}, *({name: value} for value in VALUES[name]))]
    yield from found


@pytest.mark.parametrize("before", [None, "middle", "early"])
@pytest.mark.parametrize(
    ("what", "names"), [("runs", ("source", "status", "verdict")), ("findings", ("source", "kind", "severity"))]
)
def test_a_list_reads_what_it_shows(
    history: psycopg.Connection, what: Any, names: tuple[str, ...], before: str | None
) -> None:
    top = RUNS if what == "runs" else FINDINGS
    below = {None: None, "middle": top // 2, "early": EARLY}[before]
    asked = 0
    for filters in combinations(names):
        query = ListQuery(what=what, limit=LIMIT, filters={**filters, "before": below})
        # Where PostgreSQL expects a handful of rows it reads all that fit and sorts them: here there are some more.
        check(read(history, *query.statement()), 15 * (LIMIT + 1) if below == EARLY else 3 * (LIMIT + 1), query)
        asked += 1
    assert asked > 60


def test_findings_of_a_run_are_read_by_the_run_alone(history: psycopg.Connection) -> None:
    of_run: dict[int, int] = dict(history.execute("SELECT run_id, count(*) FROM finding GROUP BY run_id").fetchall())
    for filters in combinations(("run_id", "kind", "severity", "source")):
        if "run_id" in filters:
            query = ListQuery(what="findings", limit=LIMIT, filters=filters)
            check(read(history, *query.statement()), of_run.get(filters["run_id"], 0) + LIMIT + 1, query)


def test_one_run_and_its_findings(history: psycopg.Connection) -> None:
    for run_id in (WIDE, 15_001, 5, 10**9):
        check(read(history, sql.SQL(queries("browse_runs")["run"]), {"run_id": run_id}), 1001, run_id)


def test_totals_and_health_do_not_look_at_the_history(history: psycopg.Connection) -> None:
    sources = 23
    check(read(history, sql.SQL(queries("browse")["stats"]), {"limit": 100}), 100 + sources + 1, "stats")
    check(read(history, sql.SQL(queries("browse")["health"]), {}), 1 + sources + 1, "health")


def test_what_the_command_line_lists(history: psycopg.Connection) -> None:
    for source in (None, *VALUES["source"]):
        text = sql.SQL(queries("operator")["runs"]).format(**listed({"source": source}))
        check(read(history, text, {"source": source, "limit": 20}), 20, source)


def test_what_a_run_is_judged_by(history: psycopg.Connection) -> None:
    facts = {"limit": 120, "keep": 120}
    found = history.execute(
        "SELECT id, source FROM etl_run WHERE id = ANY (%s)", [[29_998, 29_910, 4_998, 20_000]]
    ).fetchall()
    assert len(found) == 4
    for run_id, source in found:
        given = {**facts, "run_id": run_id, "source": source}
        check(read(history, sql.SQL(queries("watch")["history"]), given), 122, ("history", given))
        check(read(history, sql.SQL(queries("watch")["pass"]), given), 3, ("pass", given))
        check(read(history, sql.SQL(queries("watch")["parts"]), given), 4, ("parts", given))
        check(read(history, sql.SQL(queries("watch")["profile"]), given), 1, ("profile", given))
        check(read(history, sql.SQL(queries("watch")["forget"]), given), 151, ("forget", given))


def test_a_look_for_late_sources_reads_as_much_of_each(history: psycopg.Connection) -> None:
    sources = 23
    check(read(history, sql.SQL(queries("lateness")["look"]), {"habit": 121, "usual": 21}), sources * 122, "look")
    check(read(history, sql.SQL(queries("lateness")["late"]), {}), 0, "late")


def test_a_look_at_schedules_and_at_the_queue_reads_one_run_of_each(history: psycopg.Connection) -> None:
    sources = [*(f"source-{n}" for n in range(20)), "retired", "rare", "nobody"]
    check(read(history, sql.SQL(queries("ticks")["look"]), {"sources": sources, "now": None}), len(sources), "look")
    with history.transaction(force_rollback=True):
        history.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status) "
            "SELECT 's' || n, 'kasparro.run', 's' || n, 's' || n, '{}', CASE WHEN n % 2 = 0 THEN 'todo' ELSE 'doing' "
            "END::procrastinate_job_status FROM generate_series(1, 500) AS n"
        )
        history.execute("UPDATE etl_run SET job_id = (SELECT max(id) FROM procrastinate_jobs) WHERE id > 29000")
        for name, facts in (("listed", {"limit": 100}), ("one", {"id": 1})):
            question = sql.SQL(queries("requests")[name])
            check(read(history, question, {**facts, "task": "kasparro.run"}), 101, name)


def test_a_plan_for_any_values_is_as_good(history: psycopg.Connection) -> None:
    """What PostgreSQL settles on when a statement came often."""
    for what, filters in (
        ("runs", {"source": "retired", "verdict": "ok", "before": 25_000}),
        ("runs", {"status": "failed", "verdict": "ok"}),
        ("findings", {"kind": "past"}),
        ("findings", {"kind": "past", "severity": "critical", "before": 50_000}),
        ("findings", {"source": "retired", "kind": "field_added"}),
    ):
        text, facts = ListQuery(what=what, limit=LIMIT, filters=filters).statement()  # type: ignore[arg-type]
        numbered = text.as_string(history)
        for number, name in enumerate(facts, 1):
            numbered = numbered.replace(f"%({name})s", f"${number}")
        with history.transaction():
            history.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            history.execute(f"PREPARE question AS {numbered}".encode())
            values = sql.SQL(", ").join(sql.Literal(facts[name]) for name in facts)
            plan = read(history, sql.SQL("EXECUTE question({})").format(values), {})
            history.execute("DEALLOCATE question")
        check(plan, 3 * (LIMIT + 1), filters)
