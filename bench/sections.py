"""The file of results, of which each measurement writes its own section."""

from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results.md"


def write_section(title: str, lines: Sequence[str], path: Path = RESULTS) -> None:
    """Write a section, in the place where it was or behind the others."""
    text = path.read_text("utf-8") if path.exists() else ""
    sections = [part for part in f"\n{text}".split("\n# ") if part.strip()]
    written = "\n".join([title, "", *lines, ""])
    places = [place for place, part in enumerate(sections) if part.splitlines()[0] == title]
    if places:
        sections[places[0]] = written
    else:
        sections.append(written)
    path.write_text("\n".join(f"# {part.strip()}\n" for part in sections), "utf-8")
