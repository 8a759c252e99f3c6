"""What is recognised from the first records, and what is not."""

import pytest

from kasparro.sources.csv_dialect import Trial, recognise
from kasparro.sources.csv_options import Options


def tried(sample: str, *, whole: bool = True, delimiter: str | None = None, quote: str | None = None) -> Trial:
    return recognise(sample.encode(), Options(delimiter=delimiter, quote=quote), whole=whole)


def told(sample: str, *, delimiter: str | None = None, quote: str | None = None) -> tuple[str, str | None, int]:
    trial = tried(sample, delimiter=delimiter, quote=quote)
    return trial.dialect.delimiter, trial.dialect.quote, trial.width


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x1f", "\x01", ":", "^", "~"])
def test_delimiters_are_recognised(delimiter: str) -> None:
    sample = "a,b,c\n1,2,3\n4,5,6\n".replace(",", delimiter)
    assert told(sample) == (delimiter, '"', 3)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", (";", '"', 2)),  # decimal commas
        ("time,what\n10:30,x\n11:45,y\n", (",", '"', 2)),
        ("time\n10:30\n11:45\n", (",", '"', 1)),  # the header has no colon
        ("a\tb,c\n1\t2,5\n", ("\t", '"', 2)),  # both fit: the rarer wins
        ('a,b\n"x;y;z",1\n"p;q",2\n', (",", '"', 2)),
        ("a b\nc d\n", (",", '"', 1)),  # a space is never a delimiter
        ("a,b,c\n1,2,3\n1,2\n4,5,6\n", (",", '"', 3)),  # the width that most have
        ("x\n", (",", '"', 1)),
    ],
)
def test_what_fits_best_is_taken(sample: str, expected: tuple[str, str, int]) -> None:
    assert told(sample) == expected


@pytest.mark.parametrize(
    ("sample", "quote"),
    [
        ("a,b\n'x,y',1\n'p',2\n", "'"),
        ("a,b\nit's,1\nO'Neill,2\n", '"'),
        ("a,b\n'x',1\n", '"'),  # once could be chance
        ("a,b\n\"x\",'1'\n\"p\",'2'\n", '"'),
        ('size,n\n5",1\n7",2\n9",3\n', None),
        ('size,n\n5",1\n7",2\n', '"'),  # twice could be damage
        ('size,n\n5",1\n7",2\n9",3\n"x",4\n', '"'),
    ],
)
def test_quotes_are_recognised(sample: str, quote: str | None) -> None:
    assert told(sample)[1] == quote


def test_stated_wins() -> None:
    assert told("a;b\n1;2\n", delimiter=",") == (",", '"', 1)
    assert told("a,b\n'x,y',1\n'p',2\n", quote='"')[1] == '"'
    assert told('a,b\n"x",1\n', quote="") == (",", None, 2)
    assert told("a|b\n|x|,1\n", quote="|") == (",", "|", 2)


def test_a_sample_may_end_anywhere() -> None:
    trial = tried('a;b\n"1";2\n3;"4', whole=False)
    assert (trial.dialect.delimiter, trial.width, trial.quoted, len(trial.found)) == (";", 2, 1, 2)


def test_nothing_is_told_of_nothing() -> None:
    trial = tried("")
    assert (trial.dialect.delimiter, trial.width, trial.share, len(trial.found)) == (",", 0, 0.0, 0)


def test_damage_does_not_hide_the_dialect() -> None:
    lines = ["a;b;c", *["1;2;3"] * 20, "1;2", '1;"2;3', "1;2;3;4"]
    trial = tried("\n".join(lines))
    assert (trial.dialect.delimiter, trial.width, trial.stray) == (";", 3, 1)
    assert trial.share == pytest.approx(21 / 24)
