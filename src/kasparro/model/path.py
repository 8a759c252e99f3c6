"""Paths into nested records: `quotes.USD.price`, `items[0].id`, `"@odata.nextLink"`.

A dot separates steps, brackets hold an index (`[0]`), double quotes hold a key that has dots or brackets. For CSV a
path is always the name of a column, whatever dots it has.
"""

import re

Step = str | int

_STEP = re.compile(r'"((?:[^"\\]|\\.)*)"|\[(\d+)\]|([^.\[\]"]+)')


def parse_path(text: str) -> tuple[Step, ...]:
    """Return the steps of a path; an empty text is the record itself.

    Raises:
        ValueError: the text is not a path; the message says where.
    """
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"the path {text!r} cannot be read at character {at + 1}")
        quoted, index, plain = found.groups()
        if quoted is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            steps.append(int(index) if index is not None else plain)
        at = found.end()
        if at < len(text) and text[at] == ".":
            at += 1
            if at == len(text):
                raise ValueError(f"the path {text!r} ends in a dot")
        elif at < len(text) and text[at] != "[":
            raise ValueError(f"the path {text!r} cannot be read at character {at + 1}")
    return tuple(steps)


def follow(value: object, steps: tuple[Step, ...], missing: object = None) -> object:
    """Return what a parsed JSON value holds at the path, or `missing`. JSON null is None."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return missing
            value = value[step]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return missing
    return value
