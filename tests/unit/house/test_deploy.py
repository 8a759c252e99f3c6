"""What can be known of deploy/aws, deploy/gcp and their guides without a cloud."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import structlog
from deploy.gcp.schema.validate import mistakes, plain, read
from psycopg.conninfo import conninfo_to_dict
from ruamel.yaml import YAML
from tests.integration.deploy.templates import template
from typer.testing import CliRunner

from kasparro.assembly.storage import connections_of
from kasparro.cli.main import command_line
from kasparro.config import load_settings
from kasparro.config.variables import VARIABLES
from kasparro.model.events import RunFinished
from kasparro.model.run import Counts, RunResult
from kasparro.observe.run_log import log_event

ROOT = Path(__file__).parents[3]
AWS = ROOT / "deploy" / "aws"
GCP = ROOT / "deploy" / "gcp"
AWS_GUIDE = (ROOT / "docs" / "deploy-aws.md").read_text(encoding="utf-8")
GCP_GUIDE = (ROOT / "docs" / "deploy-gcp.md").read_text(encoding="utf-8")
TEMPLATES = {path.name: template(path) for path in sorted(AWS.glob("*.yaml"))}
SERVICE = TEMPLATES["service.yaml"]["Resources"]
DATABASE = TEMPLATES["database.yaml"]["Resources"]
TASKS = {name: one["Properties"] for name, one in SERVICE.items() if one["Type"] == "AWS::ECS::TaskDefinition"}
LIBPQ = {"PGPASSWORD"}


def code(guide: str) -> str:
    """Return the commands of a guide, continued lines joined."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)).replace("\\\n", " ")


def container(task: Any) -> Any:
    (found,) = task["ContainerDefinitions"]
    return found


def our_command(words: list[str]) -> None:
    """Fail unless the command line has the command and its options."""
    assert words[0] == "kasparro"
    asked = [*words[1:], "--help"]
    shown = CliRunner().invoke(command_line(asked), asked)
    assert shown.exit_code == 0, shown.output


def containers_of_gcp() -> Iterator[tuple[str, Any]]:
    """Give each container of Cloud Run with the name of its resource."""
    for name, body in read(GCP / "kasparro")["resource"].items():
        if name.startswith("google_cloud_run_v2_") and "template" in body:
            (outer,) = body["template"]
            (inner,) = outer.get("template", [outer])
            (found,) = inner["containers"]
            yield name, found


# What runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_task_runs_a_command_that_there_is_with_variables_that_there_are(task: str) -> None:
    one = container(TASKS[task])
    our_command(one["Command"])
    names = {pair["Name"] for pair in one["Environment"]} | {pair["Name"] for pair in one["Secrets"] if "Name" in pair}
    assert names <= {variable.name for variable in VARIABLES} | LIBPQ
    assert {"DATABASE_URL", "PGPASSWORD", "ENVIRONMENT"} <= names


@pytest.mark.parametrize(("name", "one"), [*containers_of_gcp()], ids=lambda one: one if isinstance(one, str) else "")
def test_a_container_of_cloud_run_does_too(name: str, one: Any) -> None:
    our_command([plain(word) for word in [*one["command"], *one["args"]]])
    found = read(GCP / "kasparro")
    known = {variable.name for variable in VARIABLES} | LIBPQ
    assert {plain(pair["name"]) for pair in one["env"]} <= known
    assert {*found["locals"]["settings"]} - {"__comments__"} <= known
    for text in (found["locals"]["api_settings"], found["locals"]["worker_settings"]):
        assert {*re.findall(r"\b([A-Z_]{5,})\s*=", text)} <= known
    assert name.split(".")[1] in {"api", "worker", "migrate", "run"}


