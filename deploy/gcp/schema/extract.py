"""Writes google.json: what Google's Terraform provider knows of the resources that the files beside this folder use.

    python deploy/gcp/schema/extract.py WHEEL

WHEEL is cdktf_cdktf_provider_google-16.12.1-py3-none-any.whl from PyPI (MPL-2.0): the last bindings that HashiCorp made
of the schema of its provider, version 6.50.0. The provider itself comes from no package index, and without it Terraform
validates nothing.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESOURCES = (
    "artifact_registry_repository",
    "artifact_registry_repository_iam_member",
    "cloud_run_v2_job",
    "cloud_run_v2_job_iam_member",
    "cloud_run_v2_service",
    "cloud_run_v2_service_iam_member",
    "cloud_run_v2_worker_pool",
    "cloud_scheduler_job",
    "logging_metric",
    "monitoring_alert_policy",
    "monitoring_notification_channel",
    "project_iam_member",
    "project_service",
    "secret_manager_secret",
    "secret_manager_secret_iam_member",
    "service_account",
    "sql_database",
    "sql_database_instance",
    "sql_user",
)
INTERFACE = re.compile(r"^export interface (\w+)[^{\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"#(\w+) [\w#]+\}(?:(?!\*/).)*\*/\s*readonly \w+(\??): ([^;]+(?:;\s*\})?);", re.DOTALL)
GETTER = re.compile(r"^    get (\w+)\(\)", re.MULTILINE)
LITERALS = {"string": "string", "number": "number", "boolean": "bool", "string[]": "list", "number[]": "list"}


def declarations(wheel: Path) -> dict[str, str]:
    """Return the declarations of each resource."""
    with zipfile.ZipFile(wheel) as packed:
        (inner,) = [name for name in packed.namelist() if name.endswith(".tgz")]
        archive = io.BytesIO(packed.read(inner))
    wanted = {f"package/lib/{name.replace('_', '-')}/index.d.ts": name for name in RESOURCES}
    found: dict[str, str] = {}
    with tarfile.open(fileobj=archive) as files:
        for member in files:
            stream = files.extractfile(member) if member.name in wanted else None
            if stream is not None:
                found[wanted[member.name]] = stream.read().decode()
    return {name: found[name] for name in RESOURCES}


def block(interfaces: dict[str, str], name: str) -> dict[str, Any]:
    """Return attributes and blocks of an interface."""
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for field, optional, written in FIELD.findall(interfaces[name]):
        kind = written.replace("| cdktf.IResolvable", "").strip()
        required = {} if optional else {"required": True}
        if kind.rstrip("[]") in interfaces:
            single = {} if kind.endswith("[]") else {"max": 1}
            blocks[field] = {**required, **single, **block(interfaces, kind.rstrip("[]"))}
        else:
            attributes[field] = {"type": "map" if kind.startswith("{") else LITERALS[kind], **required}
    return {"attributes": attributes, "blocks": blocks}


def snake(name: str) -> str:
    """Return the name that Terraform uses."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def resource(text: str) -> dict[str, Any]:
    """Return a resource: what may be set, and what else may be read."""
    interfaces = dict(INTERFACE.findall(text))
    (top,) = [name for name in interfaces if name.endswith("Config") and "readonly" in interfaces[name]][:1]
    shape = block(interfaces, top)
    own = text[text.rindex("export declare class") :]
    read = {snake(name) for name in GETTER.findall(own) if not name.endswith("Input")}
    return {**shape, "computed": sorted(read - {*shape["attributes"], *shape["blocks"]})}


def main() -> None:
    """Write the file."""
    found = {f"google_{name}": resource(text) for name, text in declarations(Path(sys.argv[1])).items()}
    document = {"provider": "hashicorp/google", "version": "6.50.0", "resources": found}
    (HERE / "google.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
