"""The command line as the stories call it, servers that answer as they are told, and databases of other kinds."""

from tests.integration.stories.conftest import kasparro, server

__all__ = ["kasparro", "server"]
