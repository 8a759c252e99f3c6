import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import duckdb
import pytest
from annotated_types import Interval, Len
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FiniteFloat,
    HttpUrl,
    NonNegativeInt,
    PositiveFloat,
    RootModel,
    StrictInt,
    StringConstraints,
    computed_field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic import Field as Key

from kasparro.config import declare_sources
from kasparro.errors import Misconfigured
from kasparro.model.dataset import Field

LARGEST = 1.7976931348623157e308


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Level(IntEnum):
    LOW = 1


class Inner(BaseModel):
    x: int


def fields_of(model: type[BaseModel]) -> tuple[Field, ...]:
    return declare_sources({}, {"d": model}).datasets["d"].fields


def refusals(model: type[BaseModel]) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        declare_sources({}, {"d": model})
    return [f"{fact['path']}: {fact['problem']}" for fact in caught.value.facts["mistakes"]]


def model(annotation: Any, default: Any = ...) -> type[BaseModel]:
    made: type[BaseModel] = create_model("Row", a=(annotation, default))
    return made


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (str, Field(name="a", required=True)),
        (int, Field(name="a", type="integer", required=True)),
        (float, Field(name="a", type="float", required=True)),
        (Decimal, Field(name="a", type="numeric", required=True)),
        (bool, Field(name="a", type="boolean", required=True)),
        (dt.datetime, Field(name="a", type="timestamp", required=True)),
        (AwareDatetime, Field(name="a", type="timestamp", required=True)),
        (dt.date, Field(name="a", type="date", required=True)),
        (dict, Field(name="a", type="json", required=True)),
        (dict[str, Any], Field(name="a", type="json", required=True)),
        (list[int], Field(name="a", type="json", required=True)),
        (Literal["x", "y"], Field(name="a", one_of=("x", "y"), required=True)),
        (Literal["x", None], Field(name="a", one_of=("x",))),  # noqa: PYI061 - users write it
        (State, Field(name="a", one_of=("open", "closed"), required=True)),
        (Optional[int], Field(name="a", type="integer")),  # noqa: UP045 - users write it
        (int | None, Field(name="a", type="integer")),
        (Annotated[int | None, Key(ge=3)], Field(name="a", type="integer", min=3)),
        (Annotated[int, Key(ge=3)] | None, Field(name="a", type="integer", min=3)),
        (Annotated[int, Key(gt=3, lt=9)], Field(name="a", type="integer", min=4, max=8, required=True)),
        (Annotated[int, Key(ge=3), Key(gt=5)], Field(name="a", type="integer", min=6, required=True)),
        (Annotated[float, Interval(ge=0.5, le=1)], Field(name="a", type="float", min=0.5, max=1, required=True)),
        (NonNegativeInt, Field(name="a", type="integer", min=0, required=True)),
        (StrictInt, Field(name="a", type="integer", required=True)),
        (FiniteFloat, Field(name="a", type="float", min=-LARGEST, max=LARGEST, required=True)),
        (Annotated[Decimal, Key(ge=Decimal("0.10"))], Field(name="a", type="numeric", min="0.10", required=True)),
        (Annotated[Decimal, Key(le=Decimal(5))], Field(name="a", type="numeric", max=5, required=True)),
        (Annotated[str, Key(min_length=1, max_length=3)], Field(name="a", min_length=1, max_length=3, required=True)),
        (Annotated[str, Len(2, 4)], Field(name="a", min_length=2, max_length=4, required=True)),
        (Annotated[str, Key(pattern="^[a-z]+$")], Field(name="a", pattern="^[a-z]+$", required=True)),
        (Annotated[str, Key(pattern="[a-z]")], Field(name="a", pattern="(?s:.*)(?:[a-z])(?s:.*)", required=True)),
        (Annotated[str, Key(pattern="^a|b$")], Field(name="a", pattern="(?s:.*)(?:^a|b$)(?s:.*)", required=True)),
        (
            Annotated[str, StringConstraints(pattern=re.compile("^a$"), min_length=1)],
            Field(name="a", pattern="^a$", min_length=1, required=True),
        ),
    ],
)
def test_types_and_constraints(annotation: Any, field: Field) -> None:
    assert fields_of(model(annotation)) == (field,)


