from kasparro.model.limit import Limit
from kasparro.model.removal import Removal


def test_half_of_the_rows_may_go_and_not_one_more() -> None:
    assert not Removal().refuses(shrunk=5, rows=10)
    assert Removal().refuses(shrunk=6, rows=10)
    assert not Removal().refuses(shrunk=0, rows=0)
    assert not Removal().refuses(shrunk=-3, rows=10)


def test_a_number_of_rows_and_an_accepted_loss() -> None:
    assert Removal(limit=Limit(count=3)).refuses(shrunk=4, rows=1_000_000)
    assert not Removal(limit=Limit(count=3)).refuses(shrunk=3, rows=3)
    assert not Removal(accepted=True).refuses(shrunk=10, rows=10)
