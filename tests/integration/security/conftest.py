"""An application over a database of its own, and the command line."""

from tests.integration.api.conftest import seed, seeded_url, serve
from tests.integration.stories.conftest import kasparro, server

__all__ = ["kasparro", "seed", "seeded_url", "serve", "server"]
