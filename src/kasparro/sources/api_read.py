"""Reads the pages of an API, one after the other."""

from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

from kasparro.errors import Broken, NotFound
from kasparro.model.page import Bookmark, Page
from kasparro.model.redact import Redactor
from kasparro.sources.api_path import steps_of
from kasparro.sources.api_request import Asked, as_text
from kasparro.sources.api_rules import Rules, Since, conditional
from kasparro.sources.api_turn import turned
from kasparro.sources.api_walk import Walk, walk_from
from kasparro.sources.auth import ApiKey, secret_texts
from kasparro.sources.tools import Answer, Tools

if TYPE_CHECKING:
    from kasparro.sources.api import Api

_LOST = frozenset({400, 404, 410, 422})
"""Statuses with which an API refuses a position that it has handed out earlier."""


async def pages(api: "Api", bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:
    """Yield the pages after the bookmark, as `Api.read` tells."""
    walk = walk_from(bookmark, paging=api.pagination.type, cursor_field=api.cursor_field)
    rules = _rules(api, tools)
    visited: set[str] = set()
    before: Sequence[bytes] | None = None
    for number in count(1):
        answer, walk = await _asked(rules, walk, tools, first=number == 1)
        if answer.status == 304:  # noqa: PLR2004 - not modified
            return
        if number == 1:
            visited.update(walk.trail)
        turn = await turned(rules, walk, answer, visited=visited, before=before)
        yield turn.page
        if turn.problem is not None:
            raise turn.problem
        if turn.walk.position is None:
            return
        if number >= api.max_pages:
            raise Broken(
                f"{turn.page.origin} has more than {number} pages, the cap of `max_pages`: this run is incomplete; "
                "the next one goes on after them",
                max_pages=number,
            )
        visited.add(turn.at)
        walk, before = turn.walk, turn.texts


async def _asked(rules: Rules, walk: Walk, tools: Tools, *, first: bool) -> tuple[Answer, Walk]:
    """Return the answer. A position that an earlier run left, and that is refused now, begins the pass again."""
    try:
        return await tools.http.fetch(conditional(rules, walk)), walk
    except (Broken, NotFound) as error:
        if not first or walk.position is None or error.facts.get("status") not in _LOST:
            raise
        walk = walk.restarted()
        return await tools.http.fetch(conditional(rules, walk)), walk


def _rules(api: "Api", tools: Tools) -> Rules:
    params = {
        name: tuple(map(as_text, value)) if isinstance(value, tuple | list) else as_text(value)
        for name, value in api.params.items()
    }
    auth_param = api.auth.name if isinstance(api.auth, ApiKey) and api.auth.place == "query" else None
    form = None if api.form is None else {name: as_text(value) for name, value in api.form.items()}
    own = Redactor(secret_texts(api.auth, api.headers))
    return Rules(
        asked=Asked(
            url=api.url,
            method=api.method,
            params=params,
            json=api.json,
            form=form,
            auth_param=auth_param,
            expect=tuple(sorted(set(api.ignore_status))),
        ),
        paging=api.pagination,
        records=None if api.records is None else steps_of(api.records),
        cursor=None if api.cursor_field is None else steps_of(api.cursor_field),
        since=Since(
            param=api.cursor_param,
            place=api.cursor_in,
            start=api.cursor_start,
            end=api.cursor_end,
            end_param=api.cursor_end_param,
            form=api.cursor_format,
            lookback=api.lookback,
        ),
        error=None if api.error is None else steps_of(api.error),
        complains=api.error != "",
        redact=lambda text: own(tools.redact(text)),
    )
