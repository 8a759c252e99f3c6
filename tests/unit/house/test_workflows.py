"""The workflows may do little, run only what is pinned, and test what is promised: what can be known without GitHub."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
"""Here actionlint finds ShellCheck."""
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

OURS = "$/.github/workflows/"
"""How a workflow of this repository is called: at the commit that is running."""

WRITES = {
    ("release", "image"): {"packages", "id-token", "attestations"},
    ("release", "pypi"): {"id-token", "attestations"},
    ("release", "release"): {"contents"},
}
"""All that any job may change."""


def named(path: Path) -> str:
    return path.stem


@cache
def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def jobs() -> Iterator[tuple[str, str, Any]]:
    """Workflow, name and body of every job."""
    for path in FILES:
        for name, job in read(path)["jobs"].items():
            yield path.stem, name, job


JOBS = list(jobs())
IDS = [f"{workflow}-{name}" for workflow, name, _ in JOBS]


def job(workflow: str, name: str) -> Any:
    return read(FOLDER / f"{workflow}.yml")["jobs"][name]


def commands(workflow: str) -> list[str]:
    """What a workflow runs in a shell."""
    found = [one for of, _, one in JOBS if of == workflow and "steps" in one]
    return [step["run"].strip() for one in found for step in one["steps"] if "run" in step]


def test_there_are_workflows_to_check() -> None:
    assert [path.stem for path in FILES] == ["ci", "release"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_workflow_is_valid_against_its_schema(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tool", ["check-jsonschema", "actionlint", "zizmor"])
def test_make_lint_checks_the_workflows(tool: str) -> None:
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert f"$(BIN)/{tool} " in recipe
    assert f"$(BIN)/zizmor {' '.join(ZIZMOR)} .github" in recipe, "as below"


ZIZMOR = ["--offline", "--quiet", "--no-progress", "--persona", "pedantic"]
BROKEN = [
    ("actionlint", "needs.notes.outputs.tags", "needs.notes.outputs.tagz", 'property "tagz" is not defined'),
    ("actionlint", "runs-on: ubuntu-24.04", "runs-on: ubuntu-5", 'label "ubuntu-5" is unknown'),
    ("actionlint", 'run: echo "name=${IMAGE,,}"', "run: echo name=${IMAGE,,} $unquoted", "SC2086"),
    ("zizmor", "        with:\n          persist-credentials: false\n", "", "artipacked"),
    ("zizmor", "permissions: {}\n", "permissions: write-all\n", "excessive-permissions"),
    ("zizmor", 'echo "name=${IMAGE,,}"', 'echo "name=${{ github.ref_name }}"', "template-injection"),
    (
        "zizmor",
        "docker/login-action@650006c6eb7dba73a995cc03b0b2d7f5ca915bee",
        "docker/login-action@v4",
        "unpinned-uses",
    ),
]


@pytest.mark.parametrize(("tool", "right", "wrong", "said"), BROKEN, ids=[said for *_, said in BROKEN])
def test_the_linters_see_what_is_wrong(tool: str, right: str, wrong: str, said: str, tmp_path: Path) -> None:
    if said.startswith("SC") and shutil.which("shellcheck", path=ENVIRONMENT["PATH"]) is None:
        pytest.skip("ShellCheck has no wheel for this machine")
    text = (FOLDER / "release.yml").read_text(encoding="utf-8")
    assert right in text
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text((FOLDER / "ci.yml").read_text(encoding="utf-8"))
    (folder / "release.yml").write_text(text.replace(right, wrong))
    command = [str(BIN / tool), *(ZIZMOR if tool == "zizmor" else ()), str(folder / "release.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path: Path) -> None:
    used = [
        line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line
    ]
    assert used
    for line in used:
        if not line.startswith(f"uses: {OURS}"):
            assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_an_action_has_one_version_everywhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    pins = set(re.findall(r"uses: ([\w/-]+)@(\S+) # (\S+)", text))
    assert len({name for name, *_ in pins}) == len(pins)


@pytest.mark.parametrize(("workflow", "name", "body"), JOBS, ids=IDS)
def test_a_job_may_do_what_it_needs_for_a_limited_time(workflow: str, name: str, body: Any) -> None:
    assert read(FOLDER / f"{workflow}.yml")["permissions"] == {}, "what a job may do stands at the job"
    assert body["permissions"].get("contents") in ("read", "write")
    written = {right for right, how in body["permissions"].items() if how == "write"}
    assert written == WRITES.get((workflow, name), set())
    assert set(body["permissions"].values()) <= {"read", "write"}
    if body.get("uses", "").startswith(OURS):
        assert (FOLDER / body["uses"].removeprefix(OURS)).is_file()
        return
    assert body["timeout-minutes"] <= 40
    assert re.fullmatch(r"ubuntu-\d+\.\d+", body["runs-on"])


@pytest.mark.parametrize(("workflow", "name", "body"), JOBS, ids=IDS)
def test_a_job_takes_no_secret_and_leaves_no_credential_behind(workflow: str, name: str, body: Any) -> None:
    assert "secrets." not in (FOLDER / f"{workflow}.yml").read_text(encoding="utf-8")
    for step in body.get("steps", ()):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, name


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_later_change_takes_the_place_of_an_earlier_one_but_never_of_a_release(path: Path) -> None:
    concurrency = read(path)["concurrency"]
    assert concurrency["group"].startswith(f"{path.stem}-${{{{ github.")
    wanted: Any = "${{ github.event_name == 'pull_request' }}" if path.stem == "ci" else False
    assert concurrency["cancel-in-progress"] == wanted


def pythons() -> list[str]:
    prefix = "Programming Language :: Python :: "
    return [text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(f"{prefix}3.")]


@pytest.mark.parametrize("name", ["test", "installed"])
def test_every_python_that_is_promised_is_tested(name: str) -> None:
    body = job("ci", name)
    assert body["strategy"]["matrix"]["python"] == pythons()
    assert body["strategy"]["fail-fast"] is False
    assert PROJECT["requires-python"] == f">={pythons()[0]}"
    assert f"Python {pythons()[0]} or newer" in README


def test_every_postgresql_that_is_promised_is_tested() -> None:
    body = job("ci", "postgres")
    tested = [int(one) for one in body["strategy"]["matrix"]["postgres"]]
    promised = re.search(r"PostgreSQL (\d+) or newer.*?embedded PostgreSQL (\d+)", README, re.DOTALL)
    assert promised is not None
    assert tested == [*range(int(promised[1]), int(promised[2]) + 1)]
    service = body["services"]["postgres"]
    assert service["image"] == "postgres:${{ matrix.postgres }}"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert body["env"] == {"TEST_DATABASE_URL": "postgresql://postgres@127.0.0.1:5432/postgres"}


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    block = re.search(r"```\n((?:make .*\n)+)```", README)
    assert block is not None
    promised = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert promised == ["make run", "make test"]
    ran = "\n".join(commands("ci"))
    assert all(re.search(rf"^{command}\b", ran, re.MULTILINE) for command in promised)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_targets_that_are_made_exist(path: Path) -> None:
    asked = {target for text in commands(path.stem) for target in re.findall(r"\bmake ([a-z-]+)", text)}
    assert asked <= set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def test_the_guide_to_releases_names_every_job_and_version() -> None:
    guide = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(name for _, name, _ in JOBS)
    assert f"Python {listed(pythons())}" in guide
    assert f"PostgreSQL {listed(job('ci', 'postgres')['strategy']['matrix']['postgres'])}" in guide
    made = re.findall(r"`make ([a-z -]+)`", guide)
    targets = {target for words in made for target in words.split()}
    assert targets <= set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def test_what_is_published_was_tested_and_scanned_before() -> None:
    assert job("release", "ci")["uses"] == f"{OURS}ci.yml"
    assert "workflow_call" in read(FOLDER / "ci.yml")["on"]
    assert {"notes", "ci"} <= {*job("release", "image")["needs"], *job("release", "pypi")["needs"]}
    used = [step.get("uses", "").split("@")[0] for step in job("release", "image")["steps"]]
    assert used.index("anchore/scan-action") < used.index("docker/login-action")
    published = [step for step in job("release", "image")["steps"] if step.get("with", {}).get("push") is True]
    assert [(one["with"]["provenance"], one["with"]["sbom"]) for one in published] == [("mode=max", True)]


def test_wheel_and_sdist_are_those_that_ci_installed() -> None:
    (uploaded,) = [one for one in job("ci", "package")["steps"] if "upload-artifact" in one.get("uses", "")]
    for workflow, name in (("ci", "installed"), ("release", "pypi"), ("release", "release")):
        loaded = [one for one in job(workflow, name)["steps"] if "download-artifact" in one.get("uses", "")]
        assert uploaded["with"]["name"] in [one["with"]["name"] for one in loaded]
    assert not [text for text in commands("release") if "build" in text], "nothing is built a second time"


def test_pypi_needs_no_password() -> None:
    body = job("release", "pypi")
    assert body["environment"]["name"] == "pypi"
    (publish,) = [one for one in body["steps"] if one.get("uses", "").startswith("pypa/")]
    assert "with" not in publish


def test_updates_of_all_that_is_pinned_are_proposed_a_week_after_they_came_out() -> None:
    path = ROOT / ".github" / "dependabot.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.dependabot", str(path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    updates = {one["package-ecosystem"]: one for one in read(path)["updates"]}
    assert set(updates) == {"github-actions", "pip", "docker", "docker-compose"}
    assert {one["cooldown"]["default-days"] for one in updates.values()} == {7}
    database = {"dependency-name": "postgres", "update-types": ["version-update:semver-major"]}
    assert updates["docker-compose"]["ignore"] == [database], "its volume would not be read after the next make up"
