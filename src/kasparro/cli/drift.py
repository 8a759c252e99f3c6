"""`drift`: accepted schemas are shown, moved on by hand, and what to change in the mapping is proposed."""

from typing import Annotated, Any

import typer

from kasparro.assembly.contracts import naming_of
from kasparro.cli.context import ConfigOption, JsonOption, asked, consoles, need_config, who_asks
from kasparro.cli.proposals import print_proposal, proposed_yaml
from kasparro.cli.tables import print_json, show
from kasparro.config import load_settings
from kasparro.config.suggestions import not_one_of, shown
from kasparro.errors import Misconfigured, NotFound
from kasparro.judge.evolution import accepting, with_field, without_field
from kasparro.judge.proposal import propose
from kasparro.model.profile import TYPES
from kasparro.model.redact import MASK, Redactor
from kasparro.model.schema import Schema, SchemaField
from kasparro.store.database import Database
from kasparro.store.schemas import Accepted, Schemas
from kasparro.store.watch import Watch

drift_app = typer.Typer(
    no_args_is_help=True, help="Schemas of sources: show what is accepted, accept more, propose changed mappings."
)

SourceName = Annotated[str, typer.Argument(help="Name of a source.")]


@drift_app.command("show")
def drift_show(
    source: SourceName,
    version: Annotated[
        int | None, typer.Option("--version", help="An earlier one. [default: the accepted one]")
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show the accepted schema of a source: its fields as they were seen, who accepted it, and renamed fields."""

    async def body(database: Database) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
        watch, schemas = Watch(database), Schemas(database)
        found = await watch.schema(source, version)
        last = await schemas.last(source)
        # Of the run that the version was made of, and of the last one: what is older was decided on.
        runs = dict.fromkeys(run for run in (found["run_id"], last if version is None else None) if run is not None)
        renames = [
            {"run_id": run, "old": old, "new": new, "proposal": facts.get("proposal")}
            for run in runs
            for old, new, facts in await schemas.renames(run)
        ]
        return found, await watch.versions(source), renames

    schema, versions, renames = asked(body)
    fields: Schema = schema["fields"]
    rows = [_row(path, one) for path, one in fields.fields.items()]
    if as_json:
        print_json({**schema, "fields": rows, "versions": versions, "renames": renames})
        return
    out = consoles().out
    show(out, rows, ("field", "types", "null", "distinct", "examples"), as_json=False)
    line = f"Version {schema['version']} of {len(versions)}, from run {schema['run_id']}, by {schema['accepted_by']}."
    out.print(line, markup=False)
    for one in renames:
        print_proposal(out, source, one["run_id"], one["old"], one["new"], one["proposal"])


def _row(path: str, one: SchemaField) -> dict[str, Any]:
    seen = one.looked > 0
    return {
        "field": path,
        "types": ", ".join(sorted(one.types)) or ("null" if seen else "any"),
        "null": f"{1 - (one.seen.present - one.seen.nulls) / one.looked:.0%}" if seen else "not seen",
        "distinct": round(one.seen.distinct),
        "examples": ", ".join(text for text, _ in one.seen.top(3)),
        "by_hand": one.by_hand,
    }


@drift_app.command("accept")
def drift_accept(
    source: SourceName,
    run_id: Annotated[
        int | None, typer.Option("--run", help="The run whose records are as they should be.", show_default=False)
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="PATH, PATH:TYPE or PATH:TYPE|TYPE that is right; may be given several times."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="PATH that is not; may be given several times.")
    ] = None,
) -> None:
    """Accept what a run saw as the schema of its source, or single fields: later runs are judged by it."""
    if run_id is None and not fields and not without:
        raise Misconfigured(
            "Say what is right: --run N for what a run saw, --field PATH:TYPE for a field, --without PATH for one that "
            "is to go."
        )
    named = [_field(one) for one in fields or ()]

    async def body(database: Database) -> int:
        schemas = Schemas(database)
        before = await schemas.accepted(source)
        after = await _seen_by(schemas, source, run_id, before)
        nested = await schemas.kind(source) != "csv"
        for path, types in named:
            after = _added(after, path, types, nested=nested)
        for path in without or ():
            if path not in after.fields:
                raise NotFound(
                    f"The accepted schema of {source} has no field {path}. See: kasparro drift show {source}"
                )
            after = without_field(after, path)
        number = 0 if before is None else before.version
        run = run_id if run_id is not None else 0 if before is None else before.run_id
        return await schemas.accept(source, run, after, who_asks(), instead_of=number)

    version = asked(body)
    what = [] if run_id is None else [f"what run {run_id} saw is accepted"]
    what += [f"{path} is accepted ({', '.join(types) or 'any type'})" for path, types in named]
    what += [f"{path} is not" for path in without or ()]
    consoles().out.print(f"The schema of {source} is version {version} now: {', '.join(what)}.", markup=False)


async def _seen_by(schemas: Schemas, source: str, run_id: int | None, before: Accepted | None) -> Schema:
    """Return the schema with what a run saw; as it is where none is named. Raises NotFound, Misconfigured."""
    if run_id is None:
        if before is None:
            raise NotFound(f"There is no accepted schema of {source} yet. It is made by its first run.")
        return before.schema
    met = await schemas.met(run_id)
    if met.source != source:
        raise Misconfigured(f"Run {run_id} is one of {met.source}, not of {source}.")
    return accepting(None if before is None else before.schema, met.profile, met.breaches)


def _field(text: str) -> tuple[str, tuple[str, ...]]:
    """Return path and types. A path may hold a colon: then it ends in one, or in one and types."""
    path, colon, words = text.rpartition(":") if ":" in text else (text, "", "")
    types = tuple(dict.fromkeys(word.strip() for word in words.split("|"))) if words else ()
    if not path.strip():
        raise Misconfigured(f"--field {text}: names no field. Write PATH, PATH:TYPE or PATH:TYPE|TYPE.")
    for word in types:
        if word not in TYPES:
            also = f" If the colon belongs to the path: --field {text}:" if colon else ""
            raise Misconfigured(f"--field {text}: {not_one_of(shown(word), word, TYPES)}.{also}")
    return path, types


def _added(schema: Schema, path: str, types: tuple[str, ...], *, nested: bool) -> Schema:
    known = schema.fields.get(path)
    if known is not None and not {*types} - known.types:
        kinds = ", ".join(sorted(known.types)) or "any type"
        raise Misconfigured(f"{path} is accepted already: {kinds}. To add a type: --field {path}:TYPE")
    return with_field(schema, path, types, nested=nested)


@drift_app.command("propose")
def drift_propose(
    source: SourceName,
    config: ConfigOption = None,
    run_id: Annotated[
        int | None, typer.Option("--run", help="What this run found. [default: the last one]", show_default=False)
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Print the mapping of a source with the new names of fields that were renamed, to be pasted into kasparro.yaml."""
    declared = need_config(config, load_settings())
    known = {one.name: one for one in declared.sources}
    if source not in known:
        raise Misconfigured(f"There is no source {source!r} in the configuration. Declared sources: {', '.join(known)}")

    async def body(database: Database) -> tuple[int, dict[str, str], set[str]]:
        schemas = Schemas(database)
        run = run_id if run_id is not None else await schemas.last(source)
        if run is None:
            raise NotFound(f"No run of {source} has come to its end yet.")
        owner = await schemas.owner(run)
        if owner != source:
            raise Misconfigured(f"Run {run} is one of {owner}, not of {source}.")
        accepted = await schemas.accepted(source)
        paths = set() if accepted is None else {*accepted.schema.fields}
        return run, {old: new for old, new, _ in await schemas.renames(run)}, paths

    run, renames, paths = asked(body)
    if not renames:
        raise NotFound(f"Run {run} of {source} found no renamed field.")
    naming = naming_of(known[source], declared.datasets[known[source].dataset], Redactor(declared.secrets))
    made = propose(naming, renames, {*paths, *renames, *renames.values()})
    if not made.whole:
        raise NotFound(f"Run {run} of {source}: {' '.join(made.notes)}")
    text = proposed_yaml(source, made.whole)
    notes = (
        *made.notes,
        *((f"{MASK} stands for a text from the environment: keep it as it is.",) if MASK in text else ()),
    )
    if as_json:
        facts = {"source": source, "run_id": run, "renames": renames, **made.whole}
        print_json({**facts, "notes": list(notes), "yaml": text})
        return
    print(text, end="")  # noqa: T201 - the result of the command, as it is to be pasted
    for note in notes:
        consoles().errors.print(note, markup=False, soft_wrap=True)
