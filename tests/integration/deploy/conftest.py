"""Amazon's interface on loopback (moto's server), and stacks that are made at it from the templates of deploy/aws.

Moto's CloudFormation knows no secrets, alarms, metric filters, schedules, scaling, mail subscriptions and single rules
of security groups, and loses parameter groups. Secrets are made before a stack and are parameters to it. The others are
made after it by their own calls, from the properties in the template: moto resolves what these refer to.

It also drops what it has no place for: groups of a database, balancer, network and processor of a task, what a security
group lets out. Of these tests/unit/house/test_deploy.py reads the templates.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from tests.integration.deploy.templates import TEMPLATES, template

REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "sa-east-1",
    "ca-central-1",
    "ap-southeast-2",
)
"""Moto keeps regions apart, as Amazon does: each test that changes something has one of its own."""

SECRET = "AWS::SecretsManager::Secret"

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
"""Serves on a free port, tells it, and ends with the tests."""


def is_function(node: object) -> bool:
    """Tell whether a node is one that CloudFormation computes."""
    return isinstance(node, dict) and len(node) == 1 and next(iter(node)).startswith(("Ref", "Fn::"))


def camel(node: Any) -> Any:
    """Return a structure whose keys begin with a small letter, as the calls of older services have them."""
    match node:
        case {"Fn::If": [condition, *ways]}:
            return {"Fn::If": [condition, *map(camel, ways)]}
        case dict() if is_function(node):
            return node
        case dict():
            return {f"{key[0].lower()}{key[1:]}": camel(value) for key, value in node.items()}
        case list():
            return [camel(one) for one in node]
        case _:
            return node


def _alarm(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"AlarmName": name, **given, "Threshold": float(given["Threshold"])}


def _filter(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"filterName": name, **camel(dict(given))}


def _schedule(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    target = dict(given["Target"])
    network = camel(target["EcsParameters"]["NetworkConfiguration"]["AwsvpcConfiguration"])
    inside = {key[0].upper() + key[1:]: value for key, value in network.items()}
    target["EcsParameters"] = {**target["EcsParameters"], "NetworkConfiguration": {"awsvpcConfiguration": inside}}
    return {"Name": name, **given, "Target": target}


def _target(_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, "MinCapacity": int(given["MinCapacity"]), "MaxCapacity": int(given["MaxCapacity"])}


def _policy(_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    tracked = dict(given["TargetTrackingScalingPolicyConfiguration"])
    tracked["TargetValue"] = float(tracked["TargetValue"])
    return {**given, "TargetTrackingScalingPolicyConfiguration": tracked}


def _subscription(_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(given)


def _rule(_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    pair = {"GroupId": given["DestinationSecurityGroupId"], "Description": given["Description"]}
    ports = {key: given[key] for key in ("IpProtocol", "FromPort", "ToPort")}
    return {"GroupId": given["GroupId"], "IpPermissions": [{**ports, "UserIdGroupPairs": [pair]}]}


CALLS: dict[str, tuple[str, str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    "AWS::CloudWatch::Alarm": ("cloudwatch", "put_metric_alarm", _alarm),
    "AWS::Logs::MetricFilter": ("logs", "put_metric_filter", _filter),
    "AWS::Scheduler::Schedule": ("scheduler", "create_schedule", _schedule),
    "AWS::ApplicationAutoScaling::ScalableTarget": ("application-autoscaling", "register_scalable_target", _target),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("application-autoscaling", "put_scaling_policy", _policy),
    "AWS::SNS::Subscription": ("sns", "subscribe", _subscription),
    "AWS::EC2::SecurityGroupEgress": ("ec2", "authorize_security_group_egress", _rule),
}

SOURCES = "arn:aws:secretsmanager:us-east-1:123456789012:secret:kasparro-sources-AbCdEf"
SERVICE = {"ImageTag": "0.1.0", "WorkerImageTag": "0.1.0-config1", "AlertEmail": "ann@example.com"}
EVERYTHING = {
    "RunSchedule": "cron(0 4 * * ? *)",
    "ApiMaxCount": "4",
    "SourceSecretArn": SOURCES,
    "SourceVariable1": "COINS_TOKEN",
    "WorkerSpot": "true",
}

FULL_NAMES = {"LoadBalancerFullName": (1, "loadbalancer/"), "TargetGroupFullName": (5, ":")}
"""Attributes that moto lacks: which part of the ARN they are, and what it is split by."""


@dataclass(slots=True, kw_only=True)
class Cloud:
    """One region of moto's server. `secrets`: the secrets of each stack, by their names in the template."""

    address: str
    region: str
    clients: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self.clients[service] = boto3.client(service, endpoint_url=self.address, region_name=self.region, **keys)
        return self.clients[service]

    def create(self, stack: str, name: str, **parameters: str) -> dict[str, str]:
        """Make a stack and what moto's CloudFormation leaves out of it. Return its outputs."""
        document = self._prepared(stack, template(TEMPLATES / name))
        call = {"StackName": stack, "Capabilities": ["CAPABILITY_IAM"]}
        leaves = _with_leaves(document)
        self.client("cloudformation").create_stack(
            **call, TemplateBody=json.dumps(document), Parameters=self._parameters(stack, parameters)
        )
        outputs = self.outputs(stack)
        for logical, properties in leaves.items():
            self._call(stack, logical, document["Resources"][logical]["Type"], properties, outputs)
        return {key: value for key, value in outputs.items() if not key.startswith("Leaf")}

    def update(self, stack: str, name: str, **parameters: str) -> None:
        """Update a stack; what was made by other calls stays as it is."""
        document = self._prepared(stack, template(TEMPLATES / name))
        for one in document["Resources"].values():
            if one["Type"] in {"AWS::ECS::Service", "AWS::ECS::TaskDefinition"}:
                # Moto sees that a parameter has changed where Ref names it, and not inside Fn::Sub or Fn::ImportValue.
                one["Metadata"] = {"parameters": dict(parameters)}
            if one["Type"] == "AWS::ECS::TaskDefinition":
                # Moto keeps those of an update as they are written, and then cannot show them.
                one["Properties"]["ContainerDefinitions"] = camel(one["Properties"]["ContainerDefinitions"])
        self.client("cloudformation").update_stack(
            StackName=stack,
            TemplateBody=json.dumps(document),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=self._parameters(stack, parameters),
        )

    def outputs(self, stack: str) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        assert found["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def resources(self, stack: str) -> dict[str, str]:
        """Return what moto's CloudFormation made: logical name and physical one."""
        found = self.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        named = [one for one in found if "LogicalResourceId" in one]
        return {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in named}

    def _prepared(self, stack: str, document: dict[str, Any]) -> dict[str, Any]:
        made = self.secrets.setdefault(stack, {})
        manager = self.client("secretsmanager")
        resources = document["Resources"]
        for logical in [name for name, one in resources.items() if one["Type"] == SECRET]:
            generated = dict(resources.pop(logical)["Properties"]["GenerateSecretString"])
            start, key = generated.pop("SecretStringTemplate", None), generated.pop("GenerateStringKey", None)
            if logical not in made:
                password = manager.get_random_password(**generated)["RandomPassword"]
                text = password if start is None else json.dumps({**json.loads(start), key: password})
                made[logical] = manager.create_secret(Name=f"{stack}-{logical}", SecretString=text)["ARN"]
            document.setdefault("Parameters", {})[logical] = {"Type": "String"}
        for one in resources.values():
            properties = one.get("Properties", {})
            properties.pop("DBParameterGroupName", None)
            if "ScalingTargetId" in properties:
                # The call names what the resource refers to.
                target = resources[properties.pop("ScalingTargetId")["Ref"]]["Properties"]
                properties |= {key: target[key] for key in ("ServiceNamespace", "ScalableDimension", "ResourceId")}
        return document

    def _parameters(self, stack: str, given: Mapping[str, str]) -> list[dict[str, str]]:
        every = {**given, **self.secrets[stack]}
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in every.items()]

    def _call(self, stack: str, logical: str, kind: str, properties: Any, outputs: Mapping[str, str]) -> None:
        service, method, arguments = CALLS[kind]
        resolved = _resolved(properties, outputs)
        if resolved is not None:
            getattr(self.client(service), method)(**arguments(f"{stack}-{logical}", resolved))


