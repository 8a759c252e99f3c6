"""How the text of a file is encoded, and the same text as UTF-8."""

import codecs
import re
from pathlib import Path

import charset_normalizer

from kasparro.errors import Broken
from kasparro.sources.files import CHUNK, reading

UTF_8 = "utf-8"

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "cp1252"
_LEGACY = (
    *(_WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r"),
    *("cp932", "gb18030", "big5", "cp949"),
)
"""What is considered where the text is not UTF-8: the code pages of Windows, and KOI8-R. No DOS, no Macintosh."""

_GUESSED_ON = 64 * 1024
_NO_BETTER = 0.05

_FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file"),
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"GIF8", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
)
_MARKUP = re.compile(rb"\s*<(!doctype html|html|head|body|\?xml|!--)", re.IGNORECASE)
_JSON = re.compile(rb"\s*(\{\s*\"|\[\s*\{)")
_NULS, _NUL_SHARE = 4, 20
_BROKEN = re.compile("[\udc80-\udcff]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")


def refuse_foreign(sample: bytes, origin: str, *, stated: str | None) -> None:
    """Raise Broken when the first bytes of a file are plainly no CSV."""
    for magic, what in _FOREIGN:
        if sample.startswith(magic):
            raise Broken(f"{origin} is {what}, not CSV; export it as CSV or name another file")
    if _MARKUP.match(sample.removeprefix(codecs.BOM_UTF8)):
        raise Broken(f"{origin} is an HTML or XML page, not CSV; check that the address is the one of the file itself")
    if _JSON.match(sample.removeprefix(codecs.BOM_UTF8)):
        raise Broken(f"{origin} is JSON, not CSV; export it as CSV or name another file")
    marked = any(sample.startswith(mark) for mark, _ in _MARKS)
    nuls = sample.count(0)
    if stated is None and not marked and nuls >= _NULS and nuls * _NUL_SHARE > len(sample):
        raise Broken(f"{origin} is full of NUL bytes, so it is no CSV; if it is UTF-16, state `encoding: utf-16-le`")


def recognise_encoding(sample: bytes, origin: str, *, stated: str | None) -> str:
    """Return the codec of a file: as stated, else by its mark, else UTF-8 where that fits, else the likeliest.

    A file counts as UTF-8 although some of its bytes are not, when more characters are UTF-8 than are not: then those
    records are quarantined.

    Raises:
        Broken: the stated encoding does not fit, or none can be told.
    """
    marked = next(((mark, name) for mark, name in _MARKS if sample.startswith(mark)), None)
    if stated is not None:
        return _stated(stated, marked, origin)
    if marked is not None:
        return marked[1]
    text = codecs.getincrementaldecoder(UTF_8)("surrogateescape").decode(sample)
    broken = len(_BROKEN.findall(text))
    if broken == 0 or len(_BEYOND_ASCII.findall(text)) > broken:
        return UTF_8
    return _likeliest(sample[:_GUESSED_ON], origin)


def _likeliest(sample: bytes, origin: str) -> str:
    """Return the encoding under which the sample looks most like text; Windows-1252 where others look no better."""
    found = list(charset_normalizer.from_bytes(sample, cp_isolation=list(_LEGACY)))
    if not found:
        raise Broken(f"the encoding of {origin} cannot be told; state it, for example `encoding: {_WESTERN}`")
    good_enough = found[0].chaos + _NO_BETTER
    western = any(_WESTERN in one.could_be_from_charset and one.chaos <= good_enough for one in found)
    return _WESTERN if western else found[0].encoding


def _stated(stated: str, marked: tuple[bytes, str] | None, origin: str) -> str:
    name = codecs.lookup(stated).name
    if name not in ("utf-8", "ascii", "utf-8-sig"):
        return name
    if marked is not None and marked[1] != UTF_8:
        raise Broken(f"{origin} begins with the mark of {marked[1]}, not {stated}; correct `encoding` or leave it out")
    return UTF_8


def transcode(source: Path, target: Path, encoding: str, origin: str) -> None:
    """Write the text of a file as UTF-8 to another, in constant memory.

    Raises:
        Broken: bytes of the file are not of that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    done = 0
    with reading(origin), source.open("rb") as raw, target.open("wb") as text:
        while True:
            piece = raw.read(CHUNK)
            try:
                text.write(decoder.decode(piece, final=not piece).encode())
            except UnicodeError as error:
                raise Broken(
                    f"{origin} is not {encoding} near byte {done + getattr(error, 'start', 0)}; state its `encoding`"
                ) from error
            if not piece:
                return
            done += len(piece)
