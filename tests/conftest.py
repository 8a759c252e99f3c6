"""For all tests."""

from pathlib import Path

import pytest

_UNTRACED = (
    "unit/house/",
    "unit/cases/",
    "unit/examples/",
    "integration/cases/",
    "integration/crash/",
    "integration/api/test_openapi_fuzz",
)
"""Thousands of inputs through the same lines: tracing them doubles their time and covers nothing that others do not."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the coverage what only repeats; so the figure is what the plain tests cover."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).as_posix()
        drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if drawn or place.startswith(_UNTRACED):
            item.add_marker(pytest.mark.no_cover)
