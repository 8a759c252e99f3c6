"""Shapes JSON records that hold nothing special with numpy alone: rows are the records without keys and braces.

Records are plain when all of them are objects with the same keys in the same order, written without white space, none
of whose values is an object or an array, and no text of which has a backslash. Then every quote begins or ends a text,
a text before a colon is a key, and a value stands from there to the next key. Anything else gives None, and DuckDB
shapes the records.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.origins import Origins
from kasparro.shaping.plain_cells import Bytes, Cells, Flags, Places, are_plain_numbers, cells_of, kinds_of
from kasparro.shaping.plain_hash import line_hashes
from kasparro.shaping.plain_plan import PlainField, PlainPlan
from kasparro.shaping.plain_rows import LONGEST_KEY, Heads, Keys, Lines, all_fit, spliced

_QUOTE, _COMMA, _LF, _COLON, _NULL, _TRUE, _FALSE = b'",\n:ntf'
_ZERO, _NINE, _MINUS = b"09-"
_SPACE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """The values of all records, by record and column: start, end, and what each of them is."""

    data: Bytes
    starts: Places
    ends: Places
    texts: Flags
    nulls: Flags
    booleans: Flags

    def of(self, columns: Sequence[int]) -> "_Values":
        """Return some columns, in this order."""
        return _Values(
            data=self.data,
            **{name: getattr(self, name)[:, columns] for name in ("starts", "ends", "texts", "nulls", "booleans")},
        )


def keys_of(text: bytes) -> tuple[str, ...] | None:
    """Return the keys of a record, in order; None where a value in it cannot be plain, such as `1E400`."""
    try:
        return tuple(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None  # DuckDB reads more than the strict parser


def shape_plain_json(
    texts: Sequence[bytes], keys: Sequence[str], plan: PlainPlan, stamp: Stamp, origins: Origins
) -> Shaped | None:
    """Return the rows of records; None where something in them is not plain.

    Args:
        texts: The records, strict JSON.
        keys: Those of the first record, in order.
        plan: Made for these keys.
        stamp: Whose the rows are.
        origins: Of the records.
    """
    text = b"".join(texts)
    if b"\\" in text:
        return None
    values = _values(np.frombuffer(text, dtype=np.uint8), np.fromiter(map(len, texts), np.int64, len(texts)), keys)
    if values is None:
        return None
    taken = values.of([field.column for field in plan.fields])
    quoted = _needs_quotes(values, taken)
    cells, lines = _cells(taken, quoted=quoted)
    if not _are_keys(values, plan.key) or not _fit(cells, taken, plan):
        return None
    hashes = line_hashes(lines.data, lines.starts[:-1], lines.starts[1:], plan.seed)
    heads = Heads(source=stamp.source, run_id=stamp.run_id, hashes=hashes, pages=origins.pages, indexes=origins.indexes)
    rows, places = spliced(_keys(values, plan.key, quoted=quoted), heads, lines)
    return Shaped(
        rows=rows,
        places=places,
        count=len(texts),
        fields=tuple(field.name for field in plan.fields),
    )


def _keys(values: _Values, column: int, *, quoted: bool) -> Keys:
    starts, ends = values.starts[:, column], values.ends[:, column]
    bare = values.texts[:, column] & (not quoted)
    return Keys(data=values.data, starts=starts + bare, lengths=ends - starts - 2 * bare)


def _values(data: Bytes, lengths: Places, keys: Sequence[str]) -> _Values | None:
    count, width = len(lengths), len(keys)
    ends = np.cumsum(lengths)
    quotes = np.flatnonzero(data == _QUOTE)
    opens, closes = quotes[0::2], quotes[1::2]
    are_keys = data.take(closes + 1) == _COLON
    if int(np.count_nonzero(are_keys)) != count * width:
        return None
    key_starts, key_ends = opens[are_keys].reshape(count, width), closes[are_keys].reshape(count, width)
    starts, stops = key_ends + 2, np.empty_like(key_ends)
    stops[:, :-1], stops[:, -1] = key_starts[:, 1:] - 1, ends - 1
    values = _told_apart(data, starts, stops)
    return values if values is not None and _stand_alike(values, keys) else None


def _stand_alike(values: _Values, keys: Sequence[str]) -> bool:
    """Tell whether all that stands around the values are these keys, commas and braces, the same in every record."""
    around = ("{" + ",".join(f'"{key}":' for key in keys) + "}").encode()
    runs = _runs(values.starts, values.ends, len(values.data))
    if len(values.data) - int(runs[1::2].sum()) != len(values.starts) * len(around) or int(runs.min()) < 0:
        return False
    rest = values.data[~_in_runs(runs)].reshape(len(values.starts), len(around))
    return bool((rest == np.frombuffer(around, dtype=np.uint8)).all())


def _runs(starts: Places, ends: Places, size: int) -> Places:
    """Return how many bytes stand before the first piece, in it, between it and the second one, and so on."""
    begin, end = starts.ravel(), ends.ravel()
    runs = np.empty(2 * len(begin) + 1, dtype=np.int64)
    runs[0], runs[-1] = begin[0], size - end[-1]
    runs[1::2], runs[2:-1:2] = end - begin, begin[1:] - end[:-1]
    return runs


def _in_runs(runs: Places) -> Flags:
    """Return which bytes stand in a piece. Flags are faster than places: numpy copies each run of them as a whole."""
    turns = np.zeros(len(runs), dtype=np.bool_)
    turns[1::2] = True
    return np.repeat(turns, runs)


def _told_apart(data: Bytes, starts: Places, ends: Places) -> _Values | None:
    """Return the values; None where one of them is an object or an array, or has white space around it."""
    first, last = data.take(starts), data.take(ends - 1)
    texts, nulls = first == _QUOTE, first == _NULL
    booleans = (first == _TRUE) | (first == _FALSE)
    numbers = ((first >= _ZERO) & (first <= _NINE)) | (first == _MINUS)
    scalar = texts | nulls | booleans | numbers
    if not bool(scalar.all() and ((last == _QUOTE) == texts).all() and (last > _SPACE).all()):
        return None
    return _Values(data=data, starts=starts, ends=ends, texts=texts, nulls=nulls, booleans=booleans)


def _needs_quotes(values: _Values, taken: _Values) -> bool:
    """Tell whether some text is empty or holds a comma, so that texts must keep their quotes."""
    count, width = values.starts.shape
    commas = int(np.count_nonzero(values.data == _COMMA))
    return commas != count * (width - 1) or bool((taken.texts & (taken.ends - taken.starts == 2)).any())  # noqa: PLR2004 - two quotes


def _cells(taken: _Values, *, quoted: bool) -> tuple[Cells, Lines]:
    """Return the values of each record as one line of CSV, and where they stand in it, without their quotes."""
    bare = taken.texts & (not quoted)
    starts = np.where(taken.nulls, taken.ends, taken.starts + bare)
    ends = taken.ends + 1 - bare  # with what follows: without quotes, the closing one becomes the delimiter
    data = taken.data.copy()
    data[ends[:, :-1] - 1] = _COMMA
    data[ends[:, -1] - 1] = _LF
    lengths = ends - starts
    bounds = np.append(0, np.cumsum(lengths))
    line = data[_in_runs(_runs(starts, ends, len(data)))]
    begins = bounds[:-1].reshape(lengths.shape)
    inner = taken.texts & quoted
    cells = cells_of(line, kinds_of(line), begins + inner, lengths - 1 - 2 * inner, taken.nulls)
    return cells, Lines(data=line, starts=bounds[:: lengths.shape[1]])


def _fit(cells: Cells, taken: _Values, plan: PlainPlan) -> bool:
    """Tell whether every value is a plain one of its field's type."""
    for at, field in enumerate(plan.fields):
        if field.type == "text" and not _are_texts(taken, at):
            return False
        if field.type == "boolean" and not bool((taken.booleans[:, at] | taken.nulls[:, at]).all()):
            return False
    fields = [field for field in _narrowed(plan) if field.type != "boolean"]
    return all_fit(cells, fields, utc=plan.utc)


def _are_keys(values: _Values, column: int) -> bool:
    lengths = values.ends[:, column] - values.starts[:, column] - 2 * values.texts[:, column]
    short = int(lengths.min()) > 0 and int(lengths.max()) <= LONGEST_KEY
    return short and not bool(values.nulls[:, column].any()) and _are_texts(values, column)


def _are_texts(values: _Values, column: int) -> bool:
    """Tell whether what is no text is written as its text is: not so `1.50e2` and `-0`."""
    bare = ~(values.texts[:, column] | values.nulls[:, column] | values.booleans[:, column])
    starts, ends = values.starts[bare, column], values.ends[bare, column]
    return are_plain_numbers(values.data, starts, ends - starts)


def _narrowed(plan: PlainPlan) -> tuple[PlainField, ...]:
    """Return the fields, numbered as if there were no other columns."""
    return tuple(replace(field, column=at) for at, field in enumerate(plan.fields))
