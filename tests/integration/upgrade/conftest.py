"""The command line as the stories call it, and an application that serves."""

from tests.integration.api.conftest import serve
from tests.integration.stories.conftest import kasparro

__all__ = ["kasparro", "serve"]
