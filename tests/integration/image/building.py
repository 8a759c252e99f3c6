"""Builds the image as it is shipped, without Docker: a base by debootstrap, then buildah with the Dockerfile.

buildah runs in a storage folder of its own with the driver vfs, so that a container's root is a plain folder, and with
chroot isolation, so that it needs no more than root. What pip and uv need to reach the package index of this machine is
handed over as the build secrets that the Dockerfile names.
"""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap", "runc": "runc", "nsenter": "util-linux"}
"""Programs that are not Python's to install, and the Debian packages that they are in."""

PACKAGES = "ca-certificates,python3,python3-venv"
"""What the base has more than the least: what the image python:3.13-slim-trixie has, too."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was built.

    Attributes:
        root: Its files, in a folder.
        roots: The same for containers to run on, by service: the places of what is mounted are made in them.
        base: The files of the base that it was built from.
        config: What it says about how it is to be run, as Docker would read it.
        compose: The program docker-compose of the base's Debian.
    """

    root: Path
    roots: Mapping[str, Path]
    base: Path
    config: dict[str, Any]
    compose: Path


def said(*command: str | Path, **options: Any) -> str:
    """Run a program and return what it printed; what it complained of is shown where it fails."""
    given = {"capture_output": True, "text": True, "timeout": 900, **options}
    done = subprocess.run([str(word) for word in command], check=False, **given)
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return str(done.stdout).strip()


class Buildah:
    """buildah, with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        places = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command = ["buildah", *places, "--storage-driver", "vfs"]

    def __call__(self, *arguments: str, **options: Any) -> str:
        return said(*self._command, *arguments, **options)

    def open(self, image: str) -> tuple[str, Path]:
        """Make a container of an image; return its name and its files."""
        name = self("from", "--pull-never", image)
        return name, Path(self("mount", name))


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """Build the base and the image, give them, and remove all that was made."""
    buildah = Buildah(folder)
    try:
        compose = make_base(buildah, folder)
        options = ["--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg", "BASE=localhost/base"]
        buildah("bud", *options, *secrets(folder), "--tag", "kasparro", str(ROOT))
        _, base = buildah.open("localhost/base")
        _, root = buildah.open("localhost/kasparro")
        roots = {service: buildah.open("localhost/kasparro")[1] for service in ("api", "worker")}
        config = json.loads(buildah("inspect", "--type", "image", "localhost/kasparro"))["Docker"]["config"]
        yield Image(root=root, roots=roots, base=base, config=config, compose=compose)
    finally:
        buildah("rm", "--all")
        shutil.rmtree(folder)


def make_base(buildah: Buildah, folder: Path) -> Path:
    """Make the image `base`; return the program docker-compose, which it does not have, from the same Debian."""
    name, root = buildah.open("scratch")
    said("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", root, mirror())
    fetch = "apt-get update --quiet && cd /root && apt-get download --quiet docker-compose"
    said("chroot", root, "sh", "-c", fetch)
    (packed,) = (root / "root").glob("docker-compose_*.deb")
    said("dpkg-deb", "--extract", packed, folder / "compose")
    packed.unlink()
    for left in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / left)
        (root / left).mkdir()
    buildah("commit", "--quiet", "--rm", name, "base")
    return folder / "compose" / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"


def mirror() -> str:
    """Return where this machine gets Debian's packages from."""
    named = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    found = [line.split(" ", 1)[1] for line in said(*named).splitlines() if line.startswith("Debian ")]
    return next((uri for uri in found if "security" not in uri), "http://deb.debian.org/debian")


def secrets(folder: Path) -> list[str]:
    """Return the options that hand over how this machine reaches its package index."""
    listed = said(sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check").splitlines()
    settings = {key.split(".", 1)[1]: ast.literal_eval(value) for key, value in (line.split("=", 1) for line in listed)}
    index = settings.get("index-url")
    more = [url for url in settings.get("extra-index-url", "").split() if url.startswith("http")]
    pip = {"index-url": index, "extra-index-url": " ".join(more), "trusted-host": settings.get("trusted-host")}
    lines = ["[global]", f"cert = {CERTIFICATES}", *(f"{key} = {value}" for key, value in pip.items() if value)]
    (folder / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    uv = ["system-certs = true"]
    uv += [f"index-url = {json.dumps(index)}"] if index else []
    uv += [f"extra-index-url = {json.dumps(more)}"] if more else []
    (folder / "uv.toml").write_text("\n".join(uv) + "\n", encoding="utf-8")
    given = {"pip.conf": folder / "pip.conf", "uv.toml": folder / "uv.toml", "certificates": CERTIFICATES}
    return [word for name, path in given.items() for word in ("--secret", f"id={name},src={path}")]


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, each counted once."""
    seen = {(found.st_dev, found.st_ino): found.st_size for found in (path.lstat() for path in folder.rglob("*"))}
    return sum(seen.values())
