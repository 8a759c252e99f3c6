"""cfn-lint, as `make check` runs it, tells a broken template from a good one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.deploy.templates import TEMPLATES

pytestmark = pytest.mark.slow

BREAKS = {
    "attribute": ("registry.yaml", "ImageTagMutability: IMMUTABLE", "TagMutability: IMMUTABLE", "E3002"),
    "value": ("registry.yaml", "ImageTagMutability: IMMUTABLE", "ImageTagMutability: NEVER", "E3030"),
    "reference": ("registry.yaml", "!Ref RepositoryName", "!Ref Repositoryname", "E1020"),
    "missing": ("network.yaml", "      VpcId: !Ref Vpc\n      InternetGatewayId", "      InternetGatewayId", "E3003"),
    "unused": ("existing-network.yaml", "Value: !Ref VpcId", "Value: !Ref AssignPublicIp", "W2001"),
    "kind": ("database.yaml", "Type: AWS::RDS::DBInstance", "Type: AWS::RDS::DatabaseInstance", "E3006"),
    "password": ("database.yaml", '- !Sub "{{resolve:', '- "{{resolve:', "E1029"),
}


def test_a_broken_copy_of_each_kind_is_found(tmp_path: Path) -> None:
    for name, (source, before, after, _) in BREAKS.items():
        text = (TEMPLATES / source).read_text(encoding="utf-8")
        assert before in text
        (tmp_path / f"{name}.yaml").write_text(text.replace(before, after), encoding="utf-8")
    copies = sorted(map(str, tmp_path.iterdir()))
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--regions",
        "us-east-1",
        "--format",
        "json",
        "--",
        *copies,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {name: set() for name in BREAKS}
    for one in json.loads(done.stdout):
        found[Path(one["Filename"]).stem].add(one["Rule"]["Id"])
    assert done.returncode != 0
    for name, (*_, rule) in BREAKS.items():
        assert any(one.startswith(rule) for one in found[name]), f"{name}: {found[name]}"
