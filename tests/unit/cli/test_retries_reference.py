"""docs/retries.md says what the code does."""

from pathlib import Path

import pytest

from kasparro import errors
from kasparro.cli.retries_reference import ENDS, End, documentation, exit_of
from kasparro.errors import KasparroError, Transient

PAGE = Path(__file__).parents[3] / "docs" / "retries.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    assert documentation(text) == text, "run: python -m kasparro.cli.retries_reference"


def test_every_error_is_in_it() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KasparroError)}
    assert {end.error for end in ENDS if not isinstance(end.error, str)} == kinds - {KasparroError, Transient}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: f"{end.code} {end.status}")
def test_exit_codes(end: End) -> None:
    expected = {"rate_limited": 75, "misconfigured": 2, "stopped": 0}
    # A run that is found interrupted is the past of another one, which has an exit code of its own.
    assert end.status == "interrupted" or exit_of(end) == expected.get(end.code, 1)
