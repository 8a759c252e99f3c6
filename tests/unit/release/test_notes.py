"""A tag is released only where tag, version and changelog agree."""

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from release import notes as module
from release.notes import KINDS, UNRELEASED, Refused, image_tags, is_final, main, notes, sections, version_of

CHANGES = """\
# Changes

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- Something new.

### Fixed

- Something old.

## [0.1.0] - 2026-11-01

### Added

- Everything.
"""


def test_the_notes_are_the_section_of_the_tag_alone() -> None:
    assert notes("v0.2.0", "0.2.0", CHANGES) == "### Added\n\n- Something new.\n\n### Fixed\n\n- Something old.\n"
    assert notes("v0.1.0", "0.1.0", CHANGES) == "### Added\n\n- Everything.\n"


def test_sections_come_in_the_order_of_the_file() -> None:
    found = [(one.version, one.day) for one in sections(CHANGES)]
    assert found == [(UNRELEASED, None), ("0.2.0", date(2026, 12, 1)), ("0.1.0", date(2026, 11, 1))]


@pytest.mark.parametrize("tag", ["0.2.0", "v0.2", "v0.2.1", "V0.2.0", "v0.2.0 ", "release-0.2.0", "v0.2.0rc1", ""])
def test_a_tag_of_another_version_is_refused(tag: str) -> None:
    with pytest.raises(Refused, match=r"the tag must be v0\.2\.0"):
        notes(tag, "0.2.0", CHANGES)


@pytest.mark.parametrize("text", ["", "# Changes\n\nNone yet.\n"])
def test_a_changelog_without_any_version_is_refused(text: str) -> None:
    assert sections(text) == ()
    with pytest.raises(Refused, match=r"no section \[0\.2\.0\]"):
        notes("v0.2.0", "0.2.0", text)


def test_a_heading_without_its_space_begins_a_section_all_the_same() -> None:
    assert notes("v0.2.0", "0.2.0", CHANGES.replace("## [0.1.0]", "##[0.1.0]")) == notes("v0.2.0", "0.2.0", CHANGES)


def test_a_version_without_a_section_is_refused() -> None:
    with pytest.raises(Refused, match=r"no section \[0\.3\.0\]. Put a heading \[0\.3\.0\] .* below \[Unreleased\]"):
        notes("v0.3.0", "0.3.0", CHANGES)


