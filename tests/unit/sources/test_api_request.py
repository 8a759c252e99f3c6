from dataclasses import replace

import pytest

from kasparro.errors import Broken
from kasparro.model.redact import Redactor
from kasparro.sources.api_next import Position
from kasparro.sources.api_request import Asked, Varying, as_text, request_for, resolved

ASKED = Asked(
    url="https://h/items?api_key=abcdef&x=1",
    method="GET",
    params={"lang": "en", "tag": ("a", "b")},
    json=None,
    form=None,
    auth_param="token2",
    expect=(404,),
)
NOTHING = Varying(in_query={}, in_body={})
REDACT = Redactor(["top-secret"])


def test_the_first_request() -> None:
    request = request_for(ASKED, Position(), Varying(in_query={"page": 1, "all": True}, in_body={}), REDACT)
    assert request.url == "https://h/items?api_key=abcdef&x=1&lang=en&tag=a&tag=b"
    assert request.params == {"page": "1", "all": "true"}
    assert request.expect == (404,)
    assert "json" in request.headers["Accept"]


def test_a_body_is_copied_and_set() -> None:
    body = {"q": {"kind": "a"}, "list": [{"n": 1}]}
    asked = replace(ASKED, method="POST", json=body)
    varying = Varying(in_query={}, in_body={"q.since": 5, "page.size": 10, "list[0].n": 2})
    request = request_for(asked, Position(), varying, REDACT)
    assert request.json == {"q": {"kind": "a", "since": 5}, "page": {"size": 10}, "list": [{"n": 2}]}
    assert body == {"q": {"kind": "a"}, "list": [{"n": 1}]}
    form = replace(ASKED, method="POST", form={"q": "x"})
    assert request_for(form, Position(), Varying(in_query={}, in_body={"n": 3}), REDACT).form == {"q": "x", "n": "3"}


@pytest.mark.parametrize(
    ("given", "stored", "sent"),
    [
        ("?page=2", "https://h/items?page=2", "https://h/items?page=2&api_key=abcdef"),
        ("?page=2&api_key=abcdef", "https://h/items?page=2", "https://h/items?page=2&api_key=abcdef"),
        ("?page=2&api_key=other", "https://h/items?page=2&api_key=other", "https://h/items?page=2&api_key=other"),
        ("?page_token=t&token2=zz", "https://h/items?page_token=t", "https://h/items?page_token=t&api_key=abcdef"),
        ("?k=top-secret&b=%2f", "https://h/items?b=%2f", "https://h/items?b=%2f&api_key=abcdef"),
        ("https://other/x?k=1", "https://other/x?k=1", "https://other/x?k=1"),
        ("http://h/items?page=2", "https://h/items?page=2", "https://h/items?page=2&api_key=abcdef"),
        ("http://h:8080/items", "http://h:8080/items", "http://h:8080/items"),
    ],
)
def test_addresses_of_the_api(given: str, stored: str, sent: str) -> None:
    position = resolved(ASKED, Position(url=given, scheme="url"), "https://h/items?page=1", REDACT)
    assert position == Position(url=stored, scheme="url")
    assert request_for(ASKED, position, NOTHING, REDACT).url == sent


def test_what_is_no_address() -> None:
    with pytest.raises(Broken, match="not at an address"):
        resolved(ASKED, Position(url="javascript:alert(1)"), "https://h/", REDACT)
    assert resolved(ASKED, Position(params={"a": 1}), "https://h/", REDACT) == Position(params={"a": 1})


def test_as_text() -> None:
    assert [as_text(value) for value in (True, False, 1, 1.5, "x")] == ["true", "false", "1", "1.5", "x"]
