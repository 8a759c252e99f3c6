"""How DuckDB reads sound CSV records: with these options it gives cell for cell what Python's `csv` gives.

The tests hold it to that. What each option is for:

* `auto_detect=false`, and everything stated: nothing is guessed, no line is taken for a header or a comment.
* `parallel=false`: the parallel reader guesses record starts, and gives up on some sound files with line ends in cells.
* `max_line_size` and `buffer_size` of the whole text: the defaults refuse records of more than 2 MB.
* `new_line`: line ends inside quotes stay as they are, `\\r` too.
* `nullstr` may name neither delimiter nor quote, and may not be empty: texts that no unquoted cell can hold are left
  out, and a line end, which no unquoted cell holds either, stands for "none".
"""

from kasparro.model.page import CsvRecords
from kasparro.shaping import literal

_NO_TEXT = "\n"


def read_csv_sql(records: CsvRecords, file: str) -> str:
    """Return the table function that reads `records.text` from a file: text columns `c0`, `c1`, ..., in order.

    The columns have numbers and not their names because DuckDB's names ignore case.
    """
    quote = records.quote or ""
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(records.columns)))
    room = len(records.text) + 1
    return f"""read_csv({literal.text(file)}, auto_detect=false, header=false, columns={{{columns}}},
        delim={literal.text(records.delimiter)}, quote={literal.text(quote)}, escape={literal.text(quote)},
        new_line='\\n', strict_mode=true, null_padding=false, parallel=false, max_line_size={room}, buffer_size={room},
        nullstr={literal.texts([literal.text(text) for text in _null_texts(records)])}, allow_quoted_nulls=false)"""


def _null_texts(records: CsvRecords) -> list[str]:
    impossible = {records.delimiter, records.quote or "\n", "\n", "\r", "\x00"}
    possible = [text for text in records.null_values if not any(part in text for part in impossible)]
    return possible or [_NO_TEXT]
