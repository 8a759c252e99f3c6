"""The command line as the stories call it, commands in processes of their own, and an application that serves."""

from tests.integration.api.conftest import serve
from tests.integration.stories.conftest import kasparro
from tests.integration.workers.conftest import processes, provider

__all__ = ["kasparro", "processes", "provider", "serve"]
