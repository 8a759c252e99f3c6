"""Which values of JSON records stand against a contract, and the same records without some of their values.

A batch is parsed as a whole. From there on each step takes one field of all records, and loops inside of C: `map` over
the methods of `dict`, sets of keys, sets of types. So every record is looked at, and Python does no work for each.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress, repeat
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from kasparro.model.contract import BELOW, Agreement, taken
from kasparro.shaping.contract_breaches import Breached, Rows, new_field, new_type
from kasparro.shaping.profiling import DATE, DEEPEST, TIMESTAMP, parsed

Flags = npt.NDArray[np.bool_]
Record = dict[str, Any]
Steps = tuple[str, ...]

_KINDS: Mapping[type, str] = MappingProxyType(
    {bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
)
"""Types of values but for texts, which may be dates."""

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


def breached_json(texts: Sequence[bytes], terms: Agreement) -> list[Breached]:
    """Return the fields of some records that have anything against the terms."""
    # One brace for each record: then no value is an object. A brace in a text only makes the look longer.
    flat = b"".join(texts).count(b"{") == len(texts)
    look = _Look(terms, flat=flat)
    look.at(_parsed(texts), np.arange(len(texts), dtype=np.int64), ())
    return look.found


def _parsed(texts: Sequence[bytes]) -> list[Record]:
    try:
        found: list[Record] = orjson.loads(b"[" + b",".join(texts) + b"]")
    except orjson.JSONDecodeError:  # a number that no double holds
        return list(map(parsed, texts))
    return found


class _Look:
    """Looks at records, level by level; `found` is what stands against the terms."""

    def __init__(self, terms: Agreement, *, flat: bool) -> None:
        self._accepted = terms.accepted
        self._holds_fields = terms.contract.fields != "evolve"
        self._holds_types = terms.contract.types != "evolve"
        self._flat = flat
        self.found: list[Breached] = []

    def at(self, values: Sequence[Record], rows: Rows, above: Steps) -> None:
        """Look at objects, which stand below `above` in these records."""
        names: frozenset[str] = frozenset().union(*values)
        new = frozenset(name for name in names if ".".join((*above, name)) not in self._accepted)
        if new and self._holds_fields:
            self.found += _new_fields(values, rows, above, new)
        if self._holds_types or not self._flat:
            for name in sorted(names - new):
                self._field(list(map(dict.get, values, repeat(name))), rows, (*above, name))

    def _field(self, values: Sequence[Any], rows: Rows, steps: Steps) -> None:
        accepted = self._accepted[".".join(steps)]
        kinds = set(map(type, values))
        if not accepted or kinds == {type(None)}:
            return
        fitting = taken(accepted, from_text=False)
        if self._holds_types:
            wrong, seen = _misfits(values, kinds, fitting)
            if seen:
                self.found.append(new_type(steps, accepted, rows[wrong], seen))
        if dict in kinds and len(steps) < DEEPEST and ("object" in fitting or not self._holds_types):
            objects = np.fromiter(map(isinstance, values, repeat(dict)), np.bool_, len(values))
            self.at(list(compress(values, objects)), rows[objects], steps)


def _misfits(values: Sequence[Any], kinds: set[type], fitting: frozenset[str]) -> tuple[Flags, frozenset[str]]:
    """Return which values do not fit, and of which types they are."""
    others = frozenset(kind for kind in kinds if kind in _KINDS and _KINDS[kind] not in fitting)
    wrong = np.zeros(len(values), dtype=np.bool_)
    if others:
        wrong = np.fromiter(map(others.__contains__, map(type, values)), np.bool_, len(values))
    seen = {_KINDS[kind] for kind in others}
    if str in kinds and "text" not in fitting:
        texts = np.fromiter(map(isinstance, values, repeat(str)), np.bool_, len(values))
        for kind, those in _kinds_of_texts(list(compress(values, texts))).items():
            if kind not in fitting and bool(those.any()):
                seen.add(kind)
                wrong[np.flatnonzero(texts)[those]] = True
    return wrong, frozenset(seen)


def _kinds_of_texts(texts: Sequence[str]) -> dict[str, Flags]:
    """Tell texts apart as a profile does."""
    timestamps = np.fromiter(map(bool, map(TIMESTAMP.fullmatch, texts)), np.bool_, len(texts))
    dates = np.zeros(len(texts), dtype=np.bool_)
    if not bool(timestamps.all()):
        dates = np.fromiter(map(bool, map(DATE.fullmatch, texts)), np.bool_, len(texts))
    return {"timestamp": timestamps, "date": dates, "text": ~(timestamps | dates)}


def _new_fields(values: Sequence[Record], rows: Rows, above: Steps, new: frozenset[str]) -> Iterator[Breached]:
    """Yield each new field of some objects, by name."""
    has = np.fromiter(map(bool, map(new.intersection, values)), np.bool_, len(values))
    those, owners = list(compress(values, has)), rows[has]
    names = list(chain.from_iterable(those))
    holders = np.repeat(np.arange(len(those)), np.fromiter(map(len, those), np.int64, len(those)))
    are_new = np.fromiter(map(new.__contains__, names), np.bool_, len(names))
    numbers = {name: number for number, name in enumerate(sorted(new))}
    found = np.fromiter(map(numbers.__getitem__, compress(names, are_new)), np.int64)
    order = np.argsort(found, kind="stable")
    starts = np.searchsorted(found[order], np.arange(len(numbers)))
    for name, held in zip(numbers, np.split(holders[are_new][order], starts[1:]), strict=True):
        below = list(map(dict.get, map(those.__getitem__, held.tolist()), repeat(name)))
        yield new_field((*above, name), owners[held], _described(below, (*above, name)))


def _described(values: Sequence[Any], steps: Steps) -> dict[str, Steps]:
    """Return the types of values, and of what stands below them, by path."""
    kinds = set(map(type, values))
    found = {_KINDS[kind] for kind in kinds if kind in _KINDS}
    if str in kinds:
        texts = list(compress(values, map(isinstance, values, repeat(str))))
        found |= {kind for kind, those in _kinds_of_texts(texts).items() if bool(those.any())}
    described = {".".join(steps): tuple(sorted(found))}
    if dict in kinds and len(steps) < DEEPEST:
        objects = list(compress(values, map(isinstance, values, repeat(dict))))
        for name in sorted(frozenset[str]().union(*objects))[:BELOW]:
            described |= _described(list(map(dict.get, objects, repeat(name))), (*steps, name))
    return described


def without_values(texts: Sequence[bytes], cuts: Sequence[tuple[Steps, Rows]]) -> list[bytes]:
    """Return records without some of their values; all others stay as they are written.

    Args:
        texts: The records.
        cuts: The keys that lead to a value, and the positions of the records that lose it.
    """
    made = list(map(_RAW.decode, texts))
    below: dict[str, list[tuple[Steps, Rows]]] = {}
    for steps, rows in cuts:
        if len(steps) == 1:
            _each(dict.pop, map(made.__getitem__, rows.tolist()), repeat(steps[0]), repeat(None))
        else:
            below.setdefault(steps[0], []).append((steps[1:], rows))
    for name, inner in below.items():
        rows = np.unique(np.concatenate([one for _, one in inner]))
        holders = list(map(made.__getitem__, rows.tolist()))
        objects = list(map(bytes, map(itemgetter(name), holders)))
        left = without_values(objects, [(steps, np.searchsorted(rows, one)) for steps, one in inner])
        _each(dict.__setitem__, holders, repeat(name), map(msgspec.Raw, left))
    return list(map(msgspec.json.encode, made))


def _each(work: Any, *arguments: Any) -> None:  # noqa: ANN401 - any function
    """Call a function for each, inside of C."""
    deque(map(work, *arguments), maxlen=0)
