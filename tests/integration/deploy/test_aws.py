"""The stacks of deploy/aws as they stand at a server that speaks Amazon's interface: who runs what and reaches what."""

import ast
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.deploy.conftest import (
    CALLS,
    SECRET,
    SOURCES,
    Cloud,
    task_definitions,
)
from tests.integration.deploy.templates import TEMPLATES, template

pytestmark = pytest.mark.slow


def security_groups(cloud: Cloud) -> dict[str, Any]:
    return {one["GroupId"]: one for one in cloud.client("ec2").describe_security_groups()["SecurityGroups"]}


def policy_of(whole: Cloud, role: str, name: str) -> Any:
    document = whole.client("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    # Moto gives a document that it computed as Python writes it.
    return ast.literal_eval(document) if isinstance(document, str) else document


def open_ports(group: Any) -> set[int]:
    """Return the ports that a group opens to everybody."""
    rules = group["IpPermissions"]
    return {rule["FromPort"] for rule in rules if any(one["CidrIp"] == "0.0.0.0/0" for one in rule["IpRanges"])}


@pytest.mark.parametrize("name", ["registry.yaml", "network.yaml", "database.yaml", "service.yaml"])
def test_everything_in_a_template_is_made(whole: Cloud, name: str) -> None:
    stack = "kasparro" if name == "service.yaml" else f"kasparro-{name.removesuffix('.yaml')}"
    kinds = {logical: one["Type"] for logical, one in template(TEMPLATES / name)["Resources"].items()}
    elsewhere = {SECRET, *CALLS}
    wanted = {logical for logical, kind in kinds.items() if kind not in elsewhere}
    assert wanted == {*whole.resources(stack)}
    assert {logical for logical, kind in kinds.items() if kind == SECRET} == {*whole.secrets[stack]}


def test_the_containers_run_what_they_should_as_nobody_and_read_only(whole: Cloud) -> None:
    containers = task_definitions(whole)
    assert {name: one["command"] for name, one in containers.items()} == {
        "kasparro-api": ["kasparro", "serve", "--host", "0.0.0.0", "--port", "8000"],
        "kasparro-worker": ["kasparro", "worker"],
        "kasparro-migrate": ["kasparro", "migrate"],
        "kasparro-run": ["kasparro", "run"],
    }
    for one in containers.values():
        assert one["user"] == "10001:10001"
        assert one["readonlyRootFilesystem"] is True
        assert one["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        assert one["mountPoints"] == [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False}]
        assert one["logConfiguration"]["options"]["mode"] == "non-blocking"
        assert one["stopTimeout"] <= 120, "Fargate's limit"
    images = {name: one["image"].split("/")[1] for name, one in containers.items()}
    assert images["kasparro-api"] == images["kasparro-migrate"] == "kasparro:0.1.0"
    assert images["kasparro-worker"] == images["kasparro-run"] == "kasparro:0.1.0-config1"


def test_secrets_reach_the_containers_that_need_them_and_no_others(whole: Cloud) -> None:
    outputs = whole.outputs("kasparro")
    containers = task_definitions(whole)
    password = f"{whole.secrets['kasparro-database']['Password']}:password::"
    sources = f"{SOURCES}:COINS_TOKEN::"
    given = {
        # Moto keeps the places of parameters that are not set.
        name: {secret["name"]: secret["valueFrom"] for secret in one["secrets"] if secret}
        for name, one in containers.items()
    }
    assert given == {
        "kasparro-api": {"PGPASSWORD": password, "API_KEY": outputs["ApiKeySecret"]},
        "kasparro-worker": {"PGPASSWORD": password, "COINS_TOKEN": sources},
        "kasparro-migrate": {"PGPASSWORD": password},
        "kasparro-run": {"PGPASSWORD": password, "COINS_TOKEN": sources},
    }
    manager = whole.client("secretsmanager")
    values = [
        manager.get_secret_value(SecretId=arn)["SecretString"]
        for arn in (password[:-11], given["kasparro-api"]["API_KEY"])
    ]
    assert json.loads(values[0])["username"] == "kasparro"
    assert len(json.loads(values[0])["password"]) == 40
    assert len(values[1]) == 48
    shown = json.dumps(containers)
    assert values[1] not in shown
    assert json.loads(values[0])["password"] not in shown


def test_the_database_is_asked_for_its_certificate_and_named_without_a_password(whole: Cloud) -> None:
    (database,) = whole.client("rds").describe_db_instances()["DBInstances"]
    for one in task_definitions(whole).values():
        environment = {pair["name"]: pair["value"] for pair in one["environment"]}
        url = urlsplit(environment["DATABASE_URL"])
        assert (url.username, url.password) == ("kasparro", None)
        assert url.hostname == database["Endpoint"]["Address"]
        assert url.port == 5432
        assert parse_qs(url.query) == {"sslmode": ["verify-full"], "sslrootcert": ["/etc/ssl/rds.pem"]}
        assert environment["ENVIRONMENT"] == "production"
        assert environment["KASPARRO_INSTANCE"] == "kasparro"


def test_the_database_is_encrypted_kept_and_closed(whole: Cloud) -> None:
    (database,) = whole.client("rds").describe_db_instances()["DBInstances"]
    assert database["Engine"] == "postgres"
    assert database["EngineVersion"].split(".")[0] == "18"
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["BackupRetentionPeriod"] == 7
    assert database["DBName"] == "kasparro"


def test_only_the_load_balancer_lets_the_world_in(whole: Cloud) -> None:
    names = {**whole.resources("kasparro"), **whole.resources("kasparro-database")}
    groups = security_groups(whole)
    ours = {name: groups[names[name]] for name in names if name.endswith("SecurityGroup")}
    assert {name: open_ports(group) for name, group in ours.items()} == {
        "BalancerSecurityGroup": {80, 443},
        "ApiSecurityGroup": set(),
        "WorkerSecurityGroup": set(),
        "ClientSecurityGroup": set(),
        "DatabaseSecurityGroup": set(),
    }
    (rule,) = ours["ApiSecurityGroup"]["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [names["BalancerSecurityGroup"]]
    assert ours["WorkerSecurityGroup"]["IpPermissions"] == []
    (rule,) = ours["DatabaseSecurityGroup"]["IpPermissions"]
    assert (rule["FromPort"], rule["IpRanges"]) == (5432, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [names["ClientSecurityGroup"]]
    sent = {
        pair["GroupId"]
        for rule in ours["ClientSecurityGroup"]["IpPermissionsEgress"]
        for pair in rule["UserIdGroupPairs"]
    }
    assert sent == {names["DatabaseSecurityGroup"]}


def test_requests_come_by_tls_to_tasks_that_are_ready(whole: Cloud) -> None:
    balancing = whole.client("elbv2")
    (balancer,) = balancing.describe_load_balancers()["LoadBalancers"]
    listeners = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    ports = {one["Port"]: one for one in listeners}
    assert {*ports} == {80, 443}
    assert ports[443]["Protocol"] == "HTTPS"
    assert ports[443]["Certificates"]
    (sent_on,) = ports[80]["DefaultActions"]
    assert sent_on["RedirectConfig"]["Protocol"] == "HTTPS"
    (targets,) = balancing.describe_target_groups()["TargetGroups"]
    assert (targets["HealthCheckPath"], targets["Port"], targets["TargetType"]) == ("/readyz", 8000, "ip")
    assert ports[443]["DefaultActions"][0]["TargetGroupArn"] == targets["TargetGroupArn"]


def test_alarms_tell_a_topic_about_metrics_of_what_there_is(whole: Cloud) -> None:
    outputs = whole.outputs("kasparro")
    (topic,) = [one["TopicArn"] for one in whole.client("sns").list_topics()["Topics"]]
    (told,) = whole.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (told["Protocol"], told["Endpoint"]) == ("email", "ann@example.com")
    alarms = {
        one["AlarmName"].removeprefix("kasparro-"): one
        for one in whole.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if one["AlarmName"].startswith("kasparro-")  # not those that scaling has made for itself
    }
    assert {*alarms} >= {
        "ApiUnhealthy",
        "ApiErrors",
        "WorkersMissing",
        "RunsFailed",
        "DatabaseDiskLow",
        "DatabaseBusy",
        "DatabaseConnections",
    }
    assert all(one["AlarmActions"] == [topic] for one in alarms.values())
    assert alarms["DatabaseConnections"]["Threshold"] == 150
    dimensions = {name: {pair["Name"]: pair["Value"] for pair in one["Dimensions"]} for name, one in alarms.items()}
    assert dimensions["WorkersMissing"] == {"ClusterName": outputs["Cluster"], "ServiceName": outputs["WorkerService"]}
    assert dimensions["DatabaseBusy"] == {"DBInstanceIdentifier": whole.outputs("kasparro-database")["Instance"]}
    (balancer,) = whole.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert balancer["LoadBalancerArn"].endswith(dimensions["ApiErrors"]["LoadBalancer"])
    (found,) = whole.client("logs").describe_metric_filters()["metricFilters"]
    assert found["logGroupName"] == outputs["WorkerLog"]
    (counted,) = found["metricTransformations"]
    assert (counted["metricNamespace"], counted["metricName"]) == (
        alarms["RunsFailed"]["Namespace"],
        alarms["RunsFailed"]["MetricName"],
    )


def test_logs_are_not_kept_for_ever(whole: Cloud) -> None:
    groups = whole.client("logs").describe_log_groups()["logGroups"]
    assert [one["retentionInDays"] for one in groups] == [90, 90]


def test_a_schedule_runs_the_sources_once_with_the_rights_for_that_alone(whole: Cloud) -> None:
    outputs = whole.outputs("kasparro")
    scheduler = whole.client("scheduler")
    (listed,) = scheduler.list_schedules()["Schedules"]
    schedule = scheduler.get_schedule(Name=listed["Name"])
    assert schedule["ScheduleExpression"] == "cron(0 4 * * ? *)"
    assert schedule["Target"]["EcsParameters"]["TaskDefinitionArn"] == outputs["RunTask"]
    role = schedule["Target"]["RoleArn"].rsplit("/", 1)[1]
    policy = policy_of(whole, role, "run")
    allowed = {one["Action"]: one["Resource"] for one in policy["Statement"]}
    assert {*allowed} == {"ecs:RunTask", "iam:PassRole"}
    assert allowed["ecs:RunTask"] == outputs["RunTask"]


def test_the_api_grows_where_it_may(whole: Cloud) -> None:
    outputs = whole.outputs("kasparro")
    (target,) = whole.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")[
        "ScalableTargets"
    ]
    assert target["ResourceId"] == f"service/{outputs['Cluster']}/{outputs['ApiService']}"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    (policy,) = whole.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")[
        "ScalingPolicies"
    ]
    assert policy["ResourceId"] == target["ResourceId"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60


@pytest.mark.parametrize("name", ["ApiExecution", "WorkerExecution"])
def test_no_role_may_do_more_than_start_its_tasks(whole: Cloud, name: str) -> None:
    iam = whole.client("iam")
    role = whole.resources("kasparro")[name]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    policy = policy_of(whole, role, "start")
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            assert actions == ["ecr:GetAuthorizationToken"], "it has no resource"
    secrets = [one["Resource"] for one in policy["Statement"] if one["Action"] == "secretsmanager:GetSecretValue"]
    assert (SOURCES in secrets[0]) is (name == "WorkerExecution")
