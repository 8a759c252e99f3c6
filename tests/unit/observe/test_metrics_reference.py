import re
from pathlib import Path

from kasparro.model.metrics import METRICS
from kasparro.observe.metrics_reference import documentation, write

ROOT = Path(__file__).parents[3]


def test_the_documentation_is_in_step() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert documentation(text) == text, "run: make docs"
    assert all(f"| `{metric.name}` | {metric.kind} |" in text for metric in METRICS)


def test_only_the_generated_part_is_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "metrics.md"
    page.write_text("before\n<!-- generated: metrics -->\nof before\n<!-- end: metrics -->\nafter\n", "utf-8")
    write(tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- generated: metrics -->\n\n| metric |")
    assert text.endswith("|\n\n<!-- end: metrics -->\nafter\n")
    assert "of before" not in text


def test_every_metric_that_the_documentation_speaks_of_exists() -> None:
    known = {metric.name for metric in METRICS} | {f"{one.name}_bucket" for one in METRICS if one.kind == "histogram"}
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert set(re.findall(r"\bkasparro_\w+", text)) - {"kasparro_api_key"} <= known