def urls() -> list[str]:
    (aws,) = {
        json.dumps(pair["Value"])
        for task in TASKS.values()
        for pair in container(task)["Environment"]
        if pair["Name"] == "DATABASE_URL"
    }
    gcp = plain(read(GCP / "kasparro")["locals"]["settings"]["DATABASE_URL"])
    return [
        json.loads(aws)["Fn::Sub"][0].replace("${Host}", "db.example.com").replace("${Port}", "5432"),
        re.sub(r"\$\{[^}]*\}", "project:region:kasparro", gcp),
    ]


def test_libpq_understands_the_addresses_of_the_databases() -> None:
    aws, gcp = map(conninfo_to_dict, urls())
    assert aws == {
        "user": "kasparro",
        "host": "db.example.com",
        "port": "5432",
        "dbname": "kasparro",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ssl/rds.pem",
    }
    assert gcp == {"user": "kasparro", "host": "/cloudsql/project:region:kasparro", "dbname": "kasparro"}
    assert "/etc/ssl/rds.pem" in (AWS / "Dockerfile").read_text(encoding="utf-8")


def test_ecs_asks_what_the_image_asks_as_the_user_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (asked,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*?\])$", dockerfile, re.MULTILINE | re.DOTALL)
    check = container(TASKS["ApiTask"])["HealthCheck"]["Command"]
    assert check == ["CMD", *json.loads(asked.replace("/readyz", "/livez"))], "ECS replaces what is not ready"
    assert SERVICE["ApiTargets"]["Properties"]["HealthCheckPath"] == "/readyz"
    ast.parse(check[-1])
    (user,) = re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)
    assert {container(task)["User"] for task in TASKS.values()} == {user}
    compose = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]["worker"]
    assert container(TASKS["WorkerTask"])["HealthCheck"]["Command"] == compose["healthcheck"]["test"]
    our_command(container(TASKS["WorkerTask"])["HealthCheck"]["Command"][1:])


FARGATE = {
    256: {512, 1024, 2048},
    512: {*range(1024, 5120, 1024)},
    1024: {*range(2048, 9216, 1024)},
}
"""Memory in MiB that Fargate allows for a processor; the smaller sizes."""


def test_the_sizes_of_the_tasks_are_some_that_fargate_has() -> None:
    defaults = {name: one.get("Default") for name, one in TEMPLATES["service.yaml"]["Parameters"].items()}
    for task in TASKS.values():
        assert task["RequiresCompatibilities"] == ["FARGATE"]
        assert task["NetworkMode"] == "awsvpc"
        size = [defaults[value["Ref"]] if isinstance(value, dict) else value for value in (task["Cpu"], task["Memory"])]
        assert int(size[1]) in FARGATE[int(size[0])]
        assert "TaskRoleArn" not in task, "a container needs no rights at AWS"
        assert container(task)["MountPoints"][0]["SourceVolume"] == task["Volumes"][0]["Name"]


def test_the_log_says_of_a_failed_run_what_the_alarms_look_for() -> None:
    result = RunResult(
        source="coins", status="failed", counts=Counts(), duration=1.0, run_id=1, error="no", error_code="denied"
    )
    with structlog.testing.capture_logs() as lines:
        log_event(RunFinished(result=result))
    (line,) = lines
    pattern = SERVICE["FailedRuns"]["Properties"]["FilterPattern"]
    assert {*re.findall(r"\$\.(\w+) = ", pattern)} <= {*line}
    assert f'$.event = "{line["event"]}"' in pattern
    assert f'$.status = "{line["status"]}"' in pattern
    gcp = plain(read(GCP / "kasparro")["resource"]["google_logging_metric.failed_runs"]["filter"]).replace('\\"', '"')
    assert f'jsonPayload.event="{line["event"]}"' in gcp
    assert f'"{line["status"]}"' in gcp


# Who may reach what --------------------------------------------------------------------------------------------------


