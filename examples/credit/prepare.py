"""Split the German Credit data by columns over a bank and ten sources that know most of its customers, and others.

    python examples/credit/prepare.py [FOLDER]

Writes rows/<party>.parquet into FOLDER (default: beside this file); with another folder the party files go there, too.
The same rows come out each time: what looks drawn is an MD5 of the row's number.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
DATA = HERE / "data" / "german_credit.parquet"
STRANGERS = 600  # whom sources know and the bank does not: so many of its customers once more, under other ids


@dataclass(frozen=True)
class Share:
    """What a party has: these columns, of ``percent`` of the people."""

    columns: tuple[str, ...]
    percent: int


BANK = ("defaulted", "purpose", "months", "amount", "credits")
SOURCES = {
    "telco": Share(("own_line",), 87),
    "giro": Share(("balance",), 90),
    "savings": Share(("savings",), 92),
    "pension": Share(("employed", "job"), 95),
    "bureau": Share(("history", "guarantee"), 97),
    "retailer": Share(("instalments",), 88),
    "housing": Share(("home", "since"), 86),
    "insurer": Share(("property",), 89),
    "tax": Share(("rate", "dependents"), 96),
    "registry": Share(("age",), 94),
}

# The bank's customers and the strangers are numbered together, in an order that does not tell which is which.
PEOPLE = f"""
CREATE TABLE people AS
WITH loans AS (FROM read_parquet('{DATA}', file_row_number = true)),
     all_people AS (
         SELECT *, true AS at_bank FROM loans
         UNION ALL SELECT *, false FROM loans WHERE file_row_number < {STRANGERS}
     ),
     numbered AS (SELECT *, row_number() OVER (ORDER BY md5(concat(file_row_number, at_bank))) AS number FROM all_people)
SELECT format('C{{:08d}}', number) AS customer_id, * EXCLUDE (file_row_number, number) FROM numbered
"""
KNOWN = "CAST('0x' || left(md5(customer_id || '{party}'), 8) AS UBIGINT) % 100 < {percent}"


def prepare(folder: Path = HERE) -> dict[str, int]:
    """Write each party's rows below ``folder``, and beside them the party files; return the numbers of rows."""
    rows = folder / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    for file in HERE.glob("*.toml"):
        if folder.resolve() != HERE:
            shutil.copy(file, folder)
    wanted: dict[str, tuple[tuple[str, ...], str]] = {"bank": (BANK, "at_bank")}
    wanted |= {p: (s.columns, KNOWN.format(party=p, percent=s.percent)) for p, s in SOURCES.items()}
    written = {}
    with duckdb.connect() as connection:
        connection.execute(PEOPLE)
        for party, (columns, held) in wanted.items():
            select = f"SELECT customer_id, {', '.join(columns)} FROM people WHERE {held} ORDER BY customer_id"
            copied = connection.execute(
                f"COPY ({select}) TO '{rows / party}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )
            written[party] = copied.fetchall()[0][0]
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, count in prepare(target).items():
        print(f"{target / 'rows' / name}.parquet: {count} rows")
