"""The bytes of a feed as text that an XML parser can be trusted with.

Encodings are found as RFC 7303 says (byte order mark, then the charset of the answer, then the XML declaration), with
one addition that real feeds need: what is valid UTF-8 is UTF-8, whatever Latin charset a server puts on everything.

The DOCTYPE is cut out before anything is parsed. Feeds use it for characters such as `&nbsp;` at most; attackers use it
to read files and to unfold a kilobyte into gigabytes. So short entities are kept as plain replacements, external ones
are never fetched, and nested ones are refused.
"""

import codecs
import html
import re
from xml.parsers import expat

from kasparro.errors import Broken

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OPENINGS = ((b"<\0?\0", "utf-16-le"), (b"\0<\0?", "utf-16-be"), (b"\x4c\x6f\xa7\x94", "cp037"))
"""How `<?xm` looks in encodings that do not contain ASCII, when there is no mark."""

_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
"""What is really meant by these names on the web (WHATWG Encoding Standard)."""
_LATIN = {"ascii", "iso8859-1", "iso8859-15", "cp1252"}
_NOT_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

_CHARSET = re.compile(r"""(?i)charset\s*=\s*["']?([^\s"';,]+)""")
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_DECLARATION = re.compile(r"[\s\ufeff\u200b]*(?:<\?xml\s[^>]*?\?>)?")

_C1 = {code: bytes([code]).decode("cp1252", "replace").replace("\ufffd", chr(code)) for code in range(0x80, 0xA0)}
"""Bytes 80 to 9F as Windows-1252 means them; the five that it leaves open stay what ISO 8859-1 makes of them."""
_STRAY = {0xDC00 + code: _C1.get(code, chr(code)) for code in range(0x80, 0x100)}
"""Bytes that are not UTF-8, as `surrogateescape` leaves them, read as Windows-1252."""

PROLOG_BYTES = 65_536
ENTITY_CHARACTERS = 1_000
UNFOLDED_CHARACTERS = 1_000_000


def decode(body: bytes, content_type: str = "") -> str:
    """Return the text of a feed, without its XML declaration. Never fails: bytes that cannot be read show as U+FFFD."""
    text = _decoded(body, content_type)
    return text[_leading(text) :].replace("\0", "\ufffd")


def _leading(text: str) -> int:
    """Return the length of white space, marks and XML declaration: expat takes neither space before nor XML 1.1."""
    found = _DECLARATION.match(text)
    return 0 if found is None else found.end()


def _decoded(body: bytes, content_type: str) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    names = _charsets(body, content_type)
    for name in names:
        if name in _LATIN and not _is_utf8(body):
            return body.decode("latin-1").translate(_C1)
        text = _strictly(body, "utf-8" if name in _LATIN else name)
        if text is not None:
            return text
    text = _strictly(body, "utf-8")
    if text is not None:
        return text
    if names and names[0] != "utf-8":
        return body.decode(names[0], "replace")
    return body.decode("utf-8", "surrogateescape").translate(_STRAY)


def _charsets(body: bytes, content_type: str) -> list[str]:
    """Return the known charsets that the answer, the document and its first bytes name, in this order."""
    named = [found[1] for found in [_CHARSET.search(content_type)] if found is not None]
    named += [name for opening, name in _OPENINGS if body.startswith(opening)]
    named += [found[1].decode() for found in [_DECLARED.match(body.lstrip())] if found is not None]
    return [name for name in map(_known, named) if name is not None]


def _known(label: str) -> str | None:
    try:
        name = codecs.lookup(label.strip()).name
        "".encode(name)  # raises LookupError for codecs such as `hex` that are not charsets
    except (LookupError, ValueError, UnicodeError):
        return None
    return None if name.replace("_", "-") in _NOT_CHARSETS else _SUPERSETS.get(name, name)


def _strictly(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except ValueError:
        return None


def _is_utf8(body: bytes) -> bool:
    return _strictly(body, "utf-8") is not None


class _Root(Exception):
    """The root element begins."""


def without_doctype(text: str, origin: str) -> tuple[str, dict[str, str]]:
    """Return the text without its DOCTYPE, and the characters that it declares by name.

    Raises:
        Broken: The DOCTYPE is longer than 64 KiB or declares entities that unfold.
    """
    if "<!DOCTYPE" not in text:
        return text, {}
    data = text.encode()
    span, entities = _scan(data[:PROLOG_BYTES], origin)
    if not span:
        return text, {}
    if len(span) == 1:
        raise Broken(f"{origin} has a DOCTYPE that does not end within {PROLOG_BYTES:,} bytes; it was not read")
    text = (data[: span[0]] + data[span[1] :]).decode()
    unfolded = sum(text.count(f"&{name};") * len(value) for name, value in entities.items())
    if unfolded > max(len(text), UNFOLDED_CHARACTERS):
        raise Broken(f"{origin} repeats the entities of its DOCTYPE until they outgrow the feed; it was not read")
    return text, entities


def _scan(prolog: bytes, origin: str) -> tuple[list[int], dict[str, str]]:
    """Return where the DOCTYPE begins and ends, and its entities. Stops at the root element."""
    span: list[int] = []
    entities: dict[str, str] = {}
    parser = expat.ParserCreate("utf-8")

    def entity(name: str, is_parameter: bool, value: str | None, *_: str | None) -> None:  # noqa: FBT001 - expat calls it
        if value is None or is_parameter:
            return  # external, or used in the DTD only: never fetched, never unfolded
        value = html.unescape(value) if re.fullmatch(r"&#\w+;", value) else value
        if len(value) > ENTITY_CHARACTERS or re.search(r"&\w", value) is not None:
            raise Broken(
                f"{origin} declares the entity `{name[:40]}` out of other entities, as an attack would; it was not read"
            )
        entities[name] = value

    def root(*_: object) -> None:
        raise _Root

    parser.StartDoctypeDeclHandler = lambda *_: span.append(prolog.rindex(b"<!DOCTYPE", 0, parser.CurrentByteIndex))
    parser.EndDoctypeDeclHandler = lambda: span.append(prolog.index(b">", parser.CurrentByteIndex) + 1)
    parser.EntityDeclHandler = entity
    parser.StartElementHandler = root
    try:
        parser.Parse(prolog, False)
    except _Root:
        return span, entities
    except expat.ExpatError:
        return [], {}  # not XML: for the lenient parser, which unfolds nothing
    return span, entities


_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]+)|([0-9]+));?")
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def mended(text: str) -> str:
    """Return the text with references to characters that do not exist replaced by U+FFFD, for the lenient parser."""
    return _REFERENCE.sub(_mend, text) if "&#" in text else text


def _mend(found: re.Match[str]) -> str:
    digits, base = (found[1], 16) if found[1] is not None else (found[2], 10)
    code = int(digits, base) if len(digits.lstrip("0")) <= len("1114111") else _LAST_CHARACTER + 1
    return found[0] if 0 < code <= _LAST_CHARACTER and code not in _SURROGATES else "\ufffd"
