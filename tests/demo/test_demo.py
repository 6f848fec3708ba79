"""The demo keeps its word: what its party files promise of the data is so, and a copy is a whole federation."""

import tomllib
from pathlib import Path

import duckdb
import pytest

from fedsql import demo

HERE = Path(demo.__file__).parent
FILES = [str(HERE / "data" / f"{party}.parquet") for party in demo.PARTIES]


def party_table(party: str) -> dict:
    return tomllib.loads((HERE / f"{party}.toml").read_text())["tables"]["patients"]


def one(sql: str, *parameters: object) -> tuple:
    with duckdb.connect() as connection:
        return connection.execute(sql, parameters).fetchall()[0]


@pytest.mark.parametrize("party", demo.PARTIES)
def test_declared_columns_bounds_and_values_hold(party: str) -> None:
    table = party_table(party)
    file = str(HERE / table["source"])
    with duckdb.connect() as connection:
        offered = {row[0] for row in connection.execute("DESCRIBE FROM read_parquet(?)", [file]).fetchall()}
    assert set(table["columns"]) == offered - {"mental_health"}
    for name, column in table["columns"].items():
        if "bounds" in column:
            low, high = one(f"SELECT min({name}), max({name}) FROM read_parquet(?)", file)
            assert column["bounds"][0] <= low <= high <= column["bounds"][1], name
        if "values" in column:
            query = f"SELECT list_sort(list(DISTINCT {name})) FROM read_parquet(?) WHERE {name} IS NOT NULL"
            assert one(query, file) == (sorted(column["values"]),), name


@pytest.mark.parametrize("party", demo.PARTIES)
def test_contribution_bounds_hold(party: str) -> None:
    table = party_table(party)
    query = f"SELECT max(n) FROM (SELECT count(*) AS n FROM read_parquet(?) GROUP BY {table['privacy_unit']})"
    assert one(query, str(HERE / table["source"])) == (table["max_rows_per_unit"],)


def test_nobody_is_at_two_hospitals() -> None:
    query = "SELECT max(n) FROM (SELECT count(DISTINCT filename) AS n FROM read_parquet(?, filename = true) GROUP BY person)"
    assert one(query, FILES) == (1,)
    assert one("SELECT count(*), count(DISTINCT person) FROM read_parquet(?)", FILES) == (20190, 5912)


def test_one_age_alone_is_too_small_to_show() -> None:
    query = "SELECT list(age) FROM (SELECT age FROM read_parquet(?) GROUP BY age HAVING count(DISTINCT person) < 10)"
    assert one(query, FILES) == ([64],)


def test_write_copies_a_whole_federation(tmp_path: Path) -> None:
    path = demo.write(tmp_path / "new")
    federation = tomllib.loads(path.read_text())
    assert sorted(federation["parties"]) == sorted(demo.PARTIES)
    for name, entry in federation["parties"].items():
        file = path.parent / entry["config"]
        party = tomllib.loads(file.read_text())
        assert party["name"] == name
        assert party["release"]["noise"] == "none"
        source = file.parent / party["tables"]["patients"]["source"]
        assert source.read_bytes() == (HERE / party["tables"]["patients"]["source"]).read_bytes()


def test_write_with_noise_changes_that_line_alone(tmp_path: Path) -> None:
    demo.write(tmp_path, noise=True)
    for party in demo.PARTIES:
        plain = tomllib.loads((HERE / f"{party}.toml").read_text())
        noisy = tomllib.loads((tmp_path / f"{party}.toml").read_text())
        assert noisy["release"].pop("noise") == "required"
        assert plain["release"].pop("noise") == "none"
        assert noisy == plain


def test_write_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text("mine")
    with pytest.raises(FileExistsError):
        demo.write(tmp_path)
    assert (tmp_path / "north.toml").read_text() == "mine"
