"""The page at `/`: what a person wants to see first. No script, no font, nothing from elsewhere."""

from datetime import UTC, datetime
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from kasparro.dashboard.words import ago, grouped, lasted, moment
from kasparro.errors import KasparroError
from kasparro.store.browse import Browser

_RUNS = 10
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_log = structlog.get_logger("kasparro.dashboard")


def _left_alone(hosts: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the hosts that nobody may ask now."""
    return [one for one in hosts if one["retry_at"] is not None and datetime.fromisoformat(one["retry_at"]) > now]


def pages() -> APIRouter:
    """Return the routes of the page and its style."""
    router = APIRouter()
    templates = Environment(
        loader=PackageLoader("kasparro.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters |= {"grouped": grouped, "lasted": lasted, "moment": moment}
    style = files("kasparro.dashboard").joinpath("static", "style.css").read_bytes()
    icon = files("kasparro.dashboard").joinpath("static", "icon.svg").read_bytes()

    @router.get("/")
    async def landing(request: Request) -> Response:
        browser: Browser = request.state.browser
        root = request.scope.get("root_path", "").rstrip("/")
        facts = {"root": root, "version": request.app.version, "now": datetime.now(UTC), "ago": ago}
        try:
            stats = orjson.loads(await browser.stats(_RUNS))
            facts |= {"stats": stats, "silent": _left_alone(stats["hosts"], facts["now"]), "down": False}
        except KasparroError as error:
            _log.error("page without data", error=str(error), request_id=request.scope["state"]["request_id"])
            facts |= {"stats": None, "down": True}
        status = HTTPStatus.SERVICE_UNAVAILABLE if facts["down"] else HTTPStatus.OK
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        return HTMLResponse(templates.get_template("landing.html").render(facts), status, headers=headers)

    @router.get("/page-assets/style.css")
    async def stylesheet() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    @router.get("/page-assets/icon.svg")
    async def favicon() -> Response:
        return Response(icon, media_type="image/svg+xml", headers={"Cache-Control": "max-age=300"})

    return router
