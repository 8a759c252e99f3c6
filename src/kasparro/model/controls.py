"""Control characters in texts from outside: a terminal would obey them, and move its cursor or change its colours."""

from types import MappingProxyType

_REPLACED = MappingProxyType(
    {number: "\ufffd" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\t\n"}
)


def without_controls(text: str) -> str:
    """Return the text with every control character but tab and line feed replaced by U+FFFD."""
    return text if text.isprintable() else text.translate(_REPLACED)
