"""What a tag releases: tag, version and changelog must agree, and the changelog says what is new.

`python -m release.notes v0.2.0` prints the notes. The release workflow runs it first, so it needs nothing but Python.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
VERSION = ROOT / "src" / "kasparro" / "version.py"

UNRELEASED = "Unreleased"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""The headings of Keep a Changelog 1.1."""

_HEADING = re.compile(r"^##(?!#)[ \t]*(?P<rest>.*?)[ \t]*$", re.MULTILINE)
_RELEASED = re.compile(r"\[(?P<version>[^\]]+)\] - (?P<day>\S+)(?: \[YANKED\])?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LINK = re.compile(r"\]\((?![a-z]+:)(?P<target>[^)]+)\)")
_NUMBER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?P<pre>(a|b|rc)(0|[1-9]\d*))?")


class Refused(Exception):
    """The tag cannot be released; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One version of the changelog.

    `day` is None for what is not released yet. `body` is everything below the heading, without blank lines around it.
    """

    version: str
    day: date | None
    body: str


def sections(changelog: str) -> tuple[Section, ...]:
    """Return the versions of a changelog, in its order.

    Raises:
        Refused: a heading is neither `## [Unreleased]` nor `## [1.2.3] - 2026-01-31`, `[YANKED]` behind it or not, or a
            version stands there twice.
    """
    found = list(_HEADING.finditer(changelog))
    starts = [*(one.start() for one in found), len(changelog)]
    made = tuple(_section(one["rest"], changelog[one.end() : end]) for one, end in zip(found, starts[1:], strict=True))
    names = [one.version for one in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refused(f"CHANGELOG.md has two sections for {twice[0]}. Make one of them.")
    return made


def _section(heading: str, body: str) -> Section:
    if heading == f"[{UNRELEASED}]":
        return Section(version=UNRELEASED, day=None, body=body.strip())
    matched = _RELEASED.fullmatch(heading)
    if matched is None:
        raise Refused(
            f"CHANGELOG.md has the heading {heading!r}. Write [{UNRELEASED}], or a version and its day: "
            "[1.2.3] - 2026-01-31."
        )
    try:
        day = date.fromisoformat(matched["day"]) if _DAY.fullmatch(matched["day"]) else None
    except ValueError:
        day = None
    if day is None:
        raise Refused(f"CHANGELOG.md: {matched['day']!r} is no day. Write it as 2026-01-31.")
    return Section(version=matched["version"], day=day, body=body.strip())


def version_of(source: str) -> str:
    """Return what `__version__` is set to in a module's text; it is not imported, as nothing is installed yet."""
    matched = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if matched is None:
        raise Refused('src/kasparro/version.py has no line __version__ = "1.2.3".')
    return matched[1]


def is_final(version: str) -> bool:
    """Tell a release from what comes before one: `1.2.0` from `1.2.0rc1`.

    Raises:
        Refused: it is no version of three numbers, with or without `a1`, `b1` or `rc1`.
    """
    matched = _NUMBER.fullmatch(version)
    if matched is None:
        raise Refused(
            f"{version!r} is no version. Write three numbers, and a1, b1 or rc1 behind them: 1.2.0, 1.2.0rc1."
        )
    return matched["pre"] is None


def notes(tag: str, version: str, changelog: str) -> str:
    """Return what the changelog says of the version that a tag names.

    Raises:
        Refused: the tag is not `v` and the version of the code, or the changelog has nothing to say of it.
    """
    is_final(version)
    if tag != f"v{version}":
        raise Refused(f"The tag is {tag!r}, but src/kasparro/version.py says {version}: the tag must be v{version}.")
    found = {one.version: one for one in sections(changelog)}.get(version)
    if found is None:
        raise Refused(
            f"CHANGELOG.md has no section [{version}]. "
            f"Put a heading [{version}] with the day of the release below [{UNRELEASED}]."
        )
    said = "\n".join(line for line in found.body.splitlines() if not line.startswith("#"))
    if not said.strip():
        raise Refused(f"CHANGELOG.md says nothing about {version}.")
    link = _LINK.search(found.body)
    if link is not None:
        raise Refused(
            f"CHANGELOG.md links to {link['target']!r}, which leads nowhere from a release. "
            "Name the file without a link, or write a whole address."
        )
    return found.body + "\n"


def image_tags(image: str, version: str) -> tuple[str, ...]:
    """Return the names under which an image is published: what comes before a release moves none but its own."""
    numbers = version.split(".")
    names = (version, ".".join(numbers[:2]), "latest") if is_final(version) else (version,)
    return tuple(f"{image.lower()}:{name}" for name in names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the notes of a tag, or say why it cannot be released, and end with 1."""
    parser = argparse.ArgumentParser(prog="python -m release.notes", description="Check a tag, and print its notes.")
    parser.add_argument("tag", help="what is released, such as v0.2.0")
    parser.add_argument("--image", default="kasparro", help="name of the image, without a tag")
    parser.add_argument("--outputs", type=Path, help="file to which version=, final= and tags= are added, one a line")
    asked = parser.parse_args(arguments)
    try:
        version = version_of(VERSION.read_text(encoding="utf-8"))
        said = notes(asked.tag, version, CHANGELOG.read_text(encoding="utf-8"))
    except Refused as refused:
        sys.exit(f"Not released: {refused}")
    if asked.outputs is not None:
        tags = ",".join(image_tags(asked.image, version))
        with asked.outputs.open("a", encoding="utf-8") as file:
            file.write(f"version={version}\nfinal={str(is_final(version)).lower()}\ntags={tags}\n")
    sys.stdout.write(said)


if __name__ == "__main__":
    main()
