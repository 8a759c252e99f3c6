"""JSONTestSuite: what must be accepted is, with equal values; what must be refused is."""

import json
from pathlib import Path
from typing import Any

import pytest

from kasparro.errors import Broken
from kasparro.sources.api_records import Cut, cut, values_at
from kasparro.sources.json_answer import read_json, strict

CASES = Path(__file__).parents[4] / "shared" / "cases"
INDEX = CASES / "index" / "json_suite_cases.jsonl"

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the folder of other projects' cases is not here")


def files(expect: str) -> list[Path]:
    entries = [json.loads(line) for line in INDEX.read_text().splitlines()]
    return [CASES / entry["file"] for entry in entries if entry["expect"] == expect]


def records(body: bytes) -> Cut:
    answer = read_json(body, "application/json", "here", str)
    values = values_at(answer.value, (), place="here", optional=False)
    return cut(answer, (), values, origin="here", first=0, wanted=None)


def test_every_valid_text_is_accepted_with_equal_values() -> None:
    stored = quarantined = 0
    for file in files("accept"):
        text = file.read_bytes()
        expected: Any = json.loads(text)
        strict(text)
        found = records(b'[{"v":' + text + b"}]")
        if r"\x00" in repr(expected):
            assert [one.code for one in found.rejects] == ["nul"], file.name
            quarantined += 1
            continue
        assert [json.loads(one)["v"] for one in found.records.texts] == [expected], file.name
        assert json.loads(found.content)[0]["v"] == expected
        stored += 1
    print(f"json-test-suite: {stored} valid texts stored with equal values, {quarantined} with U+0000 quarantined")
    assert stored + quarantined == len(files("accept")) == 95


def test_every_invalid_text_is_refused() -> None:
    refused = rejected = 0
    for file in files("reject"):
        text = file.read_bytes()
        with pytest.raises(ValueError, match="at line"):
            strict(text)
        try:
            found = records(text)
        except Broken:
            refused += 1
        else:  # the structure is sound, a value in it is not; or nothing is there at all
            assert len(found.records) == 0, file.name
            assert len(found.rejects) == 1, file.name
            rejected += 1
    print(f"json-test-suite: {refused} invalid texts refused, {rejected} quarantined as a record")
    assert refused + rejected == len(files("reject")) == 188
