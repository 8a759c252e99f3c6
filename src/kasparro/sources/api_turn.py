"""One turn of a walk: what an answer holds, and what it makes of the walk. Pure, but for a thread for large answers."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kasparro.errors import Broken, KasparroError, SchemaBroken
from kasparro.model.page import Page
from kasparro.sources.api_auto import COUNTED, auto_next
from kasparro.sources.api_mark import highest
from kasparro.sources.api_next import Position, Seen, declared_next, first_position, share
from kasparro.sources.api_path import Steps, find, steps_of, written
from kasparro.sources.api_records import Cut, cut, located, no_records, values_at
from kasparro.sources.api_request import resolved
from kasparro.sources.api_rules import Rules, identity, request_at, wanted_records
from kasparro.sources.api_walk import TRAIL, Walk, place_of
from kasparro.sources.json_answer import Json, read_json
from kasparro.sources.paging import Auto, Offset, PageNumber, SinglePage
from kasparro.sources.tools import Answer

_LARGE = 256 * 1024
"""Bytes of an answer above which it is read in a thread, so that other sources are not held up."""

_KEYS = 50
_ERRORS = ("error", "errors")
_FAILED = frozenset({"error", "fail", "failed", "failure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one answer came to.

    Attributes:
        page: To be yielded in any case.
        walk: Where it goes on; its position is None at the end of the pass.
        at: Fingerprint of the position that was read.
        texts: The records, where pages are counted: the same ones again mean that the API ignores the count.
        problem: To be raised once the page has been committed.
    """

    page: Page
    walk: Walk
    at: str
    texts: Sequence[bytes] | None
    problem: KasparroError | None


async def turned(
    rules: Rules, walk: Walk, answer: Answer, *, visited: AbstractSet[str], before: Sequence[bytes] | None
) -> Turn:
    """Return what an answer comes to.

    Args:
        rules: The declaration.
        walk: What was known before the request.
        answer: A 2xx, or a status to be ignored.
        visited: Fingerprints of the positions of this pass that were read before.
        before: Texts of the turn before.
    """
    call = partial(_turned, rules, walk, answer, visited, before)
    return await asyncio.to_thread(call) if len(answer.body) > _LARGE else call()


def _turned(
    rules: Rules, walk: Walk, answer: Answer, visited: AbstractSet[str], before: Sequence[bytes] | None
) -> Turn:
    place = rules.redact(answer.url)
    at = first_position(rules.paging) if walk.position is None else walk.position
    ignored = answer.status in rules.asked.expect
    json = None if ignored or not answer.body.strip() else _read(rules, answer, place)
    found, steps, after = _records(rules, walk, json, place)
    after = _counted(rules, after, found)
    value = None if json is None else json.value
    seen = Seen(value=value, headers=answer.headers, count=found.count, walked=after.walked, at=at)
    following = None if ignored else _next(rules, seen, steps, answer.url)
    texts = found.texts if found.texts and _is_counted(rules, following) else None
    here = place_of(at)
    circle = following is not None and (place_of(following) == here or place_of(following) in visited)
    problem = _circle(rules, following, circle=circle, again=texts is not None and texts == before)
    after = _moved(rules, after, at, following, answer, problem)
    page = Page(
        content=found.content,
        content_type="application/json",
        records=found.records,
        rejects=found.rejects,
        bookmark=after.to_bookmark(),
        origin=place,
        bytes_read=len(answer.body),
        done=1.0 if following is None else share(rules.paging, seen),
    )
    return Turn(page=page, walk=after, at=here, texts=texts, problem=problem)


def _read(rules: Rules, answer: Answer, place: str) -> Json:
    json = read_json(answer.body, answer.headers.get("content-type", ""), place, rules.redact)
    if rules.complains:
        complaint = answer.headers.get("mediawiki-api-error") or _complaint(rules, json.value)
        if complaint is not None:
            said = rules.redact(str(complaint))[:200]
            raise Broken(f"{place} answered {answer.status}, but with an error: {said}", status=answer.status)
    return json


