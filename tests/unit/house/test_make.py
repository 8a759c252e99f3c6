"""The targets of the Makefile: those that drive Docker with a `docker` that writes down how it is called."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEMPLATE = Path("src/kasparro/cli/kasparro.example.yaml")
CALLS = {
    "down": [["compose", "--profile", "*", "down"]],
    "restart": [["compose", "restart"]],
    "logs": [["compose", "logs", "--follow", "api", "worker"]],
    "logs-db": [["compose", "logs", "--follow", "db"]],
    "migrate": [["compose", "run", "--build", "--rm", "api", "kasparro", "migrate"]],
    "shell": [["compose", "exec", "api", "sh"]],
    "psql": [["compose", "exec", "db", "psql", "--username", "kasparro", "kasparro"]],
}
NATIVE = {
    "run": ["examples/run.py --port 8000"],
    "test": ["-m pytest tests ", "--cov "],
    "test-unit": ["-m pytest tests/unit --numprocesses 2 --dist loadgroup\n"],
    "test-integration": ["-m pytest tests/integration\n"],
    "lint": ["ruff check .\n", "ruff format --check .\n", "lint-imports", "hadolint Dockerfile", "compose-spec"],
    "type-check": ["mypy\n"],
    "check": ["ruff check .\n", "mypy\n"],
    "format": ["ruff format .\n", "ruff check --fix .\n"],
    "bench": ["-m bench.load\n"],
    "docs": ["-m kasparro.config.reference\n", "-m kasparro.observe.metrics_reference\n"],
}

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and what it makes files from."""
    made = tmp_path / "a folder"
    (made / TEMPLATE).parent.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt", TEMPLATE):
        shutil.copy(ROOT / name, made / name)
    (made / "a-file-for-a-star.txt").touch()
    return made


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Make:
    """Run make with a docker that writes its words down, one call a line, and ends with the code in DOCKER_ENDS."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    written = shlex.quote(str(tmp_path / "calls"))
    lines = [
        "#!/bin/sh",
        f'for word; do printf "%s\\t" "$word"; done >> {written}',
        f"echo >> {written}",
        'exit "${DOCKER_ENDS:-0}"',
    ]
    docker.write_text("\n".join(lines) + "\n", encoding="utf-8")
    docker.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KASPARRO_", "MAKE", "MFLAGS"))}

    def run(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**kept, "PATH": f"{docker.parent}:{os.environ['PATH']}", **variables}
        return subprocess.run(
            ["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def calls(tmp_path: Path) -> list[list[str]]:
    written = tmp_path / "calls"
    lines = written.read_text(encoding="utf-8").splitlines() if written.exists() else []
    return [line.rstrip("\t").split("\t") for line in lines]


def test_up_makes_what_is_missing_and_waits_until_all_is_healthy(make: Make, folder: Path, tmp_path: Path) -> None:
    done = make("up")
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path) == [["compose", "up", "--detach", "--build", "--wait"]]
    assert "Wrote .env" in done.stdout
    assert "Wrote kasparro.yaml" in done.stdout
    assert (folder / "kasparro.yaml").read_bytes() == (ROOT / TEMPLATE).read_bytes()
    assert (folder / "kasparro.yaml").stat().st_mode & 0o777 == 0o644, "the container's user is another"
    secrets = (folder / ".env").read_text(encoding="utf-8")
    again = make("up")
    assert again.returncode == 0
    assert "Wrote" not in again.stdout
    assert (folder / ".env").read_text(encoding="utf-8") == secrets


def test_up_leaves_a_configuration_as_it_is(make: Make, folder: Path) -> None:
    (folder / "kasparro.yaml").write_text("sources: {}\n", encoding="utf-8")
    assert make("up").returncode == 0
    assert (folder / "kasparro.yaml").read_text(encoding="utf-8") == "sources: {}\n"


@pytest.mark.parametrize("line", ["KASPARRO_CONFIG=mine.yaml", "export KASPARRO_CONFIG=mine.yaml"])
def test_up_makes_no_configuration_where_env_names_another(make: Make, folder: Path, line: str) -> None:
    (folder / ".env").write_text(f"POSTGRES_PASSWORD=x\n{line}\n", encoding="utf-8")
    assert make("up").returncode == 0
    assert not (folder / "kasparro.yaml").exists()
    (folder / ".env").write_text("POSTGRES_PASSWORD=x\n", encoding="utf-8")
    assert make("up", KASPARRO_CONFIG="mine.yaml").returncode == 0
    assert not (folder / "kasparro.yaml").exists()
    (folder / ".env").write_text("POSTGRES_PASSWORD=x\n# KASPARRO_CONFIG=mine.yaml\nKASPARRO_CONFIG=\n")
    assert make("up").returncode == 0
    assert (folder / "kasparro.yaml").exists()


@pytest.mark.parametrize("name", [".env", "kasparro.yaml"])
def test_what_cannot_be_written_is_not_left_behind_half(make: Make, folder: Path, name: str) -> None:
    full = ["sh", "-c", f"trap '' XFSZ; ulimit -f 0; exec make {name}"]
    done = subprocess.run(full, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stdout
    assert not (folder / name).exists(), "the next make up would take it for whole"
    assert "Wrote" not in done.stdout
    assert make("up").returncode == 0
    assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize("target", ["up", *CALLS])
def test_a_target_fails_when_docker_does(make: Make, target: str) -> None:
    assert make(target).returncode == 0
    assert make(target, DOCKER_ENDS="3").returncode == 2


@pytest.mark.parametrize("target", CALLS)
def test_a_target_calls_docker_as_its_line_says(make: Make, tmp_path: Path, target: str) -> None:
    done = make(target)
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path) == CALLS[target]


@pytest.mark.parametrize("target", NATIVE)
def test_a_target_runs_what_its_line_says(make: Make, tmp_path: Path, target: str) -> None:
    done = make("--dry-run", target)
    assert done.returncode == 0, done.stderr
    for words in NATIVE[target]:
        assert words in done.stdout
    assert calls(tmp_path) == []


def test_clean_removes_what_was_made_and_nothing_else(make: Make, folder: Path) -> None:
    made = [".venv/bin", "htmlcov", "dist", ".ruff_cache", ".mypy_cache", ".pytest_cache", "src/kasparro/__pycache__"]
    kept = [".kasparro/postgres", "data"]
    for name in [*made, *kept]:
        (folder / name).mkdir(parents=True)
    for name in (".env", "kasparro.yaml", ".coverage.one"):
        (folder / name).touch()
    done = make("clean")
    assert done.returncode == 0, done.stderr
    assert not [name for name in (*made, ".coverage.one") if (folder / name).exists()]
    assert all((folder / name).exists() for name in [*kept, ".env", "kasparro.yaml", "Makefile", str(TEMPLATE)])


def test_help_lists_every_target_with_its_line(make: Make) -> None:
    told = make("help").stdout
    listed = {line.split()[0] for line in told.splitlines()}
    assert {"up", *CALLS, *NATIVE, "clean", "lock"} <= listed
    assert all(len(line.split()) > 2 for line in told.splitlines())
