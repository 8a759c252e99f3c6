"""What may be imported where, beyond the layers that import-linter checks."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from tests.unit.house.code import code

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "kasparro"

ALLOWED = {
    "psycopg": {"store"},
    "psycopg_pool": {"store"},
    "procrastinate": {"store"},
    "fastapi": {"api", "dashboard", "assembly"},
    "typer": {"cli"},
    "rich": {"cli"},
    "duckdb": {"shaping", "config"},
    "httpx2": {"sources"},
    "aiosmtplib": {"notify"},
    "ruamel": {"config"},
    "dotenv": {"config"},
    "opentelemetry": {"observe"},
}
STANDARD_ONLY = {"model", "errors"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    for library in code(path).imports & set(ALLOWED):
        assert room(path) in ALLOWED[library], f"{library} is not imported in {room(path)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_environment_is_read_in_config_alone(path: Path) -> None:
    if room(path) == "config":
        return
    assert "environ" not in code(path).attributes
    assert "getenv" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_model_needs_only_the_standard_library(path: Path) -> None:
    if room(path) in STANDARD_ONLY:
        assert code(path).imports <= set(sys.stdlib_module_names) | {"kasparro"}


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["embedded"]]
    groups += project["dependency-groups"]["dev"]
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = [re.split(r"[^\w.-]", one)[0] for one in groups]
    assert len(names) > 20
    missing = [name for name in names if f"| `{name}` |" not in text]
    assert missing == []


def test_locks_are_pinned_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert pins
        assert all("==" in pin for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)
