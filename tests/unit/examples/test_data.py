import csv
import importlib.util
import json
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest

from kasparro.sources.feed import parse_feed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def make_data() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_data", ROOT / "examples" / "make_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_data"] = module
    spec.loader.exec_module(module)
    return module


def test_the_sample_has_a_key_a_name_a_number_and_a_time() -> None:
    path = ROOT / "data" / "sample.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3316
    assert len({row["tailnum"] for row in rows}) == 3316
    assert all(row["name"] and int(row["departures"]) > 0 for row in rows)
    assert {datetime.fromisoformat(row["last_departure"]).year for row in rows} <= {2013, 2014}
    assert path.stat().st_size < 500_000


def test_the_feed_is_sound() -> None:
    feed = parse_feed((ROOT / "examples" / "data" / "delays.atom").read_bytes(), url="http://127.0.0.1/delays.atom")
    entries = [json.loads(one.text) for one in feed.entries]
    assert len({one["id"] for one in entries}) == 100
    assert all(one["title"] and one["summary"].startswith("<p>") for one in entries)
    assert all(one["published"] < one["updated"] for one in entries)
    assert all(one["link"].startswith("http://127.0.0.1/delays/2013-") for one in entries)


def test_the_airports_are_what_the_package_has(make_data: ModuleType) -> None:
    text = (ROOT / "examples" / "data" / "airports.json").read_text("utf-8")
    assert make_data.airports() == text
    assert len({one["faa"] for one in json.loads(text)}) == 1458


@pytest.mark.slow
def test_the_files_are_what_the_package_has(make_data: ModuleType) -> None:
    for path, text in make_data.made().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run examples/make_data.py"
