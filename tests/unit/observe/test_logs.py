import asyncio
import json
import logging
import traceback
from collections.abc import Iterator

import pytest
import structlog

from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs, forwarded_logs


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
def test_no_text_commands_the_terminal(capsys: pytest.CaptureFixture[str], *, production: bool) -> None:
    configure_logs(level="info", production=production, redact=Redactor())
    structlog.get_logger().error("run failed", error="bad \x1b[31mred \x9b2J and\r more")
    said = capsys.readouterr().err
    assert "red" in said
    assert not {"\x1b", "\x9b", "\r"} & set(said)


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


def test_what_a_library_says_goes_through_our_log_and_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", production=True, redact=Redactor(["hunter2"]))
    logger = logging.getLogger("procrastinate.worker")
    with forwarded_logs("procrastinate", to="kasparro.worker"):
        logger.info("job %s begins", 1)
        logger.error("cut off", exc_info=asyncio.CancelledError())
        logger.error("".join(traceback.format_exception(asyncio.CancelledError())))
        logger.error("side task failed with hunter2", exc_info=ValueError("password hunter2"))
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["level"], line["logger"]) == ("error", "procrastinate.worker")
    assert (line["event"], "ValueError: password ****" in line["exception"]) == ("side task failed with ****", True)
