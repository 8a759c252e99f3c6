"""`init` and `check`: the configuration."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import typer

from kasparro.assembly.jobs import origin_of
from kasparro.cli.context import DEFAULT_CONFIG, ConfigOption, consoles, need_config, settings_with_logs
from kasparro.cli.words import moment_in_words
from kasparro.config.json_schema import schema_text
from kasparro.errors import Conflict
from kasparro.model.redact import Redactor
from kasparro.model.source import Declared
from kasparro.scheduling.moments import next_due


def init() -> None:
    """Write a kasparro.yaml to start from, and the schema that editors complete it with."""
    screens = consoles()
    if DEFAULT_CONFIG.exists():
        raise Conflict(f"{DEFAULT_CONFIG} is there already. Edit it, or move it away first.")
    text = files("kasparro.cli").joinpath("kasparro.example.yaml").read_text(encoding="utf-8")
    DEFAULT_CONFIG.write_text(text, encoding="utf-8")
    Path("kasparro.schema.json").write_text(schema_text(), encoding="utf-8")
    screens.out.print(
        "Wrote kasparro.yaml and kasparro.schema.json. Edit the first, then: kasparro check, kasparro run"
    )


def check(config: ConfigOption = None) -> None:
    """Check settings and configuration; starts nothing. All mistakes are shown at once."""
    screens = consoles()
    settings = settings_with_logs()
    found = need_config(config, settings)
    redact = Redactor(found.secrets | settings.secrets)
    for source in found.sources:
        line = f"{source.name}: {source.kind.type} from {redact(origin_of(source))} into {source.dataset}"
        screens.out.print(f"{line}{_due(source)}", markup=False, soft_wrap=True)
    for channel in found.notifications:
        screens.out.print(f"notifications on {channel.name}: {channel.kind.type}", markup=False)
    for note in found.notes:
        screens.errors.print(note, markup=False)
    screens.out.print(f"{found.path} is sound. Sources: {len(found.sources)}", markup=False)
    raise typer.Exit(0)


def _due(source: Declared) -> str:
    """Return when a source is due next, where it has a schedule."""
    due = None if source.schedule is None else next_due(source.schedule, datetime.now(UTC))
    return "" if due is None else f", due {source.schedule}, next at {moment_in_words(due)}"
