import json
import re
import resource
import time
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.sources.feed import Feed, parse_feed

URL = "https://user:secret@example.com/blog/feed?token=s3cr3t"

RSS = """<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:slash="http://purl.org/rss/1.0/modules/slash/"><channel>
<title>Blog</title><link>https://example.com/</link><language>en-GB</language>
{items}
</channel></rss>"""

ITEM = """<item><title>Caf&#233; &amp; more &lt;b&gt;</title><link>post/1</link><guid isPermaLink="false">one</guid>
<pubDate>Thu, 01 Jan 2004 19:48:21 +0100</pubDate><dc:creator>Ada</dc:creator>
<category>a</category><category domain="https://tags.example/">b</category>
<enclosure url="/a.mp3" type="audio/mpeg" length="5"/><comments>post/1#comments</comments>
<description>&lt;p onclick="x()"&gt;Short&lt;/p&gt;</description>
<content:encoded><![CDATA[<p><a href="rel">Long</a><script>x()</script></p>]]></content:encoded>
<slash:comments>3</slash:comments></item>"""


def parsed(text: str, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(one.text) for one in parse_feed(text.encode(), url=URL, **options).entries]


def rss(*items: str) -> str:
    return RSS.format(items="\n".join(items))


def titled(name: str, title: str = "x") -> str:
    return f"<item><guid>{name}</guid><title>{title}</title></item>"


def test_an_item_of_rss() -> None:
    assert parsed(rss(ITEM)) == [
        {
            "id": "one",
            "title": "Café & more <b>",
            "link": "https://example.com/blog/post/1",
            "summary": '<p onclick="x()">Short</p>',
            "content": '<p><a href="rel">Long</a><script>x()</script></p>',
            "author": "Ada",
            "published": "2004-01-01T18:48:21Z",
            "categories": ["a", "b"],
            "tags": [{"term": "a"}, {"term": "b", "scheme": "https://tags.example/"}],
            "enclosures": [{"url": "https://example.com/a.mp3", "type": "audio/mpeg", "length": "5"}],
            "comments": "https://example.com/blog/post/1#comments",
            "language": "en-GB",
            "slash_comments": "3",
        }
    ]


def test_an_entry_of_atom() -> None:
    text = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de" xml:base="https://other.example/x/">
    <entry><id>tag:example.com,2004:1</id><title type="html">A &amp;lt; B</title>
    <link href="1"/><link rel="enclosure" href="a.mp3" type="audio/mpeg"/><link rel="related" href="https://r.example/"/>
    <updated>2004-01-02T00:00:00.5Z</updated><published>soon</published><author><name>Ada</name><email>a@b.c</email>
    </author><summary>plain</summary><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><b>x</b></div></content>
    <x:rating xmlns:x="https://x.example/">5</x:rating></entry></feed>"""
    assert parsed(text) == [
        {
            "id": "tag:example.com,2004:1",
            "title": "A &lt; B",
            "title_type": "text/html",
            "link": "https://other.example/x/1",
            "summary": "plain",
            "summary_type": "text/plain",
            "content": "<b>x</b>",
            "content_type": "application/xhtml+xml",
            "author": "Ada (a@b.c)",
            "authors": [{"name": "Ada", "email": "a@b.c"}],
            "updated": "2004-01-02T00:00:00.500000Z",
            "published_text": "soon",
            "enclosures": [{"url": "https://other.example/x/a.mp3", "type": "audio/mpeg"}],
            "links": [{"rel": "related", "type": "text/html", "href": "https://r.example/"}],
            "language": "de",
            "base": "https://other.example/x/",
            "x_rating": "5",
        }
    ]


def test_an_item_of_rdf() -> None:
    text = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="c"><title>C</title></channel>
    <item rdf:about="https://example.com/1"><title>T</title><link>https://example.com/one</link>
    <dc:date>2004-01-01</dc:date></item></rdf:RDF>"""
    [entry] = parsed(text)
    assert (entry["id"], entry["link"]) == ("https://example.com/1", "https://example.com/one")
    assert entry["updated"] == "2004-01-01T00:00:00"


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("<item><guid>g</guid><link>https://a.example/</link></item>", "g"),
        ("<item><guid> </guid><link>https://a.example/</link></item>", "https://a.example/"),
        ("<item><link>post/1</link></item>", "post/1"),
        ("<item><title>T</title><description>D</description></item>", "07f1f72b8bd69d70"),
    ],
)
def test_what_an_entry_is_known_by(item: str, name: str) -> None:
    assert len(parsed(rss(item))) == 1
    if not re.fullmatch("[0-9a-f]{16}", name):
        assert parsed(rss(item))[0]["id"] == name
    assert parsed(rss(item))[0]["id"] == parse_feed(rss(item).encode(), url="https://moved.example/f").entries[0].id


