"""Text that is not UTF-8."""
# ruff: noqa: RUF001 - letters of other alphabets are what is tested

import codecs
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.sources.csv_encoding import recognise_encoding, transcode

WESTERN = "name,town\nMüller,Zürich\nLefèvre,Orléans\nNúñez,Málaga\n"
POLISH = "imię,miasto\nŁukasz Żółkiewski,Łódź\nGrażyna Świątek,Gdańsk\n"
RUSSIAN = "имя,город\nИван Петров,Москва\nАнна Смирнова,Тверь\n"
GREEK = "όνομα,πόλη\nΓιώργος,Αθήνα\nΕλένη,Θεσσαλονίκη\n"
JAPANESE = "名前,町\n田中太郎,東京\n鈴木花子,大阪\n"
CHINESE = "名字,城市\n王小明,北京\n李娜,上海\n"


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (b"a,b\n", "utf-8"),
        ("é,b\n".encode(), "utf-8"),
        ("é,b\n".encode()[:1], "utf-8"),  # a sample may end inside a character
        (codecs.BOM_UTF8 + b"a,\xff\n", "utf-8"),
        ("a,b\n".encode("utf-16"), "utf-16"),
        ("a,b\n".encode("utf-32"), "utf-32"),
        (codecs.BOM_UTF16_BE + "a,b\n".encode("utf-16-be"), "utf-16"),
        ("é,è,\ufffd\n".encode() + b"\xff\n", "utf-8"),
        (b"caf\xe9,1\n", "cp1252"),
        (b"item,price\nPen \x93blue\x94,5 \x80\nBook,12 \x80\n" * 3, "cp1252"),
        (WESTERN.encode("cp1252"), "cp1252"),
        (POLISH.encode("cp1250"), "cp1250"),
        (RUSSIAN.encode("cp1251"), "cp1251"),
        (RUSSIAN.encode("koi8-r"), "koi8_r"),
        (GREEK.encode("cp1253"), "cp1253"),
        (JAPANESE.encode("shift_jis"), "cp932"),
        (CHINESE.encode("gb18030"), "gb18030"),
    ],
)
def test_encodings_are_recognised(sample: bytes, name: str) -> None:
    assert recognise_encoding(sample, "a.csv", stated=None) == name


@pytest.mark.parametrize(("stated", "name"), [("UTF8", "utf-8"), ("ascii", "utf-8"), ("latin1", "iso8859-1")])
def test_stated_wins(stated: str, name: str) -> None:
    assert recognise_encoding(JAPANESE.encode("shift_jis"), "a.csv", stated=stated) == name


@given(st.text(), st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7", "gb18030"]))
def test_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str) -> None:
    folder = tmp_path_factory.mktemp("text")
    (folder / "raw").write_bytes(text.encode(encoding))
    transcode(folder / "raw", folder / "text", encoding, "a.csv")
    assert (folder / "text").read_bytes().decode() == text


def test_characters_across_pieces_survive(tmp_path: Path) -> None:
    text = "x" + "€" * 700_000
    (tmp_path / "raw").write_bytes(text.encode("utf-16"))
    transcode(tmp_path / "raw", tmp_path / "text", "utf-16", "a.csv")
    assert io.StringIO((tmp_path / "text").read_bytes().decode()).read() == text


@pytest.mark.parametrize("raw", [b"a\x00b", b"\x00\xd8a\x00"])
def test_what_is_cut_or_broken_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "raw").write_bytes(raw)
    with pytest.raises(Broken, match=r"a\.csv is not utf-16-le near byte"):
        transcode(tmp_path / "raw", tmp_path / "text", "utf-16-le", "a.csv")
