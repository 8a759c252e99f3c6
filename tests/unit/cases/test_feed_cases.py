"""The feeds of other projects, and the naughty strings through a feed. Prints how many come out right."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

from kasparro.errors import Broken
from kasparro.sources.feed import parse_feed

CASES = Path(__file__).parents[3].parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases (../shared/cases) is not here")

URL = "http://example.com/"


def index(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "index" / name).read_text("utf-8").splitlines()]


def entries_of(path: Path, language: str = "") -> list[dict[str, Any]]:
    feed = parse_feed(path.read_bytes(), url=URL, language=language)
    assert feed.rest is None
    return [json.loads(one.text) for one in feed.entries]


def counted(path: Path) -> int:
    """Count the entries of a document in another way than with feedparser."""
    body = path.read_bytes()
    try:
        tags = [element.tag for element in ET.fromstring(body).iter()]
    except ET.ParseError:
        return len(re.findall(rb"<(?:item|entry)[\s>]", re.sub(rb"(?s)<!--.*?-->", b"", body)))
    return sum(tag.rpartition("}")[2].lower() in {"item", "entry"} for tag in tags)


def told(title: str, counts: Mapping[Any, int]) -> None:
    print(f"\n{title}:", ", ".join(f"{key} {count}" for key, count in sorted(counts.items(), key=str)))


class Seen(dict[str, Any]):
    """An entry under the names that feedparser's tests use."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def seen(entry: dict[str, Any]) -> Seen:
    text = entry.get("summary", entry.get("content"))
    first = [{"value": entry.get("content"), "src": entry.get("content_src")}]
    tags = entry.get("tags") or [{"term": term} for term in entry.get("categories", ())]
    found = {**entry, "guid": entry["id"], "summary": text, "description": text}
    found |= {f"{name}_parsed": instant(entry[name]) for name in DATES if name in entry}
    found |= {f"{name}_detail": {"value": found.get(name)} for name in ("title", "summary", "description")}
    found["content"] = [*first, *entry.get("contents", ())]
    found["tags"] = [Seen({"scheme": None, "label": None, **tag}) for tag in tags]
    found["category"] = tags[0].get("term") if tags else None
    found["enclosures"] = [{**one, "href": one["url"]} for one in entry.get("enclosures", ())]
    return Seen(found)


def instant(text: str) -> tuple[int, ...]:
    moment = datetime.fromisoformat(text)
    return tuple((moment if moment.tzinfo is None else moment.astimezone(UTC)).timetuple()[:6])


DATES = ("published", "updated", "created", "expired")
FIELDS = {"title", "link", "id", "guid", "description", "summary", "content", "author", "tags", "category"}
FIELDS |= {"enclosures", "comments", *(f"{name}_parsed" for name in DATES)}
FIELDS |= {"title_detail", "summary_detail", "description_detail"}
NOT_OURS = re.compile(r"\['(?:type|language|base)'\]")


def expectations(text: str | None) -> Iterator[ast.expr]:
    """Yield the claims of a feedparser test that are about values of entries which we have too."""
    tree = ast.parse((text or "1").strip(), mode="eval").body
    for claim in tree.values if isinstance(tree, ast.BoolOp) else [tree]:
        written = ast.unparse(claim)
        named = re.search(r"entries\[\d+\](?:\['(\w+)'\]|\.(\w+))", written)
        counts = written.startswith("len(entries) ")
        if counts or (named and (named[1] or named[2]) in FIELDS and not NOT_OURS.search(written)):
            yield claim


def holds(claim: ast.expr, entries: list[Seen]) -> bool:
    """Evaluate a claim. Times are compared to the second; the key that we add to enclosures is left out."""
    names = {"entries": entries, "len": len}
    try:
        if isinstance(claim, ast.Compare) and isinstance(claim.comparators[-1], ast.Tuple | ast.Dict):
            value, expected = eval(ast.unparse(claim.left), names), ast.literal_eval(claim.comparators[-1])
            if isinstance(expected, tuple):
                return bool(value == expected[:6])
            return bool(expected == {key: value[key] for key in expected})
        return bool(eval(ast.unparse(claim), names))
    except (LookupError, AttributeError):
        return False


REWRITTEN = {"qna", "item_description_br", "item_description_br_shorttag", "item_description_not_a_doctype"}
"""Values that feedparser's sanitiser rewrites, such as `<br/>` to `<br />`; ours stay as they are in the feed."""


def test_feedparser() -> None:
    counts, values, sanitised = Counter[bool](), Counter[bool](), Counter[bool]()
    differ = []
    for case in index("feedparser_cases.jsonl"):
        path = CASES / case["file"]
        if case["kind"] == "json":
            with pytest.raises(Broken, match="type: api"):
                parse_feed(path.read_bytes(), url=URL)
            continue
        found = entries_of(path, dict(case["headers"]).get("Content-Language", ""))
        counts[len(found) == counted(path)] += 1
        for claim in expectations(case["expect"]):
            right = holds(claim, [seen(one) for one in found])
            (sanitised if "sanitize" in case["kind"] else values)[right] += 1
            if not right and "sanitize" not in case["kind"]:
                differ.append(case["file"])
    told("feedparser, number of entries", counts)
    told("feedparser, values", values)
    told("feedparser, values where HTML is dangerous (where they differ, we keep it)", sanitised)
    assert counts == {True: 1813}
    assert values == {True: 228, False: 4}
    assert sanitised == {True: 292, False: 287}
    assert {Path(name).stem for name in differ} == REWRITTEN


