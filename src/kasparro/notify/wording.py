"""What a message says, in words."""

from kasparro.model.notification import Item, Message

_PLURALS = (
    ("failures", "failure", "failures"),
    ("critical", "critical finding", "critical findings"),
    ("warning", "warning", "warnings"),
    ("info", "remark", "remarks"),
    ("recoveries", "recovery", "recoveries"),
)
_SOURCES_NAMED = 3


def summary(message: Message) -> str:
    """Return one line: of which sources, and how much of what. `coins: 1 failure, 2 warnings`."""
    counted = [(message.counts.get(name, 0), one, many) for name, one, many in _PLURALS]
    parts = [f"{number:,} {one if number == 1 else many}" for number, one, many in counted if number]
    return f"{_sources(message)}: {', '.join(parts) or 'a test'}"


def _sources(message: Message) -> str:
    names = list(dict.fromkeys(one.source for one in message.items))
    if len(names) <= _SOURCES_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_SOURCES_NAMED])} and other sources"


def title(item: Item) -> str:
    """Return what an item is about: `coins: row_count_low of run (warning)`."""
    about = "" if item.what != "finding" or item.subject in {"", "run"} else f" of {item.subject}"
    return f"{item.source}: {item.kind}{about} ({item.severity})"


def facts(item: Item) -> list[str]:
    """Return the lines below it: what was said, what was expected and seen, how often, and where to look closer."""
    lines = [item.message]
    for name, value in (("expected", item.expected), ("observed", item.observed)):
        if value is not None:
            lines.append(f"{name}: {_shown(value)}")
    if item.again:
        lines.append(f"met {item.again:,} more time{'' if item.again == 1 else 's'} since it was last told")
    lines.append(f"at: {item.happened_at}" if item.run_id is None else f"run {item.run_id}, at {item.happened_at}")
    if item.look is not None:
        lines.append(f"look closer: {item.look}")
    return lines


def rest(message: Message, told: int) -> str | None:
    """Return what is said of what is not told in words; None where all is. `told`: items that were."""
    left = message.more + len(message.items) - told
    return None if left <= 0 else f"and {left:,} more; see them all: kasparro findings"


def _shown(value: object) -> str:  # noqa: PLR0911 - one return for each kind of value
    match value:
        case {"low": low, "high": high, **others} if not others:
            return f"{_shown(low)} to {_shown(high)}"
        case dict():
            return ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
        case list():
            return ", ".join(_shown(inner) for inner in value)
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case _:
            return str(value)
