"""For all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile("quick")

_UNTRACED = (
    "unit/house/",
    "unit/cases/",
    "unit/examples/",
    "integration/cases/",
    "integration/crash/",
    "integration/api/test_openapi_fuzz",
)
"""Thousands of inputs through the same lines: tracing them doubles their time and covers nothing that others do not."""

_TOGETHER = (
    "integration/crash/",
    "integration/deploy/test_aws",
    "integration/image/",
    "integration/observability/test_prometheus",
    "integration/store/test_embedded",
    "unit/examples/",
)
"""Files whose tests share what is dear to set up: one worker runs all of them."""


@pytest.hookimpl(tryfirst=True)  # xdist looks at the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the coverage what only repeats, keep together what belongs together, and begin with what is long."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).as_posix()
        drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if drawn or place.startswith(_UNTRACED):
            item.add_marker(pytest.mark.no_cover)
        if place.startswith(_TOGETHER):
            item.add_marker(pytest.mark.xdist_group(place))
    items.sort(key=lambda item: 0 if item.get_closest_marker("slow") is not None else 1)
