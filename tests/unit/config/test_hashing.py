from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from kasparro.config import config_hash
from kasparro.config.hashing import secrets_of
from kasparro.model.mapping import FieldRule
from kasparro.model.mapping import Mapping as FieldMapping
from kasparro.model.redact import Redactor
from kasparro.model.source import Declared


def declared(kinds: Mapping[str, type], key: str = "sesame-1", **more: object) -> Declared:
    given = {"url": "https://x", "headers": {"X-Api-Key": f"{key}-h", "Accept": "a"}, "key": SecretStr(key), **more}
    return Declared(name="a", kind=kinds["web"](**given))


def test_it_is_the_same_in_every_run(kinds: Mapping[str, type]) -> None:
    assert config_hash(declared(kinds)) == "6c98eaf76a681b5b"


def test_it_does_not_depend_on_secrets(kinds: Mapping[str, type]) -> None:
    assert config_hash(declared(kinds)) == config_hash(declared(kinds, key="sesame-2"))
    urls = [declared(kinds, url=f"https://u:{word}@x/?api_key={word}") for word in ("one", "two")]
    assert config_hash(urls[0]) == config_hash(urls[1])
    masked = [config_hash(declared(kinds, url=f"https://x/{word}"), Redactor([word])) for word in ("first", "second")]
    assert masked[0] == masked[1]


def test_it_changes_with_anything_else(kinds: Mapping[str, type]) -> None:
    first = declared(kinds)
    others = [
        first,
        declared(kinds, url="https://y"),
        declared(kinds, wait=2.0),
        declared(kinds, pagination=first.kind.pagination.__class__(size=5)),
        replace(first, name="b"),
        replace(first, timezone="Europe/Berlin"),
        replace(first, mapping=FieldMapping()),
        replace(first, mapping=FieldMapping(attributes=())),
        replace(first, mapping=FieldMapping(rules={"title": FieldRule(paths=("x",))})),
    ]
    assert len({config_hash(other) for other in others}) == len(others)


def test_a_default_that_is_written_out_does_not_count(kinds: Mapping[str, type]) -> None:
    first = declared(kinds)
    assert config_hash(first) == config_hash(declared(kinds, wait=1.0, pagination=first.kind.pagination.__class__()))


def test_secrets_are_found_wherever_they_are(kinds: Mapping[str, type]) -> None:
    kind = declared(kinds, headers={"Authorization": "Bearer abcd", "Accept": "x", "Cookie": " "}).kind
    assert secrets_of({"a": [kind, (SecretStr("deep"), SecretStr(""))]}) == {"sesame-1", "Bearer abcd", "abcd", "deep"}
