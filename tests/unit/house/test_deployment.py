"""What can be known of the image, the compose file and the Makefile without an engine to run them."""

import ast
import json
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from kasparro.config import load_settings
from kasparro.config.variables import VARIABLES

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
MAKEFILE = ROOT / "Makefile"
OURS = ("api", "worker")
WATCHING = ("prometheus", "grafana")
TARGETS = [
    "up",
    "down",
    "restart",
    "logs",
    "logs-db",
    "test",
    "test-unit",
    "test-integration",
    "clean",
    "migrate",
    "shell",
    "psql",
    "lint",
    "format",
    "type-check",
    "run",
    "check",
    "bench",
    "docs",
]


@cache
def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: name and the rest, continued lines joined."""
    text = "\n".join(line for line in lines_of(ROOT / "Dockerfile") if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined if line.strip())]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage; what stands before the first FROM is left out."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def last(name: str) -> str:
    """The rest of the last instruction of that name in the last stage: the one that holds."""
    return [rest for found, rest in stages()[-1] if found == name][-1]


def test_the_compose_file_is_valid_against_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_has_the_services_and_a_check_of_the_database() -> None:
    services = read_yaml(COMPOSE)["services"]
    assert set(services) == {"db", *OURS, *WATCHING}
    assert services["db"]["image"] == "postgres:18"
    assert services["db"]["volumes"] == ["db:/var/lib/postgresql"], "where images of PostgreSQL 18 and newer keep data"
    assert "pg_isready" in services["db"]["healthcheck"]["test"]
    for name in WATCHING:
        assert services[name]["profiles"], "it would be started with the others"
    for name in OURS:
        assert services[name]["depends_on"] == {"db": {"condition": "service_healthy"}}


def test_one_service_builds_the_image_and_no_registry_is_asked_for_it() -> None:
    services = read_yaml(COMPOSE)["services"]
    assert {services[name]["image"] for name in OURS} == {"kasparro"}
    assert [name for name in services if "build" in services[name]] == ["api"]
    assert services["worker"]["pull_policy"] == "never"


def test_the_worker_is_checked_by_its_heartbeat_and_has_time_to_finish() -> None:
    worker = read_yaml(COMPOSE)["services"]["worker"]
    assert worker["command"] == ["kasparro", "worker"]
    assert worker["healthcheck"]["test"] == ["CMD", "kasparro", "workers", "--check"]
    assert worker["stop_grace_period"] == "60s"
    assert "ports" not in worker


def test_ports_are_published_on_loopback_only() -> None:
    services = read_yaml(COMPOSE)["services"]
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert [name for name, ports in published.items() if ports] == ["api", *WATCHING]
    assert all(str(port).startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not any("network_mode" in service for service in services.values())


@pytest.mark.parametrize("name", ["db", *OURS, *WATCHING])
def test_containers_can_do_little(name: str) -> None:
    service = read_yaml(COMPOSE)["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    if name in OURS:
        assert service["read_only"] is True
        assert "cap_add" not in service


@pytest.mark.parametrize("name", OURS)
def test_a_container_can_write_to_tmp_and_to_no_folder_of_this_machine(name: str) -> None:
    service = read_yaml(COMPOSE)["services"][name]
    volumes = service["volumes"]
    assert "/tmp" in [*service.get("tmpfs", []), *volumes]
    for volume in volumes:
        match volume:
            case dict():
                assert volume["read_only"] is True
                assert volume["bind"]["create_host_path"] is False, "a missing file would become a folder"
            case _:
                assert volume == "/tmp" or volume.endswith(":ro")


def test_the_compose_file_takes_no_variable_that_a_process_would_refuse() -> None:
    named = set(re.findall(r"\b(KASPARRO_\w+)", COMPOSE.read_text(encoding="utf-8")))
    assert named <= {variable.name for variable in VARIABLES}, "all of .env goes into the containers"


@pytest.mark.parametrize("name", WATCHING)
def test_what_watches_is_pinned_checked_and_reads_its_files_only(name: str) -> None:
    compose = read_yaml(COMPOSE)
    service = compose["services"][name]
    assert service["profiles"] == ["observability"]
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert service["healthcheck"]["test"][0] == "CMD"
    for volume in service["volumes"]:
        source, _, rest = volume.partition(":")
        assert rest.endswith(":ro") if source.startswith("./") else source in compose["volumes"]
        assert not source.startswith("./") or (ROOT / source).exists()
    given = [one if isinstance(one, str) else one["source"] for one in service["secrets"]]
    made = re.findall(r"([A-Z_]+)=%s", MAKEFILE.read_text(encoding="utf-8"))
    assert {compose["secrets"][one]["environment"] for one in given} <= {*made}
    assert not [key for key in service.get("environment", {}) if key.endswith("PASSWORD")], "it would be readable"


def test_prometheus_finds_in_its_container_what_its_configuration_names() -> None:
    service = read_yaml(COMPOSE)["services"]["prometheus"]
    config = read_yaml(ROOT / "deploy" / "observability" / "prometheus.yml")
    (scrape,) = config["scrape_configs"]
    named = [*config["rule_files"], *scrape["file_sd_configs"][0]["files"], scrape["authorization"]["credentials_file"]]
    mounted = [volume.split(":")[1] for volume in service["volumes"]] + [one["target"] for one in service["secrets"]]
    assert {f"/etc/prometheus/{name}" for name in named} <= {*mounted}
    grafana = read_yaml(COMPOSE)["services"]["grafana"]
    (provider,) = read_yaml(ROOT / "deploy/observability/grafana/provisioning/dashboards/kasparro.yml")["providers"]
    assert provider["options"]["path"] in [volume.split(":")[1] for volume in grafana["volumes"]]


@pytest.mark.parametrize("name", ["db", *OURS])
def test_the_compose_file_holds_no_secret(name: str) -> None:
    environment = read_yaml(COMPOSE)["services"][name]["environment"]
    secrets = {key: value for key, value in environment.items() if re.search("PASSWORD|KEY|SECRET|TOKEN", key)}
    assert secrets
    for value in secrets.values():
        assert re.fullmatch(r"\$\{[A-Z_]+:[-?][^{}]*\}", value), "not from the environment"
    assert urlsplit(environment.get("DATABASE_URL", "")).password is None


def test_the_base_image_is_pinned_and_can_be_given() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert re.fullmatch(r"[a-z/]+:[0-9][\w.-]+", arguments["BASE"])
    assert [stage[0][1].split(" ")[0] for stage in stages()] == ["${BASE}", "${BASE}"]


def test_the_image_runs_as_another_user_than_root() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_image_serves_and_gets_signals_itself() -> None:
    assert json.loads(last("CMD")) == ["kasparro", "serve", "--host", "0.0.0.0", "--port", "8000"]
    assert last("EXPOSE") == "8000"
    assert "ENTRYPOINT" not in dict(stages()[-1]), "`docker compose run api kasparro ...` needs none"


def test_the_health_check_asks_whether_requests_can_be_served() -> None:
    options, _, command = last("HEALTHCHECK").partition("CMD ")
    assert "--timeout=" in options
    *interpreter, code = json.loads(command)
    assert interpreter[0] == "python"
    assert interpreter[-1] == "-c"
    ast.parse(code)
    assert "'127.0.0.1', 8000" in code
    assert "'/readyz'" in code


def test_the_image_takes_the_lock_without_tools_and_without_the_embedded_postgresql() -> None:
    builder = "\n".join(rest for name, rest in stages()[0] if name == "RUN")
    runtime = "\n".join(rest for name, rest in stages()[-1] if name == "RUN")
    assert "--require-hashes" in builder
    assert "requirements-dev" not in builder
    assert "pip" not in runtime
    without = re.search(r"printf '%s\\n' ([a-z -]+) > without\.txt", builder)
    assert without is not None
    locked = {line.split("==")[0] for line in lines_of(ROOT / "requirements.txt") if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    embedded = {re.split(r"[^\w-]", name)[0] for name in project["optional-dependencies"]["embedded"]}
    assert embedded <= set(without[1].split()) <= locked


def test_everything_that_is_copied_goes_to_the_build_and_nothing_else() -> None:
    patterns = [line for line in lines_of(ROOT / ".dockerignore") if not line.startswith("#")]
    assert patterns[0] == "*"
    allowed = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    copies = [shlex.split(rest) for name, rest in instructions() if name == "COPY" and "--from=" not in rest]
    assert {source for *sources, _ in copies for source in sources} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_makefile_has_every_promised_target() -> None:
    text = MAKEFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    phony = re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)
    assert phony is not None
    assert set(TARGETS) <= set(phony[1].split())
    described = re.findall(r"^([a-z-]+):.* ## ", text, re.MULTILINE)
    assert sorted({*TARGETS} - {*described}) == []


def make_dotenv(folder: Path) -> Path:
    subprocess.run(["make", "--silent", f"--makefile={MAKEFILE}", ".env"], cwd=folder, check=True, capture_output=True)
    return folder / ".env"


def test_make_writes_secrets_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = make_dotenv(tmp_path)
    first = path.read_text(encoding="utf-8")
    values = dict(line.split("=") for line in first.splitlines())
    assert sorted(values) == ["API_KEY", "GRAFANA_PASSWORD", "POSTGRES_PASSWORD"]
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in values.values())
    assert len({*values.values()}) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_dotenv(tmp_path).read_text(encoding="utf-8") == first
    assert set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text(encoding="utf-8"))) <= set(values)
    assert ".env" in lines_of(ROOT / ".gitignore")


def test_what_make_writes_leaves_the_embedded_postgresql_in_place(tmp_path: Path) -> None:
    settings = load_settings(environ={}, dotenv=make_dotenv(tmp_path))
    assert settings.database_url is None
    assert settings.api_key is not None
