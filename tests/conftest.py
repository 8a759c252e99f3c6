"""For all tests."""

import gc
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

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
    "integration/judge/",
    "integration/schedules/test_whole_years",
)
"""Thousands of inputs through the same lines: tracing them doubles their time and covers nothing that others do not."""

_TOGETHER = (
    "integration/api/test_history_plans",
    "integration/api/test_plans",
    "integration/api/test_runs",
    "integration/crash/",
    "integration/deploy/test_aws",
    "integration/image/",
    "integration/observability/test_prometheus",
    "integration/release/",
    "integration/store/test_embedded",
    "unit/",
)
"""Files whose tests share what is dear to set up, or are thousands that take no time: one worker runs all of a file. To
hand out tests one by one costs xdist more the more there are, in sum more than most of `unit/` itself."""


class Together(LoadGroupScheduling):
    """Hands out tests one by one, and those files whole.

    xdist 3.8 would tell groups by a mark, which it cannot write into the node ids of pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.removeprefix("tests/").startswith(_TOGETHER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    """Keep together what belongs together, and in the order in which it was collected."""
    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the coverage what only repeats, and begin with what is long."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).as_posix()
        drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if drawn or place.startswith(_UNTRACED):
            item.add_marker(pytest.mark.no_cover)
    items.sort(key=lambda item: 0 if item.get_closest_marker("slow") is not None else 1)


def pytest_collection_finish() -> None:
    """Leave thousands of tests and all that they import out of every later search for garbage."""
    gc.collect()
    gc.freeze()
