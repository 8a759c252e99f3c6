from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kasparro.model.redact import Redactor
from kasparro.sources.auth import Auth, credentials, remedy, secret_texts

ADAPTER: TypeAdapter[Any] = TypeAdapter(Auth)


@pytest.mark.parametrize(
    ("declared", "headers", "params", "check"),
    [
        ({"type": "bearer", "token": "abc"}, {"Authorization": "Bearer abc"}, {}, "auth.token"),
        ({"type": "api_key", "name": "X-Key", "value": "abc"}, {"X-Key": "abc"}, {}, "auth.value"),
        ({"type": "api_key", "name": "key", "value": "abc", "in": "query"}, {}, {"key": "abc"}, "auth.value"),
        (
            {"type": "basic", "username": "Aladdin", "password": "open sesame"},
            {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
            {},
            "auth.password",
        ),
        ({"type": "basic", "username": "sk"}, {"Authorization": "Basic c2s6"}, {}, "auth.password"),
    ],
)
def test_credentials(declared: Any, headers: dict[str, str], params: dict[str, str], check: str) -> None:
    auth = ADAPTER.validate_python(declared)
    assert credentials(auth) == (headers, params)
    assert check in remedy(auth)
    assert "abc" not in repr(auth)
    assert "sesame" not in repr(auth)


def test_none() -> None:
    assert credentials(None) == ({}, {})
    assert remedy(None) == "set `auth`"
    assert secret_texts(None, {"Accept": "text/plain"}) == frozenset()


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "bearer"},
        {"type": "bearer", "token": ""},
        {"type": "bearer", "token": " \n"},
        {"type": "bearer", "token": "hidden\nline"},
        {"type": "api_key", "name": "has space", "value": "hidden"},
        {"type": "api_key", "name": "k", "value": "hidden", "in": "body"},
        {"type": "api_key", "name": "k", "value": "hidden", "where": "query"},
        {"type": "basic", "username": "a:b", "password": "hidden"},
        {"type": "digest", "token": "hidden"},
        {"token": "hidden"},
    ],
)
def test_refused(declared: Any) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(declared)


def test_an_unsound_secret_is_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"type": "bearer", "token": "hidden\nline"})
    assert "hidden" not in caught.value.errors(include_input=False)[0]["msg"]


def test_every_form_in_which_a_server_may_echo_a_secret_is_masked() -> None:
    auth = ADAPTER.validate_python({"type": "basic", "username": "u", "password": 'p/q"<&é'})
    redact = Redactor(secret_texts(auth, {"X-Api-Key": "Token header-secret", "Accept": "application/json"}))
    for said in ('p/q"<&é', 'p\\/q"<&é', 'p/q\\"<&\\u00e9', "p/q&quot;&lt;&amp;é", "dTpwL3EiPCbDqQ==", "header-secret"):
        assert redact(f"got {said}!") == "got ****!", said
    assert redact("application/json") == "application/json"
