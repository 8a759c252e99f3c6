"""The limit of a load from a JSON API: what one would write by hand, for this API and this table alone.

`python -m bench.hand_written URL DATABASE_URL`: pages one after the other over one connection, the next one fetched
while this one is written; orjson, `COPY` to a staging table, `INSERT ... ON CONFLICT` into a typed table with a key. No
raw pages, no checkpoint, no rejects, no checks, no retries.
"""

import csv
import http.client
import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg

from bench.load import SQL_TYPES, columns

_MOST = 20_000
"""Records that are written at once."""


def pages(url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of each page, until one has none; the next page is fetched meanwhile."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)

    def page(number: int) -> list[dict[str, Any]]:
        connection.request("GET", f"{parts.path}?page={number}")
        found: list[dict[str, Any]] = orjson.loads(connection.getresponse().read())["items"]
        return found

    with ThreadPoolExecutor(1) as ahead:
        number, coming = 2, ahead.submit(page, 1)
        while records := coming.result():
            coming = ahead.submit(page, number)
            yield records
            number += 1


def batches(url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of several pages together."""
    held: list[dict[str, Any]] = []
    for records in pages(url):
        held += records
        if len(held) >= _MOST:
            yield held
            held = []
    if held:
        yield held


def main() -> None:
    """Load everything."""
    url, database = sys.argv[1:]
    names = tuple(columns())
    typed = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in columns().items())
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS by_hand")
        connection.execute(f"CREATE TABLE by_hand ({typed}, PRIMARY KEY (id))")  # type: ignore[arg-type,unused-ignore]
        connection.execute(f"CREATE TEMP TABLE stage ({typed}) ON COMMIT DELETE ROWS")  # type: ignore[arg-type,unused-ignore]
        for records in batches(url):
            text = io.StringIO()
            csv.writer(text).writerows([[record[name] for name in names] for record in records])
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy("COPY stage FROM STDIN (FORMAT csv)") as copy:
                    copy.write(text.getvalue())
                cursor.execute(
                    f"INSERT INTO by_hand SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET {changes}"  # type: ignore[arg-type,unused-ignore]
                )


if __name__ == "__main__":
    main()
