"""JSON answers: a strict parse, and the records as slices of the very bytes that came.

orjson parses: it refuses `NaN`, `[1,]`, lone surrogates, invalid UTF-8, numbers that are infinite as a double and more
than 1,024 levels. msgspec only cuts, what orjson has accepted, into raw slices; it looks less closely (it would let
invalid UTF-8 pass) and ends about 30 levels earlier, which is an error here too. Where the structure is sound and a
value is not, `json_rescue` finds the records that can be kept.
"""

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from kasparro.errors import Broken
from kasparro.sources import json_rescue
from kasparro.sources.api_path import Every, Step, Steps, Where

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINES_TYPES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"}
    | {"application/x-jsonlines", "application/x-jsonl", "application/json-lines", "application/x-json-lines"}
)
_AROUND = 40
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_DICT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line of JSON Lines that is not JSON. `number` counts from 1."""

    number: int
    text: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """A parsed answer.

    Attributes:
        value: The parsed values: what paging and cursors look at. Records are never made from it.
        body: The answer verbatim as UTF-8 without byte order mark; of JSON Lines, the good lines as one array.
        sound: False when some value in it is not strict JSON: each record must then be tested on its own.
        lines: Line number of each record, where the answer was JSON Lines.
        bad_lines: Lines that are no JSON.
    """

    value: Any
    body: bytes
    sound: bool = True
    lines: Sequence[int] | None = None
    bad_lines: tuple[BadLine, ...] = ()


def strict(text: bytes) -> Any:  # noqa: ANN401 - JSON can be anything
    """Return the parsed value of UTF-8 JSON text.

    Raises:
        ValueError: it is not strict JSON; the message says why, with line and column.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "not valid UTF-8" in error.msg:
            raise ValueError(_not_utf8(text)) from error
        reason = error.msg.removesuffix(".")
        raise ValueError(f"{reason} at line {error.lineno}, column {error.colno}") from error


def read_json(body: bytes, content_type: str, place: str, redact: Redact) -> Json:
    """Return the parsed answer.

    Raises:
        Broken: it is neither JSON nor JSON Lines.
    """
    media, _, parameters = content_type.lower().partition(";")
    text = _utf8(body, parameters)
    if media.strip() in _LINES_TYPES:
        return _lines(text)
    try:
        return Json(value=strict(text), body=text)
    except ValueError as error:
        if _looks_like_lines(text):
            return _lines(text)
        rescued = json_rescue.value(text)
        if rescued is json_rescue.BROKEN:
            raise Broken(f"{place} answered {_what_instead(text, media, error, redact)}") from error
        return Json(value=rescued, body=text, sound=False)


def pieces(json: Json, steps: Steps) -> list[bytes]:
    """Return the text of each record at the path; one text when an object stands there.

    Raises:
        Broken: nested too deep to be cut.
    """
    if not json.sound:
        return json_rescue.pieces(json.body, steps)
    try:
        found = [_RAW.decode(json.body)]
        for step in steps:
            found = [below for one in found for below in _below(one, step)]
        if any(_opens(one) == b"[" for one in found):
            found = [one for some in found for one in (_RAW_LIST.decode(some) if _opens(some) == b"[" else [some])]
    except RecursionError as error:
        raise Broken("the answer is nested too deep: more than about 1,000 levels") from error
    return list(map(bytes, found))


def _below(one: msgspec.Raw, step: Step) -> list[msgspec.Raw]:
    opens = _opens(one)
    match step:
        case Every():
            return list(_RAW_DICT.decode(one).values()) if opens == b"{" else _elements(one)
        case int():
            return _elements(one)[step : step + 1]
        case str():
            below = _RAW_DICT.decode(one) if opens == b"{" else {}
            return [below[step]] if step in below else []
        case Where():
            return []  # refused when the source is declared


def _elements(one: msgspec.Raw) -> list[msgspec.Raw]:
    return _RAW_LIST.decode(one) if _opens(one) == b"[" else []


def _opens(one: msgspec.Raw) -> bytes:
    return bytes(memoryview(one)[:1])


def _utf8(body: bytes, parameters: str) -> bytes:
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    encoding = next((name for mark, name in _BOMS if body.startswith(mark)), None)
    declared = re.search(r"charset=\"?([\w.-]+)", parameters)
    if encoding is None and declared is not None and declared[1] not in {"utf-8", "utf8"} and not _is_utf8(body):
        encoding = declared[1]
    if encoding is None:
        return body
    try:
        return body.decode(encoding).encode()
    except (UnicodeError, LookupError):
        return body  # the parse says what is wrong with it


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _looks_like_lines(text: bytes) -> bool:
    first, newline, rest = text.lstrip().partition(b"\n")
    if not newline or not rest.strip() or not first.startswith(b"{"):
        return False
    try:
        strict(first)
    except ValueError:
        return False
    return True


def _lines(text: bytes) -> Json:
    """Read JSON Lines: at once when every line is sound, else line by line."""
    numbered = [(number, line.strip()) for number, line in enumerate(text.split(b"\n"), start=1) if line.strip()]
    texts = [line for _, line in numbered]
    array = b"[" + b",".join(texts) + b"]"
    try:
        value = strict(array)
        if pieces(Json(value=value, body=array), ()) == texts:  # else a line holds several, or part of one
            return Json(value=value, body=array, lines=[number for number, _ in numbered])
    except ValueError:
        pass  # some line is bad: found below
    return _line_by_line(numbered)


def _line_by_line(numbered: Sequence[tuple[int, bytes]]) -> Json:
    values, texts, lines, bad = [], [], [], []
    for number, line in numbered:
        try:
            values.append(strict(line))
            texts.append(line)
            lines.append(number)
        except ValueError as error:
            bad.append(BadLine(number=number, text=line, reason=str(error)))
    return Json(value=values, body=b"[" + b",".join(texts) + b"]", lines=lines, bad_lines=tuple(bad))


def _what_instead(text: bytes, media: str, error: ValueError, redact: Redact) -> str:
    start = text[:2048].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")) or (start.startswith(b"<") and "html" in media):
        return f"HTML, not JSON: a login or maintenance page? It begins {_shown(text, 0, redact)}"
    if start.startswith(b"<"):
        return f"XML or markup, not JSON; it begins {_shown(text, 0, redact)}"
    place = re.search(r"at line (\d+), column (\d+)$", str(error))
    line, column = (int(place[1]), int(place[2])) if place is not None else (1, 1)
    starts = [0, *(found.end() for found in re.finditer(b"\n", text))]
    return f"what is not JSON: {error}, near {_shown(text, starts[line - 1] + column - 1, redact)}"


def _shown(text: bytes, at: int, redact: Redact) -> str:
    """Return what stands around an offset as one short line; masked before it is cut."""
    before = redact(text[max(0, at - 4096) : at].decode("utf-8", "backslashreplace"))
    whole = redact(text[max(0, at - 4096) : at + 4096].decode("utf-8", "backslashreplace"))
    start = max(0, len(before) - _AROUND)
    return repr(" ".join(whole[start : start + 2 * _AROUND].split()))


def _not_utf8(text: bytes) -> str:
    start = 0
    try:
        text.decode()
    except UnicodeDecodeError as error:
        start = error.start
    line, column = text.count(b"\n", 0, start) + 1, start - text.rfind(b"\n", 0, start)
    return f"bytes that are not UTF-8 at line {line}, column {column}"
