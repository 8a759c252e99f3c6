"""`findings` and `runs compare`: what is odd, and how two runs differ."""

from typing import Annotated, Any

import typer
from rich.console import Console

from kasparro.cli.context import JsonOption, Limit, SourceArgument, asked, consoles
from kasparro.cli.proposals import print_proposal
from kasparro.cli.tables import print_json, show
from kasparro.errors import Misconfigured
from kasparro.store.comparing import compare_runs
from kasparro.store.watch import Watch

_SEVERITIES = ("info", "warning", "critical")


def findings(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: SourceArgument = None,
    run_id: Annotated[int | None, typer.Option("--run", help="Only of this run.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="info, warning or critical.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Such as field_renamed or row_count_low.")] = None,
    limit: Limit = 20,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show what is odd about runs and schemas, newest first, with the numbers that it was judged on."""
    if severity is not None and severity not in _SEVERITIES:
        raise Misconfigured(f"--severity is one of {', '.join(_SEVERITIES)}, not {severity!r}.")
    rows = asked(
        lambda database: Watch(database).findings(
            source=source, run_id=run_id, severity=severity, kind=kind, limit=limit
        )
    )
    out = consoles().out
    show(out, rows, ("id", "source", "run_id", "severity", "kind", "message"), as_json=as_json)
    if not as_json:
        for one in rows:
            proposal = one["facts"].get("proposal")
            print_proposal(out, one["source"], one["run_id"], one["subject"], one["observed"], proposal)


def runs_compare(
    base: Annotated[int, typer.Argument(help="A run.")],
    head: Annotated[int, typer.Argument(help="Another run.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Compare two runs: counts, duration, fields, schema, configuration, version and error."""
    found = asked(lambda database: compare_runs(database, base, head))
    if as_json:
        print_json(found)
        return
    _print(consoles().out, found)


def _print(out: Console, found: dict[str, Any]) -> None:
    numbers = [
        {"": name, **{side: _shown(one[side]) for side in ("base", "head", "change")}}
        for name, one in found["numbers"].items()
    ]
    show(out, numbers, ("", "base", "head", "change"), as_json=False)
    if found["texts"]:
        out.print()
        texts = [{"": name, "base": str(one["base"]), "head": str(one["head"])} for name, one in found["texts"].items()]
        show(out, texts, ("", "base", "head"), as_json=False)
    if found["fields"] is None:
        out.print("What was seen of the records of one of them is no longer kept.", markup=False)
        return
    differing = [
        {"field": path, "differs": ", ".join(one["differs"]), "base": _side(one["base"]), "head": _side(one["head"])}
        for path, one in found["fields"].items()
        if one["differs"]
    ]
    out.print()
    if differing:
        show(out, differing, ("field", "differs", "base", "head"), as_json=False)
    else:
        out.print(f"All {len(found['fields'])} fields are alike.")
    for one in found["drift"]:
        out.print(one["message"], markup=False)


def _shown(value: Any) -> str:  # noqa: ANN401 - a number of either kind, or none
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.1f}"
        case _:
            return f"{value:,}"


def _side(one: dict[str, Any] | None) -> str:
    if one is None:
        return "absent"
    return f"{'/'.join(one['types']) or 'null'}, {one['null_share']:.0%} null, {one['distinct']:,.0f} distinct"
