"""Runs and what is odd about them: `/runs`, `/runs/{id}`, `/runs/compare`, `/findings`."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.responses import Response

from kasparro.api.envelope import enveloped
from kasparro.api.openapi import answers
from kasparro.api.parameters import HIGHEST, RunId, Text, Whole, no_query
from kasparro.api.schema_runs import Comparison, FindingPage, Run, RunPage
from kasparro.model.finding import Severity, Verdict
from kasparro.model.held import HeldState
from kasparro.model.run import RunStatus
from kasparro.store.browse import Browser
from kasparro.store.browse_runs import ListQuery

router = APIRouter(tags=["runs"])


def _choice(kind: Any) -> WithJsonSchema:  # noqa: ANN401 - a Literal
    """Describe a text that may be left out; None is not a thing that a query can hold."""
    return WithJsonSchema({"type": "string", "enum": list(get_args(kind))})


OptionalNumber = Annotated[
    int | None,
    Whole,
    Field(ge=1, le=HIGHEST),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": HIGHEST}),
]


class ListParameters(BaseModel):
    """What may be asked of any list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Whole] = Field(default=10, ge=1, le=100, description="Most entries.")
    source: Text = Field(default=None, description="Only those of this source.")
    before: OptionalNumber = Field(default=None, description="`next_before` of the list before: goes on below it.")


class RunParameters(ListParameters):
    """What may be asked of the list of runs."""

    status: Annotated[RunStatus | None, _choice(RunStatus)] = Field(default=None, description="Only in this state.")
    verdict: Annotated[Verdict | None, _choice(Verdict)] = Field(default=None, description="Only with this verdict.")
    held: Annotated[HeldState | None, _choice(HeldState)] = Field(
        default=None, description="Only those whose rows wait (`held`), or were decided about."
    )


class FindingParameters(ListParameters):
    """What may be asked of the list of findings."""

    severity: Annotated[Severity | None, _choice(Severity)] = Field(default=None, description="Only those.")
    kind: Text = Field(default=None, description="Such as `field_renamed` or `row_count_low`.")
    run_id: OptionalNumber = Field(default=None, description="Only those of this run.")


class CompareParameters(BaseModel):
    """Which runs are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Annotated[int, Whole] = Field(ge=1, le=HIGHEST, description="A run.")
    head: Annotated[int, Whole] = Field(ge=1, le=HIGHEST, description="Another run.")


@router.get("/runs", responses=answers(RunPage, HTTPStatus.UNPROCESSABLE_ENTITY), summary="Runs, newest first")
async def runs(request: Request, wanted: Annotated[RunParameters, Query()]) -> Response:
    """Return runs. As fast for any length of history: there is no total."""
    return await _listed(request, "runs", wanted)


@router.get(
    "/runs/compare",
    responses=answers(Comparison, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
    summary="How two runs differ",
)
async def compare(request: Request, wanted: Annotated[CompareParameters, Query()]) -> Response:
    """Return counts, duration, fields, schema, configuration, version and error of two runs, side by side."""
    browser: Browser = request.state.browser
    found = await browser.compared(wanted.base, wanted.head)
    return enveloped(request, orjson.dumps(found)[1:-1], {"Cache-Control": "no-cache"})


@router.get(
    "/runs/{run_id}",
    responses=answers(Run, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
    dependencies=[Depends(no_query)],
    summary="One run, with its findings",
)
async def run(request: Request, run_id: RunId) -> Response:
    """Return a run and what is odd about it."""
    browser: Browser = request.state.browser
    body = await browser.run(run_id)
    return enveloped(request, body[1:-1], {"Cache-Control": "no-cache"})


@router.get(
    "/findings", responses=answers(FindingPage, HTTPStatus.UNPROCESSABLE_ENTITY), summary="Findings, newest first"
)
async def findings(request: Request, wanted: Annotated[FindingParameters, Query()]) -> Response:
    """Return what is odd about runs and schemas, with the numbers that it was judged on."""
    return await _listed(request, "findings", wanted)


async def _listed(request: Request, what: Literal["runs", "findings"], wanted: ListParameters) -> Response:
    browser: Browser = request.state.browser
    filters = wanted.model_dump(exclude={"limit"})
    page = await browser.listed(ListQuery(what=what, limit=wanted.limit, filters=filters))
    before = page.before if page.more else None
    headers = {"Cache-Control": "no-cache"}
    if before is not None:
        given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        headers["Link"] = f'<?{urlencode({**given, "limit": wanted.limit, "before": before})}>; rel="next"'
    pagination = {"limit": wanted.limit, "has_more": page.more, "next_before": before}
    return enveloped(request, b'"data":%b,"pagination":%b' % (page.rows, orjson.dumps(pagination)), headers)
