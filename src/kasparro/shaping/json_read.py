"""Makes the relation `raw` of JSON records: each with the texts and values at the places that a plan asks for."""

from collections.abc import Sequence

import duckdb

from kasparro.shaping.exact import protect
from kasparro.shaping.plan import Plan

_SEPARATOR = b"\x1e"
"""Between JSON records: a control character cannot stand in valid JSON."""


def json_relation(duck: duckdb.DuckDBPyConnection, texts: Sequence[bytes], plan: Plan) -> str | None:
    """Make the temporary table `raw (i, j, x, y)` and return the mark of its inexact numbers, where it has any."""
    text, mark = protect(_SEPARATOR.join(texts))
    x = f"json_extract_string(j, [{', '.join(plan.pointers)}]) AS x" if plan.pointers else "NULL AS x"
    y = f"json_extract(j, [{', '.join(plan.json_pointers)}]) AS y" if plan.json_pointers else "NULL AS y"
    duck.execute(
        f"""CREATE OR REPLACE TEMP TABLE raw AS SELECT row_number() OVER () - 1 AS i, j, {x}, {y}
            FROM (SELECT unnest(string_split(?, chr(30))) AS j)""",
        [text.decode("utf-8")],
    )
    return mark
