"""How a value is shown in a message, and what was probably meant by it."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

NO_SYNONYMS: Mapping[str, str] = MappingProxyType({})

_LONGEST_SHOWN = 60
_MOST_LISTED = 24


def shown(value: object) -> str:
    """Return a value as it is shown in a message: a text in double quotes, shortened."""
    match value:
        case str():
            short = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…"
            return json.dumps(short, ensure_ascii=False)
        case Mapping():
            return "a mapping"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return str(value)
        case _:
            return f"a Python {type(value).__name__}"


def did_you_mean(word: str, options: Iterable[str], synonyms: Mapping[str, str] = NO_SYNONYMS) -> str:
    """Return `; did you mean "x"?`, or nothing when no option is close."""
    options = list(options)
    folded = {option.casefold(): option for option in reversed(options)}
    lowered = word.casefold()
    if lowered in synonyms:
        return f"; did you mean {shown(synonyms[lowered])}?"
    close = difflib.get_close_matches(lowered, folded, n=1)
    begun = [option for option in folded if len(lowered) > 1 and option.startswith(lowered)]
    best = next(iter(close or begun), None)
    return "" if best is None else f"; did you mean {shown(folded[best])}?"


def not_one_of(
    display: str | None, word: object, options: Sequence[str], synonyms: Mapping[str, str] = NO_SYNONYMS
) -> str:
    """Return `"x" is not one of a, b, c; did you mean "a"?`. A hidden value (`display` None) gets no suggestion."""
    listed = ", ".join(options)
    if display is None:
        return f"the value is not one of {listed}"
    guess = did_you_mean(word, options, synonyms) if isinstance(word, str) else ""
    return f"{display} is not one of {listed}{guess}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Return `unknown key; did you mean "x"?`, or the keys there are when none is close."""
    guess = did_you_mean(key, known)
    if guess or not known or len(known) > _MOST_LISTED:
        return f"unknown key{guess}"
    return f"unknown key; the keys are {', '.join(sorted(known))}"
