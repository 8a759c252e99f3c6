"""Rows: `/data` and `/data/{dataset}`."""

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kasparro.api import cursor, etag
from kasparro.api.envelope import enveloped
from kasparro.api.openapi import Answers, answers
from kasparro.api.parameters import Text, Whole
from kasparro.api.schema import DataPage, DatasetPage
from kasparro.model.dataset import NORMALIZED
from kasparro.store.browse import Browser
from kasparro.store.browse_page import PageOfRows, PageQuery, Position

_LARGEST_OFFSET = 2**31 - 1

router = APIRouter(tags=["data"])


class PageParameters(BaseModel):
    """What may be asked of a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Whole] = Field(default=10, ge=1, le=100, description="Most rows of the page.")
    offset: Annotated[int, Whole] = Field(
        default=0, ge=0, le=_LARGEST_OFFSET, description="Rows to skip. Deep ones take time: prefer `cursor`."
    )
    source: Text = Field(default=None, description="Only the rows of this source.")
    cursor: Text = Field(
        default=None,
        description="`next_cursor` of the page before: goes on behind it, whatever was written since. "
        "Not together with `offset`.",
    )


Parameters = Annotated[PageParameters, Query()]

_HEADERS = {
    "ETag": "Changes when the data does. Sent as `If-None-Match`, it gives a 304 as long as nothing has.",
    "Link": 'The next page, as `rel="next"`, where there is one.',
    "Cache-Control": "Keep it, but ask again.",
}


def _answers(model: type[BaseModel], *errors: HTTPStatus) -> Answers:
    unchanged: Answers = {304: {"description": "What `If-None-Match` names is still the answer."}}
    return answers(model, HTTPStatus.UNPROCESSABLE_ENTITY, *errors, headers=_HEADERS) | unchanged


@router.get("/data", responses=_answers(DataPage), summary="Unified rows of all sources")
async def data(request: Request, wanted: Parameters) -> Response:
    """Return a page of `normalized_data`, ordered by source and record key."""
    return await _page(request, NORMALIZED.name, wanted)


@router.get("/data/{dataset}", responses=_answers(DatasetPage, HTTPStatus.NOT_FOUND), summary="Rows of a dataset")
async def dataset_data(
    request: Request,
    dataset: Annotated[str, Path(description="Its name in the configuration.")],
    wanted: Parameters,
) -> Response:
    """Return a page of a declared dataset, ordered by source and record key."""
    return await _page(request, dataset, wanted)


async def _page(request: Request, dataset: str, wanted: PageParameters) -> Response:
    browser: Browser = request.state.browser
    shown = await browser.shown(dataset)
    asked = etag.question(shown.table, shown.columns, *wanted.model_dump().values(), request.app.version)
    page = await browser.page(
        PageQuery(
            shown=shown,
            limit=wanted.limit,
            offset=wanted.offset,
            source=wanted.source,
            after=_after(wanted),
            known=etag.versions(request.headers.get("if-none-match"), asked),
        )
    )
    private = "" if request.app.state.settings.public_read else "private, "
    headers = {"ETag": etag.tag(page.version, asked), "Cache-Control": f"{private}no-cache"}
    if page.rows is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    following = cursor.encode(page.last) if page.more and page.last is not None else None
    if following is not None:
        headers["Link"] = _link(wanted, following)
    body = b'"data":%b,"pagination":%b' % (page.rows, orjson.dumps(_pagination(wanted, page, following)))
    return enveloped(request, body, headers)


def _after(wanted: PageParameters) -> Position | None:
    if wanted.cursor is None:
        return None
    if "offset" in wanted.model_fields_set:
        raise _refused("Give a cursor or an offset, not both.")
    try:
        place = cursor.decode(wanted.cursor)
    except ValueError as error:
        raise _refused(str(error)) from None
    if wanted.source is not None and place.source != wanted.source:
        raise _refused("This cursor belongs to another source. Start again without one.")
    return place


def _refused(detail: str) -> RequestValidationError:
    return RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": detail}])


def _pagination(wanted: PageParameters, page: PageOfRows, following: str | None) -> dict[str, Any]:
    return {
        "limit": wanted.limit,
        "offset": wanted.offset if wanted.cursor is None else None,
        "total": page.total,
        "total_kind": "exact",
        "has_more": page.more,
        "next_cursor": following,
    }


def _link(wanted: PageParameters, following: str) -> str:
    """Return the next page as a reference relative to this one, which holds behind any proxy."""
    source = {} if wanted.source is None else {"source": wanted.source}
    return f'<?{urlencode({"limit": wanted.limit, "cursor": following, **source})}>; rel="next"'