def _complaint(rules: Rules, value: Any) -> object | None:  # noqa: ANN401 - JSON can be anything
    """Return what the answer says went wrong; None when all is well."""
    if rules.error is not None:
        return find(value, rules.error) or None
    if not isinstance(value, dict):
        return None
    told = {name: below for name, below in value.items() if isinstance(below, str | int)}
    if any(value.get(name) for name in _ERRORS):
        return {**{name: value[name] for name in _ERRORS if value.get(name)}, **told}
    status = value.get("status")
    failed = isinstance(status, str) and status.lower() in _FAILED and rules.records is None
    return told if failed or value.get("success") is False or value.get("ok") is False else None


def _records(rules: Rules, walk: Walk, json: Json | None, place: str) -> tuple[Cut, Steps, Walk]:
    """Return the records, where they stand, and the walk that remembers that.

    An answer may leave the list out when it is empty. It is believed when all its keys are known from an answer that
    had records: a strange key means a strange answer, such as an error that came with status 200.
    """
    if json is None:
        return no_records(place), (), walk
    keys = tuple(json.value) if isinstance(json.value, dict) else None
    alike = keys is not None and bool(walk.keys) and set(keys) <= set(walk.keys)
    remembered = None if walk.records_at is None else steps_of(walk.records_at)
    if rules.records is None and remembered is None and walk.pages > 0 and keys:
        raise SchemaBroken(f"{place} answered an object where earlier pages were lists: {', '.join(keys)[:200]}")
    if rules.records is not None:
        steps = rules.records
    elif remembered is not None and (alike or walk.pages > 0):
        steps = remembered
    else:
        steps = located(json.value, remembered, place)
    values = values_at(json.value, steps, place=place, optional=alike)
    first = walk.walked if rules.asked.method == "POST" else 0
    found = cut(json, steps, values, origin=place, first=first, wanted=wanted_records(rules, walk))
    if values and keys is not None and steps:
        walk = replace(walk, keys=tuple(sorted({*walk.keys, *keys})[:_KEYS]), records_at=written(steps))
    return found, steps, walk


def _counted(rules: Rules, walk: Walk, found: Cut) -> Walk:
    high = walk.high
    if rules.cursor is not None:
        high = highest((find(one, rules.cursor) for one in found.values), high, rules.since.form)
    return replace(walk, high=high, walked=walk.walked + found.count, pages=walk.pages + 1)


def _next(rules: Rules, seen: Seen, steps: Steps, answered: str) -> Position | None:
    try:
        match rules.paging:
            case SinglePage():
                return None
            case Auto():
                position = auto_next(seen, enveloped=bool(steps))
            case declared:
                position = declared_next(declared, seen)
    except KasparroError as error:
        raise type(error)(f"{rules.redact(answered)}: {error.message}", **error.facts) from error
    return None if position is None else resolved(rules.asked, position, answered, rules.redact)


def _is_counted(rules: Rules, following: Position | None) -> bool:
    by_number = isinstance(rules.paging, Offset | PageNumber)
    return following is not None and (by_number or following.scheme in COUNTED)


def _circle(rules: Rules, following: Position | None, *, circle: bool, again: bool) -> KasparroError | None:
    """Return the error of a walk that goes in a circle."""
    if following is None or not (circle or again):
        return None
    params = "&".join(f"{name}={str(value)[:60]}" for name, value in following.params.items())
    there = rules.redact(following.url or f"{rules.asked.url}?{params}")
    if circle:
        return Broken(f"the pages go in a circle: {there} was read before in this pass; check `pagination`")
    return Broken(f"the page before {there} brought the same records as the one before it; check `pagination`")


def _moved(  # noqa: PLR0913, PLR0917 - everything that decides where the walk goes on
    rules: Rules, walk: Walk, at: Position, following: Position | None, answer: Answer, problem: KasparroError | None
) -> Walk:
    if problem is not None:
        return walk.restarted()
    if following is not None:
        return replace(walk, position=following, trail=(*walk.trail, place_of(at))[-TRAIL:])
    single = walk.pages == 1
    request = request_at(rules, replace(walk, position=None))
    names = {"etag": "etag", "modified": "last-modified"}
    held = {name: answer.headers[header] for name, header in names.items() if header in answer.headers}
    validators = {"of": identity(rules, request), **held} if single and held else {}
    return replace(walk.finished(rules.since.form), validators=validators)
