"""Jobs of sources that have a contract: under the lock of their source they learn which schema is accepted."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kasparro.errors import Misconfigured
from kasparro.ingestion.run import Job
from kasparro.model.contract import Agreement, Word
from kasparro.model.dataset import NORMALIZED, Dataset
from kasparro.model.mapping import Mapping
from kasparro.model.profile import FIELDS
from kasparro.model.redact import Redactor
from kasparro.model.source import Declared

if TYPE_CHECKING:
    from kasparro.assembly.jobs import Parts
    from kasparro.ingestion.contract import Keeper
    from kasparro.judge.proposal import Naming
    from kasparro.model.schema import Schema

Made = Callable[["Parts"], Job]


def with_contract(parts: "Parts", made: Made) -> Job:
    """Return the job that is made of these parts; where the source has a contract, it is made again when it begins."""
    job = made(parts)
    if not parts.declared.contract.holds:
        return job

    async def agree() -> Job:
        keeper = await _keeper(parts)
        return job if keeper is None else made(replace(parts, keeper=keeper))

    return replace(job, agree=agree)


def without_freeze(parts: "Parts", word: Word) -> "Parts":
    """Return the parts of a job that reads what is stored: it does not fail by what was taken once."""
    return parts if parts.keeper is None else replace(parts, keeper=parts.keeper.instead_of_freeze(word))


async def _keeper(parts: "Parts") -> "Keeper | None":
    """Return what a run is held to; None before there is an accepted schema."""
    from kasparro.ingestion.contract import Keeper  # noqa: PLC0415 - few sources have a contract
    from kasparro.store.schemas import Schemas  # noqa: PLC0415 - as above
    from kasparro.store.watch import Watch  # noqa: PLC0415 - as above

    declared = parts.declared
    known = await Schemas(parts.database).accepted(declared.name)
    if known is None:
        return None
    _check_size(declared, known.schema)
    agreement = Agreement(
        source=declared.name,
        contract=declared.contract,
        version=known.version,
        accepted={path: one.types for path, one in known.schema.fields.items()},
    )
    naming = naming_of(declared, parts.config.datasets[declared.dataset], parts.source.tools.redact)
    return Keeper(agreement=agreement, schema=known.schema, naming=naming, watch=Watch(parts.database))


def _check_size(declared: Declared, schema: "Schema") -> None:
    if declared.contract.fields != "evolve" and len(schema.fields) >= FIELDS:
        raise Misconfigured(
            f"The accepted schema of {declared.name} has {len(schema.fields)} fields, and {FIELDS} are the most that "
            "are seen of a run: it cannot tell which field is new. Declare schema_contract: {fields: evolve} for it."
        )


def naming_of(declared: Declared, dataset: Dataset, redact: Redactor) -> "Naming":
    """Return where the declaration of a source names raw fields; what is secret in it is masked."""
    from kasparro.judge.proposal import Naming  # noqa: PLC0415 - not before there is something to propose
    from kasparro.shaping.plan import Shape, rest_field  # noqa: PLC0415 - as above

    mapping, kind = declared.mapping, declared.kind
    guessed = mapping is None and dataset.name == NORMALIZED.name
    rest = rest_field(Shape(dataset=dataset, mapping=mapping, well_known=kind.well_known))
    return Naming(
        source=declared.name,
        fields=tuple(field.name for field in dataset.fields if field != rest),
        mapping=None if mapping is None else _masked(mapping, redact),
        guesses=kind.well_known if guessed else {},
        collects=rest is not None and (mapping is None or mapping.attributes is None),
        primary_key=declared.primary_key,
        cursor_field=getattr(kind, "cursor_field", None),
        columns=kind.type == "csv",
    )


def _masked(mapping: Mapping, redact: Redactor) -> Mapping:
    rules = {
        name: replace(
            rule,
            const=None if rule.const is None else redact(rule.const),
            sql=None if rule.sql is None else redact(rule.sql),
        )
        for name, rule in mapping.rules.items()
    }
    return replace(mapping, rules=rules)
