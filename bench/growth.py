"""Times loads of a million flights into a table that grows: what a row costs must not depend on how many there are.

`python -m bench.growth`, and part of `make bench`. Each part is a file of its own under the same source, so that each
run reads one file. At the first and at the last size one line of 100 of a part is changed as well, which takes the
merge.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import change, declaration, empty, flights, kasparro
from kasparro.store.embedded import EmbeddedServer

PART = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Seconds of a million rows at two sizes of the table: added, and merged with one of 100 changed."""

    sizes: tuple[int, int]
    added: tuple[float, float]
    merged: tuple[float, float]

    def lines(self) -> list[str]:
        """Return rows of a table, and what they come to."""
        rows = []
        for name, pair in (("a million rows added", self.added), ("a million rows merged", self.merged)):
            for size, seconds in zip(self.sizes, pair, strict=True):
                rows.append(f"| {name}, {size:,} in the table | {PART:,} | {seconds:.2f} | | {PART / seconds:,.0f} | |")
        return rows

    def shares(self) -> str:
        """Return the ratio of the cost per row at the larger size to that at the smaller."""
        added, merged = self.added[1] / self.added[0], self.merged[1] / self.merged[0]
        return (
            f"- A row with {self.sizes[1]:,} in the table costs {added:.2f} times as much as with {self.sizes[0]:,}; "
            f"merged, {merged:.2f} times."
        )


def write_part(folder: Path, number: int, lines: list[str], header: str) -> Path:
    """Write the part with this number, from 1: a million flights with ids of their own."""
    file = folder / f"part-{number:03d}.csv"
    first = (number - 1) * PART
    with file.open("w", newline="") as target:
        target.write(f"id,{header}\n")
        target.writelines(f"{first + n},{lines[(first + n) % len(lines)]}\n" for n in range(PART))
    return file


def grow(url: str, folder: Path, rows: int, say: Callable[[str], None]) -> Grown:
    """Load parts until there are so many rows; the files are emptied behind the loads, all but the last few."""
    config = folder / "growth.yaml"
    config.write_text(declaration(str(folder / "part-*.csv"), dataset=True))
    with flights() as source:
        header, *lines = source.read().splitlines()
    empty(url)
    seconds: list[float] = []
    merged: list[float] = []
    for number in range(1, rows // PART + 1):
        file = write_part(folder, number, lines, header)
        seconds.append(kasparro(url, config)[0])
        if number % 5 == 0:
            say(f"{number * PART:,} rows: {seconds[-1]:.2f} s for the last million")
        if number in {2, rows // PART}:
            change(file)
            merged.append(kasparro(url, config)[0])
        file.unlink()
    # Medians of three loads each: into 1 to 3 million rows, and the last three.
    added = (statistics.median(seconds[1:4]), statistics.median(seconds[-3:]))
    return Grown(sizes=(2 * PART, rows), added=added, merged=(merged[0], merged[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000, help="rows at the end, in whole millions; 5 at least")
    options = parser.parse_args()
    made = tempfile.TemporaryDirectory(prefix="kasparro-bench-")
    with made as folder, EmbeddedServer(Path(folder) / "home") as server:
        found = grow(server.url, Path(folder), options.rows, lambda line: print(line, flush=True))
    print(*found.lines(), found.shares(), sep="\n")


if __name__ == "__main__":
    main()