def test_entries_that_share_a_link_and_have_no_id_stay_apart() -> None:
    names = [one["id"] for one in parsed(rss(*(f"<item><title>{n}</title><link>/</link></item>" for n in "abb")))]
    assert len(set(names)) == 2
    assert all(name.startswith("/#") for name in names)


def test_secrets_of_the_address_do_not_enter_the_entries() -> None:
    body = rss("<item><title>t</title><link>#a</link></item>", "<item><link>?b=1</link></item>").encode()
    text = b"".join(one.text for one in parse_feed(body, url=URL).entries)
    assert b"secret" not in text
    assert b"s3cr3t" not in text
    assert b"https://example.com/blog/feed#a" in text


def test_the_same_bytes_give_the_same_entries() -> None:
    body = rss(ITEM, titled("2")).encode()
    assert parse_feed(body, url=URL) == parse_feed(body, url=URL)


def test_what_is_no_address_stays_as_it_is() -> None:
    assert parsed(rss("<item><guid>1</guid><link>//[x</link><comments>//[x</comments></item>"))[0]["comments"] == "//[x"


def test_what_trips_feedparser_is_a_clear_error() -> None:
    with pytest.raises(Broken, match=r"not a feed that can be read \(KeyError\)"):
        parsed(rss("<item><guid>1</guid><textInput><name>x</name></textInput></item>"))


def test_elements_that_nobody_knows_are_kept_and_shadow_nothing() -> None:
    odd = "<categories>c</categories><links>l</links><authors a='1'>x</authors><base>b</base><empty/>"
    [entry] = parsed(rss(f"<item><guid>1</guid>{odd}</item>"))
    assert entry["categories_"] == "c"
    assert entry["base_"] == "b"
    assert "empty" not in entry


def test_numbers_too_large_for_json_are_text() -> None:
    [entry] = parsed(rss("<item><guid>1</guid><image><width>99999999999999999999</width></image></item>"))
    assert entry["width"] in {"99999999999999999999", None}


@pytest.mark.parametrize(
    ("item", "title"),
    [
        ("<item><title>Q & A</title></item>", "Q & A"),
        ("<item><title>a&nbsp;b &euro;</title></item>", "a\xa0b €"),
        ("<item><title>a &#0; &#xD800; b</title></item>", "a \ufffd \ufffd b"),
        ("<item><title>a \x08 b</title></item>", "a \x08 b"),
        ("<item><title>a \x00 b</title></item>", "a \ufffd b"),
        ("<item><itunes:x>1</itunes:x><title>no namespace</title></item>", "no namespace"),
        ("<item><title>one</title><description>never closed</item>", "one"),
    ],
)
def test_broken_xml_is_read_nevertheless(item: str, title: str) -> None:
    assert parsed(rss(item))[0]["title"] == title


def test_entities_of_the_doctype_are_read() -> None:
    text = '<!DOCTYPE rss [<!ENTITY co "Café">]>' + rss("<item><title>&co; &amp; &copy;</title></item>")
    assert parsed(text)[0]["title"] == "Café & ©"


@pytest.mark.parametrize(
    "wrapping", ["\n \ufeff{}", "<?xml version='1.1' encoding='utf-8'?>{}", "{}<!-- cached -->", "{}junk"]
)
def test_what_stands_around_a_feed_does_not_matter(wrapping: str) -> None:
    assert [one["id"] for one in parsed(wrapping.format(rss(titled("1"), titled("2"))))] == ["1", "2"]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert parse_feed(rss().encode(), url=URL) == Feed(entries=())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "answered with nothing"),
        (b" \n\xef\xbb\xbf", "answered with nothing"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "web page, not a feed; look for a login"),
        (
            b'<html><head><link rel="alternate" type="application/rss+xml" href="/rss?a=1&amp;b=2">',
            "names is https://example.com/rss\\?a=1&b=2",
        ),
        (b'{"version": "https://jsonfeed.org/version/1"}', "JSON.*type: api"),
        (b"[]", "JSON"),
        (
            b"<kml xmlns:atom='http://www.w3.org/2005/Atom'><item/></kml>",
            "not a feed in RSS or Atom .it begins with <kml>",
        ),
        (b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>", "RDF, but not an RSS feed"),
        (b"not found", "not a feed in RSS or Atom; check"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a feed in RSS or Atom"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "not a feed in RSS or Atom"),
        (b"<rss><channel><title>x</title>", "cut short before its first entry ends"),
        (b"<rss><channel><item><title>x</tit", "cut short before its first entry ends"),
    ],
)
def test_what_is_not_a_feed_is_named(body: bytes, words: str) -> None:
    with pytest.raises(Broken, match=words) as caught:
        parse_feed(body, url="https://example.com/feed?key=abcdef", redact=lambda text: text.replace("abcdef", "****"))
    assert "https://example.com/feed?key=****" in str(caught.value)


