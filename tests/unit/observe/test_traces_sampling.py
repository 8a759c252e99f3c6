import pytest
from opentelemetry.sdk.trace import TracerProvider

from kasparro.config.variables import VARIABLES
from kasparro.observe.traces_sampling import sampler_of

(NAMES,) = (one.choices for one in VARIABLES if one.name == "OTEL_TRACES_SAMPLER")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_the_configuration_takes_is_a_sampler_of_its_own(name: str) -> None:
    described = sampler_of(name, 0.25).get_description()
    assert ("ParentBased" in described) == name.startswith("parentbased_")
    assert ("0.25" in described) == name.endswith("traceidratio")
    assert ("AlwaysOff" in described.split(",")[0]) == name.endswith("always_off")


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (1.0, 50)])
def test_a_share_of_the_traces_is_kept(share: float, kept: int) -> None:
    provider = TracerProvider(sampler=sampler_of("parentbased_traceidratio", share), shutdown_on_exit=False)
    spans = [provider.get_tracer("test").start_span("run") for _ in range(50)]
    assert sum(one.is_recording() for one in spans) == kept
