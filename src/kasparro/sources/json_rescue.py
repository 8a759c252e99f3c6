"""Answers with a sound structure and an unsound value in it: `NaN`, half of a surrogate pair, a byte that is not UTF-8.

One such record must not keep all others out for ever. Python's own parser is lenient exactly there and tells where a
value ends, so the answer is cut with it, and each record is then tested strictly on its own. Slower; only reached when
the strict parse has refused.
"""

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from kasparro.sources.api_path import Every, Step, Steps

BROKEN: Final = object()
"""The structure itself is broken, or nested too deep."""

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(parse_constant=lambda _name: None)

Span = tuple[int, int]


def value(body: bytes) -> Any:  # noqa: ANN401 - JSON can be anything
    """Return the parsed value, with None for `NaN` and infinities, or `BROKEN`."""
    text = _text(body)
    try:
        parsed, end = _DECODER.raw_decode(text, _skip(text, 0))
    except (ValueError, RecursionError):
        return BROKEN
    return parsed if _skip(text, end) == len(text) else BROKEN


def pieces(body: bytes, steps: Steps) -> list[bytes]:
    """Return the text of each record at the path, as `json_answer.pieces` does."""
    text = _text(body)
    start = _skip(text, 0)
    spans = [(start, _DECODER.raw_decode(text, start)[1])]
    for step in steps:
        spans = [span for one in spans for key, span in _children(text, one) if _matches(key, step)]
    spans = [span for one in spans for span in (_elements(text, one[0]) if text[one[0]] == "[" else [one])]
    return [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans]


def _matches(key: str | int, step: Step) -> bool:
    return isinstance(step, Every) or key == step


def _children(text: str, span: Span) -> Iterator[tuple[str | int, Span]]:
    """Yield key or index, and span, of what an object or array holds; of a key twice, the last."""
    if text[span[0]] == "{":
        yield from dict(_members(text, span[0])).items()
    elif text[span[0]] == "[":
        yield from enumerate(_elements(text, span[0]))


def _members(text: str, at: int) -> Iterator[tuple[str, Span]]:
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = scanstring(text, at + 1)
        start = _skip(text, _skip(text, at) + 1)
        end = _DECODER.raw_decode(text, start)[1]
        yield key, (start, end)
        at = _next(text, end)


def _elements(text: str, at: int) -> Iterator[Span]:
    at = _skip(text, at + 1)
    while text[at] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        yield at, end
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _text(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")
