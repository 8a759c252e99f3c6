"""Profiles add up, in any grouping and order, to what one profile of all records would be."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.profile import FIELDS, HASHES, SAMPLED, FieldProfile, Profile

RANKS = st.integers(0, HASHES - 1)
FIELD = st.builds(
    FieldProfile,
    present=st.integers(0, 99),
    nulls=st.integers(0, 9),
    types=st.dictionaries(st.sampled_from(["integer", "text"]), st.integers(1, 9)).map(
        lambda one: dict(sorted(one.items()))
    ),
    low=st.none() | st.floats(-9, 9),
    high=st.none() | st.floats(-9, 9),
    first=st.none() | st.sampled_from(["2026-01-01", "2026-02-01"]),
    last=st.none() | st.sampled_from(["2026-01-01", "2026-02-01"]),
    shortest=st.none() | st.integers(0, 9),
    longest=st.none() | st.integers(0, 9),
    hashes=st.sets(RANKS, max_size=SAMPLED).map(lambda one: tuple(sorted(one))),
    sample=st.sets(st.tuples(RANKS, st.text(max_size=3)), max_size=SAMPLED).map(lambda one: tuple(sorted(one))),
)
PROFILE = st.builds(
    Profile,
    rows=st.integers(0, 99),
    looked=st.integers(0, 99),
    fields=st.dictionaries(st.sampled_from("abc"), FIELD).map(lambda one: dict(sorted(one.items()))),
)


@given(PROFILE, PROFILE, PROFILE)
def test_they_add_up_in_any_grouping_and_order(a: Profile, b: Profile, c: Profile) -> None:
    assert (a | b) | c == a | (b | c)
    assert a | b == b | a
    assert a | Profile() == a == Profile() | a


@given(PROFILE)
def test_they_survive_json(a: Profile) -> None:
    assert Profile.from_json(a.to_json()) == a
    assert Profile.from_json({}) == Profile()


def field(values: Sequence[object], start: int = 0) -> FieldProfile:
    texts = [str(one) for one in values]
    hashes = sorted({hash(text) % HASHES for text in texts})
    ranks = sorted({((start + n) * 2654435761 % HASHES, text) for n, text in enumerate(texts)})
    return FieldProfile(present=len(texts), hashes=tuple(hashes[:SAMPLED]), sample=tuple(ranks[:SAMPLED]))


@pytest.mark.parametrize("count", [1, 10, 63, 500, 20_000])
def test_how_many_different_values_there_are(count: int) -> None:
    whole = FieldProfile()
    for start in range(0, count, 1000):
        whole |= field(range(start, min(start + 1000, count)), start)
    assert whole.distinct == pytest.approx(count, rel=0.4 if count >= SAMPLED else 0)


def test_all_different_and_all_alike_are_told_for_records_that_were_not_looked_at() -> None:
    unlike = Profile(rows=10_000, looked=50, fields={"a": field(range(50))})
    alike = Profile(rows=10_000, looked=50, fields={"a": field(["x", "y"] * 25)})
    assert unlike.distinct("a") == pytest.approx(10_000)
    assert alike.distinct("a") == pytest.approx(2, rel=0.5)


def test_quantiles_and_top_values() -> None:
    one = field([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert one.quantiles(0.0, 0.5, 1.0) == (1.0, 6.0, 10.0)
    ((value, share),) = field(["a", "b", "a"]).top(1)
    assert (value, round(share, 3)) == ("a", 0.667)
    assert field(["x"]).quantiles(0.5) == ()
    assert all(math.isfinite(number) for number in field(["nan", "inf", "1"]).numbers)


def test_shares_of_nulls_and_of_absent_fields() -> None:
    seen = Profile(rows=10, looked=10, fields={"a": FieldProfile(present=8, nulls=2)})
    assert seen.absent_share("a") == pytest.approx(0.2)
    assert seen.null_share("a") == pytest.approx(0.4)
    assert (seen.absent_share("b"), seen.null_share("b")) == (1.0, 1.0)


def test_an_object_with_a_key_for_each_record_does_not_grow_without_end() -> None:
    many = [
        Profile(fields={f"f{start + n:06d}": FieldProfile(present=1) for n in range(400)}) for start in (0, 400, 800)
    ]
    whole = many[0] | many[1] | many[2]
    assert len(whole.fields) == FIELDS
    assert whole == many[2] | many[0] | many[1]
