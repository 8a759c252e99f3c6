"""What the tests here ask of a module, found in one look at its tree: parsing is dear, and several ask it of all."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What stands in a module; `functions` with their lines, `imports` by the name of the package alone."""

    empty: bool
    docstring: str | None
    functions: tuple[tuple[str, int], ...]
    classes: tuple[str, ...]
    attributes: frozenset[str]
    imports: frozenset[str]


@cache
def code(path: Path) -> Code:
    """Look at a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions: list[tuple[str, int]] = []
    classes: list[str] = []
    attributes: set[str] = set()
    imports: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute():
                attributes.add(node.attr)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions.append((node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
            case ast.ClassDef():
                classes.append(node.name)
            case ast.Import():
                imports |= {alias.name.split(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                imports.add(module.split(".")[0])
            case _:
                pass
    return Code(
        empty=not tree.body,
        docstring=ast.get_docstring(tree),
        functions=tuple(functions),
        classes=tuple(classes),
        attributes=frozenset(attributes),
        imports=frozenset(imports),
    )
