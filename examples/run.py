"""`make run`: serves the sample API and feed on loopback, ingests the three sample sources, and serves the rows.

The upstream is a process of its own, so that the same path runs as against the internet. It ends with this one.
"""

import os
import subprocess
import sys
from pathlib import Path

from kasparro.cli.main import main

FOLDER = Path(__file__).resolve().parent


def upstream(port: str) -> tuple["subprocess.Popen[str]", str]:
    """Start the upstream and return it with the first line that it says: its address, or nothing where it failed."""
    command = [sys.executable, str(FOLDER / "upstream.py"), "--port", port]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    if process.stdout is None:
        raise RuntimeError("the upstream has no output")
    return process, process.stdout.readline().strip()


def start() -> None:
    """Start everything; what stands after `run.py` on the command line goes to `kasparro up`."""
    # Always the same port, so that a second run goes on from the addresses of the first; a free one where it is taken.
    process, address = upstream("8010")
    if not address:
        process, address = upstream("0")
        os.environ["UPSTREAM"] = address
    sys.argv = ["kasparro", "up", "--config", str(FOLDER / "kasparro.yaml"), *sys.argv[1:]]
    try:
        main()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    start()
