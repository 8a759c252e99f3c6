"""The kinds of findings that a channel may name are those that there are."""

import ast
from pathlib import Path

from kasparro.model.finding import KINDS

SOURCE = Path(__file__).parents[3] / "src" / "kasparro"
ROOMS = ("judge", "ingestion", "store", "shaping", "assembly")


def kinds_of(path: Path) -> set[str]:
    """The kinds that are written as such in a module: `Finding(kind="...")`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    words = [word.value for call in made for word in call.keywords if word.arg == "kind"]
    return {word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)}


def test_every_kind_that_is_found_can_be_named() -> None:
    found = {kind for room in ROOMS for path in (SOURCE / room).rglob("*.py") for kind in kinds_of(path)}
    assert len(found) > 8
    assert found <= set(KINDS)


def test_every_kind_that_can_be_named_is_somewhere_in_the_code_and_explained() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "finding.py")
    docs = "".join(path.read_text(encoding="utf-8") for path in (SOURCE.parents[1] / "docs").glob("*.md"))
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
    assert [kind for kind in KINDS if f"`{kind}`" not in docs] == []
