"""However many parties it is dealt to: all rows are there once, nobody is at two parties, and the policy holds."""

import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedsql import demo
from fedsql.demo.dealing import MOST, SQL, deal

DATA = Path(demo.__file__).parent / "data"


@pytest.mark.parametrize("count", [2, 3, MOST])
def test_every_row_is_at_one_party(count: int) -> None:
    names = [f"p{number}" for number in range(count)]
    tables = []
    for name, (party, text, files) in zip(names, deal(names), strict=True):
        assert party == name
        assert f'\nname = "{name}"\n' in text
        for other in demo.PARTIES:
            assert other not in text
        table = pq.read_table(io.BytesIO(files["data/patients.parquet"]))
        tables.append(table.append_column("party", pa.array([name] * len(table))))
        assert b"RAND Health Insurance Experiment" in files["data/NOTICE.md"]
    dealt = pa.concat_tables(tables)
    with duckdb.connect() as connection:
        connection.register("dealt", dealt)
        connection.execute(f"CREATE VIEW whole AS FROM read_parquet('{DATA}/*.parquet')")
        same = "SELECT count(*) FROM (SELECT * EXCLUDE (party) FROM dealt EXCEPT ALL FROM whole)"
        assert connection.execute(same).fetchall() == [(0,)]
        assert len(dealt) == 20190
        at = "SELECT max(n), min(n) FROM (SELECT count(DISTINCT party) AS n FROM dealt GROUP BY person)"
        assert connection.execute(at).fetchall() == [(1, 1)]
        sizes = "SELECT max(n) - min(n) FROM (SELECT count(DISTINCT person) AS n FROM dealt GROUP BY party)"
        assert connection.execute(sizes).fetchall() == [(5912 % count > 0,)]


def test_the_first_question_is_the_demo_s() -> None:
    assert "FROM patients" in SQL
