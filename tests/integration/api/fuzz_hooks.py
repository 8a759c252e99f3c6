"""For schemathesis: what is well formed by the document but needs a fact that only the server gives.

A cursor is opaque, so a well-formed one is one that the server gave; and it is not to be mixed with an offset. Only
requests that are meant to be accepted are helped: every other one goes out as it was made.
"""

import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _options: dict[str, object]) -> None:
    """Put a real cursor, and what belongs to it, where any text stood; and ask for runs of a source that there is."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if (case.method, case.path) == ("POST", "/runs") and isinstance(case.body, dict):
        case.body["source"] = os.environ["FUZZ_SOURCE"]
    if "cursor" not in case.query:
        return
    case.query["cursor"] = os.environ["FUZZ_CURSOR"]
    case.query.pop("offset", None)
    if "source" in case.query:
        case.query["source"] = os.environ["FUZZ_SOURCE"]
