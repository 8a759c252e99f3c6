import pytest

from kasparro.assembly.recognising import looks_like_target, recognise
from kasparro.errors import Misconfigured


@pytest.mark.parametrize(
    ("target", "name", "declaration"),
    [
        ("flights.csv", "flights", {"type": "csv", "path": "flights.csv"}),
        ("data/a b.tsv.gz", "a_b", {"type": "csv", "path": "data/a b.tsv.gz"}),
        ("https://h/x/sales.csv?k=1", "sales", {"type": "csv", "url": "https://h/x/sales.csv?k=1"}),
        ("https://h/news.atom", "news", {"type": "rss", "url": "https://h/news.atom"}),
        ("data/*.csv", "source", {"type": "csv", "path": "data/*.csv"}),
    ],
)
async def test_by_its_name(target: str, name: str, declaration: dict[str, str]) -> None:
    assert await recognise(target) == (name, declaration)


async def test_a_name_in_use_gets_a_number() -> None:
    assert (await recognise("flights.csv", {"flights", "flights_2"}))[0] == "flights_3"


@pytest.mark.parametrize("target", ["x.json", "x.parquet", "feed.xml", "x.xlsx"])
async def test_files_that_are_not_read(target: str) -> None:
    with pytest.raises(Misconfigured, match="not read in this version"):
        await recognise(target)


@pytest.mark.parametrize("target", ["http://[::1", "https://[x]/a.csv", "http://h:99999/a.csv", "http:a.csv"])
async def test_an_address_that_is_none_is_refused(target: str) -> None:
    assert looks_like_target(target)
    with pytest.raises(Misconfigured, match="must look like https://host/path"):
        await recognise(target)


async def test_brackets_of_a_pattern_are_no_address() -> None:
    assert (await recognise("//srv/[a-z]*.csv"))[1] == {"type": "csv", "path": "//srv/[a-z]*.csv"}


@pytest.mark.parametrize(
    ("text", "target"), [("sales", False), ("a/b", True), ("x.csv", True), ("http://h", True), ("*", True)]
)
def test_targets_and_names(text: str, target: bool) -> None:  # noqa: FBT001
    assert looks_like_target(text) is target
