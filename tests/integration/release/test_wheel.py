"""What is published: nothing is missing from it, nothing is in it that should not be, and an installed copy works."""

import json
import tarfile
import tomllib
import urllib.request
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from tests.integration.release.conftest import ROOT, Dist, Installed

from kasparro.version import __version__

pytestmark = pytest.mark.slow

CODE = ROOT / "src" / "kasparro"
LINES = 500

IMPORT_ALL = """
import importlib, json, pkgutil
import kasparro
names = ["kasparro", *(one.name for one in pkgutil.walk_packages(kasparro.__path__, "kasparro."))]
missing = set()
for name in names:
    try:
        if name != "kasparro.__main__":
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing.add(error.name)
print(json.dumps([kasparro.__file__, names, sorted(missing)]))
"""


def code_files() -> set[str]:
    """The files of the package in the checkout, below `src`."""
    found = (path for path in CODE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(CODE.parent)) for path in found}


@pytest.fixture(scope="module")
def wheel(dist: Dist) -> list[str]:
    with zipfile.ZipFile(dist.wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def sdist(dist: Dist) -> dict[str, int]:
    """Files of the sdist, without the folder that all are in, and their sizes."""
    with tarfile.open(dist.sdist) as archive:
        return {one.name.partition("/")[2]: one.size for one in archive.getmembers() if one.isfile()}


@pytest.fixture(scope="module")
def metadata(dist: Dist) -> Message:
    with zipfile.ZipFile(dist.wheel) as archive:
        return message_from_bytes(archive.read(f"kasparro-{__version__}.dist-info/METADATA"))


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: list[str]) -> None:
    ours = {name for name in wheel if not name.startswith(f"kasparro-{__version__}.dist-info/")}
    assert ours == code_files()
    kinds = {Path(name).suffix for name in ours}
    assert {".py", ".sql", ".html", ".css", ".svg", ".yaml", ".typed"} <= kinds, "the checkout lacks something itself"


def test_the_wheel_is_for_every_machine_and_says_what_it_needs(dist: Dist, metadata: Message) -> None:
    assert dist.wheel.name == f"kasparro-{__version__}-py3-none-any.whl"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == project["license"]
    assert metadata.get_all("Classifier") == project["classifiers"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    plain = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert len(plain) == len(project["dependencies"])
    assert str(metadata.get_payload()).startswith("# Kasparro")


def test_the_licence_and_the_command_are_in_the_wheel(dist: Dist, wheel: list[str]) -> None:
    folder = f"kasparro-{__version__}.dist-info"
    assert f"{folder}/licenses/LICENSE" in wheel
    with zipfile.ZipFile(dist.wheel) as archive:
        assert "kasparro = kasparro.cli.main:main" in archive.read(f"{folder}/entry_points.txt").decode()


def test_the_sdist_has_what_it_takes_to_build_and_test_it_and_nothing_private(sdist: dict[str, int]) -> None:
    needed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "requirements-dev.txt"}
    assert needed <= set(sdist)
    assert {f"src/{name}" for name in code_files()} <= set(sdist)
    assert any(name.startswith("tests/unit/") for name in sdist)
    tops = {name.partition("/")[0] for name in sdist}
    assert not tops & {".env", ".git", ".venv", ".kasparro", "dist", "htmlcov", ".coverage"}
    assert not [name for name in sdist if name.endswith((".pyc", ".pem", ".key"))]
    assert sum(sdist.values()) < 20 * 1024**2


def test_every_module_of_an_installed_copy_is_imported_from_there(installed: Installed) -> None:
    place, names, missing = json.loads(installed.python(IMPORT_ALL))
    assert Path(place).is_relative_to(installed.environment)
    modules = (name.removesuffix(".py").removesuffix("/__init__") for name in code_files() if name.endswith(".py"))
    assert set(names) == {name.replace("/", ".") for name in modules}
    assert [name for name in missing if not name.startswith("opentelemetry.")] == [], "only what the extra otel brings"


def test_an_installed_copy_says_its_version(installed: Installed) -> None:
    assert __version__ in installed.kasparro("version")


def test_an_installed_copy_writes_a_configuration_and_finds_it_sound(installed: Installed) -> None:
    installed.kasparro("init")
    assert (installed.folder / "kasparro.schema.json").is_file()
    assert "normalized_data" in installed.kasparro("check")
    (installed.folder / "kasparro.yaml").unlink()


def test_an_installed_copy_ingests_a_file_and_serves_its_rows(installed: Installed) -> None:
    lines = "".join(f"{n},name {n},{n}.50\n" for n in range(LINES))
    (installed.folder / "flights.csv").write_text(f"id,title,value\n{lines}")
    installed.kasparro("run", "flights.csv")
    run = json.loads(installed.kasparro("runs", "list", "--json"))
    assert (run["source"], run["status"]) == ("flights", "success")
    with installed.server("serve", "--port", "0") as url:
        rows = json.loads(fetched(f"{url}/data?source=flights&limit=1"))
        assert rows["pagination"]["total"] == LINES
        assert b"<title>" in fetched(url)
        assert b"swagger-ui" in fetched(f"{url}/docs")
        assert json.loads(fetched(f"{url}/openapi.json"))["info"]["version"] == __version__


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()
