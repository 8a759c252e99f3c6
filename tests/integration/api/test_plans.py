"""The page is read along the primary key, never sorted and never scanned for, whatever plan PostgreSQL settles on."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import copied

from kasparro.model.dataset import NORMALIZED
from kasparro.store.browse_page import PageQuery, Position, Shown, statement

Plan = dict[str, Any]

SHOWN = Shown.of(NORMALIZED)
LIMIT = 100
QUERIES = {
    "first": PageQuery(shown=SHOWN, limit=LIMIT),
    "first of a source": PageQuery(shown=SHOWN, limit=LIMIT, source="second"),
    "cursor": PageQuery(shown=SHOWN, limit=LIMIT, after=Position(source="second", key="7")),
    "cursor in a source": PageQuery(
        shown=SHOWN, limit=LIMIT, source="second", after=Position(source="second", key="7")
    ),
    "offset": PageQuery(shown=SHOWN, limit=LIMIT, offset=54_000),
    "offset in a source": PageQuery(shown=SHOWN, limit=LIMIT, offset=14_000, source="second"),
}


@pytest.fixture(scope="module")
def connection(server_url: str, template: str, seed: Callable[..., None]) -> Iterator[psycopg.Connection]:
    """A connection to a database of 60,000 rows."""
    with copied(server_url, template) as url:
        seed(url, first=40_000, second=20_000)
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened


def explained(connection: psycopg.Connection, query: PageQuery, mode: str, options: str = "") -> list[Plan]:
    """Return all nodes of the plan."""
    text, facts = statement(query)
    names = list(facts)
    numbered = re.sub(rb"%\((\w+)\)s", lambda found: b"$%d" % (names.index(found[1].decode()) + 1), text)
    given = psycopg.sql.SQL(", ").join(psycopg.sql.Literal(facts[name]) for name in names)
    with connection.transaction():
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        connection.execute(b"PREPARE page AS " + numbered.replace(b"%%", b"%"))
        explain = psycopg.sql.SQL("EXPLAIN (FORMAT JSON{}) EXECUTE page({})")
        cursor = connection.execute(explain.format(psycopg.sql.SQL(options), given))
        row = cursor.fetchone()
        connection.execute("DEALLOCATE page")
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", QUERIES)
def test_the_key_index_gives_the_order(connection: psycopg.Connection, name: str, mode: str) -> None:
    plan = explained(connection, QUERIES[name], mode)
    on_table = [node for node in plan if node.get("Relation Name") == "normalized_data"]
    assert not [node["Node Type"] for node in plan if "Sort" in node["Node Type"]]
    assert {node["Index Name"] for node in on_table} == {"normalized_data_pkey"}
    expected = {"Index Scan", "Index Only Scan"} if "offset" in name else {"Index Scan"}
    assert {node["Node Type"] for node in on_table} == expected


@pytest.mark.parametrize("name", QUERIES)
def test_only_the_page_itself_is_read(connection: psycopg.Connection, name: str) -> None:
    plan = explained(connection, QUERIES[name], "force_custom_plan", ", ANALYZE, TIMING OFF")
    read = [node for node in plan if node["Node Type"] == "Index Scan" and node["Relation Name"] == "normalized_data"]
    assert [node["Actual Rows"] for node in read] == [LIMIT + 1]


def test_a_known_version_keeps_the_table_untouched(connection: psycopg.Connection) -> None:
    text, facts = statement(QUERIES["offset"])
    row = connection.execute(text, facts).fetchone()
    assert row is not None
    known = PageQuery(shown=SHOWN, limit=LIMIT, offset=54_000, known=(row[2],))
    plan = explained(connection, known, "force_custom_plan", ", ANALYZE, TIMING OFF")
    on_table = [node for node in plan if node.get("Relation Name") == "normalized_data"]
    assert len(on_table) == 2
    assert {node["Actual Loops"] for node in on_table} == {0}
