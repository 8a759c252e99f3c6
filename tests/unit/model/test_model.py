import pickle

import pytest

from kasparro import errors
from kasparro.model.path import follow, parse_path
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts


def test_counts_add_up() -> None:
    assert Counts(extracted=2, inserted=1, rejected=1) + Counts(extracted=1, updated=1) == Counts(
        extracted=3, inserted=1, updated=1, rejected=1
    )


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("a", ("a",)),
        ("quotes.USD.price", ("quotes", "USD", "price")),
        ("items[0].id", ("items", 0, "id")),
        ("[2]", (2,)),
        ('"@odata.nextLink"', ("@odata.nextLink",)),
        ('a."x.\\"y"[1]', ("a", 'x."y', 1)),
    ],
)
def test_paths(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize("text", [".", "a.", "a..b", "a[x]", "a]b", '"open', "a[0]b"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="the path"):
        parse_path(text)


def test_following_a_path() -> None:
    record = {"a": [{"b": None}, 2]}
    assert follow(record, ("a", 1)) == 2
    assert follow(record, ("a", 0, "b"), missing="none") is None
    for steps in (("a", 9), ("x",), ("a", "b"), ("a", 1, "c"), (0,)):
        assert follow(record, steps, missing="none") == "none"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token s3cret/x here", "token **** here"),
        ("https://h/?q=s3cret%2Fx", "https://h/?q=****"),
        ("https://user:pw@h/x", "https://****@h/x"),
        ("https://h/?api_key=abc&x=1", "https://h/?api_key=****&x=1"),
        ("https://h/?access_token=abc", "https://h/?access_token=****"),
        ("nothing to hide", "nothing to hide"),
        ("Write postgresql://user:password@host:5432/d", "Write postgresql://user:password@host:5432/d"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert Redactor(["s3cret/x", "abc"])(text) == masked


def test_errors_are_picklable_and_have_a_stable_code() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KasparroError)
    ]
    assert len({kind.code for kind in kinds}) == len(kinds) > 10
    for kind in kinds:
        error = pickle.loads(pickle.dumps(kind("said", place="x")))
        assert (type(error), str(error), error.facts) == (kind, "said", {"place": "x"})
    assert errors.RateLimited("x", retry_after=3).retry_after == 3
    assert errors.Unreachable("x").retry_after is None
