"""Wheel and sdist, built once, and an installed copy of the wheel in an environment of its own.

`TEST_DIST` names a folder that has both already (`make test-wheel`, CI): what is tested is what is published then.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UV = [sys.executable, "-m", "uv"]


def said(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """What a command prints; it must end with 0."""
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Dist:
    """The two files that a release publishes."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    given = os.environ.get("TEST_DIST")
    folder = Path(given).resolve() if given else tmp_path_factory.mktemp("dist")
    if not given:
        locked = ["--build-constraint", str(ROOT / "requirements-dev.txt"), "--require-hashes"]
        build = [*UV, "build", "--quiet", *locked, "--out-dir", str(folder), str(ROOT)]
        said(build, cwd=folder, environment=os.environ)
    (wheel,), (sdist,) = folder.glob("kasparro-*.whl"), folder.glob("kasparro-*.tar.gz")
    return Dist(wheel=wheel, sdist=sdist)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A copy of the wheel, away from the checkout, with a home and a working folder of its own."""

    environment: Path
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a user who has set nothing but where data is kept."""
        ours = ("KASPARRO_", "PYTHON", "VIRTUAL_ENV", "DATABASE_URL", "API_KEY", "UPSTREAM", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "KASPARRO_HOME": str(self.folder / "home")}

    def command(self, *arguments: str) -> list[str]:
        return [str(self.environment / "bin" / "kasparro"), *arguments]

    def kasparro(self, *arguments: str) -> str:
        return said(self.command(*arguments), cwd=self.folder, environment=self.variables)

    def python(self, code: str) -> str:
        """What a program prints that the installed interpreter runs, seeing nothing of the checkout."""
        command = [str(self.environment / "bin" / "python"), "-I", "-c", code]
        return said(command, cwd=self.folder, environment=self.variables)

    @contextmanager
    def server(self, *arguments: str) -> Iterator[str]:
        """The address of a command that serves, until the block ends; then it is told to stop and must end with 0."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
            assert found is not None, process.communicate(timeout=60)
            yield found.group()
            process.terminate()
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def installed(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`pip install "kasparro[embedded]"` in a fresh environment, with the versions of the lock."""
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "environment"
    said([*UV, "venv", "--quiet", "--python", sys.executable, str(environment)], cwd=folder, environment=os.environ)
    python = str(environment / "bin" / "python")
    locked = ["--constraint", str(ROOT / "requirements.txt")]
    install = [*UV, "pip", "install", "--quiet", "--python", python, *locked, f"{dist.wheel}[embedded]"]
    said(install, cwd=folder, environment=os.environ)
    said([*UV, "pip", "check", "--python", python], cwd=folder, environment=os.environ)
    return Installed(environment=environment, folder=folder)
