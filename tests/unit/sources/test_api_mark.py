from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.sources.api_mark import highest, instant, key, moved_back, sent

NINE = datetime(2024, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (9, 10),
        ("9", "10"),
        (9, "10"),
        ("9.5", 10),
        (1.5, 2),
        ("-2", "-1"),
        ("2024-01-31", "2024-02-01T00:00:00Z"),
        ("2024-03-01T09:00:00Z", "2024-03-01T08:00:00-02:00"),
        ("2024-03-01T09:00:00", "2024-03-01T09:00:00.1Z"),
        ("2024-03-01 09:00:00 UTC", "2024-03-01T09:00:01+00:00"),
        ("Fri, 01 Mar 2024 09:00:00 GMT", "2024-03-01T09:00:01Z"),
        ("abc", "abd"),
        ("9", "x"),
        ("123456789012345678901", "123456789012345678902"),
    ],
)
def test_order(lower: object, higher: object) -> None:
    small, large = key(lower), key(higher)
    assert small is not None
    assert large is not None
    assert large.after(small)
    assert not small.after(large)
    assert not small.after(small)


@pytest.mark.parametrize("value", [None, True, False, "", [], {}, [1]])
def test_no_cursor_values(value: object) -> None:
    assert key(value) is None
    assert highest([value], 5) == 5
    assert highest([value], None) is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2024-03-01T09:00:00Z", None),
        ("2024-03-01T10:00:00+01:00", None),
        ("2024-03-01T09:00:00.000000000Z", None),
        ("2024-03-01 09:00:00", None),
        ("2024-03-01 09:00:00 UTC", None),
        ("Fri, 1 Mar 2024 10:00:00 +0100", None),
        ("01/03/2024 09h", "%d/%m/%Y %Hh"),
    ],
)
def test_instants(text: str, written: str | None) -> None:
    assert instant(text, written) == NINE


@pytest.mark.parametrize("text", ["yesterday", "Fri, 99 Mar", "0001-01-01T00:00:00+05:00", "Foo, ", "01/03/2024"])
def test_no_instants(text: str) -> None:
    assert instant(text) is None
    assert instant(text, "%Y") is None


def test_highest_does_not_depend_on_the_order() -> None:
    values = ["2024-03-01T09:00:00Z", "2024-03-01T11:30:00+01:00", "2024-02-01", None]
    assert {highest(order, None) for order in permutations(values)} == {"2024-03-01T11:30:00+01:00"}
    assert highest([1, 2], 3) == 3
    assert highest([1, 2], None) == 2


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_highest_of_numbers(values: list[float]) -> None:
    assert highest(values, None) == max(values)


@pytest.mark.parametrize(
    ("mark", "lookback", "moved"),
    [
        (10, 0, 10),
        (10, 3, "7"),
        ("10", 0.5, "9.5"),
        (1.5, 0.5, "1"),
        ("abc", 5, "abc"),
        ("2024-03-01T09:00:00Z", 60, "2024-03-01T08:59:00Z"),
        ("2024-03-01", 86_400, "2024-02-29"),
        ("Fri, 01 Mar 2024 09:00:00 GMT", 3600, "Fri, 01 Mar 2024 08:00:00 +0000"),
        ("2024-03-01T09:00:00+00:00", 1, "2024-03-01T08:59:59+00:00"),
    ],
)
def test_moved_back(mark: float | str, lookback: float, moved: object) -> None:
    found = moved_back(mark, lookback)
    assert found is not None
    assert found.value == moved


@given(st.integers(0, 10**6), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001 - naive is UTC
def test_moved_back_is_not_after_the_mark(lookback: int, moment: datetime) -> None:
    found, mark = moved_back(moment.isoformat(), lookback), key(moment.isoformat())
    assert found is not None
    assert mark is not None
    assert not found.after(mark)
    assert found.instant == moment.replace(tzinfo=UTC) - timedelta(seconds=lookback)


def test_sent() -> None:
    date = key("2024-03-01T10:00:00+01:00")
    assert date is not None
    forms = (None, "iso", "epoch", "epoch_ms", "%Y%m%d-%H")
    assert [sent(date, form) for form in forms] == [
        "2024-03-01T10:00:00+01:00",
        "2024-03-01T09:00:00Z",
        "1709283600",
        "1709283600000",
        "20240301-09",
    ]
    number = key(7)
    assert number is not None
    assert sent(number, "iso") == "7"
