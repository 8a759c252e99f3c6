"""The served OpenAPI document and the server agree, whatever schemathesis thinks of."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from kasparro.api import cursor
from kasparro.api.main import create_app
from kasparro.api.settings import ApiSettings
from kasparro.store.browse_page import Position
from kasparro.store.database import Database

KEY = "0123456789abcdef"

SETTINGS = """
# A job of the queue and the run that it comes to both have an id, and not the same one: only what the server says of
# where a job is leads on, not that names are alike.
[phases.stateful.inference]
algorithms = ["location-headers"]
"""


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve on a free port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.mark.slow
@pytest.mark.parametrize(("public_read", "examples"), [(True, 25), (False, 8)])
def test_no_failure(shared_url: str, tmp_path: Path, examples: int, *, public_read: bool) -> None:
    settings = ApiSettings(version="1", public_read=public_read, api_key=SecretStr(KEY))
    app = create_app(settings, lambda: Database(shared_url, size=4))
    place = cursor.encode(Position(source="coins", key="5"))
    facts = {"FUZZ_CURSOR": place, "FUZZ_SOURCE": "coins", "SCHEMATHESIS_HOOKS": "fuzz_hooks"}
    environment = os.environ | facts | {"PYTHONPATH": str(Path(__file__).parent), "NO_COLOR": "1"}
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "--checks", "all"]
    command += [
        "--max-examples",
        str(examples),
        "--seed",  # the same requests each time; leave it out to look for others
        "1",
        "--max-response-time",  # in seconds, on a machine that has other things to do
        "20",
        "--continue-on-failure",
        "--header",
        f"X-API-Key: {KEY}",
    ]
    # Where reads are closed only the answers to keys differ: one phase of drawn requests shows them.
    command += [] if public_read else ["--phases", "fuzzing"]
    with served(app) as url:
        done = subprocess.run(
            [*command, f"{url}/openapi.json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    tested = re.search(r"(\d+) generated", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tested is not None
    assert int(tested[1]) > (150 if public_read else 50)
    print(f"schemathesis: {tested[1]} requests, no failure")
