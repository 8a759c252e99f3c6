"""The contract of a source: what becomes of records that do not have the accepted schema."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Rule = Literal["fields", "types"]
"""What a contract speaks of: fields that are new, and values of a type that is new in their field."""

Word = Literal["evolve", "freeze", "discard_row", "discard_value"]
"""What becomes of them. `evolve`: they are taken. `freeze`: the run fails. `discard_row`: the record is rejected.
`discard_value`: the value is left out of the row."""

WORDS: tuple[Word, ...] = ("evolve", "freeze", "discard_row", "discard_value")

BELOW = 100
"""Paths below a new field that are kept: an object may have a key for each record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The words of a source."""

    fields: Word = "evolve"
    types: Word = "evolve"

    @property
    def holds(self) -> bool:
        """Whether there is anything that it does not take."""
        return (self.fields, self.types) != ("evolve", "evolve")

    @property
    def freezes(self) -> bool:
        """Whether something new fails the run: then nothing of it may be seen before it was read to its end."""
        return "freeze" in {self.fields, self.types}

    def word(self, rule: Rule) -> Word:
        """Return what becomes of what is new by a rule."""
        return self.fields if rule == "fields" else self.types

    def instead_of_freeze(self, word: Word) -> "Contract":
        """Return the contract with another word in the place of `freeze`."""
        return Contract(
            fields=word if self.fields == "freeze" else self.fields,
            types=word if self.types == "freeze" else self.types,
        )


EVOLVING = Contract()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the records of one run are held to.

    Attributes:
        source: Whose contract it is.
        contract: Its words.
        version: Of the accepted schema.
        accepted: Its fields by path, each with its types; a field without types takes any value.
    """

    source: str
    contract: Contract
    version: int
    accepted: Mapping[str, frozenset[str]]

    @property
    def digest(self) -> str:
        """Tells terms that may take other records, or leave out other values, from these."""
        told = sorted((path, sorted(types)) for path, types in self.accepted.items())
        return hashlib.sha256(repr((self.contract, told)).encode()).hexdigest()


def taken(accepted: frozenset[str], *, from_text: bool) -> frozenset[str]:
    """Return the types of values that a field of these types takes, if it has any.

    An integer is a number, a date is a timestamp at midnight, and what is written as a text is one, whatever it looks
    like: a title may be `1984`. `from_text`: so is each cell of a CSV file.
    """
    wider = set(accepted)
    if "number" in accepted:
        wider.add("integer")
    if "text" in accepted:
        wider |= {"date", "timestamp"}
        wider |= {"integer", "number", "boolean"} if from_text else set()
    if "timestamp" in accepted:
        wider.add("date")
    return frozenset(wider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """What stood in one field against the contract, and what became of it. Breaches of one field add up.

    Attributes:
        rule: Whether the field is new, or a type in it.
        word: What became of it.
        expected: The accepted types; empty for a new field.
        seen: The types that were met, by path: of the field, and of what stands below a new one.
        records: How many have it.
        place: Of one of them.
        version: Of the accepted schema.
    """

    rule: Rule
    word: Word
    expected: tuple[str, ...] = ()
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    records: int
    place: str
    version: int

    def __or__(self, other: "Breach") -> "Breach":
        # Which of the two comes first must not matter; they differ in more than counts where a schema was accepted
        # between two runs that read one after the other what is one pass.
        one, two = sorted(
            (self, other), key=lambda breach: (-breach.version, breach.rule, breach.word, breach.expected)
        )
        paths = sorted({*one.seen, *two.seen})[:BELOW]
        return Breach(
            rule=one.rule,
            word=one.word,
            expected=one.expected,
            seen={path: tuple(sorted({*one.seen.get(path, ()), *two.seen.get(path, ())})) for path in paths},
            records=one.records + two.records,
            place=min(one.place, two.place, key=lambda place: (len(place), place)),
            version=one.version,
        )

    def to_json(self) -> dict[str, object]:
        """Return it as plain JSON values."""
        return {
            "rule": self.rule,
            "word": self.word,
            "expected": list(self.expected),
            "seen": {path: list(types) for path, types in self.seen.items()},
            "records": self.records,
            "place": self.place,
            "version": self.version,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Breach":
        """Read what `to_json` wrote."""
        seen = {path: tuple(types) for path, types in value["seen"].items()}
        return cls(**{**value, "expected": tuple(value["expected"]), "seen": seen})
