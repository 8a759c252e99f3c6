"""What commands print on: a console that lets no text from outside command the terminal."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from kasparro.model.controls import without_controls


class PlainConsole(Console):
    """Prints styles of our own, and no control characters that came with data."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments of what is printed, their texts made plain."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(without_controls(segment.text), segment.style)
