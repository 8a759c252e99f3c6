"""From a parsed answer to records: where they stand, which of them are sound, and what is stored of the answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.model.page import JsonRecords, Reject
from kasparro.sources.api_path import Steps, find, written
from kasparro.sources.json_answer import Json, pieces, strict

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MISSING = object()
_DEEPEST = 4
_NAMED = 8
_ENVELOPES = frozenset({"data", "items", "results", "records", "rows", "entries", "value", "values", "content", "hits"})
"""Keys under which an empty list is a list of records, although it does not show any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The records of one answer.

    Attributes:
        content: What is stored: the answer verbatim where nothing was left out, else the array of its sound records.
        values: The parsed records that are in `records`, in the same order.
        count: Records that the answer held, sound or not, wanted or not.
        texts: All of these that stood in a list, verbatim.
    """

    content: bytes
    records: JsonRecords
    rejects: tuple[Reject, ...]
    values: Sequence[Any]
    count: int
    texts: Sequence[bytes] = ()


def no_records(origin: str) -> Cut:
    """Return what an answer without a body holds."""
    return Cut(content=b"[]", records=JsonRecords(texts=(), origin=origin), rejects=(), values=(), count=0)


def located(value: Any, remembered: Steps | None, place: str) -> Steps:  # noqa: ANN401 - JSON can be anything
    """Return where the records of an answer stand, when the user has not said so.

    The answer itself when it is a list; the only list of objects in it; itself as the one record when it has none.

    Raises:
        Misconfigured: there are several such lists.
        SchemaBroken: the answer is neither a list nor an object.
    """
    if isinstance(value, list) or value is None:
        return ()
    if not isinstance(value, dict):
        raise SchemaBroken(f"{place} answered neither a list nor an object but {str(value)[:60]!r}")
    if remembered and find(value, remembered, _MISSING) is not _MISSING:
        return remembered
    lists = list(_lists(value, (), _DEEPEST))
    full = [steps for steps, found in lists if found]
    if len(full) > 1:
        names = ", ".join(f"`{written(steps)}`" for steps in full[:_NAMED])
        raise Misconfigured(
            f"{place} has several lists of objects: {names}; say which with `records`, "
            'or `records: ""` when the whole answer is one record'
        )
    empty = [steps for steps, found in lists if not found and steps[-1] in _ENVELOPES]
    return full[0] if full else (empty[0] if empty else ())


def _lists(value: dict[str, Any], above: Steps, deeper: int) -> list[tuple[Steps, bool]]:
    """Return the path of every list of objects, and whether it has any; empty lists count, lists of scalars do not."""
    found: list[tuple[Steps, bool]] = []
    for key, below in value.items():
        if isinstance(below, list) and all(isinstance(one, dict) for one in below):
            found.append(((*above, key), bool(below)))
        elif isinstance(below, dict) and deeper > 1:
            found += _lists(below, (*above, key), deeper - 1)
    return found


def values_at(value: Any, steps: Steps, *, place: str, optional: bool) -> list[Any]:  # noqa: ANN401 - as above
    """Return the parsed records: the elements of a list, one object, or nothing for null.

    Args:
        value: The answer.
        steps: Where they stand.
        place: For the error.
        optional: Nothing there means no records.

    Raises:
        SchemaBroken: there is nothing, or neither a list nor an object.
    """
    found = find(value, steps, _MISSING)
    if found is None or (found is _MISSING and optional):
        return []
    if found is _MISSING:
        keys = ", ".join(map(str, value)) if isinstance(value, dict) else "no keys, it is no object"
        raise SchemaBroken(f"{place} has nothing at `{written(steps)}`; it has {keys[:200]}; check `records`")
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        return [found] if found or steps else []
    raise SchemaBroken(f"{place} has {str(found)[:60]!r} at `{written(steps)}`, which is no list; check `records`")


def cut(  # noqa: PLR0913 - what the records are made of, and what is said of them
    json: Json, steps: Steps, values: list[Any], *, origin: str, first: int, wanted: Callable[[Any], bool] | None
) -> Cut:
    """Return the records at the path.

    Args:
        json: The answer.
        steps: Where the records stand.
        values: What `values_at` found there.
        origin: Address without secrets.
        first: Index of the first record, for places.
        wanted: Says of a parsed record whether it is kept; None keeps all.
    """
    texts = pieces(json, steps) if values else []
    nul = _holds_nul(json.body)
    easy = json.sound and not nul and all(type(one) is dict for one in values)
    faults = {} if easy else _faults(json, texts, values, nul=nul)
    rejects = [_reject(json, origin, first, index, texts[index], faults[index]) for index in sorted(faults)]
    rejects += [_bad_line(json, origin, at) for at in range(len(json.bad_lines))]
    good, kept = texts, values
    if faults or wanted is not None:
        keep = [at for at, one in enumerate(values) if at not in faults and (wanted is None or wanted(one))]
        good, kept = [texts[at] for at in keep], [values[at] for at in keep]
    plain = tuple(step for step in steps if isinstance(step, str | int))
    verbatim = bool(good) and len(good) == len(texts) and json.sound and not nul and len(plain) == len(steps)
    return Cut(
        content=json.body if verbatim else b"[" + b",".join(good) + b"]",
        records=JsonRecords(texts=good, steps=plain if verbatim else (), origin=origin, first=first),
        rejects=tuple(rejects),
        values=kept,
        count=len(values) + len(json.bad_lines),
        texts=texts,
    )


def _holds_nul(text: bytes) -> bool:
    return b"\\u0000" in text and _NUL.search(text) is not None


def _faults(json: Json, texts: Sequence[bytes], values: Sequence[Any], *, nul: bool) -> dict[int, tuple[str, str]]:
    """Return code and reason of each record that cannot be kept, by its index."""
    faults: dict[int, tuple[str, str]] = {}
    for index, (text, value) in enumerate(zip(texts, values, strict=True)):
        if not json.sound:
            try:
                strict(text)
            except ValueError as error:
                faults[index] = ("not_json", f"the record is not strict JSON: {error}")
                continue
        if not isinstance(value, dict):
            faults[index] = ("not_an_object", f"the record is not an object but a JSON {_kind(value)}")
        elif nul and _holds_nul(text):
            faults[index] = ("nul", "the record holds the character U+0000, which PostgreSQL cannot store")
    return faults


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case _:
            return "array"


def _reject(  # noqa: PLR0913, PLR0917 - the parts of one reject
    json: Json, origin: str, first: int, index: int, text: bytes, fault: tuple[str, str]
) -> Reject:
    code, reason = fault
    place = f"{origin}#{first + index}" if json.lines is None else f"{origin}:{json.lines[index]}"
    return Reject(place=place, code=code, reason=reason, raw=text.decode("utf-8", "backslashreplace"))


def _bad_line(json: Json, origin: str, at: int) -> Reject:
    line = json.bad_lines[at]
    return Reject(
        place=f"{origin}:{line.number}",
        code="not_json",
        reason=f"the line is not JSON: {line.reason}",
        raw=line.text.decode("utf-8", "backslashreplace").replace("\x00", "\\x00"),
    )
