from collections.abc import Callable

import pytest

from kasparro.config import Config
from kasparro.model.mapping import FieldRule

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]

TEXT = """sources:
  a:
    type: table
    path: x
    dataset: sales
    mapping:
      {line}
datasets:
  sales:
    fields: {{name: text, amount: numeric, day: date, attributes: json, rest: json}}
"""


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("name: a.b[0]", FieldRule(paths=("a.b[0]",))),
        ("name: Total (USD)", FieldRule(paths=("Total (USD)",))),
        ("name: '\"a.b\"'", FieldRule(paths=('"a.b"',))),
        ("name: [a, b]", FieldRule(paths=("a", "b"))),
        ("name: {path: a}", FieldRule(paths=("a",))),
        ("name: {path: [a, b]}", FieldRule(paths=("a", "b"))),
        ("day: {path: a, format: '%d.%m.%Y'}", FieldRule(paths=("a",), format="%d.%m.%Y")),
        ("name: {const: 007}", FieldRule(const="007")),
        ("name: {const: 1.10}", FieldRule(const="1.10")),
        ("name: {const: True}", FieldRule(const="true")),
        ("name: {const: ''}", FieldRule(const="")),
        ("name: {const: 2024-01-31}", FieldRule(const="2024-01-31")),
        ("name: {sql: 'upper({a.b}) || {c}'}", FieldRule(sql="upper({a.b}) || {c}")),
        ("name: {sql: 'nonsense({a})'}", FieldRule(sql="nonsense({a})")),
    ],
)
def test_rules(load: Load, line: str, rule: FieldRule) -> None:
    mapping = load(TEXT.format(line=line)).sources[0].mapping
    assert mapping is not None
    assert list(mapping.rules.values()) == [rule]
    assert mapping.attributes is None


@pytest.mark.parametrize(("line", "paths"), [("[]", ()), ("[a]", ("a",)), ("[a, b.c]", ("a", "b.c"))])
def test_attributes(load: Load, line: str, paths: tuple[str, ...]) -> None:
    mapping = load(TEXT.format(line=f"attributes: {line}")).sources[0].mapping
    assert mapping is not None
    assert (mapping.attributes, mapping.rules) == (paths, {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nam: a", 'nam: the dataset sales has no field "nam"; did you mean "name"?'),
        ("name: []", "name: is empty; name at least one raw path, or leave it out"),
        ("name: ''", "name: is empty; name a raw path"),
        ("name:", "name: has no value; it must be a text, a list or a mapping"),
        ("name: 5", "name: must be a text, a list or a mapping, not 5; put it in quotes"),
        ("name: [a, 5]", "name[1]: must be a text, not 5; put it in quotes"),
        ("name: {path: [a, 5]}", "name.path[1]: must be a text, not 5; put it in quotes"),
        ("name: [a, a]", 'name[1]: names "a" twice'),
        ("name: {pth: a}", 'name.pth: unknown key; did you mean "path"?'),
        ("name: {}", "name: takes exactly one of path, const and sql, and none is given"),
        ("name: {const: }", "name: takes exactly one of path, const and sql, and none is given"),
        ("name: {path: a, sql: b}", "name: takes exactly one of path, const and sql, not path and sql"),
        ("name: {const: [a]}", "name.const: must be a text, a whole number, a number or true or false, not a list"),
        ("name: {path: a, format: '%Y'}", "name.format: is for timestamps and dates; name is text"),
        ("day: {const: a, format: '%Y'}", "day.format: tells how the text at a path is written, so it goes with path"),
        ("name: {sql: 'upper('}", 'name.sql: is not an SQL expression: syntax error at or near ")"'),
        (
            "name: {sql: '1); DROP TABLE x; SELECT (2'}",
            "name.sql: is not an SQL expression: one expression is allowed, without ;",
        ),
        ("name: {sql: ''}", "name.sql: is empty; write an SQL expression"),
        ("name: {sql: 'upper({})'}", "name.sql: has a path that is none: is empty; name a raw path"),
        ("attributes: a", "attributes: must be a list of raw paths"),
        ("attributes: {path: a}", "attributes: must be a list of raw paths"),
        ("attributes: [a, a]", 'attributes[1]: names "a" twice'),
    ],
)
def test_mistakes(mistakes_of: Mistaken, line: str, said: str) -> None:
    assert mistakes_of(TEXT.format(line=line)) == [f"kasparro.yaml:7: sources.a.mapping.{said}"]


def test_a_path_that_cannot_be_read_tells_how_to_write_it(mistakes_of: Mistaken) -> None:
    (found,) = mistakes_of(TEXT.format(line="name: a..b"))
    assert found == (
        "kasparro.yaml:7: sources.a.mapping.name: is not a path: 'a..b' cannot be read at character 3; "
        "put a key that has dots, brackets or quotes in double quotes"
    )


def test_attributes_need_a_field_of_type_json(mistakes_of: Mistaken) -> None:
    text = TEXT.format(line="attributes: [a]").replace("attributes: json", "attributes: text")
    (found,) = mistakes_of(text)
    assert found == (
        "kasparro.yaml:7: sources.a.mapping.attributes: collects several values, "
        "so the type of the field must be json, not text"
    )


def test_attributes_need_a_field(mistakes_of: Mistaken) -> None:
    text = TEXT.format(line="attributes: [a]").replace("attributes: json, ", "")
    assert mistakes_of(text) == [
        'kasparro.yaml:7: sources.a.mapping.attributes: the dataset sales has no field "attributes"'
    ]


def test_a_mistaken_dataset_makes_no_further_mistakes(mistakes_of: Mistaken) -> None:
    text = TEXT.format(line="name: a\n      amount: b").replace("amount: numeric", "amount: 5")
    (found,) = mistakes_of(text)
    assert found == (
        "kasparro.yaml:11: datasets.sales.fields.amount: 5 is not one of text, integer, numeric, float, boolean, "
        "timestamp, date, json"
    )
