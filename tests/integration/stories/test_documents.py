"""The README and `make run`, executed."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.integration.stories.conftest import Kasparro

from kasparro.config import load_config

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_configuration_of_the_readme_is_sound(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    assert set(YAML(typ="safe").load(text)) == {"sources", "datasets"}
    (tmp_path / "kasparro.yaml").write_text(text)
    config = load_config(tmp_path / "kasparro.yaml", {})
    assert [source.name for source in config.sources] == ["coins", "sales"]


def test_the_python_of_the_readme_runs(database_url: str) -> None:
    (code,) = blocks("python")
    environment = {**os.environ, "DATABASE_URL": database_url}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("success Counts(extracted=3316, inserted=3316")


def test_the_commands_of_the_readme_exist(kasparro: Kasparro) -> None:
    named = set(re.findall(r"^kasparro ([a-z]+)", README, flags=re.MULTILINE))
    assert named >= {"run", "serve", "init", "check", "preview"}
    for name in named:
        assert kasparro(name, "--help").code == 0


@pytest.mark.slow
def test_make_run(database_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url}
    command = [sys.executable, str(ROOT / "examples" / "run.py"), "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        assert found is not None
        answer = ask_until_done(f"{found.group()}/stats")
        page = urllib.request.urlopen(f"{found.group()}/data?source=delays&limit=1", timeout=10).read()
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert {run["source"]: run["status"] for run in answer["recent_runs"]} == dict.fromkeys(
        ("planes", "airports", "delays"), "success"
    )
    assert (answer["totals"]["rows"], answer["totals"]["rejected"]) == (3316 + 1458 + 100, 0)
    assert json.loads(page)["pagination"]["total"] == 100
    assert "planes" in out
    assert "Traceback" not in err


def ask_until_done(url: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        answer: dict[str, Any] = json.loads(urllib.request.urlopen(url, timeout=10).read())
        if sum(run["status"] != "running" for run in answer["recent_runs"]) == 3:
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.2)  # the runs go on meanwhile