def _with_leaves(document: dict[str, Any]) -> dict[str, Any]:
    """Have moto compute what properties of resources that it does not make refer to: as outputs.

    Return these resources with the name of an output in the place of each such function.
    """
    leaves: dict[str, Any] = {}
    outputs: dict[str, Any] = document.setdefault("Outputs", {})

    def replaced(node: Any, condition: str | None) -> Any:
        match node:
            case {"Fn::GetAtt": [str(logical), str(attribute)]} if attribute in FULL_NAMES:
                part, split = FULL_NAMES[attribute]
                return replaced({"Fn::Select": [part, {"Fn::Split": [split, {"Ref": logical}]}]}, condition)
            case dict() if is_function(node):
                name = f"Leaf{len(outputs)}"
                several = "Fn::Split" in node
                text = {"Fn::Join": [",", node]} if several else node
                outputs[name] = {"Value": text, **({} if condition is None else {"Condition": condition})}
                return {"Leaves" if several else "Leaf": name}
            case dict():
                return {key: replaced(value, condition) for key, value in node.items()}
            case list():
                return [replaced(one, condition) for one in node]
            case _:
                return node

    for logical, one in document["Resources"].items():
        if one["Type"] in CALLS:
            leaves[logical] = replaced(one["Properties"], one.get("Condition"))
    return leaves