def test_every_security_group_says_what_it_lets_out() -> None:
    groups = {
        name: one["Properties"]
        for part in (SERVICE, DATABASE)
        for name, one in part.items()
        if one["Type"] == "AWS::EC2::SecurityGroup"
    }
    assert len(groups) == 5
    ports = {
        name: {rule["FromPort"] for rule in one["SecurityGroupEgress"] if rule["CidrIp"] == "0.0.0.0/0"}
        for name, one in groups.items()
    }
    assert ports == {
        "BalancerSecurityGroup": set(),
        "ApiSecurityGroup": {443},
        "WorkerSecurityGroup": {80, 443, 465, 587},
        "ClientSecurityGroup": set(),
        "DatabaseSecurityGroup": set(),
    }


def test_services_and_the_schedule_run_where_they_should() -> None:
    for name, group in (("ApiService", "ApiSecurityGroup"), ("WorkerService", "WorkerSecurityGroup")):
        network = SERVICE[name]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["SecurityGroups"][0] == {"Fn::GetAtt": [group, "GroupId"]}
        assert SERVICE[name]["Properties"]["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {
            "Enable": True,
            "Rollback": True,
        }
    scheduled = SERVICE["Schedule"]["Properties"]["Target"]["EcsParameters"]["NetworkConfiguration"]
    assert scheduled == SERVICE["WorkerService"]["Properties"]["NetworkConfiguration"]
    (balanced,) = SERVICE["ApiService"]["Properties"]["LoadBalancers"]
    assert balanced == {"ContainerName": "api", "ContainerPort": 8000, "TargetGroupArn": {"Ref": "ApiTargets"}}
    assert container(TASKS["ApiTask"])["PortMappings"] == [{"ContainerPort": 8000, "Protocol": "tcp"}]


