"""Times what profiling adds to shaping: `python -m bench.profiles`. The limit is 15 % of the shaping time.

The same pages of flights are shaped and profiled, CSV into a declared dataset (the quick way), CSV into
`normalized_data` (through DuckDB) and JSON, in one process; medians of several rounds.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from bench.load import columns, write_file
from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.model.page import JsonRecords, Page
from kasparro.model.shaped import Stamp
from kasparro.shaping.plan import Shape
from kasparro.shaping.profiling import profile_of
from kasparro.shaping.shaper import Shaper
from kasparro.sources.csv import Csv
from kasparro.sources.tools import Tools

ROUNDS = 5
KINDS: dict[str, Any] = dict(columns())
FLIGHTS = tuple(Field(name=name, type=kind) for name, kind in KINDS.items())


async def csv_pages(folder: Path) -> list[Page]:
    """Return the pages of the flights."""
    write_file(folder / "flights.csv", 1)
    tools = Tools(source="t", http=SimpleNamespace(), scratch=folder, folder=folder)
    csv = Csv(path="flights.csv", null_values=("", "NA"))
    (part,) = await csv.slices(tools)
    return [page async for page in csv.read(part, {}, tools)]


def json_pages(pages: Sequence[Page], size: int) -> list[Page]:
    """Return some of the same records as JSON pages."""
    made, names = [], tuple(columns())
    for page in pages[:4]:
        lines = page.content.decode().splitlines()
        for at in range(0, len(lines), size):
            records = [dict(zip(names, line.split(","), strict=True)) for line in lines[at : at + size]]
            texts = [orjson.dumps(one) for one in records]
            content = b"[" + b",".join(texts) + b"]"
            found = JsonRecords(texts=texts, origin="t")
            made.append(
                Page(
                    content=content, content_type="application/json", records=found, origin="t", bytes_read=len(content)
                )
            )
    return made


def seconds(act: Callable[[], object]) -> float:
    """Return the median of several rounds."""
    found = []
    for _ in range(ROUNDS):
        since = time.perf_counter()
        act()
        found.append(time.perf_counter() - since)
    return statistics.median(found)


def measure(name: str, shape: Shape, batches: Sequence[Sequence[Page]], scratch: Path) -> str:
    """Return a line of the table."""
    with Shaper(shape, scratch) as shaper:

        def shaped() -> None:
            for batch in batches:
                shaper.shape(batch, Stamp(source="t", run_id=1, page_ids=range(len(batch))))

        def profiled() -> None:
            for batch in batches:
                profile_of(batch)

        shaped()
        whole, part = seconds(shaped), seconds(profiled)
    return f"| {name} | {whole:.3f} | {part:.3f} | {part / (whole - part):.1%} |"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = asyncio.run(csv_pages(folder))
        declared = Shape(dataset=Dataset(name="flights", fields=FLIGHTS), primary_key=("id",), well_known={})
        unified = Shape(dataset=NORMALIZED, primary_key=("id",), well_known=Csv.well_known)
        small = json_pages(pages, 1000)
        print("| what | shaped and profiled, s | profiled, s | share of shaping |\n|---|---:|---:|---:|")
        for label, shape, batches in (
            ("CSV, declared dataset", declared, [[page] for page in pages]),
            ("CSV, normalized_data", unified, [[page] for page in pages]),
            ("JSON, 20 pages of 1,000 together", declared, [small[at : at + 20] for at in range(0, len(small), 20)]),
        ):
            scratch = folder / label.replace(" ", "-").replace(",", "")
            scratch.mkdir()
            print(measure(label, shape, batches, scratch), flush=True)


if __name__ == "__main__":
    main()
