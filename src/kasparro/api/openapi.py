"""The OpenAPI document: what FastAPI cannot know of answers that are passed through as bytes."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from kasparro.api.problems import MEDIA_TYPE
from kasparro.api.schema import Problem

_REQUEST_ID = {"description": "The id given with the request, or a new one.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}}

Answers = dict[int | str, dict[str, Any]]


def answers(model: type[BaseModel], *errors: HTTPStatus, headers: dict[str, str] | None = None) -> Answers:
    """Return what a route may answer.

    Args:
        model: The form of the good answer.
        errors: Statuses of its problems; 500 and 503 are added.
        headers: Description of each header of the good answer.
    """
    given = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    good: Answers = {200: {"model": model, "headers": given}}
    return good | problems(*errors, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)


def problems(*errors: HTTPStatus) -> Answers:
    """Return the answers to what goes wrong."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        error.value: {
            "description": error.phrase,
            "content": content,
            "headers": {"Retry-After": _RETRY_AFTER} if error == HTTPStatus.SERVICE_UNAVAILABLE else {},
        }
        for error in errors
    }


def documented(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what `app.openapi` is to be: the document, made once."""
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not made:
            made.update(_document(app))
        return made

    return document


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for schema in schemas.values():
        schema.setdefault("additionalProperties", False)
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID
    return document
