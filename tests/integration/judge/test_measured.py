import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def judging() -> ModuleType:
    spec = importlib.util.spec_from_file_location("judging", ROOT / "bench" / "judging.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judging"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_faults_are_found(judging: ModuleType) -> None:
    rows = judging.measure_faults(judging.REPORTED, 2)
    assert len(rows) >= 30
    hits, total = sum(row[1] for row in rows), sum(row[2] for row in rows)
    print(f"{hits} of {total} faults found")
    assert hits / total >= 0.95


@pytest.mark.slow
def test_sound_runs_are_left_alone(judging: ModuleType) -> None:
    health = judging.measure_health(judging.REPORTED + 400_000, 42)
    print(f"{health.any} of {health.runs} sound runs called odd")
    assert health.runs >= 400
    assert health.any <= health.runs / 200


def test_the_figures_are_in_the_documentation() -> None:
    page = (ROOT / "docs" / "judging.md").read_text("utf-8")
    assert "kinds of faults" in page
    assert "of 200" in page
