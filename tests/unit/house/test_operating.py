"""Each word that Kasparro says has its entry in docs/operating.md, and no entry is left over."""

import ast
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from kasparro import errors
from kasparro.api import problems
from kasparro.cli import exits
from kasparro.cli.main import command_line
from kasparro.model.dataset import FieldType
from kasparro.model.finding import KINDS
from kasparro.shaping.types import NOT_A_VALUE
from kasparro.sources import csv_reason
from kasparro.sources.csv_judge import Fault

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "kasparro"
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy" / "observability" / "rules.yml"


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def entries(title: str) -> list[str]:
    """The first cells of the table of a section."""
    return re.findall(r"^\| `([^`]+)` \| (?:\S.*)\| \S", section(title), re.MULTILINE)


def nodes(folder: Path, *names: str) -> Iterator[ast.AST]:
    """All that stands in the modules that have one of the names; no other is parsed."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if any(name in text for name in names):
            yield from ast.walk(ast.parse(text))


def texts(node: ast.AST | None) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def stated(node: ast.Call) -> ast.expr | None:
    return next((one.value for one in node.keywords if one.arg == "code"), None)


def kinds_of(root: type[errors.KasparroError]) -> set[type[errors.KasparroError]]:
    return {root, *(one for kind in root.__subclasses__() for one in kinds_of(kind))}


def reject_codes() -> set[str]:
    """The codes of rejects: where one is made, checked for, or said together with its reason."""
    found = {csv_reason.code(fault) for fault in Fault if fault in csv_reason._SAID}  # noqa: SLF001
    found |= {f"not_{name}" for name, said in NOT_A_VALUE.items() if said}
    for node in nodes(SOURCE, "Reject(", "Check(", "code, ", "faults[", "def reject("):
        match node:
            case ast.Call(func=ast.Name(id="Reject" | "Check")):
                found |= texts(stated(node))
            case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id="code"), *_])], value=ast.Tuple(elts=[first, *_])):
                found |= texts(first)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id="faults"))], value=ast.Tuple(elts=[first, *_])):
                found |= texts(first)
            case ast.FunctionDef(name="reject"):
                for one in ast.walk(node):
                    if isinstance(one, ast.Return) and isinstance(one.value, ast.Tuple):
                        found |= texts(one.value.elts[1])
            case _:
                pass
    return found


def problem_codes() -> set[str]:
    """The codes of problem documents, but those that are just the code of an error, with status 500."""
    found = {*problems._CODE.values(), "not_found", "method_not_allowed"}  # noqa: SLF001 - the last two are the framework's
    told = {kind for kind, status in problems.STATUS.items() if status < HTTPStatus.INTERNAL_SERVER_ERROR}
    found |= {kind.code for kind in told} | {errors.StoreBusy.code}
    for node in nodes(SOURCE / "api", "problem(", "HTTPException("):
        match node:
            case ast.Call(func=ast.Name(id="problem")):
                found |= texts(stated(node))
            case ast.Call(func=ast.Name(id="HTTPException"), args=[ast.Attribute(attr=name), *_]):
                status = HTTPStatus[name]
                found.add(problems._CODE.get(status) or re.sub(r"\W+", "_", status.phrase.lower()))  # noqa: SLF001
            case _:
                pass
    return found


ALERTS = {
    rule["alert"] for group in YAML(typ="safe").load(RULES)["groups"] for rule in group["rules"] if "alert" in rule
}
ERRORS = {kind.code for kind in kinds_of(errors.KasparroError) if kind.__module__.startswith("kasparro")}
EXITS = {str(code) for code in (exits.OK, exits.FAILED, exits.USAGE, exits.LOOK, exits.PARKED, exits.INTERRUPTED)}


@pytest.mark.parametrize(
    ("title", "wanted", "least"),
    [
        ("Exit codes", lambda: EXITS, 5),
        ("Error codes", lambda: ERRORS | {"interrupted"}, 14),
        ("Findings", lambda: {*KINDS}, 26),
        ("Reject reasons", reject_codes, 25),
        ("Alerts", lambda: ALERTS, 11),
        ("HTTP problem codes", problem_codes, 9),
    ],
)
def test_each_has_its_entry_and_none_is_left_over(title: str, wanted: Callable[[], set[str]], least: int) -> None:
    found, there = entries(title), wanted()
    assert len(there) >= least, "what is to be compared was not found"
    assert sorted(found) == sorted(there)
    assert len(re.findall(r"^\| `", section(title), re.MULTILINE)) == len(found), (
        "each says what it means and what to do"
    )


def test_types_of_fields_have_their_code() -> None:
    assert {*NOT_A_VALUE} == {*get_args(FieldType)}


def test_interrupted_is_what_a_run_is_recorded_as() -> None:
    assert '("interrupted", _DIED)' in (SOURCE / "store" / "runs.py").read_text(encoding="utf-8")


LINKS = re.findall(r"\]\(([^)\s]+)\)", PAGE)


def anchors(text: str) -> set[str]:
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("link", sorted({*LINKS}))
def test_links_lead_somewhere(link: str) -> None:
    page, _, anchor = link.partition("#")
    target = ROOT / "docs" / page if page else ROOT / "docs" / "operating.md"
    assert target.exists(), link
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8")), link


SAID = sorted({" ".join(one.split()) for one in re.findall(r"(?<![\w/-])kasparro ([a-z][^`\n;,()|&]*)", PAGE)})


def test_there_are_commands_to_check() -> None:
    assert len(SAID) > 30


@pytest.mark.parametrize("said", SAID)
def test_commands_and_options_that_are_named_exist(said: str) -> None:
    words = said.split("#", maxsplit=1)[0].split()
    found: Any = get_command(command_line([]))
    while (known := getattr(found, "commands", None)) is not None:
        assert words, said
        word = words.pop(0)
        assert word in known, f"kasparro {said}: there is no {word}"
        found = known[word]
    if "--" in words:
        words = words[: words.index("--")]
    options = {name for one in found.params for name in one.opts}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in options, f"kasparro {said}: no {word}"
