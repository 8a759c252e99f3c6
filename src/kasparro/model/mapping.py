"""How a source's raw fields become a dataset's fields."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """Where the value of one field comes from. Exactly one of `paths`, `const` and `sql` is given.

    Attributes:
        paths: Raw paths; the first one that holds a value is taken.
        const: The same text for every record.
        sql: A DuckDB expression over raw fields written as `{path}`, each a text: `upper({symbol})`.
        format: How the text of a timestamp or date is written, in strptime terms: `%d/%m/%Y`.
    """

    paths: tuple[str, ...] = ()
    const: str | None = None
    sql: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Rules by field name. Fields without a rule take the raw field of the same name.

    Attributes:
        rules: By name of the dataset's field.
        attributes: Raw paths collected into `attributes`; None means everything that no rule names.
    """

    rules: MappingOf[str, FieldRule] = field(default_factory=dict)
    attributes: tuple[str, ...] | None = None