def test_the_database_is_left_by_nothing_but_a_snapshot() -> None:
    database = DATABASE["Database"]
    assert database["DeletionPolicy"] == database["UpdateReplacePolicy"] == "Snapshot"
    assert database["Properties"]["VPCSecurityGroups"] == [{"Fn::GetAtt": ["DatabaseSecurityGroup", "GroupId"]}]
    assert database["Properties"]["DBParameterGroupName"] == {"Ref": "Settings"}
    assert DATABASE["Settings"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"
    assert "resolve:secretsmanager" in database["Properties"]["MasterUserPassword"]["Fn::If"][2]["Fn::Sub"]
    assert DATABASE["Password"]["DeletionPolicy"] == "Retain", "the snapshot is of no use without it"
    assert TEMPLATES["database.yaml"]["Parameters"]["DeletionProtection"]["Default"] == "true"


def test_the_templates_hold_no_secret() -> None:
    for path in [*AWS.iterdir(), *GCP.rglob("*.tf")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|[0-9a-f]{40}", text), path.name


def rules_of_the_registry() -> list[Any]:
    policy = TEMPLATES["registry.yaml"]["Resources"]["Repository"]["Properties"]["LifecyclePolicy"]
    text = policy["LifecyclePolicyText"]["Fn::Sub"].replace("${KeepImages}", "20")
    found: list[Any] = json.loads(text)["rules"]
    return found


def test_no_number_of_configurations_takes_the_image_of_the_version_that_serves() -> None:
    selections = [rule["selection"] for rule in rules_of_the_registry()]
    assert {one["tagStatus"] for one in selections} == {"tagged", "untagged"}
    patterns = [pattern for one in selections for pattern in one.get("tagPatternList", ())]

    def counted(tag: str) -> bool:
        return any(fnmatchcase(tag, pattern) for pattern in patterns)

    given = {value for _, given in deployments() for key, value in given.items() if key.endswith("ImageTag") and value}
    assert {tag for tag in given if counted(tag)} == {"$VERSION-config1", "0.2.0-config1"}
    assert {tag for tag in given if not counted(tag)} == {"$VERSION", "0.2.0"}


def test_every_variable_of_a_source_needs_the_secret_that_holds_it() -> None:
    service = TEMPLATES["service.yaml"]
    (rule,) = [one for one in service["Rules"].values() if "SourceSecretArn" in json.dumps(one["Assertions"])]
    variables = {name for name in service["Parameters"] if name.startswith("SourceVariable")}
    assert {*re.findall(r"SourceVariable\d", json.dumps(rule["RuleCondition"]))} == variables


# Terraform -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["base", "kasparro"])
def test_terraform_has_no_mistakes(folder: str) -> None:
    assert mistakes(GCP / folder) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("main.tf", 'ingress             = "', 'ingres              = "', "ingres: there is no such attribute"),
        (
            "main.tf",
            "  location            = var.region\n  ingress",
            "  ingress",
            "google_cloud_run_v2_service.api.location: is missing",
        ),
        ("main.tf", "manual_instance_count = var.workers", 'manual_instance_count = "two"', "must be a number"),
        ("main.tf", "manual_instance_count", "instance_count", "instance_count: there is no such attribute"),
        ("main.tf", "startup_probe {", "start_probe {", "start_probe: there is no such block"),
        ("main.tf", "resources {", "resources = {", "resources: is a block"),
        ("main.tf", '"google_cloud_run_v2_worker_pool"', '"google_cloud_run_worker_pool"', "no such resource"),
        ("main.tf", "var.log_level", "var.loglevel", "there is no var.loglevel"),
        ("main.tf", "local.worker_settings\n", "local.settings_of_workers\n", "there is no local.settings_of_workers"),
        ("main.tf", "kasparro.connection_name", "kasparro.connection", "has no connection"),
        (
            "main.tf",
            "[google_sql_database.kasparro,",
            "[google_sql_database.main,",
            "there is no google_sql_database.main",
        ),
        ("main.tf", 'command = ["kasparro"]', 'command = "kasparro"', "must be a list"),
        ("main.tf", '"~> 6.50"', '"~> 7.0"', "the provider must be ~> 6.50"),
        ("main.tf", "name = env.key", "nam = env.key", "env.nam: there is no such attribute"),
        ("database.tf", "  password_wo  ", "  password  ", "would keep an ephemeral value"),
        ("database.tf", "database_password.secret_data", "database_password.data", "has no data"),
        ("database.tf", "disk_autoresize             = true", 'disk_autoresize = "yes"', "must be a bool"),
        (
            "database.tf",
            "tier                        = var.database_tier",
            "",
            "variable database_tier: nobody uses it",
        ),
        (
            "variables.tf",
            'variable "project" {\n  description = "Id of the project."',
            'variable "project" {',
            "has no type or no description",
        ),
        ("alerts.tf", 'comparison      = "COMPARISON_GT"', "", "comparison: is missing"),
    ],
)
def test_a_broken_copy_is_told_from_a_good_one(tmp_path: Path, file: str, before: str, after: str, said: str) -> None:
    shutil.copytree(GCP / "kasparro", tmp_path, dirs_exist_ok=True)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after), encoding="utf-8")
    found = mistakes(tmp_path)
    assert any(said in one for one in found), found


