import pytest

from kasparro.errors import Broken
from kasparro.sources.http_redirect import Hop, followed
from kasparro.sources.tools import Request

NONE: frozenset[str] = frozenset()


def hop(method: str = "GET", **more: object) -> Hop:
    return Hop(url="https://a.example/x?q=1", request=Request(url="https://a.example/x", method=method, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("GET", 301, "GET"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("PUT", 301, "PUT"),
        ("HEAD", 303, "HEAD"),
        ("POST", 307, "POST"),
        ("post", 308, "post"),
    ],
)
def test_methods(method: str, status: int, then: str) -> None:
    found = followed(hop(method, json={"a": 1}), status, "/y", place="here", secrets=NONE)
    assert found.url == "https://a.example/y"
    assert found.request.method == then
    assert (found.request.json is None) is (then != method)


@pytest.mark.parametrize(
    ("location", "same"),
    [
        ("https://a.example:443/y", True),
        ("https://A.EXAMPLE/y", True),
        ("http://a.example/y", False),
        ("https://a.example:8443/y", False),
        ("https://b.example/y", False),
        ("//a.example.evil/y", False),
        ("https://a.example@evil.example/y", False),
    ],
)
def test_only_harmless_headers_leave_the_origin(location: str, same: bool) -> None:  # noqa: FBT001
    headers = {"Accept": "application/json", "X-Anything": "1", "Cookie": "c"}
    found = followed(hop(headers=headers), 302, location, place="here", secrets=NONE)
    assert found.request.headers == (headers if same else {"Accept": "application/json"})
    assert "@" not in found.url


def test_known_secrets_are_taken_out_of_the_address() -> None:
    location = "https://b.example/y?a=1&token=s%2Fcret&b=2"
    found = followed(hop(), 302, location, place="here", secrets=frozenset({"s/cret"}))
    assert found.url == "https://b.example/y?a=1&b=2"


def test_a_body_stays() -> None:
    with pytest.raises(Broken, match="set `url` to the new address"):
        followed(hop("POST", form={"a": "1"}), 307, "https://b.example/", place="here", secrets=NONE)
    assert (
        followed(hop("POST", form={"a": "1"}), 302, "https://b.example/", place="here", secrets=NONE).request.form
        is None
    )


@pytest.mark.parametrize("location", [None, "", "  ", "file:///etc/passwd", "http://["])
def test_nowhere(location: str | None) -> None:
    with pytest.raises(Broken, match="here answered 302"):
        followed(hop(), 302, location, place="here", secrets=NONE)
