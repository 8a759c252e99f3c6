"""The bodies that are posted: JSON of our own, documented field by field, and the form of Slack."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from kasparro.model.notification import Item, Message
from kasparro.notify.wording import facts, rest, summary, title

VERSION = 1
"""Of the JSON form: it grows when a field goes or changes its meaning, not when one is added."""

_BLOCKS = 40
_CHARACTERS = 12_000
"""Of all blocks together. Slack takes 50 blocks of 3,000 characters, but refuses messages from about 13,000 on."""

_MESSAGE_CHARACTERS = 300
_BLOCK_CHARACTERS = 580
"""Before they are escaped, which makes them five times as long at most."""

_HEADER_CHARACTERS = 150
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def json_body(message: Message) -> dict[str, Any]:
    """Return the JSON form; see docs/notifications.md."""
    return {
        "version": VERSION,
        "id": message.key,
        "channel": message.channel,
        "instance": message.instance,
        "made_at": message.made_at.isoformat(),
        "severity": message.severity,
        "summary": summary(message),
        "counts": dict(message.counts),
        "items": [one.to_json() for one in message.items],
        "more": message.more,
    }


def slack_body(message: Message) -> dict[str, Any]:
    """Return the form of Slack: a header, a block for each thing, and a last line. Texts are escaped and bounded."""
    told = _fitting([_told(one) for one in message.items])
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": _head(summary(message))}}]
    blocks += [{"type": "section", "text": _text(one)} for one in told]
    more = rest(message, len(told))
    last = f"Kasparro on {message.instance}" if more is None else f"{more}\nKasparro on {message.instance}"
    blocks.append({"type": "context", "elements": [_text(_escaped(last))]})
    return {"text": _head(summary(message)), "blocks": blocks}


def _fitting(texts: Sequence[str]) -> Sequence[str]:
    """Return as many of the first texts as Slack takes."""
    lengths = list(accumulate(map(len, texts)))
    return texts[: min(_BLOCKS, bisect_right(lengths, _CHARACTERS))]


def _told(item: Item) -> str:
    said = "\n".join(facts(replace(item, message=_cut(item.message, _MESSAGE_CHARACTERS))))
    return f"*{_escaped(title(item))}*\n{_escaped(_cut(said, _BLOCK_CHARACTERS))}"


def _head(text: str) -> str:
    """Return the text, escaped, and within the length of a header."""
    short = _cut(text, _HEADER_CHARACTERS)
    while len(_escaped(short)) > _HEADER_CHARACTERS:
        short = _cut(short, len(short) - 1)
    return _escaped(short)


def _text(escaped: str) -> dict[str, Any]:
    """Return a text in which Slack makes no links of its own."""
    return {"type": "mrkdwn", "text": escaped, "verbatim": True}


def _escaped(text: str) -> str:
    return text.translate(_ENTITIES)


def _cut(text: str, longest: int) -> str:
    """Return the text, shortened before it is escaped: an entity is never cut in two."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