def test_a_default_makes_a_field_optional() -> None:
    assert fields_of(model(str, "x")) == (Field(name="a"),)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (bytes, "the type bytes"),
        (UUID, "the type UUID"),
        (HttpUrl, "the type HttpUrl"),
        (dt.time, "the type time"),
        (Inner, "the type Inner"),
        (int | str, "the type int | str"),
        (Any, "the type Any"),
        (Level, "the type Level"),
        (Literal[1, 2], "the type Literal[1, 2]"),
        (set[str], "the type set[str]"),
        (Annotated[int, Key(multiple_of=5)], "MultipleOf"),
        (Annotated[Decimal, Key(max_digits=5)], "max_digits"),
        (PositiveFloat, "gt on a number with decimals (use ge)"),
        (Annotated[Decimal, Key(lt=5)], "lt on a number with decimals (use le)"),
        (Annotated[str, AfterValidator(str.upper)], "AfterValidator"),
        (Annotated[str, StringConstraints(strip_whitespace=True)], "strip_whitespace"),
        (Annotated[str, Key(pattern=re.compile("a", re.IGNORECASE))], "flags of a pattern"),
        (Annotated[str, Key(pattern="a"), StringConstraints(pattern="b")], "a second pattern"),
        (Annotated[list[int], Key(min_length=1)], "MinLen"),
        (Annotated[dt.date, Key(ge=dt.date(2024, 1, 1))], "Ge"),
        (Annotated[str, Key(alias="A")], "an alias (name the raw field in the mapping of the source instead)"),
    ],
)
def test_what_a_dataset_cannot_express_is_refused_by_name(annotation: Any, said: str) -> None:
    assert refusals(model(annotation)) == [f"datasets.d.fields.a: {said} cannot be expressed by a dataset"]


def test_validators_and_settings_are_refused() -> None:
    class Row(BaseModel):
        model_config = ConfigDict(str_strip_whitespace=True)
        a: str

        @field_validator("a")
        @classmethod
        def fits(cls, value: str) -> str:
            return value

        @model_validator(mode="after")
        def agrees(self) -> "Row":
            return self

        @computed_field
        def twice(self) -> str:
            return self.a * 2

    assert refusals(Row) == [
        "datasets.d: the class Row has the validator fits, which a dataset cannot express",
        "datasets.d: the class Row has the validator agrees, which a dataset cannot express",
        "datasets.d: the class Row has the computed field twice, which a dataset cannot express",
        "datasets.d: the class Row has the setting str_strip_whitespace, which a dataset cannot express",
    ]


def test_a_root_model_is_refused() -> None:
    assert (
        "datasets.d: the class RootModel[int] has a root value instead of fields, which a dataset cannot express"
        in (refusals(RootModel[int]))
    )


def test_names_that_no_column_may_have_are_refused() -> None:
    class Row(BaseModel):
        Total: int
        source: str

    assert [line.partition(":")[0] for line in refusals(Row)] == ["datasets.d.fields.Total", "datasets.d.fields.source"]


def test_a_class_that_names_an_unknown_type_is_refused() -> None:
    class Row(BaseModel):
        a: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    assert refusals(Row) == ["datasets.d: the class Row names a type that is not defined: Nowhere"]


def test_a_pattern_matches_as_in_pydantic(check: Callable[[str, str], bool]) -> None:
    for pattern in ("b", "^a", "c$", "^abc$", "^a|c$", r"\$", "^x"):
        row = model(Annotated[str, Key(pattern=pattern)])
        (field,) = fields_of(row)
        assert field.pattern is not None
        for text in ("abc", "a", "c", "a$", "x\nb"):
            try:
                row(a=text)
                fits = True
            except ValueError:
                fits = False
            assert check(field.pattern, text) is fits, (pattern, text)


@pytest.fixture
def check() -> Callable[[str, str], bool]:
    """Return how the shaper matches a text."""

    def matches(pattern: str, text: str) -> bool:
        (found,) = duckdb.execute("SELECT regexp_full_match(?, ?)", [text, pattern]).fetchone() or (None,)
        return bool(found)

    return matches


def test_an_enum_with_texts_of_another_kind() -> None:
    class Old(str, Enum):  # noqa: UP042 - users have them
        A = "a"

    assert fields_of(model(Old)) == (Field(name="a", one_of=("a",), required=True),)
