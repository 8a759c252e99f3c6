import re
from pathlib import Path

from kasparro.config import load_settings
from kasparro.config.reference import documentation, dotenv_example, keys_tables, write
from kasparro.config.shape_schema import schema_of
from kasparro.config.shapes import FieldShape, RuleShape, ScheduleShape, SourceShape
from kasparro.config.variables import VARIABLES
from kasparro.sources.kinds import KINDS

ROOT = Path(__file__).parents[3]
REMEDY = "run: python -m kasparro.config.reference"


def test_the_example_of_the_environment_is_in_step() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == dotenv_example(), REMEDY


def test_the_documentation_is_in_step() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert documentation(text) == text, REMEDY


def test_the_documentation_names_every_variable_and_key() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    shapes = (*KINDS.values(), SourceShape, ScheduleShape, FieldShape, RuleShape)
    keys = {key for shape in shapes for key in schema_of(shape)["properties"]}
    missing = [name for name in (*(variable.name for variable in VARIABLES), *keys) if f"`{name}" not in text]
    assert missing == []
    assert len(keys) > 30


def test_every_key_has_a_meaning() -> None:
    assert re.findall(r"^\| `\w+` \|[^|]*\|[^|]*\|  \|$", keys_tables({}), re.MULTILINE) == []


def test_the_example_of_the_environment_is_taken_as_it_is_and_uncommented(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(dotenv_example(), "utf-8")
    assert load_settings({}, dotenv) == load_settings({}, None)
    dotenv.write_text(re.sub(r"^# (?=[A-Z_]+=)", "", dotenv_example(), flags=re.MULTILINE), "utf-8")
    settings = load_settings({}, dotenv)
    assert settings.home == Path("/var/lib/kasparro")
    assert settings.api_key is not None


def test_everything_is_written_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    empty = "".join(f"<!-- generated: {name} -->\n<!-- end: {name} -->\n" for name in ("environment", "keys"))
    (tmp_path / "docs" / "configuration.md").write_text(f"A\n{empty}B\n", "utf-8")
    write(tmp_path, {})
    text = (tmp_path / "docs" / "configuration.md").read_text("utf-8")
    assert text.startswith("A\n<!-- generated: environment -->\n\n| variable |")
    assert text.endswith("<!-- end: keys -->\nB\n")
    assert documentation(text, {}) == text
    assert (tmp_path / ".env.example").exists()
    assert (tmp_path / "kasparro.schema.json").exists()
