"""Writes the table of `docs/metrics.md` from the table in the code: `python -m kasparro.observe.metrics_reference`."""

from pathlib import Path

from kasparro.model.metrics import METRICS, Metric

_BEGIN, _END = "<!-- generated: metrics -->", "<!-- end: metrics -->"


def metrics_table() -> str:
    """Return the Markdown table of all metrics."""
    rows = ["| metric | kind | labels | unit | meaning |", "|---|---|---|---|---|", *(_row(one) for one in METRICS)]
    return "\n".join(rows)


def documentation(text: str) -> str:
    """Return the text of `docs/metrics.md` with its generated part made anew."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n\n{metrics_table()}\n\n{_END}{rest.partition(_END)[2]}"


def write(root: Path) -> None:
    """Write the generated part below the root of the repository."""
    page = root / "docs" / "metrics.md"
    page.write_text(documentation(page.read_text("utf-8")), "utf-8")


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in metric.labels)
    bounds = f" Buckets: {', '.join(f'{one:g}' for one in metric.buckets)}." if metric.buckets else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.help}{bounds} |"


if __name__ == "__main__":
    write(Path.cwd())
