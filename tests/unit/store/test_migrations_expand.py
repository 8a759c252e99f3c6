"""Old code runs on the new schema: a migration may add, and takes nothing away that code before it needs."""

import re
from collections.abc import Iterator

import pytest

from kasparro.store.migrate import Migration, shipped

FIRST = 12
"""From this migration on the rule holds; what came before was made while no version was out."""

EXCEPTIONS: dict[str, set[str]] = {}
"""By name of the migration: statements that read as if they broke something, and do not. Say why behind each."""

LOOSE = re.compile(r"--[^\n]*|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
"""Comments, bodies of functions and texts: what a rule on statements is not about."""

GONE = re.compile(
    r"\bDROP\s+(?!INDEX|CONSTRAINT|NOT\s+NULL|TABLE\s+pg_temp)|\bRENAME\b|\bTRUNCATE\b|\bREVOKE\b", re.IGNORECASE
)
NARROWER = re.compile(r"\bALTER\s+(?:COLUMN\s+)?\w+\s+(?:SET\s+DATA\s+)?TYPE\b|\bSET\s+NOT\s+NULL\b", re.IGNORECASE)
TABLE = re.compile(r"^ALTER\s+TABLE\s+(?:ONLY\s+)?(\w+)\s+(.*)$", re.IGNORECASE | re.DOTALL)
MADE = re.compile(r"\bCREATE\s+(?:UNLOGGED\s+)?TABLE\s+(\w+)", re.IGNORECASE)
UNIQUE = re.compile(r"^CREATE\s+UNIQUE\s+INDEX\s+\w+\s+ON\s+(\w+)", re.IGNORECASE)
TRIGGER = re.compile(r"^CREATE\s+(?:CONSTRAINT\s+)?TRIGGER\b.*?\bON\s+(\w+)", re.IGNORECASE | re.DOTALL)
REPLACED = re.compile(r"^CREATE\s+OR\s+REPLACE\s+FUNCTION\b", re.IGNORECASE)


def statements(text: str) -> list[str]:
    plain = LOOSE.sub(" ", text)
    return [" ".join(one.split()) for one in plain.split(";") if one.strip()]


def clauses(text: str) -> Iterator[str]:
    """What ALTER TABLE does, comma by comma, but not those inside brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def breaks(text: str) -> list[str]:
    """Statements that code from before could stumble over."""
    found = []
    fresh = {name.lower() for name in MADE.findall(LOOSE.sub(" ", text))}
    for one in statements(text):
        table = TABLE.match(one)
        on = [match[1].lower() for match in (UNIQUE.match(one), TRIGGER.match(one)) if match]
        if table is not None and table[1].lower() in fresh:
            continue
        added = [] if table is None else [clause for clause in clauses(table[2]) if clause.upper().startswith("ADD ")]
        narrow = [clause for clause in added if stumbles(clause)]
        if GONE.search(one) or NARROWER.search(one) or narrow or REPLACED.match(one) or set(on) - fresh:
            found.append(one)
    return found


def stumbles(clause: str) -> bool:
    """An added column that old code does not fill, or a rule that it does not know."""
    words = clause.upper()
    if re.match(r"ADD (CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b", words):
        return True
    must = "NOT NULL" in words and "DEFAULT" not in words and "GENERATED" not in words
    return must or bool(re.search(r"\b(UNIQUE|PRIMARY KEY|REFERENCES|CHECK)\b", words))


NEW = [one for one in shipped() if one.number >= FIRST and one.needs == 0]


@pytest.mark.parametrize("one", NEW, ids=lambda one: f"{one.number:04d}_{one.name}")
def test_a_migration_takes_nothing_away(one: Migration) -> None:
    name = f"{one.number:04d}_{one.name}"
    assert set(breaks(one.sql)) == EXCEPTIONS.get(name, set()), "say `-- needs: NNNN` in its first line"


def test_exceptions_are_of_migrations_that_there_are() -> None:
    assert EXCEPTIONS.keys() <= {f"{one.number:04d}_{one.name}" for one in NEW}


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE t",
        "ALTER TABLE t DROP COLUMN c",
        "ALTER TABLE t DROP c",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t ALTER COLUMN c TYPE bigint",
        "ALTER TABLE t ALTER c SET NOT NULL",
        "ALTER TABLE t ADD COLUMN a int, ADD COLUMN c int NOT NULL",
        "ALTER TABLE t ADD COLUMN c int CHECK (c > 0)",
        "ALTER TABLE t ADD CONSTRAINT x CHECK (a > 0)",
        "CREATE UNIQUE INDEX x ON t (a)",
        "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "DROP VIEW v",
        "DROP FUNCTION f()",
        "TRUNCATE t",
        "REVOKE ALL ON t FROM PUBLIC",
    ],
)
def test_what_breaks_is_seen(text: str) -> None:
    assert breaks(text) == [" ".join(LOOSE.sub(" ", text).split())]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t ADD COLUMN a int, ADD COLUMN b numeric(10, 2) NOT NULL DEFAULT 0",
        "CREATE TABLE t (a int NOT NULL UNIQUE); CREATE UNIQUE INDEX x ON t (a); ALTER TABLE t ADD CHECK (a > 0)",
        "ALTER TABLE t ALTER COLUMN a DROP NOT NULL; DROP INDEX x; CREATE INDEX y ON t (a)",
        "ALTER TABLE t DROP CONSTRAINT x",
        "-- DROP TABLE t;\nSELECT 'RENAME; TRUNCATE'",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; TRUNCATE x; END $$",
    ],
)
def test_what_only_adds_is_not(text: str) -> None:
    assert breaks(text) == []


def test_what_a_migration_needs_stands_in_its_first_line() -> None:
    def made(text: str) -> Migration:
        return Migration(number=21, name="x", sql=text)  # type: ignore[arg-type,unused-ignore]

    assert made("-- needs: 0018\nDROP TABLE t").needs == 18
    assert made("-- Drops a table.\n-- needs: 0018\nDROP TABLE t").needs == 0
    assert made("DROP TABLE t").needs == 0
    assert all(one.needs <= one.number for one in shipped())
