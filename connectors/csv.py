"""CSV files: DuckDB finds out the dialect, the header and the types.

The whole file is looked at (``sample_size = -1``), because a type guessed from the first rows fails on a later one. No
leading line is skipped (``skip = 0``): with a guess there, a malformed file loses rows without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedsql.connectors.parquet import literals
from fedsql.connectors.source import ViewSource, version_of

NAME = "csv"
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def open_files(paths: Sequence[Path]) -> ViewSource:
    """Return the rows of all ``paths``, which must have the same columns."""
    options = "sample_size = -1, files_to_sniff = -1, skip = 0"
    return ViewSource(NAME, version_of(paths), f"read_csv([{literals(paths)}], {options})")
