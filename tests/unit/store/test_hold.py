"""What is kept with rows that wait is read as it was written; and each lane has a table of its own."""

from decimal import Decimal

import orjson
import pytest

from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.model.limit import Limit
from kasparro.model.removal import Removal
from kasparro.store.lanes import Terms, lane_table

SALES = Dataset(name="sales", fields=(Field(name="id", type="integer"), Field(name="note", type="json")))


@pytest.mark.parametrize(
    "terms",
    [
        Terms(dataset=NORMALIZED, shape="x", primary_key=()),
        Terms(dataset=SALES, shape="y", primary_key=("a", "b.c"), append=True, complete=False, who="me@here"),
        Terms(
            dataset=SALES,
            shape="z",
            primary_key=("id",),
            removal=Removal(deletions="hard", limit=Limit(count=10), accepted=True),
        ),
        Terms(dataset=SALES, shape="z", primary_key=("id",), removal=Removal(limit=Limit(share=Decimal("0.025")))),
    ],
)
def test_terms_are_read_as_they_were_written(terms: Terms) -> None:
    assert Terms.from_json(orjson.loads(terms.to_json()), terms.shape) == terms


def test_each_lane_of_each_source_has_a_table() -> None:
    tables = {lane_table(lane, source) for lane in ("hold", "refresh", "replay") for source in ("a", "b", 'a"; DROP')}
    assert len(tables) == 9
    assert all(len(table) == len('refresh.""') + 32 for table in tables)
