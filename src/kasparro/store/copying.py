"""Rows as bytes into a table: COPY."""

from psycopg import AsyncConnection, sql

_CHUNK = 1 << 18


async def copy_rows(connection: AsyncConnection, table: sql.Composable, columns: sql.Composable, rows: bytes) -> None:
    """Send rows with COPY; as text where nothing is quoted or escaped, which means the same and is faster."""
    plain = b'"' not in rows and b"\\" not in rows
    form = sql.SQL("FORMAT text, DELIMITER ',', NULL ''" if plain else "FORMAT csv")
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(table, columns, form)
    async with connection.cursor().copy(statement) as copy:
        for start in range(0, len(rows), _CHUNK):
            await copy.write(rows[start : start + _CHUNK])
