"""Opens a file as CSV: unpacked and as UTF-8 where it is not, recognised, and at the place to go on from."""

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kasparro.errors import Broken, Misconfigured
from kasparro.sources.csv_bookmark import Place, Recognised
from kasparro.sources.csv_dialect import AGREE, Trial, recognise
from kasparro.sources.csv_encoding import UTF_8, recognise_encoding, refuse_foreign, transcode
from kasparro.sources.csv_header import read_header
from kasparro.sources.csv_judge import LONGEST
from kasparro.sources.csv_options import Dialect, Spot, Target, unique
from kasparro.sources.csv_page import Layout
from kasparro.sources.csv_ranges import Reading
from kasparro.sources.files import checksum, open_file, packed_as, read_at, reading, scratch_file, unpack

_SAMPLE = 256 * 1024
_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file that is ready to be read from `spot`. Closing `held` closes it and removes what was spooled."""

    reading: Reading
    recognised: Recognised
    spot: Spot
    held: ExitStack


def open_csv(target: Target, known: Place | None, *, trusted: bool) -> Opened:
    """Open a file at the known place if it is the file that was read, else at its first record. Blocks.

    `trusted`: it is known to be the version of the known place.

    Raises:
        Broken: it is no CSV or damaged, or (SchemaBroken) its header is.
        Misconfigured: it may not be read, or what is stated does not fit.
        NotFound: it is gone.
    """
    with ExitStack() as held:
        plain = _as_utf8(target, held)
        file = open_file(plain, target.origin)
        held.callback(os.close, file)
        size = os.fstat(file).st_size
        if known is not None and (trusted or _begins_with(file, size, known.spot)):
            recognised, spot = known.recognised, known.spot
        else:
            recognised, spot = _recognised(file, size, target)
        layout = Layout(
            columns=recognised.columns,
            dialect=recognised.dialect,
            null_values=target.options.null_values,
            origin=target.origin,
        )
        ready = Reading(
            file=file, size=size, layout=layout, page_bytes=target.page_bytes, page_records=target.page_records
        )
        return Opened(reading=ready, recognised=recognised, spot=spot, held=held.pop_all())


def _begins_with(file: int, size: int, spot: Spot) -> bool:
    return size >= spot.offset and checksum(file, 0, spot.offset) == spot.crc


def _as_utf8(target: Target, held: ExitStack) -> Path:
    """Return the file itself, or a decompressed and transcoded copy that `held` removes."""
    path, sample = target.path, _head(target.path, target.origin)
    compression = packed_as(sample, target.options.compression)
    if compression != "none":
        path = _spool(target.scratch, held)
        unpack(target.path, path, compression, target.origin)
        sample = _head(path, target.origin)
    refuse_foreign(sample, target.origin, stated=target.options.encoding)
    encoding = recognise_encoding(sample, target.origin, stated=target.options.encoding)
    if encoding == UTF_8:
        return path
    text = _spool(target.scratch, held)
    transcode(path, text, encoding, target.origin)
    return text


def _spool(scratch: Path, held: ExitStack) -> Path:
    path = scratch_file(scratch)
    held.callback(path.unlink, missing_ok=True)
    return path


def _head(path: Path, origin: str) -> bytes:
    with reading(origin), path.open("rb") as file:
        return file.read(_SAMPLE)


def _recognised(file: int, size: int, target: Target) -> tuple[Recognised, Spot]:
    """Return how the file is written and where its first record starts."""
    options = target.options
    mark = len(_MARK) if read_at(file, 0, len(_MARK)) == _MARK else 0
    skipped, sample, trial = _sampled(file, mark, size, target)
    if len(trial.found) == 0:
        if not options.columns:
            raise Broken(
                f"{target.origin} is empty, so its columns are unknown; write it again, or state `columns` if it may be"
            )
        return _spot(file, unique(options.columns), trial.dialect, mark + skipped, options.skip_lines)
    header = read_header(sample, trial, options, target.origin)
    if options.delimiter is None and trial.share < AGREE:
        raise Broken(f"no delimiter fits most records of {target.origin}; state its `delimiter` and `quote`")
    return _spot(file, header.columns, trial.dialect, mark + skipped + header.start, header.lines)


def _spot(file: int, columns: tuple[str, ...], dialect: Dialect, offset: int, lines: int) -> tuple[Recognised, Spot]:
    spot = Spot(offset=offset, lines=lines, crc=checksum(file, 0, offset))
    return Recognised(columns=columns, dialect=dialect), spot


def _sampled(file: int, mark: int, size: int, target: Target) -> tuple[int, bytes, Trial]:
    """Return the bytes of the lines to skip, the sample after them, and what it is; a longer one if it needs that."""
    options = target.options
    for room in (_SAMPLE, 2 * LONGEST):
        sample = read_at(file, mark, room)
        whole = mark + len(sample) >= size
        skipped = _after_lines(sample, options.skip_lines, target.origin)
        trial = recognise(sample[skipped:], options, whole=whole)
        if whole or len(trial.found):
            return skipped, sample[skipped:], trial
    raise Broken(
        f"{target.origin} has no record in its first {2 * LONGEST} bytes; it is no CSV, or its lines never end"
    )


def _after_lines(sample: bytes, count: int, origin: str) -> int:
    if count == 0:
        return 0
    ends = [found.end() for found in islice(_LINE_END.finditer(sample), count)]
    if len(ends) < count:
        raise Misconfigured(f"`skip_lines` is {count}, but {origin} has only {len(ends)} lines to skip; correct it")
    return ends[-1]
