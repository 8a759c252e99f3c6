"""What is thought of a database, from what was found in it."""

from typing import Any

import pytest

from kasparro.assembly.doctor_database import of_database
from kasparro.model.diagnosis import Diagnosis
from kasparro.store.examining import Examined

SERVER = {
    "version": "16.4 (Debian 16.4-1)",
    "encoding": "UTF8",
    "standby": False,
    "read_only": False,
    "fsync": True,
    "full_page_writes": True,
    "synchronous_commit": "on",
    "compressions": ["pglz", "lz4"],
    "size": 12 * 1024**2,
    "role": "kasparro",
    "grantee": "kasparro",
    "database": "kasparro",
    "schema": "public",
    "superuser": False,
    "encrypted": False,
    "address": "10.0.0.7",
    "free_connections": 90,
}
WELL: dict[str, Any] = {
    "place": "h/db",
    "server": SERVER,
    "latency": 0.001,
    "clock_ahead": 0.0,
    "tried": True,
    "refused": {},
    "others": (),
    "closed": (),
    "pooled": False,
    "missing": (),
    "migrations_wrong": None,
}
NOWHERE: dict[str, Any] = {"server": {"schema": None}}


def said(*, embedded: bool = False, server: dict[str, Any] | None = None, **more: Any) -> list[Diagnosis]:
    found = Examined(**{**WELL, **more, "server": {**SERVER, **(server or {})}})
    return [*of_database(found, needed=32, embedded=embedded)]


def test_a_database_that_is_well() -> None:
    assert {one.state for one in said()} == {"ok"}
    assert "PostgreSQL 16.4 (Debian 16.4-1) at h/db, 12 MiB, user kasparro, answered in 1.0 ms" in {
        one.says for one in said()
    }


@pytest.mark.parametrize(
    ("state", "subject", "words", "facts"),
    [
        ("problem", "version", "14.9", {"server": {"version": "14.9"}}),
        ("problem", "read-only", "is a standby", {"server": {"standby": True, "read_only": True}}),
        ("problem", "read-only", "is read-only", {"server": {"read_only": True}}),
        ("problem", "encoding", "SQL_ASCII", {"server": {"encoding": "SQL_ASCII"}}),
        ("warning", "encryption", "not encrypted", {"server": {"address": "93.184.215.14"}}),
        ("problem", "pooler", "pools transactions", {"pooled": True}),
        (
            "problem",
            "rights",
            "may not make tables: permission denied",
            {"refused": {"make tables": "permission denied"}},
        ),
        ("problem", "rights", "may not make tables: no schema", {**NOWHERE, "refused": {"make tables": "no schema"}}),
        ("warning", "rights", "belong to old, other", {"others": ("old", "other")}),
        ("problem", "rights", "such as raw_page", {"others": ("old",), "closed": ("raw_page",), "missing": None}),
        ("warning", "superuser", "is a superuser", {"server": {"superuser": True}}),
        ("problem", "schema", "too old", {"migrations_wrong": "too old"}),
        ("warning", "schema", "0021_x, 0022_y", {"missing": ("0021_x", "0022_y")}),
        ("warning", "schema", "no tables", {"missing": None}),
        ("warning", "durability", "fsync is off", {"server": {"fsync": False}}),
        ("warning", "durability", "full_page_writes is off", {"server": {"full_page_writes": False}}),
        ("warning", "durability", "synchronous_commit is off", {"server": {"synchronous_commit": "off"}}),
        ("warning", "compression", "without lz4", {"server": {"compressions": ["pglz"]}}),
        ("warning", "connections", "31 connections are free", {"server": {"free_connections": 31}}),
        ("warning", "clock", "90 s behind", {"clock_ahead": 90.0}),
        ("warning", "clock", "90 s ahead of", {"clock_ahead": -90.0}),
    ],
)
def test_what_is_not_well(state: str, subject: str, words: str, facts: dict[str, Any]) -> None:
    others = [one for one in said(**facts) if one.state != "ok"]
    assert [(one.state, one.subject) for one in others] == [(state, subject)]
    assert words in others[0].says
    assert others[0].remedy


def test_a_right_that_is_missing_is_granted_by_what_is_said() -> None:
    refused = {"make schemas": "no", "make tables": "no", "COPY": "no"}
    server = {"database": '"My DB"', "grantee": '"me-too"', "schema": "public"}
    assert [one.remedy for one in said(refused=refused, server=server) if one.subject == "rights"] == [
        'Let the owner of the database run: GRANT CREATE ON DATABASE "My DB" TO "me-too"',
        'Let the owner of the database run: GRANT CREATE ON SCHEMA public TO "me-too"',
        "Use a role that owns the database: docs/security.md, Rights in PostgreSQL.",
    ]
    (nowhere,) = [one for one in said(refused={"make tables": "no"}, **NOWHERE) if one.subject == "rights"]
    assert "search_path" in (nowhere.remedy or "")


def test_of_the_embedded_server_nobody_is_told_what_they_cannot_change() -> None:
    own = said(embedded=True, server={"superuser": True, "compressions": ["pglz"]})
    assert {one.state for one in own} == {"ok"}
