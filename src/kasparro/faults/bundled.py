"""The bundled sources of chaos: a JSON API, a feed, and CSV files with a key, without one, and with rows only added.

All have bad records, duplicates and updates, also across pages.
"""

import json
from pathlib import Path

LINES, FEWER_LINES = 6000, 2500


def write_bundled(folder: Path, address: str) -> Path:
    """Write file and configuration into a folder; return the configuration."""
    with (folder / "orders.csv").open("w", encoding="utf-8") as file:
        file.write("id,name,amount,at\n")
        for number in range(LINES):
            key = number - (number % 40 == 0)  # the record before it comes again, with other values
            amount = "much" if number % 501 == 0 else number / 8
            broken = ",one cell too many" if number % 777 == 0 else ""
            file.write(f"{key},name {number},{amount},2024-01-01T00:00:{number % 60:02d}Z{broken}\n")
    _write_unkeyed(folder / "readings.csv")
    retries = {"attempts": 20, "first_wait": 0.01, "max_wait": 0.05}
    pages = {"type": "page_number"}
    declared = {
        "sources": {
            "orders": {"type": "csv", "path": "orders.csv", "primary_key": "id", "dataset": "orders"},
            "readings": {"type": "csv", "path": "readings.csv"},
            "journal": {"type": "csv", "path": "readings.csv", "write_disposition": "append"},
            "items": {
                "type": "api",
                "url": f"{address}/items",
                "records": "items",
                "primary_key": "id",
                "pagination": pages,
                "http": retries,
            },
            "news": {"type": "rss", "url": f"{address}/feed", "http": retries},
        },
        "datasets": {"orders": {"fields": {"id": "integer", "name": "text", "amount": "numeric", "at": "timestamp"}}},
    }
    config = folder / "kasparro.yaml"
    config.write_text(json.dumps(declared, indent=1), encoding="utf-8")
    return config


def _write_unkeyed(file: Path) -> None:
    """Every 30th record is one that came long before, every 333rd has a cell too many."""
    with file.open("w", encoding="utf-8") as readings:
        readings.write("title,value,occurred_at\n")
        for number in range(FEWER_LINES):
            one = number if number % 30 else number // 2
            broken = ",one cell too many" if number % 333 == 0 else ""
            readings.write(f"reading {one},{one / 8},2024-01-01T00:{one // 60:02d}:{one % 60:02d}Z{broken}\n")
