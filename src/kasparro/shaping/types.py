"""What a text must look like to become a value of a type, and what a value must satisfy: one SQL expression each.

Nothing is rounded, cut or nulled: a text that is not wholly a value of the type gives NULL here, which makes the record
a reject. Only a text that is empty or blank counts as no value, except for the type text itself.
"""

from dataclasses import dataclass

from kasparro.model.dataset import Field
from kasparro.shaping import literal

_NUMBER = r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*"
_DECIMAL = r"-?[0-9]{1,17}(\.[0-9]{1,17})?"
_WHOLE = r"\s*[+-]?[0-9]+(\.0*)?\s*"
_DAY = r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T]00:00(:00(\.0*)?)?(Z|[+-]00:?00)?)?\s*"

_ISO = "substr({text}, 5, 1) = '-' AND substr({text}, 8, 1) = '-' AND strlen({text}) >= 10"
"""A text that DuckDB has read as an instant and that has this form is ISO 8601."""

_LONGEST_NUMBER = 1000
"""Characters of a numeric. PostgreSQL holds more digits than anyone writes, but not any number of them."""

_MAIL_DATES = ("%a, %d %b %Y %H:%M:%S", "%d %b %Y %H:%M:%S")
"""RFC 2822 without its zone, which is cut off first and added as an offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One way not to fit: a condition that holds when the value is wrong, with its code and sentence."""

    condition: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """A cheap way to a value that works where the text is written plainly.

    Attributes:
        value: SQL of the same value.
        fits: Condition, never NULL, that holds where it does.
    """

    value: str
    fits: str


def quick_sql(field: Field, text: str) -> Quick | None:
    """Return the quick way to the value of a field; None where there is none.

    A text that comes back unchanged from its type is written as PostgreSQL writes it, and goes there as it is.
    """
    if field.min is not None or field.max is not None:
        return None
    if field.type in {"integer", "date"}:
        kind = "BIGINT" if field.type == "integer" else "DATE"
        return Quick(value=text, fits=f"coalesce(TRY_CAST({text} AS {kind})::VARCHAR = {text}, {text} IS NULL)")
    if field.type in {"numeric", "float"}:
        whole = f"TRY_CAST({text} AS BIGINT)::VARCHAR = {text}"
        decimal = f"regexp_full_match({text}, {literal.text(_DECIMAL)})"
        return Quick(value=text, fits=f"CASE WHEN {text} IS NULL OR {whole} THEN true ELSE {decimal} END")
    if field.type == "timestamp":
        instant = f"TRY_CAST({text} AS TIMESTAMPTZ)"
        plain = f"coalesce({instant} >= TIMESTAMPTZ '0001-01-01 00:00:00+00' AND {_ISO}, {text} IS NULL)"
        return Quick(value=instant, fits=plain.format(text=text))
    return None


def value_sql(  # noqa: PLR0911 - one way out for each type
    field: Field, text: str, *, timezone: str, pattern: str | None = None, parse_json: bool = False
) -> str:
    """Return the value of a field as SQL; NULL when the text is not one.

    Args:
        field: Its type decides.
        text: SQL of the text, not blank.
        timezone: Zone of timestamps that name none.
        pattern: strptime format of a timestamp or date, where one is declared.
        parse_json: The text of a JSON value is not known to be JSON yet.
    """
    match field.type:
        case "text":
            return text
        case "json":
            return f"strict_json({text})" if parse_json else text
        case "integer":
            fast = f"TRY_CAST({text} AS BIGINT)"
            slow = f"TRY_CAST(regexp_extract({text}, '[+-]?[0-9]+') AS BIGINT)"
            whole = f"regexp_full_match({text}, {literal.text(_WHOLE)})"
            return f"CASE WHEN {fast}::VARCHAR = {text} THEN {fast} WHEN {whole} THEN {slow} END"
        case "numeric":
            number = f"regexp_full_match({text}, {literal.text(_NUMBER)})"
            short = f"length({text}) <= {_LONGEST_NUMBER}"
            plain = f"TRY_CAST({text} AS BIGINT)::VARCHAR = {text}"
            return f"CASE WHEN {short} AND ({plain} OR {number}) THEN trim({text}) END"
        case "float":
            number = f"regexp_full_match({text}, {literal.text(_NUMBER)})"
            return f"CASE WHEN {number} AND isfinite(TRY_CAST({text} AS DOUBLE)) THEN trim({text}) END"
        case "boolean":
            word = f"lower(trim({text}))"
            return (
                f"CASE WHEN {word} IN ('true', 't', 'yes', 'y', '1', 'on') THEN true "
                f"WHEN {word} IN ('false', 'f', 'no', 'n', '0', 'off') THEN false END"
            )
        case "timestamp":
            return _instant(text) if pattern is None else _formatted(text, pattern, timezone)
        case "date":
            if pattern is not None:
                return f"CAST(try_strptime({text}, {literal.text(pattern)}) AS DATE)"
            day = f"regexp_extract({text}, '[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}')"
            return f"CASE WHEN regexp_full_match({text}, {literal.text(_DAY)}) THEN TRY_CAST({day} AS DATE) END"