def _resolved(node: Any, outputs: Mapping[str, str]) -> Any:
    """Put the outputs in; None where a condition left one out."""
    match node:
        case {"Leaf": str(name)}:
            return outputs.get(name)
        case {"Leaves": str(name)}:
            return outputs[name].split(",") if name in outputs else None
        case dict():
            found = {key: _resolved(value, outputs) for key, value in node.items()}
            return None if None in found.values() else found
        case list():
            each = [_resolved(one, outputs) for one in node]
            return None if None in each else each
        case _:
            return node


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-W", "ignore", "-c", SERVE]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written) as process,
    ):
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        assert port, log.read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def regions(moto_server: str) -> Iterator[Cloud]:
    return (Cloud(address=moto_server, region=name) for name in REGIONS)


@pytest.fixture
def cloud(regions: Iterator[Cloud]) -> Cloud:
    """An empty region."""
    return next(regions)


@pytest.fixture(scope="session")
def whole(regions: Iterator[Cloud]) -> Cloud:
    """A region with the four stacks, and all that can be asked for. For tests that only look."""
    found = next(regions)
    made(found, **EVERYTHING, LogDays="90")
    return found


def made(cloud: Cloud, **more: str) -> dict[str, str]:
    """Make the four stacks in the order of the guide; return the outputs of the last."""
    cloud.create("kasparro-registry", "registry.yaml")
    cloud.create("kasparro-network", "network.yaml")
    cloud.create("kasparro-database", "database.yaml")
    return cloud.create("kasparro", "service.yaml", **SERVICE, CertificateArn=certificate(cloud), **more)


def certificate(cloud: Cloud) -> str:
    arn: str = cloud.client("acm").request_certificate(DomainName="kasparro.example.com")["CertificateArn"]
    return arn


def task_definitions(cloud: Cloud) -> dict[str, Any]:
    """Return the container of each family's task definition."""
    ecs = cloud.client("ecs")
    found: dict[str, Any] = {}
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        one = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        (found[one["family"]],) = one["containerDefinitions"]
    return found


def services(cloud: Cloud) -> dict[str, Any]:
    ecs = cloud.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    found = ecs.describe_services(cluster=cluster, services=arns)["services"]
    return {one["serviceName"].split("-")[1]: one for one in found}
