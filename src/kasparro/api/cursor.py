"""Cursors: a place in the order of a dataset as an opaque text for a URL."""

import base64
import binascii

import orjson

from kasparro.store.browse_page import Position


def encode(position: Position) -> str:
    """Return the cursor of a place."""
    return base64.urlsafe_b64encode(orjson.dumps([position.source, position.key])).decode().rstrip("=")


def decode(cursor: str) -> Position:
    """Return the place of a cursor.

    Raises:
        ValueError: it is none of ours, or was cut or changed on its way.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [str(source), str(key)] if "\0" not in source + key:
                place = Position(source=source, key=key)
                if encode(place) == cursor:  # one place has one cursor
                    return place
    except (binascii.Error, UnicodeEncodeError, orjson.JSONDecodeError):
        pass
    raise ValueError("This is not a cursor that an earlier page gave. Start again without one.")
