"""The stacks of deploy/aws updated, rolled back, restored and deleted at a server that speaks Amazon's interface."""

import json
from urllib.parse import urlsplit

import pytest
from tests.integration.deploy.conftest import (
    SERVICE,
    Cloud,
    certificate,
    made,
    services,
    task_definitions,
)
from tests.integration.deploy.templates import TEMPLATES, template

pytestmark = pytest.mark.slow


def test_without_a_schedule_a_second_size_or_a_mail_address_these_are_not_made(cloud: Cloud) -> None:
    made(cloud)
    assert "SchedulerRole" not in cloud.resources("kasparro")
    assert cloud.client("scheduler").list_schedules()["Schedules"] == []
    assert (
        cloud.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
        == []
    )


def test_another_image_and_more_workers_are_an_update_and_the_way_back_is_one(cloud: Cloud) -> None:
    more = {"CertificateArn": certificate(cloud)}
    made(cloud)
    before = cloud.secrets["kasparro"].copy()
    cloud.update(
        "kasparro",
        "service.yaml",
        **{**SERVICE, "ImageTag": "0.2.0", "WorkerImageTag": "0.2.0-config1"},
        **more,
        WorkerCount="3",
    )
    assert task_definitions(cloud)["kasparro-api"]["image"].endswith(":0.2.0")
    assert task_definitions(cloud)["kasparro-worker"]["image"].endswith(":0.2.0-config1")
    assert services(cloud)["WorkerService"]["desiredCount"] == 3
    cloud.update("kasparro", "service.yaml", **SERVICE, **more, WorkerCount="1")
    assert task_definitions(cloud)["kasparro-api"]["image"].endswith(":0.1.0")
    assert services(cloud)["WorkerService"]["desiredCount"] == 1
    assert cloud.secrets["kasparro"] == before


def test_the_migration_can_be_ahead_of_the_rest(cloud: Cloud) -> None:
    made(cloud, MigrationImageTag="0.2.0")
    containers = task_definitions(cloud)
    assert containers["kasparro-migrate"]["image"].endswith("kasparro:0.2.0")
    assert containers["kasparro-api"]["image"].endswith("kasparro:0.1.0")


def test_the_service_goes_and_the_database_stays(cloud: Cloud) -> None:
    made(cloud)
    formation = cloud.client("cloudformation")
    formation.delete_stack(StackName="kasparro")
    assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert len(cloud.client("rds").describe_db_instances()["DBInstances"]) == 1
    living = {
        one["StackName"] for one in formation.describe_stacks()["Stacks"] if one["StackStatus"] != "DELETE_COMPLETE"
    }
    assert living == {"kasparro-registry", "kasparro-network", "kasparro-database"}


def test_tasks_have_public_addresses_only_where_there_is_no_nat_gateway(cloud: Cloud) -> None:
    cloud.create("with", "network.yaml")
    cloud.create("without", "network.yaml", NatGateway="false", Prefix="10.21")
    kept, shown = cloud.outputs("with"), cloud.outputs("without")
    assert (kept["AssignPublicIp"], shown["AssignPublicIp"]) == ("DISABLED", "ENABLED")
    assert kept["TaskSubnets"] != kept["PublicSubnets"]
    assert shown["TaskSubnets"] == shown["PublicSubnets"]
    assert len(cloud.client("ec2").describe_nat_gateways()["NatGateways"]) == 1


def test_a_network_that_is_there_already_takes_the_place_of_its_own(cloud: Cloud) -> None:
    cloud.create("there", "network.yaml", Prefix="172.20")
    own = cloud.outputs("there")
    given = {key: own[key] for key in ("VpcId", "PublicSubnets", "TaskSubnets", "DatabaseSubnets")}
    assert cloud.create("kasparro-network", "existing-network.yaml", **given) == own
    cloud.create("kasparro-database", "database.yaml")
    cloud.create("kasparro", "service.yaml", **SERVICE, CertificateArn=certificate(cloud))
    (balancer,) = cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert balancer["VpcId"] == own["VpcId"]
    assert {one["SubnetId"] for one in balancer["AvailabilityZones"]} == {*own["PublicSubnets"].split(",")}


def test_a_backup_is_a_new_database_that_the_service_is_pointed_at(cloud: Cloud) -> None:
    made(cloud)
    rds = cloud.client("rds")
    instance = cloud.outputs("kasparro-database")["Instance"]
    rds.create_db_snapshot(DBSnapshotIdentifier="before", DBInstanceIdentifier=instance)
    secret = cloud.outputs("kasparro-database")["PasswordSecret"]
    cloud.create("kasparro-restored", "database.yaml", SnapshotIdentifier="before", PasswordSecretArn=secret)
    cloud.update(
        "kasparro", "service.yaml", **SERVICE, CertificateArn=certificate(cloud), DatabaseStack="kasparro-restored"
    )
    restored = cloud.outputs("kasparro-restored")
    environment = {pair["name"]: pair["value"] for pair in task_definitions(cloud)["kasparro-api"]["environment"]}
    assert restored["Host"] != cloud.outputs("kasparro-database")["Host"]
    assert urlsplit(environment["DATABASE_URL"]).hostname == restored["Host"]
    secrets = {one["name"]: one["valueFrom"] for one in task_definitions(cloud)["kasparro-api"]["secrets"]}
    assert secrets["PGPASSWORD"] == f"{secret}:password::", "the password is in the snapshot"


def test_ecr_takes_the_rules_of_the_registry(cloud: Cloud) -> None:
    # Moto's CloudFormation leaves them out.
    cloud.create("kasparro-registry", "registry.yaml")
    policy = template(TEMPLATES / "registry.yaml")["Resources"]["Repository"]["Properties"]["LifecyclePolicy"]
    text = policy["LifecyclePolicyText"]["Fn::Sub"].replace("${KeepImages}", "20")
    taken = cloud.client("ecr").put_lifecycle_policy(repositoryName="kasparro", lifecyclePolicyText=text)
    assert len(json.loads(taken["lifecyclePolicyText"])["rules"]) == 2


def test_the_registry_keeps_each_tag_as_it_was_pushed(cloud: Cloud) -> None:
    outputs = cloud.create("kasparro-registry", "registry.yaml")
    (repository,) = cloud.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["repositoryUri"] == outputs["RepositoryUri"]