def test_terraform_finds_its_files_in_its_own_format() -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed")
    done = subprocess.run(
        [terraform, "fmt", "-check", "-diff", "-recursive", str(GCP)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_services_that_terraform_itself_needs_are_switched_on_before_it() -> None:
    base = (GCP / "base" / "main.tf").read_text(encoding="utf-8")
    first = code(GCP_GUIDE).split("terraform ")[0]
    for service in ("cloudresourcemanager.googleapis.com", "iam.googleapis.com"):
        assert service in first, "the provider reads the project and makes accounts by them"
        assert f'"{service}"' in base
    accounts = {name: one for name, one in read(GCP / "base")["resource"].items() if "service_account" in name}
    assert len(accounts) == 3
    assert all("google_project_service.used" in "".join(one["depends_on"]) for one in accounts.values())


def test_what_kasparro_takes_from_base_is_there() -> None:
    base = (GCP / "base" / "main.tf").read_text(encoding="utf-8")
    ours = "".join(path.read_text(encoding="utf-8") for path in (GCP / "kasparro").glob("*.tf"))
    secrets = {*re.findall(r'secret\s+= "([\w-]+)"', ours)}
    assert secrets == {"kasparro-database-password", "kasparro-api-key", "kasparro-config"}
    assert secrets == {*re.findall(r'"(kasparro-(?:database-password|api-key|config))"', base)}
    accounts = {*re.findall(r'"([\w-]+)@\$\{var\.project\}\.iam', ours)}
    assert accounts == {*re.findall(r'account_id\s+= "([\w-]+)"', base)}


# The guides ----------------------------------------------------------------------------------------------------------


def test_the_guides_name_files_that_there_are() -> None:
    for guide in (AWS_GUIDE, GCP_GUIDE):
        named = {name.rstrip(".") for name in re.findall(r"\b(?:deploy|tests|docs)/[\w./-]+", guide)}
        made = {name for name in named if name.endswith(".tfvars")}
        assert named
        assert not [name for name in named - made if not (ROOT / name).exists()]
    assert all(f"deploy/aws/{name}" in AWS_GUIDE for name in TEMPLATES)
    assert "`deploy/gcp/base`" in GCP_GUIDE


@pytest.mark.parametrize("guide", [AWS_GUIDE, GCP_GUIDE], ids=["aws", "gcp"])
def test_the_commands_of_the_guides_are_shell(guide: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def deployments() -> list[tuple[str, dict[str, str]]]:
    """Return the templates that the guide deploys, each with the parameters that it gives."""
    found = []
    for line in code(AWS_GUIDE).splitlines():
        if "cloudformation deploy" in line:
            words = shlex.split(line)
            path = words[words.index("--template-file") + 1]
            pairs = [word.split("=", 1) for word in words if re.match(r"[A-Z]\w+=", word)]
            found.append((Path(path).name, {pair[0]: pair[1] for pair in pairs}))
    return found


def test_the_guide_for_aws_gives_parameters_that_the_templates_have() -> None:
    deployed = deployments()
    assert {name for name, _ in deployed} == {*TEMPLATES}
    first: dict[str, dict[str, str]] = {}
    for name, given in deployed:
        assert {*given} <= {*TEMPLATES[name]["Parameters"]}, name
        first.setdefault(name, given)
    for name, given in first.items():
        needed = {key for key, one in TEMPLATES[name]["Parameters"].items() if "Default" not in one}
        assert needed <= {*given}, f"{name} is first made without them"


def test_what_the_guide_for_aws_says_of_parameters_is_so() -> None:
    every = {key for one in TEMPLATES.values() for key in one["Parameters"]}
    prose = re.sub(r"```sh\n.*?```", "", AWS_GUIDE, flags=re.DOTALL)
    named = {*re.findall(r"\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)=", prose)}
    assert named
    assert named <= every
    outputs = {key for one in TEMPLATES.values() for key in one["Outputs"]}
    asked = {*re.findall(r"OutputKey=='(\w+)'", AWS_GUIDE), *re.findall(r"\$\(output (\w+)\)", AWS_GUIDE)}
    assert {"ApiKeySecret", "WorkerLog", "MigrateTask", "RunTask", "Cluster"} <= asked <= outputs
    stacks = {*re.findall(r"--stack-name ([\w-]+)", AWS_GUIDE)}
    defaults = {
        one["Default"]
        for part in TEMPLATES.values()
        for key, one in part["Parameters"].items()
        if key.endswith("Stack")
    }
    assert defaults <= stacks


def test_the_guide_for_gcp_gives_variables_that_there_are() -> None:
    commands = code(GCP_GUIDE)
    for folder in ("base", "kasparro"):
        found = read(GCP / folder)
        written = re.search(rf"cat > deploy/gcp/{folder}/terraform.tfvars <<END\n(.*?)END", commands, re.DOTALL)
        assert written is not None
        given = {*re.findall(r"^(\w+)\s*=", written[1], re.MULTILINE)}
        needed = {name for name, one in found["variable"].items() if "default" not in one}
        assert needed <= given <= {*found["variable"]}
        asked = {*re.findall(rf"-chdir=deploy/gcp/{folder} output -raw (\w+)", commands)}
        assert asked
        assert asked <= {*found["output"]}
    variables = {*read(GCP / "kasparro")["variable"], *read(GCP / "base")["variable"]}
    assert {*re.findall(r"-var '?(\w+)=", GCP_GUIDE)} <= variables
    assert {*re.findall(r"`(\w+_\w+) = ", GCP_GUIDE)} <= variables
    jobs = {plain(one["name"]) for name, one in read(GCP / "kasparro")["resource"].items() if "_v2_job." in name}
    assert {*re.findall(r"jobs execute ([\w-]+)", commands)} == jobs
    added = {*re.findall(r"secrets versions add ([\w-]+)", commands)}
    assert added == {"kasparro-database-password", "kasparro-api-key", "kasparro-config"}


def test_commands_of_kasparro_in_the_guides_are_some_that_there_are() -> None:
    said = [
        *re.findall(r"(?<=[`: ])kasparro ((?:run|migrate|check|init|worker|serve)\b[^`\n|\";]*)", AWS_GUIDE + GCP_GUIDE)
    ]
    assert {rest.split()[0] for rest in said} >= {"check", "init", "run", "migrate"}
    for rest in said:
        our_command(["kasparro", rest.split()[0]])
    overridden = re.findall(r'"command": (\[.*?\])', AWS_GUIDE)
    assert overridden
    for words in overridden:
        our_command(json.loads(words))
    for words in re.findall(r"--args=(\S+)", GCP_GUIDE):
        our_command(["kasparro", *words.split(",")])


@pytest.mark.parametrize("guide", [AWS_GUIDE, GCP_GUIDE], ids=["aws", "gcp"])
def test_the_guides_count_connections_as_the_code_does(guide: str) -> None:
    sentence = r"takes up to (\d+), a worker (\d+) for each source .*? and (\d+) more; that is (\d+)"
    found = re.search(sentence, " ".join(guide.split()))
    assert found is not None
    serving, each, more, together = map(int, found.groups())
    settings = load_settings(environ={}, dotenv=None)
    worker = each * settings.concurrency + more
    assert worker == connections_of(settings)
    operating = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert f"a process that serves | a few; {serving} at most" in operating
    instances = {
        AWS_GUIDE: TEMPLATES["service.yaml"]["Parameters"]["ApiCount"]["Default"],
        GCP_GUIDE: int(read(GCP / "kasparro")["variable"]["api_max"]["default"]),
    }
    assert together == instances[guide] * serving + worker


def test_the_guide_for_aws_waits_for_a_migration_before_it_goes_on() -> None:
    lines = [line for line in code(AWS_GUIDE).splitlines() if "MigrateTask" in line or "MigrationImageTag" in line]
    ahead, migrate, after = lines
    assert "MigrationImageTag=0.2.0" in ahead
    commands = code(AWS_GUIDE)
    between = commands[commands.index(migrate) : commands.index(after)]
    assert between.index("run-task") < between.index("wait tasks-stopped") < between.index("exitCode")


@pytest.mark.parametrize("guide", [AWS_GUIDE, GCP_GUIDE], ids=["aws", "gcp"])
def test_the_costs_add_up_and_say_of_when_they_are(guide: str) -> None:
    rows = [int(number) for number in re.findall(r"^\| (?!\*\*).*\| (\d+) \|$", guide, re.MULTILINE)]
    (total,) = re.findall(r"^\| \*\*sum\*\* \| \| \*\*(\d+)\*\* \|$", guide, re.MULTILINE)
    assert sum(rows) == int(total)
    assert re.search(r"list prices of us-[\w-]+ as published .* 2026", guide)
    assert "Estimates:" in guide
    assert re.search(r"have not been run in an? \w+", guide)
