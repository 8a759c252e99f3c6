"""Whatever is declared: values of the model, or sentences that name a place and hold no secret. Never another error."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.config import Config, declare_sources
from kasparro.config.shape_schema import schema_of
from kasparro.config.shapes import FieldShape, RuleShape, SourceShape
from kasparro.errors import Misconfigured
from kasparro.sources.kinds import KINDS

SECRET = "sesame-open"

SHAPES = (*KINDS.values(), SourceShape, FieldShape, RuleShape)
NESTED = [inner for shape in SHAPES for inner in schema_of(shape).get("$defs", {}).values()]
KEYS = sorted(
    {
        *(key for schema in (*map(schema_of, SHAPES), *NESTED) for key in schema.get("properties", ())),
        *("fields", "attributes", "title", "nonsense", "a.b"),
    }
)
WORDS = [
    "csv",
    "api",
    "rss",
    "page_number",
    "cursor",
    "bearer",
    "basic",
    "text",
    "integer",
    "json",
    "sales",
    "a.b",
    "x..",
    "(",
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5000),
    st.floats(),
    st.sampled_from([*WORDS, "${S}", "https://x/${S}", "https://x", "${T", "UTC", "Mars"]),
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
keyed = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
source = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(["csv", "api", "rss"]), keyed)


@settings(deadline=None)
@given(
    declared=st.dictionaries(st.text(min_size=1, max_size=6) | st.just("a"), source | values, max_size=2),
    datasets=st.dictionaries(st.sampled_from(["sales", "Bad", "normalized_data"]), values, max_size=2),
)
def test_any_declaration(declared: dict[str, Any], datasets: dict[str, Any]) -> None:
    made: Config | Misconfigured
    try:
        made = declare_sources(declared, datasets, environ={"S": SECRET})
    except Misconfigured as error:
        made = error
    if isinstance(made, Config):
        assert [one.name for one in made.sources] == list(declared)
    else:
        assert SECRET not in f"{made} {made.facts}"
        assert all(fact["problem"] and fact["path"] for fact in made.facts["mistakes"])
