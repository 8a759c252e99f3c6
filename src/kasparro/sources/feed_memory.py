"""What a feed's bookmark remembers, so that entries are sent once, and again only when they were edited.

Publishers re-date, re-sort and re-send entries. So an entry is known by its id and a hash of its content, never by its
date or its place. A bookmark holds marks, `<hash of the content> <id>`, oldest first: a list, because the members of a
JSON object have no order.
"""

from collections.abc import Collection, Sequence

from kasparro.sources.feed import Entry, digest

_LONGEST_ID = 40
"""Longer ids are remembered by a hash."""


def distinct(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return the entries with each id once, and those that another one with the same id puts aside.

    The latest date counts, then the first place in the feed. Exact repetitions are in neither.
    """
    newest: dict[str, Entry] = {}
    for one in entries:
        if one.id not in newest or one.dated > newest[one.id].dated:
            newest[one.id] = one
    aside = {mark(one): one for one in entries if one.digest != newest[one.id].digest}
    return tuple(newest.values()), tuple(aside.values())


def unknown(entries: Sequence[Entry], marks: Collection[str]) -> tuple[Entry, ...]:
    """Return the entries that are new or were edited."""
    known = set(marks)
    return tuple(one for one in entries if mark(one) not in known)


def remembered(marks: Sequence[str], entries: Sequence[Entry], waiting: Sequence[Entry], most: int) -> list[str]:
    """Return the marks after a page.

    Args:
        marks: What was remembered before it.
        entries: All distinct entries of the feed.
        waiting: Those of them that are not sent yet.
        most: How many marks to keep. As many as the feed has entries are kept in any case.
    """
    later = {one.id for one in waiting}
    sent = [one for one in reversed(entries) if one.id not in later]  # feeds begin with what is newest
    names = {_short(one.id) for one in sent}
    before = [one for one in marks if one.partition(" ")[2] not in names]
    now = [mark(one) for one in sent]
    return [*before, *now][-max(most, len(now)) :]


def mark(entry: Entry) -> str:
    """Return what is remembered of an entry."""
    return f"{entry.digest} {_short(entry.id)}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_ID else f"#{digest(name.encode(), 8)}"