REASONS = {
    "links inside HTML stay relative": "xml_base",
    "the <div> around XHTML stays in Atom 0.3, as feedparser's tests want it": "atom03.*xhtml",
    "feedparser reads it in another way": "naked_markup|illegal_char|at_protocol|issue_275",
}


def test_gofeed() -> None:
    counts, values = Counter[bool](), Counter[tuple[str, bool]]()
    differ: list[str] = []
    for case in index("gofeed_pairs.jsonl"):
        expected = json.loads((CASES / case["expected"]).read_bytes())
        items = expected.get("items") or expected.get("entries") or []
        try:
            found = entries_of(CASES / case["input"])
        except Broken:
            assert case["input"].endswith("version_rdf_090.xml")  # RDF without an entry, in a namespace that is not RSS
            counts[False] += 1
            continue
        counts[len(found) == len(items)] += 1
        for theirs, ours in zip(items, found, strict=True):
            for name, value, mine in compared(theirs, ours):
                values[name, value == mine] += 1
                differ += [case["input"]] if value != mine else []
    told("gofeed, number of entries", counts)
    told("gofeed, values", values)
    assert counts == {True: 532, False: 1}
    assert {name: count for (name, right), count in values.items() if right} == {
        "title": 44,
        "link": 10,
        "id": 3,
        "guid": 8,
        "description": 21,
        "summary": 15,
        "content": 17,
        "comments": 2,
        "date": 14,
    }
    assert Counter(next(why for why, pattern in REASONS.items() if re.search(pattern, name)) for name in differ) == {
        "links inside HTML stay relative": 11,
        "the <div> around XHTML stays in Atom 0.3, as feedparser's tests want it": 4,
        "feedparser reads it in another way": 4,
    }


def compared(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, gofeed's value and our value of the fields that both have."""
    names = {"guid": "id", "description": "summary"}
    for name in ("title", "link", "id", "guid", "description", "summary", "content", "comments"):
        value = theirs.get(name)
        if value is not None:
            value = value.get("value") if isinstance(value, dict) else value
            yield name, value, ours.get(names.get(name, name))
    for name in ("published", "updated", "pubDate"):
        value = theirs.get(f"{name}Parsed")
        mine = ours.get("updated" if name == "updated" else "published") or ours.get("updated") or ours.get("published")
        if value is not None:
            yield "date", instant(value), instant(mine or "0001-01-01")


def test_rust_rss() -> None:
    paths = sorted((CASES / "rust-rss").rglob("*.xml"))
    counts = Counter(len(entries_of(path)) == counted(path) for path in paths)
    told("rust-rss, number of entries", counts)
    assert counts == {True: 23}
    assert sum(len(entries_of(path)) for path in paths) == 55


def test_feedvalidator() -> None:
    outcomes, trips = Counter[str](), 0
    for case in index("feedvalidator_cases.jsonl"):
        path = CASES / case["file"]
        try:
            feed = parse_feed(path.read_bytes(), url=URL)
        except Broken as error:
            trips += error.__cause__ is not None
            outcomes[re.sub(r" \(it begins.*|;.*|\. The feed.*", "", str(error))] += 1
        else:
            outcomes["feeds"] += 1
            outcomes["entries"] += len(feed.entries)
    told("feedvalidator", outcomes)
    assert trips == 0
    assert outcomes == {
        "feeds": 1856,
        "entries": 1467,
        f"{URL} is not a feed in RSS or Atom": 340,
        f"{URL} is a web page, not a feed": 14,
        f"{URL} is RDF, but not an RSS feed": 2,
        f"{URL} is cut short before its first entry ends": 1,
    }


NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def test_naughty_strings() -> None:
    strings = json.loads((CASES / "blns" / "blns.json").read_text("utf-8"))
    legal = [one for one in strings if NOT_XML.search(one) is None]
    written = [escape(one, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}) for one in legal]
    items = [f"<item><guid>{n}</guid><title>{one}</title><body>{one}</body></item>" for n, one in enumerate(written)]
    body = f"<rss><channel>{''.join(items)}</channel></rss>".replace("body>", "description>")
    found = [json.loads(one.text) for one in parse_feed(body.encode(), url=URL).entries]
    assert len(found) == len(legal)
    counts = Counter[str]()
    for text, entry in zip(legal, found, strict=True):
        values = {entry.get("title", ""), entry.get("summary", "")}
        assert values == {text.strip()}
        counts["identical" if values == {text} else "identical but for white space around"] += 1
    counts["not allowed in XML"] = len(strings) - len(legal)
    told("naughty strings", counts)
    assert counts == {"identical": 505, "identical but for white space around": 4, "not allowed in XML": 6}
