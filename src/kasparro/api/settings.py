"""What the API needs to know of the settings."""

from dataclasses import dataclass

from pydantic import SecretStr

from kasparro.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Who may do what, and what is served.

    Attributes:
        api_key: What `X-API-Key` or a bearer token must be; None where none is set.
        public_read: Reads need no key.
        production: Refuse to start without a key.
        loopback: The server can be reached from this machine only.
        version: Version of Kasparro, for the documentation.
    """

    api_key: SecretStr | None = None
    public_read: bool = True
    production: bool = False
    loopback: bool = False
    version: str = "0"

    def __post_init__(self) -> None:
        """Refuse what would leave a production server open.

        Raises:
            Misconfigured: production without a key, or an empty key.
        """
        if self.api_key is not None and not self.api_key.get_secret_value().strip():
            raise Misconfigured("API_KEY is empty. Give it a value, or remove it.")
        if self.production and self.api_key is None:
            raise Misconfigured("ENVIRONMENT is production and API_KEY is not set. Set API_KEY to a long random text.")
