"""Keys and hashes are cut out of rows by their bytes, as a CSV parser would."""

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kasparro.store.probing import keys_and_hashes

CELLS = st.text(alphabet='ab,"\n1é€', max_size=6)


def written(rows: list[list[str]]) -> bytes:
    """CSV as DuckDB writes it: quotes only where they are needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@given(st.lists(st.tuples(CELLS.filter(bool), st.integers(-9, 10**18), CELLS, CELLS), min_size=1, max_size=20))
def test_any_rows(records: list[tuple[str, int, str, str]]) -> None:
    rows = [["a.source-1", key, str(number), "7", *rest] for key, number, *rest in records]
    text = written(rows)
    found, narrow = keys_and_hashes(text, "a.source-1")
    cut = list(csv.reader(io.StringIO(narrow.decode(), newline="")))
    assert cut == [[key, str(number)] for key, number, *_ in records]
    assert len(found.starts) == len(rows) + 1
    assert found.some(np.ones(len(rows), dtype=np.bool_)) == text
    odd = np.arange(len(rows)) % 2 == 1
    assert found.some(odd) == written(rows[1::2])


def test_more_than_255_quotes() -> None:
    rows = [["s", f'k"{n}', str(n), 'x"' * 90] for n in range(10)]
    _, narrow = keys_and_hashes(written(rows), "s")
    assert list(csv.reader(io.StringIO(narrow.decode()))) == [[row[1], row[2]] for row in rows]
