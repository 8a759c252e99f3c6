from pathlib import Path

import pytest

from kasparro.config import check_serving, load_settings, read_environment
from kasparro.config.variables import VARIABLES
from kasparro.errors import Misconfigured


def refusal(environ: dict[str, str], dotenv: Path | None = None) -> str:
    with pytest.raises(Misconfigured) as caught:
        load_settings(environ, dotenv)
    return str(caught.value)


def test_defaults() -> None:
    settings = load_settings({}, None)
    assert (settings.database_url, settings.api_key, settings.config) == (None, None, None)
    assert (settings.batch_size, settings.checkpoint_interval) == (50_000, 50_000)
    assert (settings.environment, settings.debug, settings.log_level) == ("development", False, "info")
    assert (settings.host, settings.port, settings.page_bytes) == ("127.0.0.1", 8000, 2_097_152)
    assert (settings.public_read, settings.concurrency) == (True, 4)
    assert settings.home.is_absolute()
    assert settings.home.name == "kasparro"


def test_everything_set() -> None:
    settings = load_settings(
        {
            "DATABASE_URL": "postgresql://me:p%40ss@db:5432/x",
            "API_KEY": "sesame-open",
            "ETL_BATCH_SIZE": "10",
            "ETL_CHECKPOINT_INTERVAL": " 1_000 ",
            "ENVIRONMENT": "Production",
            "DEBUG": "yes",
            "LOG_LEVEL": "WARNING",
            "KASPARRO_CONFIG": "~/k.yaml",
            "KASPARRO_HOME": "/var/lib/k",
            "KASPARRO_PUBLIC_READ": "1",
            "KASPARRO_HOST": "0.0.0.0",
            "KASPARRO_PORT": "0",
            "KASPARRO_PAGE_BYTES": "65536",
            "KASPARRO_CONCURRENCY": "64",
        },
        None,
    )
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:p%40ss@db:5432/x"
    assert (settings.batch_size, settings.checkpoint_interval, settings.debug) == (10, 1000, True)
    assert (settings.environment, settings.log_level, settings.public_read) == ("production", "warning", True)
    assert (settings.home, settings.config) == (Path("/var/lib/k"), Path("~/k.yaml").expanduser())
    assert (settings.host, settings.port, settings.page_bytes, settings.concurrency) == ("0.0.0.0", 0, 65536, 64)
    assert settings.secrets == {"sesame-open", "postgresql://me:p%40ss@db:5432/x", "p%40ss", "p@ss"}
    assert "sesame" not in repr(settings)
    assert "p%40ss" not in repr(settings)


@pytest.mark.parametrize("password", ["p[ss", "p?ss", "p#ss", "p]s s", "p:ss"])
def test_a_password_that_libpq_takes_is_known_as_a_secret(password: str) -> None:
    settings = load_settings({"DATABASE_URL": f"postgresql://me:{password}@db/x"}, None)
    assert password in settings.secrets


@pytest.mark.parametrize("url", ["postgresql:///x?host=/tmp", "postgresql://[::1]/x", "postgresql://[::1/x"])
def test_an_address_of_a_database_without_a_password(url: str) -> None:
    assert load_settings({"DATABASE_URL": url}, None).secrets == {url}


@pytest.mark.parametrize("password", ["p@rt-of-it", "top/p@rt", "s/part-of-it", "a@b@part-of-it"])
def test_a_password_that_must_be_encoded_is_refused_and_no_part_of_it_shown(password: str) -> None:
    """libpq would take the rest of it for the host, and say so in its error."""
    said = refusal({"DATABASE_URL": f"postgresql://me:{password}@db/x"})
    assert "percent-encoded: @ as %40" in said
    assert "part" not in said


def test_every_variable_sets_a_field() -> None:
    settings = load_settings({}, None)
    assert {variable.field for variable in VARIABLES} == set(settings.__slots__)
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


def test_reads_are_closed_in_production_unless_opened() -> None:
    assert load_settings({"ENVIRONMENT": "production"}, None).public_read is False


