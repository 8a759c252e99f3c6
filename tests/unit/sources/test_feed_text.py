import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.sources.feed_text import PROLOG_BYTES, decode, mended, without_doctype


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("<r>é€</r>".encode(), "", "<r>é€</r>"),
        ("\ufeff<r>é€</r>".encode(), "text/xml; charset=iso-8859-1", "<r>é€</r>"),  # a mark says more than a header
        ("<r>é€</r>".encode("utf-16"), "", "<r>é€</r>"),
        ("\ufeff<r>é€</r>".encode("utf-16-be"), "", "<r>é€</r>"),
        ("\ufeff<r>é€</r>".encode("utf-32"), "", "<r>é€</r>"),
        ('<?xml version="1.0" encoding="utf-16"?><r>é</r>'.encode("utf-16-le"), "", "<r>é</r>"),
        ('<?xml version="1.0"?><r>é</r>'.encode("utf-16-be"), "", "<r>é</r>"),
        ('<?xml version="1.0" encoding="cp037"?><r>x</r>'.encode("cp037"), "", "<r>x</r>"),
        ('<?xml version="1.0" encoding="iso-8859-1"?><r>é\x96</r>'.encode("latin-1"), "", "<r>é\u2013</r>"),
        ("<?xml version='1.0' encoding='koi8-r'?><r>Привет</r>".encode("koi8-r"), "", "<r>Привет</r>"),
        ("<r>Привет</r>".encode("koi8-r"), 'text/xml; charset="KOI8-R"', "<r>Привет</r>"),
        ("<?xml version='1.0' encoding='utf-8'?><r>Привет</r>".encode("koi8-r"), "x; charset=koi8-r", "<r>Привет</r>"),
        ("<?xml version='1.0' encoding='gb2312'?><r>镕</r>".encode("gb18030"), "", "<r>镕</r>"),
        ("<?xml version='1.0' encoding='shift_jis'?><r>①</r>".encode("cp932"), "", "<r>①</r>"),
        ("<r>é</r>".encode(), "text/xml; charset=iso-8859-1", "<r>é</r>"),  # servers say Latin of everything
        ("<r>é</r>".encode(), "text/xml; charset=us-ascii", "<r>é</r>"),
        (b"<r>caf\xe9 \x93x\x94</r>", "", "<r>café “x”</r>"),
        ("<r>é ".encode() + b"\xe9\x81</r>", "", "<r>é é\x81</r>"),  # UTF-8 with stray bytes: only they are reread
        (b"<r>\xff</r>", "x; charset=euc-jp", "<r>\ufffd</r>"),
        (b"<r>x</r>", "x; charset=hex", "<r>x</r>"),
        (b"<r>\\ud800</r>", "x; charset=unicode_escape", "<r>\\ud800</r>"),
        (b"<r>+2AA-</r>", "x; charset=utf-7", "<r>+2AA-</r>"),
        (b"<r>x</r>", "x; charset=no-such-charset", "<r>x</r>"),
        (b"  \n<?xml version='1.1'?><r>x</r>", "", "<r>x</r>"),
        (b"<r>a\0b</r>", "", "<r>a\ufffdb</r>"),
        (b"", "", ""),
    ],
)
def test_the_charset_is_found(body: bytes, content_type: str, text: str) -> None:
    assert decode(body, content_type) == text


@given(st.binary(max_size=60), st.sampled_from(["", "x; charset=utf-8", "x; charset=gb18030", "x; charset=utf-16"]))
def test_any_bytes_become_text_that_can_be_stored(body: bytes, content_type: str) -> None:
    text = decode(b"<?xml version='1.0'?>" + body, content_type)
    assert text.encode().decode() == text
    assert "\0" not in text


def test_a_doctype_is_cut_and_its_characters_are_kept() -> None:
    doctype = """<!-- <!DOCTYPE no> --><!DOCTYPE rss [
        <!ENTITY nbsp "&#160;"><!ENTITY e 'é'><!ENTITY and "&#38;#38;"> <!-- > ]> -->
        <!ENTITY % more SYSTEM "file:///etc/passwd"> %more;
    ] >"""
    text, entities = without_doctype(f"{doctype}<rss>&nbsp;</rss>", "here")
    assert text == "<!-- <!DOCTYPE no> --><rss>&nbsp;</rss>"
    assert entities == {"nbsp": "\xa0", "e": "é", "and": "&"}


def test_an_external_doctype_is_cut_and_not_fetched() -> None:
    text, entities = without_doctype('<!DOCTYPE rss SYSTEM "http://192.0.2.1/>.dtd">\n<rss/>', "here")
    assert (text, entities) == ("\n<rss/>", {})


def test_what_looks_like_a_doctype_inside_the_feed_stays() -> None:
    text = "<rss><title><![CDATA[<!DOCTYPE html>]]></title></rss>"
    assert without_doctype(text, "here") == (text, {})


BILLION = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'<!DOCTYPE r [<!ENTITY a0 "ha">{BILLION}]><r>&a11;</r>', "out of other entities"),
        (f'<!-- <r> --><!DOCTYPE r [<!ENTITY a0 "ha">{BILLION}]><r>&a11;</r>', "out of other entities"),
        (
            f'<!DOCTYPE r [<!ENTITY a0 "ha">{BILLION}<!ATTLIST r x CDATA "&a11;">]><r>&a11;</r>',
            "out of other entities",
        ),
        (f'<!DOCTYPE r [<!ENTITY a "{"A" * 50_000}">]><r>{"&a;" * 50_000}</r>', "out of other entities"),
        (f'<!DOCTYPE r [<!ENTITY a "{"A" * 900}">]><r>{"&a;" * 50_000}</r>', "outgrow"),
        (f"<!DOCTYPE r [<!-- {'-x' * PROLOG_BYTES} -->]><r/>", "does not end"),
    ],
)
def test_a_doctype_that_unfolds_is_refused_at_once(text: str, words: str) -> None:
    start = time.perf_counter()
    with pytest.raises(Broken, match=words):
        without_doctype(text, "https://example.com/feed")
    assert time.perf_counter() - start < 5.0


def test_a_broken_doctype_declares_nothing() -> None:
    text = '<!DOCTYPE r [<!ENTITY a "b"> <!BAD]><r>&a;</r>'
    assert without_doctype(text, "here") == (text, {})


def test_references_to_characters_that_do_not_exist_are_replaced() -> None:
    text = "&#0;|&#xD800;|&#1114112;|&#99999999999999999999;|&#x41;|&#65;|&#x1F600;|&#xDFFF|&amp;"
    assert mended(text) == "\ufffd|\ufffd|\ufffd|\ufffd|&#x41;|&#65;|&#x1F600;|\ufffd|&amp;"


@given(st.text(alphabet="&#x0123456789abcdefD;", max_size=30))
def test_every_reference_that_is_left_is_a_character(text: str) -> None:
    for digits in re.findall(r"&#(x[0-9a-fA-F]+|[0-9]+)", mended(text)):
        code = int(digits[1:], 16) if digits[0] == "x" else int(digits)
        assert chr(code).encode()
