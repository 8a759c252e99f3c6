from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.config.yaml_file import read_yaml
from kasparro.errors import Misconfigured


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str) -> Any:
    Path("a.yaml").write_text(text, "utf-8")
    return read_yaml(Path("a.yaml"))


def refusal(content: bytes) -> str:
    Path("a.yaml").write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        read_yaml(Path("a.yaml"))
    assert caught.value.facts["mistakes"][0]["file"] == "a.yaml"
    return str(caught.value)


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "[yes, on, null, ~, true, 007, 0o17, 0x1f, 1_000, 1.50, 1e3, -.5, 2024-01-31, '12', 12:30, =, -0b11]"
    assert read(text).data == [
        *("yes", "on", None, None, True),
        *(7, 15, 31, 1000, 1.5, 1000.0, -0.5),
        *("2024-01-31", "12", "12:30", "=", -3),
    ]


def test_numbers_and_booleans_keep_their_text() -> None:
    assert read("a: 1.10\nb: {c: [007, True]}\nd: x\n").texts == {
        ("a",): "1.10",
        ("b", "c", 0): "007",
        ("b", "c", 1): "True",
    }


def test_every_place_has_its_line() -> None:
    lines = read("a:\n  - x\n  - b: 1\n    c:\n      d\ne: {f: 1,\n  g: 2}\n").lines
    assert {place: lines[place] for place in [("a",), ("a", 0), ("a", 1, "c"), ("e", "f"), ("e", "g")]} == {
        ("a",): 1,
        ("a", 0): 2,
        ("a", 1, "c"): 4,
        ("e", "f"): 6,
        ("e", "g"): 7,
    }


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert read("2024: a\ntrue: b\nnull: c\n").data == {"2024": "a", "true": "b", "null": "c"}


def test_merge_keys_are_overridden_by_what_stands_beside_them() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc:\n  <<: [*a, *b]\n  y: 3\n"
    assert read(text).data["c"] == {"x": 1, "y": 3, "z": 2}


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            "a: 1\nb: {c: 1, c: 2}\na: 3\n",
            [
                "a.yaml:2: b.c: appears twice; the first is in line 2",
                "a.yaml:3: a: appears twice; the first is in line 1",
            ],
        ),
        ("a: !secret x\n", ["a.yaml:1: a: the tag !secret is not supported; leave it out"]),
        ("? [a]\n: 1\n", ["a.yaml:1: a key must be a text"]),
        ("a: &a [1, *a]\n", ["a.yaml:1: a[1]: an alias cannot stand inside the value it refers to"]),
        ("a:\n  <<: 5\n", ["a.yaml:2: a: <<: takes a mapping or a list of mappings"]),
    ],
)
def test_what_yaml_allows_and_a_configuration_does_not(text: str, mistakes: list[str]) -> None:
    assert [str(mistake) for mistake in read(text).mistakes] == mistakes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a:\n\tb: 1\n", "a.yaml:2: a tab cannot indent YAML; use spaces"),
        (b"a: 1\nb: 'x\n", "a.yaml:2: a quote is opened here and never closed"),
        (
            b"a: b: c\n",
            'a.yaml:1: a ":" is not allowed here; check the indentation, and put a text that has one in quotes',
        ),
        (
            b"a: [1\n",
            "a.yaml:2: is not YAML: expected ',' or ']', but got '<stream end>' while parsing a flow sequence",
        ),
        (b"a: 1\n---\nb: 2\n", "a.yaml:2: a second document starts here; a configuration is one document"),
        (b"a: *b\n", "a.yaml:1: is not YAML: found undefined alias 'b'"),
        (b"a: \x00\n", "a.yaml: is not YAML: unacceptable character #x0000: special characters are not allowed"),
        (b"a: \xff\n", "a.yaml: is not UTF-8 text (byte 3); save it as UTF-8"),
        (b"[" * 1100, "a.yaml: is nested too deeply"),
    ],
)
def test_what_is_not_yaml_ends_in_one_sentence(content: bytes, message: str) -> None:
    assert refusal(content) == message


def test_aliases_cannot_expand_without_end() -> None:
    levels = "".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]\n" for level in range(1, 9))
    assert refusal(f"l0: &l0 [x, x]\n{levels}".encode()).endswith("its aliases expand to more than 200,000 values")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffa: 1\n").data == {"a": 1}


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(Misconfigured) as caught:
        read_yaml(Path("no.yaml"))
    assert str(caught.value) == (
        'no.yaml: there is no such file; create it with "kasparro init", or name another one with --config'
    )


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="is a directory; name a file in it with --config"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "a.yaml: cannot be read; give this user permission to read it"),
        (OSError(5, "Input/output error"), "a.yaml: cannot be read: Input/output error"),
    ],
)
def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, error: OSError, said: str) -> None:
    def refuse(*_: object) -> str:
        raise error  # root may read every file, so the refusal is made here

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Misconfigured) as caught:
        read_yaml(Path("a.yaml"))
    assert str(caught.value) == said


@settings(deadline=None)
@given(text=st.text(alphabet="ab:-{}[],&*!|>'\"%@`#\n\t <?=~0.", max_size=60))
def test_any_text_gives_values_or_one_sentence(text: str) -> None:
    said, lines = "", {}
    try:
        lines = read(text).lines
    except Misconfigured as error:
        said = str(error)
    assert "\n" not in said
    assert said or lines[()] >= 1