def test_all_mistakes_at_once_word_by_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(
        "\n# port\nKASPARRO_PORT=80000\nDATABASE_URL='mysql://me:topsecret@db/x'\n\nno value\n", "utf-8"
    )
    environ = {
        "ETL_BATCH_SIZE": "many",
        "ENVIRONMENT": "prod",
        "DEBUG": "*",
        "KASPARRO_PUBLIC_REED": "x",
        "KASPARRO_XYZ": "",
    }
    assert refusal(environ, Path(".env")) == (
        "the environment has 8 mistakes:\n"
        '  ETL_BATCH_SIZE: "many" is not a whole number\n'
        '  ENVIRONMENT: "prod" is not one of development, production; did you mean "production"?\n'
        '  DEBUG: must be true or false, not "*"\n'
        '  KASPARRO_PUBLIC_REED: unknown variable; did you mean "KASPARRO_PUBLIC_READ"?\n'
        "  KASPARRO_XYZ: unknown variable\n"
        "  .env:3: KASPARRO_PORT: must be from 0 to 65535, not 80000\n"
        "  .env:4: DATABASE_URL: must begin with postgresql:// (as in postgresql://user:password@host:5432/database)\n"
        "  .env:6: is not of the form NAME=value"
    )


def test_an_empty_variable_is_an_unset_one() -> None:
    settings = load_settings({"API_KEY": "", "ETL_BATCH_SIZE": " ", "KASPARRO_HOME": ""}, None)
    assert (settings.api_key, settings.batch_size) == (None, 50_000)


def test_the_real_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text('KASPARRO_PORT=1\nexport KASPARRO_HOST="h ${NAME}"  # note\nTOKEN=abc\n', "utf-8")
    settings = load_settings({"KASPARRO_PORT": "2", "NAME": "n"}, dotenv)
    assert (settings.port, settings.host) == (2, "h n")
    assert read_environment({"TOKEN": "real"}, dotenv) == {"KASPARRO_PORT": "1", "KASPARRO_HOST": "h ", "TOKEN": "real"}


def test_a_dotenv_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_environment({"A": "b"}, tmp_path / ".env") == {"A": "b"}


@pytest.mark.parametrize(("content", "message"), [(b"A=\xff\n", "is not UTF-8 text"), (None, "cannot be read")])
def test_a_dotenv_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    dotenv = tmp_path / ".env"
    if content is None:
        dotenv.mkdir()
    else:
        dotenv.write_bytes(content)
    with pytest.raises(Misconfigured, match=message):
        load_settings({}, dotenv)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KASPARRO_PORT", "4711")
    assert load_settings().port == 4711
    assert read_environment()["KASPARRO_PORT"] == "4711"


def test_production_does_not_serve_without_a_key() -> None:
    with pytest.raises(Misconfigured) as caught:
        check_serving(load_settings({"ENVIRONMENT": "production"}, None))
    assert str(caught.value) == (
        "API_KEY: is not set, and with ENVIRONMENT=production the API needs one; set API_KEY to a long random text"
    )


@pytest.mark.parametrize("environ", [{}, {"ENVIRONMENT": "production", "API_KEY": "x"}])
def test_otherwise_it_serves(environ: dict[str, str]) -> None:
    settings = load_settings(environ, None)
    check_serving(settings)
    assert settings.environment == environ.get("ENVIRONMENT", "development")


def test_traces_have_an_address_or_are_off() -> None:
    assert load_settings({}, None).collector is None
    assert load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, None).collector == "http://c:4318/v1/traces"
    whole = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://d/x"}
    assert load_settings(whole, None).collector == "https://d/x"
    assert load_settings({**whole, "OTEL_SDK_DISABLED": "true"}, None).collector is None


def test_what_the_collector_is_sent_is_secret() -> None:
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:p%40ss-word@c:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=sesame%20open, x-other = hunter2",
    }
    settings = load_settings(given, None)
    assert {"p%40ss-word", "p@ss-word", "sesame%20open", "sesame open", "hunter2"} <= settings.secrets
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always", "always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "many", "not a number"),
        ("OTEL_SDK_DISABLED", "maybe", "true or false"),
    ],
)
def test_what_is_said_of_traces_matters_where_there_are_traces(name: str, text: str, problem: str) -> None:
    assert load_settings({name: text}, None).collector is None, "it may be meant for other programs"
    said = refusal({name: text, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
    assert name in said
    assert problem in said


@pytest.mark.parametrize("text", ["localhost:4318", "grpc://c:4317", "http://", "http://[", "http://c:many"])
def test_an_address_of_the_collector_that_is_none_is_refused(text: str) -> None:
    assert "http:// or https:// address" in refusal({"OTEL_EXPORTER_OTLP_ENDPOINT": text})
