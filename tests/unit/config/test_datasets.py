import math
from collections.abc import Callable

import pytest

from kasparro.config import Config, declare_sources
from kasparro.errors import Misconfigured
from kasparro.model.dataset import SYSTEM_COLUMNS, Dataset, Field

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]


def dataset(field: str) -> str:
    return f"sources: {{}}\ndatasets:\n  sales:\n    fields:\n      {field}\n"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("a: text", Field(name="a")),
        ("_a1: json", Field(name="_a1", type="json")),
        ("a: {}", Field(name="a")),
        ("a: {required: true}", Field(name="a", required=True)),
        ("a: {type: integer, min: -5, max: 5}", Field(name="a", type="integer", min=-5, max=5)),
        ("a: {type: integer, min: '10'}", Field(name="a", type="integer", min=10)),
        ("a: {type: float, min: 0.5, max: 1e3}", Field(name="a", type="float", min=0.5, max=1000.0)),
        (
            "a: {type: numeric, max: 0.12345678901234567891}",
            Field(name="a", type="numeric", max="0.12345678901234567891"),
        ),
        ("a: {type: numeric, max: '1.10'}", Field(name="a", type="numeric", max=1.1)),
        ("a: {type: numeric, max: 1e400}", Field(name="a", type="numeric", max="1e400")),
        ("a: {min_length: 0, max_length: 5}", Field(name="a", min_length=0, max_length=5)),
        ("a: {pattern: '[a-z]{2}'}", Field(name="a", pattern="[a-z]{2}")),
        ("a: {one_of: [x, 'no']}", Field(name="a", one_of=("x", "no"))),
    ],
)
def test_fields(load: Load, line: str, field: Field) -> None:
    assert load(dataset(line)).datasets["sales"] == Dataset(name="sales", fields=(field,))


TYPES = "text, integer, numeric, float, boolean, timestamp, date, json"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a: string", f'fields.a: "string" is not one of {TYPES}; did you mean "text"?'),
        ("a: {type: DateTime}", f'fields.a.type: "DateTime" is not one of {TYPES}; did you mean "timestamp"?'),
        ("a: numerc", f'fields.a: "numerc" is not one of {TYPES}; did you mean "numeric"?'),
        ("a: qqq", f'fields.a: "qqq" is not one of {TYPES}'),
        ("a: [text]", f"fields.a: a list is not one of {TYPES}"),
        ("a: {type: 5}", f"fields.a.type: 5 is not one of {TYPES}"),
        ("a: {requird: true}", 'fields.a.requird: unknown key; did you mean "required"?'),
        ("a: {required: sometimes}", 'fields.a.required: must be true or false, not "sometimes"'),
        ("a: {type: integer, min: 5, max: 4}", "fields.a.min: is more than max"),
        ("a: {type: integer, min: low}", "fields.a.min: must be a finite number"),
        ("a: {type: float, max: .nan}", "fields.a.max: must be a finite number"),
        ("a: {type: float, max: .inf}", "fields.a.max: must be a finite number"),
        ("a: {type: integer, min: true}", None),
        ("a: {min: 5}", "fields.a.min: does not fit the type text; it is for integer, numeric, float"),
        ("a: {type: date, max: 5}", "fields.a.max: does not fit the type date; it is for integer, numeric, float"),
        ("a: {type: integer, max_length: 5}", "fields.a.max_length: does not fit the type integer; it is for text"),
        ("a: {type: json, pattern: x}", "fields.a.pattern: does not fit the type json; it is for text"),
        ("a: {type: date, one_of: [x]}", "fields.a.one_of: does not fit the type date; it is for text"),
        ("a: {min_length: 5, max_length: 4}", "fields.a.min_length: is more than max_length"),
        ("a: {min_length: -1}", "fields.a.min_length: must be at least 0, not -1"),
        ("a: {one_of: []}", "fields.a.one_of: is empty"),
        ("a: {one_of: x}", 'fields.a.one_of: must be a list, not "x"'),
        ("a: {one_of: [1]}", "fields.a.one_of[0]: must be a text, not 1; put it in quotes"),
        ("a: {pattern: '('}", "fields.a.pattern: is not a regular expression that RE2 understands: missing ): ("),
        (
            "a: {pattern: '(?=x)'}",
            "fields.a.pattern: is not a regular expression that RE2 understands: invalid perl operator: (?=",
        ),
        *(
            (f"{column}: text", f"fields.{column}: {column} is a column that every dataset has; choose another name")
            for column in SYSTEM_COLUMNS
        ),
    ],
)
def test_mistakes_of_a_field(mistakes_of: Mistaken, line: str, said: str | None) -> None:
    wrong_bool = "fields.a.min: must be a whole number, a number or a text, not true; put it in quotes"
    (found,) = mistakes_of(dataset(line))
    assert found == f"kasparro.yaml:5: datasets.sales.{wrong_bool if said is None else said}"


RULE = "use lower-case letters, digits and _, not a digit first, 63 characters at most"


@pytest.mark.parametrize(("name", "guess"), [("Total", "total"), ("a b", "a_b"), ("1a", None), ("ä", None), ("", None)])
def test_names_that_no_column_may_have(mistakes_of: Mistaken, name: str, guess: str | None) -> None:
    (found,) = mistakes_of(dataset(f'"{name}": text'))
    suggestion = "" if guess is None else f'; did you mean "{guess}"?'
    assert found.endswith(f'"{name}" cannot be the name of a column; {RULE}{suggestion}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Sales: {fields: {a: text}}", f'Sales: "Sales" cannot be the name of a table; {RULE}; did you mean "sales"?'),
        (
            "normalized_data: {fields: {a: text}}",
            "normalized_data: normalized_data is built in and cannot be declared; choose another name",
        ),
        ("sales:", "sales: has no value; it must be a mapping"),
        ("sales: []", "sales: must be a mapping, not a list"),
        ("sales: {}", 'sales: the key "fields" is missing'),
        ("sales: {field: {a: text}}", 'sales.field: unknown key; did you mean "fields"?'),
        ("sales: {fields: }", "sales.fields: has no value; it must be a mapping"),
        ("sales: {fields: {}}", "sales.fields: is empty"),
        ("sales: {fields: [a, b]}", "sales.fields: must be a mapping, not a list"),
    ],
)
def test_mistakes_of_a_dataset(mistakes_of: Mistaken, text: str, said: str) -> None:
    assert mistakes_of(f"sources: {{}}\ndatasets:\n  {text}\n") == [f"kasparro.yaml:3: datasets.{said}"]


def test_a_dataset_made_in_python_is_checked_too() -> None:
    odd = Field(name="odd", type="integer", min=math.nan, max="x", one_of=["a"])  # type: ignore[arg-type]
    wrong = Field(name="wrong", type="string")  # type: ignore[arg-type]
    given = Dataset(name="x", fields=(Field(name="Bad", pattern="("), Field(name="source"), odd, wrong))
    with pytest.raises(Misconfigured) as caught:
        declare_sources({}, {"x": given, "none": Dataset(name="none", fields=())})
    assert [fact["path"] for fact in caught.value.facts["mistakes"]] == [
        "datasets.x.fields.Bad",
        "datasets.x.fields.Bad.pattern",
        "datasets.x.fields.source",
        "datasets.x.fields.odd.one_of",
        "datasets.x.fields.odd.min",
        "datasets.x.fields.odd.max",
        "datasets.x.fields.wrong.type",
        "datasets.none.fields",
    ]
