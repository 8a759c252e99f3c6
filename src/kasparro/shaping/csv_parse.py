"""Placeholder until the real one lands."""

from kasparro.model.page import CsvRecords


def read_csv_sql(records: CsvRecords, file: str) -> str:
    cols = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(records.columns)))
    return f"read_csv('{file}', auto_detect=false, header=false, delim='{records.delimiter}', quote='{records.quote or ''}', escape='{records.quote or ''}', columns={{{cols}}}, strict_mode=true, null_padding=false, nullstr='', allow_quoted_nulls=false)"
