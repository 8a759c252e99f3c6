import pytest

from kasparro.config.engine_words import timezone_names
from kasparro.config.mistakes import Mistake, place_text
from kasparro.config.suggestions import did_you_mean, not_one_of, shown, unknown_key


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("page_nummer", '; did you mean "page_number"?'),
        ("PAGE_NUMBER", '; did you mean "page_number"?'),
        ("off", '; did you mean "Offset"?'),
        ("str", '; did you mean "text"?'),
        ("zzz", ""),
        ("", ""),
        ("o", ""),
    ],
)
def test_guesses(word: str, expected: str) -> None:
    assert did_you_mean(word, ["page_number", "Offset"], {"str": "text"}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", '"a"'),
        ('a"b\n', '"a\\"b\\n"'),
        ("ä" * 61, '"' + "ä" * 59 + '…"'),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ({}, "a mapping"),
        ((1,), "a list"),
        (object(), "a Python object"),
    ],
)
def test_how_values_are_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_options_are_listed_and_guessed() -> None:
    assert not_one_of('"wep"', "wep", ["web", "table"]) == '"wep" is not one of web, table; did you mean "web"?'
    assert not_one_of("5", 5, ["web"]) == "5 is not one of web"
    assert not_one_of(None, "wep", ["web"]) == "the value is not one of web"


def test_unknown_keys() -> None:
    assert unknown_key("ulr", ["url"]) == 'unknown key; did you mean "url"?'
    assert unknown_key("zzz", ["b", "a"]) == "unknown key; the keys are a, b"
    assert unknown_key("zzz", []) == "unknown key"
    assert unknown_key("zzz", [f"key{number}" for number in range(30)]) == "unknown key"


def test_places_and_mistakes_as_text() -> None:
    place = ("sources", "a b", "x.y", "primary_key", 0, "ä")
    assert place_text(place) == 'sources."a b"."x.y".primary_key[0].ä'
    assert str(Mistake(place=("a",), problem="p", file="f", line=3)) == "f:3: a: p"
    assert str(Mistake(place=(), problem="p", file="f")) == "f: p"
    assert str(Mistake(place=("a",), problem="p")) == "a: p"


def test_time_zones_are_those_of_iana() -> None:
    names = timezone_names()
    assert {"Europe/Berlin", "America/New_York", "Etc/UTC"} <= set(names)
    assert not {"ACT", "Mars"} & set(names)
