"""Keys of a class are read off it as its JSON schema has them."""

import pytest

from kasparro.config.shape_schema import keys_of, names_of, schema_of
from kasparro.config.shapes import ContractShape, DatasetShape, ScheduleShape, SourceShape
from kasparro.notify.channels import Email, Slack, Webhook
from kasparro.sources.auth import ApiKey, Basic, Bearer
from kasparro.sources.kinds import KINDS

SHAPES = (
    *KINDS.values(),
    SourceShape,
    DatasetShape,
    ContractShape,
    ScheduleShape,
    ApiKey,
    Basic,
    Bearer,
    Email,
    Slack,
    Webhook,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_names_are_those_of_the_schema(shape: type) -> None:
    assert sorted(names_of(shape)) == sorted(keys_of(schema_of(shape)))
