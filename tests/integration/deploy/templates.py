"""Reads the templates of deploy/aws."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TEMPLATES = Path(__file__).parents[3] / "deploy" / "aws"


def template(path: Path) -> dict[str, Any]:
    """Read a template; `!Sub x` becomes `{"Fn::Sub": x}`."""

    def function(constructor: Any, suffix: str, node: Any) -> dict[str, Any]:
        match node.id:
            case "scalar":
                value = constructor.construct_scalar(node)
            case "sequence":
                value = constructor.construct_sequence(node, deep=True)
            case _:
                value = constructor.construct_mapping(node, deep=True)
        if suffix == "Ref":
            return {"Ref": value}
        return {f"Fn::{suffix}": value.split(".", 1) if suffix == "GetAtt" and isinstance(value, str) else value}

    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_multi_constructor("!", function)
    read: dict[str, Any] = yaml.load(path)
    return read
