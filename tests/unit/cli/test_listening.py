from pathlib import Path

from kasparro.cli.listening import options_of

SERVICE = Path(__file__).parents[3] / "deploy" / "aws" / "service.yaml"


async def nothing(*_: object) -> None:
    """An application that answers nothing."""


def test_a_load_balancer_closes_a_connection_before_the_server_does() -> None:
    (line,) = [line for line in SERVICE.read_text(encoding="utf-8").splitlines() if "idle_timeout" in line]
    balancer = int(line.split('"')[1])
    assert options_of(nothing).timeout_keep_alive > balancer
