import pytest

from kasparro.model.rate import Rate, read_rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", (10, 1)),
        ("100/m", (100, 60)),
        ("5000/h", (5000, 3600)),
        ("1000/d", (1000, 86_400)),
        ("100/10s", (100, 10)),
        ("30 / minute", (30, 60)),
        ("2 per hour", (2, 3600)),
        (" 1/day ", (1, 86_400)),
    ],
)
def test_rates_as_people_write_them(text: str, rate: tuple[int, float]) -> None:
    read = Rate.read(text)
    assert (read.count, read.seconds) == rate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "such as 10/s"),
        ("10", "such as 10/s"),
        ("ten/s", "such as 10/s"),
        ("-5/s", "such as 10/s"),
        ("1.5/s", "such as 10/s"),
        ("10/", "such as 10/s"),
        ("10/secnd", 'did you mean "second"?'),
        ("10/w", "w is no unit of time"),
        ("10/M", "M is no unit of time"),
        ("0/s", "from 1 to 1,000,000"),
        ("2000000/s", "from 1 to 1,000,000"),
        ("10/0s", "between a second and 31 days"),
        ("10/32d", "between a second and 31 days"),
        ("10/s, x", "such as 10/s"),
        ("10/s,", "such as 10/s"),
    ],
)
def test_what_is_no_rate_is_said_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|allows|spans) ") as raised:
        read_rates(text)
    assert said in str(raised.value)


def test_several_rates_are_in_order_and_the_strictest_of_a_span_holds() -> None:
    assert [str(rate) for rate in read_rates("5000/h, 10/s, 4/s, 300/5m")] == ["4/s", "300/5m", "5000/h"]
