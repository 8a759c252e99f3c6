"""Plain values as YAML, for people to paste into a configuration."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq


def yaml_text(data: Mapping[str, Any]) -> str:
    """Return the text: mappings over several lines, lists on one."""
    yaml = YAML()
    yaml.width = 10_000
    out = StringIO()
    yaml.dump(_styled(data), out)
    return out.getvalue()


def _styled(value: Any) -> Any:  # noqa: ANN401 - any plain value
    match value:
        case Mapping():
            return CommentedMap({key: _styled(inner) for key, inner in value.items()})
        case list() | tuple():
            items = CommentedSeq([_styled(inner) for inner in value])
            items.fa.set_flow_style()
            return items
        case _:
            return value
