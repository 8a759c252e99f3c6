import json
from collections.abc import Iterator

import pytest
import structlog

from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_lines_without_secrets_in_production(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", production=True, redact=Redactor(["hunter2"]))
    log = structlog.get_logger("x")
    log.debug("not shown")
    log.info("logged in", password="hunter2", count=3)
    try:
        int("about hunter2")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["password"], first["count"], first["level"]) == ("logged in", "****", 3, "info")
    assert "about ****'" in second["exception"]


def test_readable_lines_in_development(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", production=False, redact=Redactor())
    structlog.get_logger("x").warning("slow", seconds=2)
    assert "slow" in capsys.readouterr().err


@pytest.mark.parametrize("production", [True, False])
def test_a_traceback_is_masked_and_shows_no_variables(capsys: pytest.CaptureFixture[str], *, production: bool) -> None:
    configure_logs(level="info", production=production, redact=Redactor(["hunter2"]))
    local = str(123456 * 7)
    try:
        int(f"{local[:0]}hunter2")
    except ValueError:
        structlog.get_logger().exception("unforeseen")
    said = capsys.readouterr().err
    assert "ValueError: invalid literal for int() with base 10: '****'" in said
    assert local not in said
