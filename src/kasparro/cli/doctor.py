"""`doctor`: is everything there that a run needs?"""

from collections import Counter
from dataclasses import asdict

import typer
from rich.text import Text

from kasparro.assembly.doctor import diagnose
from kasparro.cli.context import ConfigOption, Consoles, JsonOption, consoles, find_config, run_async
from kasparro.cli.exits import FAILED, OK
from kasparro.cli.tables import print_json
from kasparro.model.diagnosis import Diagnosis
from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002 - an option
    """Look at configuration, database, disk, clock and sources; for what is not right, say what to do.

    Changes nothing. Exit code 1 where there is a problem; warnings alone are 0.
    """
    screens = consoles()
    # What the parts would log is said by the lines.
    configure_logs(level="critical", production=False, redact=Redactor())
    counts: Counter[str] = Counter()

    def tell(one: Diagnosis) -> None:
        counts[one.state] += 1
        if as_json:
            print_json(asdict(one))
        else:
            _show(screens, one)

    run_async(lambda: diagnose(lambda settings: find_config(config, settings), tell))
    if not as_json:
        screens.out.print(f"\nproblems: {counts['problem']}, warnings: {counts['warning']}, ok: {counts['ok']}")
    raise typer.Exit(FAILED if counts["problem"] else OK)


def _show(screens: Consoles, one: Diagnosis) -> None:
    line = Text()
    line.append(f"{one.state:<8}", style=_STYLES[one.state])
    line.append(f"{one.area:<15}{one.subject}: ")
    line.append(one.says)
    screens.out.print(line, soft_wrap=True)
    if one.remedy is not None:
        screens.out.print(Text(f"{'':<8}{'':<15}{one.remedy}", style="bold"), soft_wrap=True)
