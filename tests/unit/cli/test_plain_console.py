"""Texts from outside are printed as texts."""

from io import StringIO

from rich.text import Text

from kasparro.cli.plain_console import PlainConsole
from kasparro.cli.tables import show, show_one

EVIL = "red \x1b[31m, title \x1b]0;x\x07, home \x9b1;1H, back \x08\r, plain é"


def test_no_text_commands_the_terminal() -> None:
    out = StringIO()
    console = PlainConsole(file=out, width=200)
    console.print(f"error: {EVIL}", markup=False, soft_wrap=True)
    console.print(Text(EVIL), soft_wrap=True)
    show(console, [{"error": EVIL}], ["error"], as_json=False)
    show_one(console, {"raw": EVIL}, as_json=False)
    said = out.getvalue()
    assert said.count("title") == 4
    assert said.count("plain é") == 4
    assert not {"\x1b", "\x07", "\x08", "\r", "\x9b"} & set(said)


def test_styles_of_our_own_are_kept() -> None:
    out = StringIO()
    PlainConsole(file=out, force_terminal=True, color_system="standard", width=80, highlight=False).print(
        f"a {EVIL}", style="red"
    )
    assert out.getvalue().startswith("\x1b[31ma red \ufffd[31m")
