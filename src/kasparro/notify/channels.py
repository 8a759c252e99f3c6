"""Channels: where people are told what happened. Each class is the configuration and the documentation of its kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, SecretStr

from kasparro.model.notification import Wishes

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)

Url = Annotated[SecretStr, Field(description="Where messages are sent (POST), best written as `${NAME}`. Never shown.")]
Headers = Annotated[
    Mapping[str, str], Field(description="Headers of each request. Values that are secrets are best written `${NAME}`.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A JSON object is posted to a URL; see [Notifications](notifications.md) for its fields."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["webhook"] = "webhook"
    url: Url
    headers: Headers = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack, or of what understands its messages, such as Mattermost."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["slack"] = "slack"
    url: Url
    headers: Headers = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A mail in plain text, by SMTP."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["email"] = "email"
    host: Annotated[str, Field(description="The SMTP server.")]
    port: Annotated[
        int | None,
        Field(ge=1, le=65_535, description="Its port. Unset: 587 with starttls, 465 with tls, 25 with none."),
    ] = None
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Field(description="`starttls`: encrypted from the greeting on, or nothing is sent. `tls`: from the start."),
    ] = "starttls"
    username: Annotated[str | None, Field(description="User name, where the server asks for one.")] = None
    password: Annotated[SecretStr | None, Field(description="Password, best written as `${NAME}`. Never shown.")] = None
    sender: Annotated[str, Field(alias="from", description="Address that mails come from.")]
    to: Annotated[str | tuple[str, ...], Field(description="Address or addresses that they go to.")]

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses that mails go to."""
        return (self.to,) if isinstance(self.to, str) else self.to

    @property
    def where(self) -> tuple[str, int]:
        """Host and port of the server."""
        return self.host, _PORTS[self.security] if self.port is None else self.port


_PORTS: Mapping[str, int] = MappingProxyType({"starttls": 587, "tls": 465, "none": 25})

Kind = Webhook | Slack | Email

CHANNELS: Mapping[str, type] = MappingProxyType({"webhook": Webhook, "slack": Slack, "email": Email})
"""Classes by the `type` that names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel as it is declared: its name, where it leads, and what it wants to be told."""

    name: str
    kind: Kind
    wishes: Wishes
