"""The table of what is retried: complete, and without two answers to one question."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime

import httpx2
import pytest

from kasparro.errors import Broken, Denied, Misconfigured, NotFound, RateLimited, Transient, Unreachable
from kasparro.sources.http_errors import refused
from kasparro.sources.http_outcomes import (
    BY_CONTENT,
    BY_EXCEPTION,
    BY_STATUS,
    TRANSIENT,
    Rule,
    rule_of_exception,
    rule_of_status,
    seen_of_host,
)


def test_each_status_has_one_rule() -> None:
    stated = [status for rule in BY_STATUS for status in rule.statuses]
    assert len(stated) == len(set(stated))
    assert {*range(520, 531), 408, 425, 429, 500, 502, 503, 504} == TRANSIENT


@pytest.mark.parametrize("rule", [*BY_STATUS, *BY_EXCEPTION, *BY_CONTENT], ids=lambda rule: rule.met)
def test_what_is_no_failure_of_the_host_and_what_is(rule: Rule) -> None:
    assert rule.host != "failed" or issubclass(rule.error, Transient)
    assert rule.fate == ("retried" if issubclass(rule.error, Transient) else "final")


def connect_error(cause: BaseException) -> httpx2.ConnectError:
    error = httpx2.ConnectError("x")
    error.__cause__ = cause
    return error


CERTIFICATE = ssl.SSLCertVerificationError(1, "no")
CERTIFICATE.verify_message = "self-signed"


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (None, "alive", ""),
        (TimeoutError(), "failed", "no whole answer in time"),
        (httpx2.ConnectTimeout("x"), "failed", "no connection in time"),
        (httpx2.ReadTimeout("x"), "failed", "no byte in time"),
        (connect_error(ConnectionRefusedError(111, "no")), "failed", "the connection was refused"),
        (connect_error(socket.gaierror(-2, "no")), "failed", "the name of the host is unknown to DNS"),
        (connect_error(CERTIFICATE), "answered", "a certificate that is not trusted"),
        (connect_error(OSError(113, "no route")), "failed", "the connection failed"),
        (httpx2.RemoteProtocolError("x"), "failed", "the answer was broken off"),
        (httpx2.ReadError("x"), "failed", "the connection was reset or closed"),
        (httpx2.LocalProtocolError("x"), "unknown", "an address, header or credential that HTTP forbids"),
        (Unreachable("x", status=503), "failed", "503 Service Unavailable"),
        (Unreachable("x", status=529), "failed", "529"),
        (Unreachable("x", status=503, retry_after=0.0), "failed", "503 Service Unavailable"),
        (Unreachable("x", status=503, retry_after=5.0), "answered", ""),
        (Unreachable("x", status=408), "answered", "408 Request Timeout"),
        (RateLimited("x", status=429), "answered", "429 Too Many Requests"),
        (Unreachable("x"), "failed", "a compressed body that was cut short"),
        (Denied("x", status=403), "alive", "403 Forbidden"),
        (NotFound("x", status=404), "alive", "404 Not Found"),
        (Broken("x", status=501), "alive", "501 Not Implemented"),
        (Broken("too large"), "alive", ""),
        (Misconfigured("the disk is full"), "unknown", ""),
        (asyncio.CancelledError(), "unknown", ""),
        (ZeroDivisionError(), "unknown", ""),
    ],
)
def test_what_the_end_of_an_exchange_says_of_its_host(error: BaseException | None, verdict: str, reason: str) -> None:
    assert seen_of_host(error) == (verdict, reason)


def test_no_reason_holds_what_was_asked() -> None:
    """It goes to the database and to other processes, which mask other secrets."""
    secret = "https://api.example/?key=hunter2"
    assert "hunter2" not in seen_of_host(httpx2.ReadError(secret))[1]
    assert "hunter2" not in seen_of_host(Unreachable(secret, status=500))[1]


def test_the_rules_are_those_that_are_told() -> None:
    for status in range(300, 600):
        error = refused(status, {}, b"", place="GET x", redact=str, remedy="look", now=datetime.now(UTC))
        assert type(error) is rule_of_status(status).error
    rule, detail = rule_of_exception(connect_error(CERTIFICATE))
    assert (rule.error, detail) == (Broken, "self-signed")