@pytest.mark.parametrize("body", ["", "\n\n", "### Added\n\n### Fixed\n"])
def test_a_section_that_says_nothing_is_refused(body: str) -> None:
    with pytest.raises(Refused, match=r"says nothing about 1\.0\.0"):
        notes("v1.0.0", "1.0.0", f"# Changes\n\n## [1.0.0] - 2027-01-01\n{body}\n## [0.1.0] - 2026-01-01\n\n- All.\n")


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        ("[1.0.0]", "has the heading"),
        ("1.0.0 - 2026-01-01", "has the heading"),
        ("[1.0.0] - soon", "'soon' is no day"),
        ("[1.0.0] - 2026-02-30", "'2026-02-30' is no day"),
        ("[1.0.0] - 20260101", "'20260101' is no day"),
        ("[1.0.0] - 2026-W01-1", "'2026-W01-1' is no day"),
        ("Unreleased", "has the heading"),
    ],
)
def test_a_heading_of_another_form_is_refused(heading: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        sections(f"# Changes\n\n## {heading}\n\n- All.\n")


def test_a_version_that_was_taken_back_does_not_keep_the_next_from_being_released() -> None:
    text = CHANGES.replace("## [0.1.0] - 2026-11-01", "## [0.1.0] - 2026-11-01 [YANKED]")
    assert notes("v0.2.0", "0.2.0", text) == notes("v0.2.0", "0.2.0", CHANGES)
    assert sections(text)[-1].version == "0.1.0"


def test_a_link_that_leads_nowhere_from_a_release_is_refused() -> None:
    for_people = CHANGES.replace("Something new.", "Something new: [here](https://example.com/new).")
    assert "https://example.com/new" in notes("v0.2.0", "0.2.0", for_people)
    with pytest.raises(Refused, match=r"links to 'docs/new\.md', which leads nowhere"):
        notes("v0.2.0", "0.2.0", CHANGES.replace("Something new.", "Something new: [here](docs/new.md)."))


def test_two_sections_of_one_version_are_refused() -> None:
    with pytest.raises(Refused, match=r"two sections for 0\.2\.0"):
        sections(CHANGES + "\n## [0.2.0] - 2026-12-02\n\n- Again.\n")


@pytest.mark.parametrize(
    ("version", "final"),
    [("1.2.3", True), ("0.1.0", True), ("1.2.3rc1", False), ("1.2.3a10", False), ("1.2.3b0", False)],
)
def test_what_comes_before_a_release_is_told_from_it(version: str, *, final: bool) -> None:
    assert is_final(version) is final


@pytest.mark.parametrize("version", ["1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "1.2.3.dev1", "v1.2.3", "", "1.2.3rc"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(Refused, match="is no version"):
        notes(f"v{version}", version, CHANGES)


def test_only_a_release_moves_the_names_that_move() -> None:
    assert image_tags("ghcr.io/Acme/Kasparro", "0.2.1") == (
        "ghcr.io/acme/kasparro:0.2.1",
        "ghcr.io/acme/kasparro:0.2",
        "ghcr.io/acme/kasparro:latest",
    )
    assert image_tags("ghcr.io/acme/kasparro", "0.2.1rc1") == ("ghcr.io/acme/kasparro:0.2.1rc1",)


def test_the_version_is_read_from_the_text() -> None:
    assert version_of('"""Doc."""\n\n__version__ = "1.2.3"\n') == "1.2.3"
    with pytest.raises(Refused, match="has no line"):
        version_of('VERSION = "1.2.3"\n')


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "version.py").write_text('__version__ = "0.2.0"\n')
    monkeypatch.setattr(module, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(module, "VERSION", tmp_path / "version.py")
    return tmp_path


def test_the_workflow_is_told_what_it_needs(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = repository / "outputs"
    outputs.write_text("before=1\n")
    main(["v0.2.0", "--image", "ghcr.io/Acme/k", "--outputs", str(outputs)])
    assert outputs.read_text() == (
        "before=1\nversion=0.2.0\nfinal=true\ntags=ghcr.io/acme/k:0.2.0,ghcr.io/acme/k:0.2,ghcr.io/acme/k:latest\n"
    )
    assert capsys.readouterr().out.startswith("### Added\n")


def test_a_changelog_written_on_windows_is_read(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "CHANGELOG.md").write_bytes(b"\xef\xbb\xbf" + CHANGES.replace("\n", "\r\n").encode())
    main(["v0.2.0"])
    assert capsys.readouterr().out == notes("v0.2.0", "0.2.0", CHANGES)


def test_a_refused_tag_ends_with_a_message_and_writes_nothing(repository: Path) -> None:
    outputs = repository / "outputs"
    with pytest.raises(SystemExit, match=r"^Not released: The tag is 'v9\.9\.9'"):
        main(["v9.9.9", "--outputs", str(outputs)])
    assert not outputs.exists()


def test_our_own_changelog_is_in_shape() -> None:
    text = module.CHANGELOG.read_text(encoding="utf-8")
    first, *released = sections(text)
    assert first.version == UNRELEASED
    assert all(not newer.day or not older.day or newer.day >= older.day for newer, older in pairwise(released))
    for section in (first, *released):
        assert "](docs/" not in section.body, "it leads nowhere from a release"
        headings = [line.removeprefix("### ") for line in section.body.splitlines() if line.startswith("#")]
        assert [*dict.fromkeys(headings)] == [kind for kind in KINDS if kind in headings] == headings
    version = version_of(module.VERSION.read_text(encoding="utf-8"))
    assert is_final(version) in (True, False)
    assert first.body or version in [one.version for one in released], "nothing to release"
