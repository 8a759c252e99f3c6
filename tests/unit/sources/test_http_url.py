import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Misconfigured
from kasparro.sources.http_url import Origin, joined, origin, query, userinfo, with_params, without_params


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Example.COM/x", Origin("http", "example.com", 80)),
        ("https://example.com", Origin("https", "example.com", 443)),
        ("https://example.com:443/", Origin("https", "example.com", 443)),
        ("http://example.com:443/", Origin("http", "example.com", 443)),
        ("http://user:pw@[::1]:8000/x", Origin("http", "::1", 8000)),
        ("https://bücher.example/", Origin("https", "xn--bcher-kva.example", 443)),
        ("http://127.0.0.1:45678/x?y=1", Origin("http", "127.0.0.1", 45678)),
        ("http://h:65535/", Origin("http", "h", 65535)),
    ],
)
def test_origin(url: str, expected: Origin) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize("url", ["", "x", "ftp://x/", "http://", "http:///x", "http://[", "http://a:99999/", "//x/y"])
def test_no_origin(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        origin(url)
    assert "https://host/path" in caught.value.message


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("?page=2", "http://h:8/a/b?page=2"),
        ("/c", "http://h:8/c"),
        ("c?x", "http://h:8/a/c?x"),
        ("//g/c", "http://g/c"),
        (" http://g/c#part ", "http://g/c"),
        ("../x%2Fy?q=a%20b+c", "http://h:8/x%2Fy?q=a%20b+c"),
        ("", "http://h:8/a/b?page=1"),
    ],
)
def test_joined(target: str, expected: str) -> None:
    assert joined("http://h:8/a/b?page=1", target) == expected


@pytest.mark.parametrize(
    "target", ["ftp://x/", "javascript:1", "http://", "http://[", "mailto:a@b", "data:,x", "http://h:99999/"]
)
def test_not_joined(target: str) -> None:
    with pytest.raises(ValueError, match=r"address|URL"):
        joined("http://h/", target)


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("http://h/x?b&a=%2F&a=+", {}, "http://h/x?b&a=%2F&a=+"),
        ("http://h/x?b&a=%2F&a=+&c=", {"d": "1"}, "http://h/x?b&a=%2F&a=+&c=&d=1"),
        ("http://h/x?a=1&b=2&a=3", {"a": "9"}, "http://h/x?b=2&a=9"),
        ("http://h/x?%61=1#f", {"a": "é &="}, "http://h/x?a=%C3%A9%20%26%3D"),
        ("http://h/x", {"a": ["1", "2"]}, "http://h/x?a=1&a=2"),
        ("http://h/x?$top=5", {"$top": "6"}, "http://h/x?$top=6"),
        ("http://h", {"t": "\ud800"}, "http://h?t=%3F"),
    ],
)
def test_with_params(url: str, params: dict[str, str | list[str]], expected: str) -> None:
    assert with_params(url, params) == expected


@given(st.dictionaries(st.text(min_size=1).filter(lambda one: one.isprintable()), st.text(), max_size=4))
def test_params_arrive_as_they_were_set(params: dict[str, str]) -> None:
    url = with_params("http://h/x?keep=%2f&a&b=1", dict(params))
    assert ("keep" in params) or ("keep=%2f" in url)
    assert {name: value for name, value in query(url) if name in params} == params


def test_without_params() -> None:
    assert without_params("http://h/x?a=1&b=%2f&a=2", {"a"}) == "http://h/x?b=%2f"
    assert without_params("http://h/x?a=1", {"a"}) == "http://h/x"
    assert without_params("http://h/x?a=1", set()) == "http://h/x?a=1"


@pytest.mark.parametrize(
    ("url", "plain", "pair"),
    [
        ("http://h/x@y", "http://h/x@y", None),
        ("http://u:p%40+w@h:1/x", "http://h:1/x", ("u", "p@+w")),
        ("http://u@h/", "http://h/", ("u", "")),
    ],
)
def test_userinfo(url: str, plain: str, pair: tuple[str, str] | None) -> None:
    assert userinfo(url) == (plain, pair)
