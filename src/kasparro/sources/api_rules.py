"""The declaration of an API, made ready to be applied, and the request that it comes to at each point of a walk."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from kasparro.sources.api_mark import Key, Scalar, key, moved_back, sent
from kasparro.sources.api_next import first_position, fixed_params
from kasparro.sources.api_path import Steps, find
from kasparro.sources.api_request import Asked, Redact, Varying, request_for
from kasparro.sources.api_walk import Walk, fingerprint
from kasparro.sources.paging import Cursor, Offset, PageNumber, Paging
from kasparro.sources.tools import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """How only newer records are asked for: see the fields `cursor_…` and `lookback` of `Api`."""

    param: str | None
    place: Literal["query", "body"]
    start: Scalar | None
    form: str | None
    lookback: float
    end: Scalar | None = None
    end_param: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The declaration of a source.

    Attributes:
        records: Where the records are; None when that is to be found.
        cursor: Where a record holds its cursor value.
        error: Where an answer of status 200 holds an error.
        complains: False when no answer of status 200 is taken for an error.
    """

    asked: Asked
    paging: Paging
    records: Steps | None
    cursor: Steps | None
    since: Since
    error: Steps | None
    complains: bool
    redact: Redact


def request_at(rules: Rules, walk: Walk) -> Request:
    """Return the request for the next page of the walk."""
    position = first_position(rules.paging) if walk.position is None else walk.position
    paged = {**fixed_params(rules.paging), **position.params}
    declared = rules.paging
    if isinstance(declared, Offset | PageNumber | Cursor):
        in_body = declared.place == "body"
    else:
        in_body = rules.asked.json is not None or rules.asked.form is not None
    marks: dict[str, Any] = {}
    mark = lower_bound(rules, walk)
    if rules.since.param is not None and mark is not None:
        marks[rules.since.param] = sent(mark, rules.since.form)
    end = upper_bound(rules)
    if rules.since.end_param is not None and end is not None:
        marks[rules.since.end_param] = sent(end, rules.since.form)
    marks_in_body = rules.since.place == "body"
    varying = Varying(
        in_query={**({} if in_body else paged), **({} if marks_in_body else marks)},
        in_body={**(paged if in_body else {}), **(marks if marks_in_body else {})},
    )
    return request_for(rules.asked, position, varying, rules.redact)


def conditional(rules: Rules, walk: Walk) -> Request:
    """Return the request, asking only for what has changed where the whole pass is known to be one answer."""
    request = request_at(rules, walk)
    known = walk.validators
    if walk.position is not None or known.get("of") != identity(rules, request):
        return request
    names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
    conditions = {header: known[name] for name, header in names.items() if name in known}
    return replace(request, headers={**request.headers, **conditions}, expect=(*request.expect, 304))


def identity(rules: Rules, request: Request) -> str:
    """Return what a validator belongs to, hashed: the request without secrets, and how its answer is read."""
    read = (str(rules.records), str(rules.cursor), rules.since.lookback, rules.since.end, str(rules.paging))
    body = (request.json, None if request.form is None else dict(request.form))
    return fingerprint(rules.redact(request.url), dict(request.params), rules.redact(str(body)), *read)


def lower_bound(rules: Rules, walk: Walk) -> Key | None:
    """Return the cursor value from which records are wanted; None when all are."""
    if walk.mark is None:
        return None if rules.since.start is None else key(rules.since.start, rules.since.form)
    return moved_back(walk.mark, rules.since.lookback, rules.since.form)


def upper_bound(rules: Rules) -> Key | None:
    """Return the cursor value up to which records are wanted; None when all are."""
    return None if rules.since.end is None else key(rules.since.end, rules.since.form)


def wanted_records(rules: Rules, walk: Walk) -> Callable[[object], bool] | None:
    """Return what tells wanted records from others, where the API is not asked to; None when all are wanted."""
    cursor, form, end = rules.cursor, rules.since.form, upper_bound(rules)
    bound = lower_bound(rules, walk) if rules.since.param is None else None
    if cursor is None or (bound is None and end is None):
        return None

    def wanted(record: object) -> bool:
        one = key(find(record, cursor), form)
        return one is None or not ((bound is not None and bound.after(one)) or (end is not None and one.after(end)))

    return wanted
