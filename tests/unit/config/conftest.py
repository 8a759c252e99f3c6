"""Small kinds of sources, so that these tests hold whatever the real ones look like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field, SecretStr

from kasparro.config import Config, load_config
from kasparro.errors import Misconfigured

STRICT = ConfigDict(extra="forbid")

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["page_number"] = "page_number"
    size: Annotated[int, Field(ge=1, le=1000)] = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["cursor"] = "cursor"
    cursor: str
    place: Annotated[Literal["query", "body"], Field(alias="in")] = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["bearer"] = "bearer"
    token: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["basic"] = "basic"
    password: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Records of a web service."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["web"] = "web"
    url: Annotated[str, Field(description="Where it is.")]
    headers: Mapping[str, str] = field(default_factory=dict)
    pagination: Annotated[PageNumber | Cursor, Field(discriminator="type")] = field(default_factory=PageNumber)
    auth: Annotated[Bearer | Basic, Field(discriminator="type")] | None = None
    key: SecretStr | None = None
    wait: Annotated[float, Field(gt=0)] = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith("http"):
            raise ValueError("url must begin with http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Records of a table file."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    type: Literal["table"] = "table"
    path: str | tuple[str, ...]
    header: bool = True


@pytest.fixture
def kinds() -> Mapping[str, type]:
    return MappingProxyType({"web": Web, "table": Table})


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: Mapping[str, type]) -> Load:
    """Return a function that loads the text of a configuration file called `kasparro.yaml`."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str, environ: Mapping[str, str] = MappingProxyType({})) -> Config:
        Path("kasparro.yaml").write_text(text, "utf-8")
        return load_config(Path("kasparro.yaml"), environ, kinds=kinds)

    return load_text


@pytest.fixture
def mistakes_of(load: Load) -> Mistaken:
    """Return a function that loads a text and returns the lines of the mistakes, which there must be."""

    def mistaken(text: str, environ: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        with pytest.raises(Misconfigured) as caught:
            load(text, environ)
        lines = str(caught.value).splitlines()
        return lines if len(lines) == 1 else [line.removeprefix("  ") for line in lines[1:]]

    return mistaken
