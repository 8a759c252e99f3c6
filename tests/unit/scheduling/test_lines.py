import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kasparro.scheduling.lines import NAMED, read_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("*/15 * * * *", "*/15 * * * *"),
        (" 0  6\t* * 1-5 ", "0 6 * * 1-5"),
        ("0 0 1,15 jan-mar,DEC mon,wed-fri", "0 0 1,15 jan-mar,DEC mon,wed-fri"),
        ("5/10 8-18/2 * * 7", "5/10 8-18/2 * * 7"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 LW * *", "0 0 LW * *"),
        ("0 0 * * 5L", "0 0 * * 5L"),
        ("0 0 * * MON#2", "0 0 * * MON#2"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),
        ("@daily", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ],
)
def test_lines(text: str, line: str) -> None:
    assert read_line(text) == line


NUMBERS = "is not a number from"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "has 4 fields; a line of cron has five: minute, hour, day of month, month and weekday"),
        ("0 0 0 * * *", "has 6 fields; a line of cron has five: minute, hour, day of month, month and weekday"),
        ("60 * * * *", f'the minute "60" {NUMBERS} 0 to 59'),
        ("0 24 * * *", f'the hour "24" {NUMBERS} 0 to 23'),
        ("0 0 0 * *", f'the day of month "0" {NUMBERS} 1 to 31'),
        ("0 0 * 13 *", f'the month "13" {NUMBERS} 1 to 12, or JAN to DEC'),
        ("0 0 * * 8", f'the weekday "8" {NUMBERS} 0 to 7, or SUN to SAT'),
        ("0 0 * * monday", f'the weekday "monday" {NUMBERS} 0 to 7, or SUN to SAT; did you mean "MON"?'),
        ("0 0 * sept *", f'the month "sept" {NUMBERS} 1 to 12, or JAN to DEC; did you mean "SEP"?'),
        ("0 0 * mom *", f'the month "mom" {NUMBERS} 1 to 12, or JAN to DEC'),
        ("*/90 * * * *", 'did you mean the interval "every 90m"?'),
        ("0 */36 * * *", 'did you mean the interval "every 36h"?'),
        ("0 22-2 * * *", 'the hour "22-2" runs backwards; did you mean "22-23,0-2"?'),
        ("*/0 * * * *", 'the minute "*/0" has a step of 0; the least is 1'),
        ("*/x * * * *", 'the minute "*/x" has a step that is not a number; write it as */5'),
        ("0, * * * *", 'the minute "0," has nothing beside a comma'),
        ("0 0 * * 1-", 'the weekday "1-" is a range without a beginning or an end; write it as 1-5'),
        ("0 0 ? * *", f'the day of month "?" {NUMBERS} 1 to 31'),
        ("0 0 31 2 *", 'names a date that never comes: day of month "31", month "2", weekday "*"'),
        ("0 0 30 2 */2", 'names a date that never comes: day of month "30", month "2", weekday "*/2"'),
        ("0 0 31 4,6,9,11 *", 'names a date that never comes: day of month "31", month "4,6,9,11", weekday "*"'),
        ("@dayly", 'did you mean "@daily"?'),
        ("@reboot", f'"@reboot" is not one of {", ".join(NAMED)}'),
        (f"{'0,' * 200}0 * * * *", "is longer than 200 characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_line(text)


FIELD = st.text(alphabet="0123456789*/,-#LWlwmonFRIjan²?", min_size=1, max_size=8)


@given(st.lists(FIELD, min_size=5, max_size=5).map(" ".join) | st.text(max_size=40))
@example("0 0 * * ²L")
@example("0 0 * * 5L/2")
@example("0 0 L/2 LW *")
def test_any_text_is_a_line_or_refused_with_a_sentence(text: str) -> None:
    try:
        line = read_line(text)
    except ValueError as refused:
        assert len(str(refused)) > 10  # noqa: PT017 - both ends are right
    else:
        assert read_line(line) == line