THREE = rss(titled("1"), titled("2"), titled("3"))


@pytest.mark.parametrize(
    "cut", ["ut-", "title>x</ti", "<guid>3</gui", "<guid>3</guid><title>&am", "<item><gu", "<it", ""]
)
def test_a_cut_feed_gives_its_whole_entries_and_the_rest(cut: str) -> None:
    text = (
        THREE[: THREE.index("3</guid>")] + cut
        if cut == "ut-"
        else rss(titled("1"), titled("2")).split("</channel>")[0] + cut
    )
    feed = parse_feed(text.encode(), url=URL)
    assert [one.id for one in feed.entries] == ["1", "2"]
    assert feed.rest is not None
    assert text.endswith(feed.rest)
    assert "2</guid>" not in feed.rest


def test_every_cut_gives_entries_that_are_whole_or_says_so() -> None:
    whole = {one.id: one.text for one in parse_feed(THREE.encode(), url=URL).entries}
    for length in range(len(THREE.encode())):
        try:
            feed = parse_feed(THREE.encode()[:length], url=URL)
        except Broken:
            continue
        assert {one.id: one.text for one in feed.entries}.items() <= whole.items()
        assert feed.rest is not None or len(feed.entries) == 3


@pytest.mark.parametrize("swallow", ["<!-- never closed", "<![CDATA[ never closed", "<a title='"])
def test_what_swallows_the_rest_of_a_feed_is_no_silent_loss(swallow: str) -> None:
    feed = parse_feed(
        rss(titled("1"), titled("2"), f"<item><title>{swallow}</title></item>", titled("3")).encode(), url=URL
    )
    assert {"1", "2"} <= {one.id for one in feed.entries}
    assert feed.rest is not None or "3" in {one.id for one in feed.entries}


def test_entries_in_comments_and_quotes_do_not_count() -> None:
    quoted = "<item><guid>1</guid><title>a & b</title><description><![CDATA[<item>x</item>]]></description></item>"
    assert parse_feed(rss(quoted, f"<!-- {titled('2')} -->").encode(), url=URL).rest is None


def test_a_feed_that_only_lacks_its_last_end_tag_is_whole() -> None:
    feed = parse_feed(THREE.removesuffix("</rss>").encode(), url=URL)
    assert len(feed.entries) == 3
    assert feed.rest is None


def test_an_entity_bomb_costs_nothing() -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    text = f'<!DOCTYPE rss [<!ENTITY a0 "ha">{bomb}]>' + rss("<item><title>&a19;</title></item>")
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Broken, match="as an attack would"):
        parse_feed(text.encode(), url=URL)
    assert time.perf_counter() - start < 5.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_no_file_is_read(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("S3CRET")
    doctype = f'<!DOCTYPE rss [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY % y SYSTEM "file://{secret}"> %y;]>'
    body = (doctype + rss("<item><guid>1</guid><title>&x;</title></item>")).encode()
    assert b"S3CRET" not in parse_feed(body, url=URL).entries[0].text
    with pytest.raises(Broken):
        parse_feed(str(secret).encode(), url=URL)  # feedparser.parse would open it


# What XML 1.0 can hold, but for the C1 controls that Windows-1252 has put to other use in `&#…;`.
legal = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff") | st.sampled_from(
    "\x80\x96\x9f"
)


@settings(deadline=None)  # the machine may be busy
@given(st.text(legal, min_size=1, max_size=40))
def test_text_arrives_as_it_was(text: str) -> None:
    [entry] = parsed(rss(f"<item><guid>1</guid><title>{escape(text)}</title></item>"))
    assert entry.get("title", "") == text.strip()


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_any_bytes_are_a_feed_or_a_clear_error(body: bytes) -> None:
    _entries_or_error(body)


STRAY = """<!--|-->|<![CDATA[|]]>|&#xD800;|&bad;|<textInput>|</item>|<image>|<source>|<item>|</channel>|<a:b c='d'>
|\x00|<title|<media:content>|<content>|</textInput>|</image>|</source>|<author>|<link/>|<enclosure/>|<lang
|<content mode='base64'>AAAA"""
pieces = st.sampled_from([*re.findall(r"<[^>]+>|[^<]+", ITEM), *STRAY.split("|")])


@settings(deadline=None)  # the machine may be busy
@given(st.lists(pieces, max_size=25))
def test_any_mixture_of_elements_is_a_feed_or_a_clear_error(found: list[str]) -> None:
    _entries_or_error(rss("".join(found)).encode())


def _entries_or_error(body: bytes) -> None:
    try:
        feed = parse_feed(body, url=URL)
    except Broken as error:
        told = str(error)
        assert told.startswith("https://")
    else:
        assert all(json.loads(one.text)["id"] == one.id for one in feed.entries)
