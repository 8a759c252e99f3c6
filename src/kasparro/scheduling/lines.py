"""Reads a line of cron, and says in a sentence which field is wrong and what was probably meant."""

import difflib
import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

NAMED = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
"""Lines that have a name."""

FIELDS_IN_WORDS = "minute, hour, day of month, month and weekday"

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LETTERS = 3
_MOST = 200
"""Characters of a line at most."""

_NTH = re.compile(r"(.+)#([1-5])")
_LAST = re.compile(r"([0-7])L")
_STEPPED = re.compile(r"([^/]*)/([0-9]{1,4})")
_NUMBER = re.compile(r"[0-9]{1,4}")
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a line is tried without any zone


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One of the five: what it is called, what its numbers may be, and the names for some of them."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    unit: str = ""


_FIELDS = (
    _Field(name="minute", low=0, high=59, unit="m"),
    _Field(name="hour", low=0, high=23, unit="h"),
    _Field(name="day of month", low=1, high=31),
    _Field(name="month", low=1, high=12, names=_MONTHS),
    _Field(name="weekday", low=0, high=7, names=_DAYS),
)
_DAY, _MONTH, _WEEKDAY = _FIELDS[2:]


def read_line(text: str) -> str:
    """Return a line of five fields, one space apart; a name such as `@daily` gives the line that it stands for.

    Raises:
        ValueError: what is wrong, as the rest of a sentence that begins with the place.
    """
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        return _named(words[0])
    if len(words) != len(_FIELDS):
        raise ValueError(f"has {len(words)} fields; a line of cron has five: {FIELDS_IN_WORDS}")
    if len(text) > _MOST:
        raise ValueError(f"is longer than {_MOST} characters")
    for field, word in zip(_FIELDS, words, strict=True):
        for part in word.split(","):
            _check_part(field, part, word)
    line = " ".join(words)
    _check_dates(line, words)
    return line


def _named(word: str) -> str:
    if word.lower() in NAMED:
        return NAMED[word.lower()]
    close = difflib.get_close_matches(word.lower(), NAMED, n=1)
    guess = f'; did you mean "{close[0]}"?' if close else ""
    raise ValueError(f'"{word}" is not one of {", ".join(NAMED)}{guess}')


def _check_part(field: _Field, part: str, word: str) -> None:
    """Raise ValueError where one part of a list is none."""
    if part == "":
        raise ValueError(f'the {field.name} "{word}" has nothing beside a comma')
    if field is _DAY and part.upper() in {"L", "LW"}:
        return
    if field is _WEEKDAY and (found := _NTH.fullmatch(part) or _LAST.fullmatch(part.upper())):
        _number(field, found.group(1))
        return
    stepped = _STEPPED.fullmatch(part)
    if stepped is not None:
        part = stepped.group(1)
        _check_step(field, int(stepped.group(2)), word)
    elif "/" in part:
        raise ValueError(f'the {field.name} "{word}" has a step that is not a number; write it as */5')
    if part == "*":
        return
    first, dash, last = part.partition("-")
    if dash and not (first and last):
        raise ValueError(f'the {field.name} "{part}" is a range without a beginning or an end; write it as 1-5')
    low = _number(field, first)
    if dash and low > (high := _number(field, last)):
        wrapped = f"{low}-{field.high},{field.low}-{high}"
        raise ValueError(f'the {field.name} "{part}" runs backwards; did you mean "{wrapped}"?')


def _check_step(field: _Field, step: int, word: str) -> None:
    if step == 0:
        raise ValueError(f'the {field.name} "{word}" has a step of 0; the least is 1')
    if step > field.high - field.low:
        guess = f'; did you mean the interval "every {step}{field.unit}"?' if field.unit else ""
        raise ValueError(f'the {field.name} "{word}" has a step of {step}, and there are none so far apart{guess}')


def _number(field: _Field, text: str) -> int:
    """Return the number, or that of the name. Raises ValueError."""
    if text.upper() in field.names:
        return field.names.index(text.upper()) + (0 if field is _WEEKDAY else 1)
    if _NUMBER.fullmatch(text) is not None and field.low <= int(text) <= field.high:
        return int(text)
    named = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise ValueError(
        f'the {field.name} "{text}" is not a number from {field.low} to {field.high}{named}{_guess(field, text)}'
    )


def _guess(field: _Field, text: str) -> str:
    if not text.isalpha():
        return ""
    short = text[:_LETTERS].upper()
    close = [short] if short in field.names else difflib.get_close_matches(text.upper(), field.names, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _check_dates(line: str, words: list[str]) -> None:
    """Raise ValueError where no day is ever one of the line."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only where a line of cron is declared

    try:
        first = next(iter(CronSim(line, _SOME_DAY)), None)
    except CronSimError as error:
        if "day-of-month" not in str(error):
            raise ValueError(
                f"is not a line that cron reads ({error}); it has five fields: {FIELDS_IN_WORDS}"
            ) from error
        first = None
    if first is None:
        date = f'day of month "{words[2]}", month "{words[3]}", weekday "{words[4]}"'
        raise ValueError(f"names a date that never comes: {date}")
