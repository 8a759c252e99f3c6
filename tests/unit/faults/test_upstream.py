import http.client
import urllib.error
import urllib.request

import pytest

from kasparro.faults.upstream import RECORDS, SIZE, Upstream, serving


def read_often(address: str, times: int) -> None:
    for _ in range(times):
        with urllib.request.urlopen(address) as answer:
            answer.read()


def test_the_server_fails_as_often_as_told() -> None:
    upstream = Upstream(3)
    with serving(upstream) as address:
        for path in ("/items?page=1", "/feed"):
            with urllib.request.urlopen(address + path) as answer:
                assert len(answer.read()) == len(upstream.body(path)[1])
        assert upstream.failed == 0
        upstream.share = 1.0
        with pytest.raises((urllib.error.HTTPError, http.client.IncompleteRead)) as failed:
            read_often(address + "/items?page=1", 20)
        if isinstance(failed.value, urllib.error.HTTPError):
            failed.value.close()
    assert upstream.failed > 0
    assert upstream.body(f"/items?page={RECORDS // SIZE + 1}")[1] == b'{"items": []}'