def _instant(text: str) -> str:
    """ISO 8601, RFC 2822, or an epoch number whose magnitude tells seconds, milli-, micro- or nanoseconds.

    A wall time without a zone is read in the zone of the DuckDB session, which the shaper sets.
    """
    bare = f"trim({text})"
    epoch = f"TRY_CAST({bare} AS DECIMAL(38, 9))"
    micros = (
        f"CASE WHEN abs({epoch}) < 1e11 THEN {epoch} * 1000000 WHEN abs({epoch}) < 1e14 THEN {epoch} * 1000 "
        f"WHEN abs({epoch}) < 1e17 THEN {epoch} ELSE {epoch} / 1000 END"
    )
    mail = literal.texts([literal.text(one) for one in _MAIL_DATES])
    offset = f"regexp_extract({bare}, '([+-][0-9]{{4}}|GMT|UTC|UT|Z)$', 1)"
    minutes = (
        f"CASE WHEN left({offset}, 1) IN ('+', '-') THEN (CASE left({offset}, 1) WHEN '-' THEN -1 ELSE 1 END) "
        f"* (TRY_CAST(substr({offset}, 2, 2) AS INT) * 60 + TRY_CAST(substr({offset}, 4, 2) AS INT)) "
        f"WHEN {offset} <> '' THEN 0 END"
    )
    wall = f"try_strptime(trim(regexp_replace({bare}, '([+-][0-9]{{4}}|GMT|UTC|UT|Z)$', '')), {mail})"
    instant = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    iso = f"regexp_matches({text}, '^\\s*[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}')"
    return (
        f"CASE WHEN {iso} THEN CASE WHEN year({instant}) >= 1 THEN {instant} END "
        f"WHEN regexp_full_match({bare}, '-?[0-9]{{9,19}}(\\.[0-9]+)?') "
        f"THEN make_timestamptz(CAST(trunc({micros}) AS BIGINT)) "
        f"WHEN regexp_matches({bare}, '^([A-Za-z]{{3}}, )?[0-9]{{1,2}} [A-Za-z]{{3}} [0-9]{{4}} ') "
        f"THEN timezone('UTC', {wall} - to_minutes(CAST({minutes} AS BIGINT))) END"
    )


def _formatted(text: str, pattern: str, timezone: str) -> str:
    parsed = f"try_strptime({text}, {literal.text(pattern)})"
    return parsed if "%z" in pattern else f"timezone({literal.text(timezone)}, {parsed})"


NOT_A_VALUE = {
    "text": "",
    "integer": "is not a whole number within 64 bits",
    "numeric": "is not a number",
    "float": "is not a finite number",
    "boolean": "is not true or false",
    "timestamp": "is not a date and time (ISO 8601, RFC 2822 or epoch; state `format` for others)",
    "date": "is not a date (YYYY-MM-DD; state `format` for others)",
    "json": "is not valid JSON",
}


def checks(field: Field, text: str, value: str) -> tuple[Check, ...]:
    """Return the ways in which a field may not fit, in the order in which they are looked at."""
    absent = f"{text} IS NULL" if field.type == "text" else f"({text} IS NULL OR trim({text}) = '')"
    found: list[Check] = []
    if field.required:
        found.append(Check(condition=absent, code="required", reason="is required, and there is no value"))
    if field.type != "text":
        wrong = f"NOT {absent} AND {value} IS NULL"
        found.append(Check(condition=wrong, code=f"not_{field.type}", reason=NOT_A_VALUE[field.type]))
    return (*found, *_bounds(field, value), *_texts(field, text))


def _bounds(field: Field, value: str) -> list[Check]:
    comparable = {"numeric": f"CAST({value} AS DOUBLE)", "float": f"CAST({value} AS DOUBLE)"}.get(field.type, value)
    found: list[Check] = []
    if field.min is not None:
        low = f"{comparable} < {_bound(field, field.min)}"
        found.append(Check(condition=low, code="too_small", reason=f"is below the minimum {field.min}"))
    if field.max is not None:
        high = f"{comparable} > {_bound(field, field.max)}"
        found.append(Check(condition=high, code="too_large", reason=f"is above the maximum {field.max}"))
    return found


def _bound(field: Field, bound: float | str) -> str:
    kinds = {"timestamp": "TIMESTAMPTZ", "date": "DATE", "integer": "DECIMAL(38, 9)"}
    return f"CAST({literal.text(str(bound))} AS {kinds.get(field.type, 'DOUBLE')})"


def _texts(field: Field, text: str) -> list[Check]:
    found: list[Check] = []
    if field.min_length is not None:
        short = f"length({text}) < {field.min_length}"
        found.append(Check(condition=short, code="too_short", reason=f"has fewer than {field.min_length} characters"))
    if field.max_length is not None:
        long = f"length({text}) > {field.max_length}"
        found.append(Check(condition=long, code="too_long", reason=f"has more than {field.max_length} characters"))
    if field.pattern is not None:
        odd = f"NOT regexp_full_match({text}, {literal.text(field.pattern)})"
        found.append(Check(condition=odd, code="pattern", reason=f"does not match the pattern {field.pattern}"))
    if field.one_of:
        other = f"{text} NOT IN ({', '.join(literal.text(one) for one in field.one_of)})"
        found.append(Check(condition=other, code="one_of", reason=f"is none of {', '.join(field.one_of)}"))
    return found
