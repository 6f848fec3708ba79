"""The bank and its ten sources: the split is whole, the party files hold, and the pooled answers are what may be shown."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import duckdb
import pytest
from credit.prepare import BANK, DATA, HERE, SOURCES, STRANGERS, prepare
from credit.run import LEAST, QUESTIONS, pooled, released, same
from typer.testing import CliRunner

import fedsql
from fedsql.cli import app

ALONE, BALANCE, BY_BOTH, _, SLOPE, STAR = QUESTIONS.values()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("credit")
    prepare(made)
    return made


@pytest.fixture
def everything(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with pooled(folder) as connection:
        yield connection


@pytest.fixture
def files(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Each party's rows under its name, and those that they were made of as `data`."""
    with duckdb.connect() as connection:
        paths = {"data": DATA} | {party: folder / "rows" / f"{party}.parquet" for party in ("bank", *SOURCES)}
        for name, file in paths.items():
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{file}')")
        yield connection


def one(files: duckdb.DuckDBPyConnection, query: str) -> tuple:
    return files.execute(query).fetchall()[0]


def differences(files: duckdb.DuckDBPyConnection, columns: Sequence[str], joined: str) -> tuple[int, int]:
    """Return how many rows of the data are not in ``joined``, and the reverse, each as often as it is there."""
    data, split = (f"SELECT {', '.join(columns)} FROM {rows}" for rows in ("data", joined))
    left, right = (f"(SELECT count(*) FROM ({a} EXCEPT ALL {b}))" for a, b in ((data, split), (split, data)))
    return one(files, f"SELECT {left}, {right}")


def test_check_finds_no_problem(folder: Path) -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["check", str(folder / "federation.toml")])
    assert result.exit_code == 0, result.stdout
    assert "credit: 11 parties" in result.stdout
    assert "no problems" in result.stdout


def test_the_party_files_are_of_the_parties_that_are_prepared(folder: Path) -> None:
    assert set(tomllib.loads((HERE / "federation.toml").read_text())["parties"]) == {"bank", *SOURCES}
    for party in ("bank", *SOURCES):
        held = tomllib.loads((HERE / f"{party}.toml").read_text())
        (table,) = held["tables"].values()
        columns = BANK if party == "bank" else SOURCES[party].columns
        assert (held["name"], set(table["columns"])) == (party, {"customer_id", *columns})
        assert held["release"]["min_group_size"] == LEAST


def test_the_same_comes_out_each_time(folder: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    for party in ("bank", *SOURCES):
        first, second = (made / "rows" / f"{party}.parquet" for made in (folder, tmp_path))
        assert first.read_bytes() == second.read_bytes()


def test_every_loan_is_at_the_bank(files: duckdb.DuckDBPyConnection) -> None:
    assert differences(files, BANK, "bank") == (0, 0)
    assert one(files, "SELECT count(*), count(DISTINCT customer_id) FROM bank") == (1000, 1000)


@pytest.mark.parametrize("party", SOURCES)
def test_a_source_knows_most_customers_as_the_data_do(files: duckdb.DuckDBPyConnection, party: str) -> None:
    columns = (*BANK, *SOURCES[party].columns)
    missing, wrong = differences(files, columns, f"bank JOIN {party} USING (customer_id)")
    assert wrong == 0
    assert 20 <= missing <= 150
    strangers = f"{party} s WHERE NOT EXISTS (FROM bank b WHERE b.customer_id = s.customer_id)"
    assert 0.8 * STRANGERS <= one(files, f"SELECT count(*) FROM {strangers}")[0] < STRANGERS
    assert one(files, f"SELECT count(*) - count(DISTINCT customer_id) FROM {party}") == (0,)


def test_all_files_together_are_the_data_again(files: duckdb.DuckDBPyConnection) -> None:
    columns = [*BANK, *(column for share in SOURCES.values() for column in share.columns)]
    assert sorted(columns) == sorted(row[0] for row in files.execute("DESCRIBE data").fetchall())
    joined = " ".join(["bank", *(f"JOIN {party} USING (customer_id)" for party in SOURCES)])
    (known,) = one(files, f"SELECT count(*) FROM {joined}")
    assert 300 < known < 700
    assert differences(files, columns, joined) == (1000 - known, 0)


def test_the_bank_alone_is_answered_as_the_pooled_rows_are(folder: Path, everything: duckdb.DuckDBPyConnection) -> None:
    with fedsql.connect(folder / "federation.toml") as connection, connection.cursor() as cursor:
        got = cursor.execute(ALONE).fetchall()
    wanted = everything.execute(released(ALONE)).fetchall()
    assert same(got, wanted)
    assert len(wanted) == 9  # of ten: there are 9 loans for retraining
    assert any(rate is None for *_, rate in wanted)


def test_shown_are_groups_with_enough_inside_and_outside(everything: duckdb.DuckDBPyConnection) -> None:
    everyone: dict[str, int] = defaultdict(int)
    inside: dict[tuple[str, str], list[int]] = defaultdict(list)
    homes = dict(everything.execute("SELECT customer_id, home FROM housing.residents").fetchall())
    loans = everything.execute("SELECT customer_id, purpose, defaulted FROM bank.loans").fetchall()
    for customer, purpose, bad in loans:
        everyone[purpose] += 1
        if customer in homes:
            inside[purpose, homes[customer]].append(bad)
    wanted = [
        (*key, len(bads), fmean(bads) if sum(bads) >= LEAST else None)
        for key, bads in sorted(inside.items())
        if len(bads) >= LEAST and everyone[key[0]] - len(bads) >= LEAST
    ]
    assert same(everything.execute(released(BY_BOTH)).fetchall(), wanted)
    assert len(wanted) < len(inside)


@pytest.mark.parametrize(("least", "shown"), [(1, 4), (58, 4), (59, 3), (1000, 0)])
def test_more_is_hidden_where_more_are_asked_for(everything: duckdb.DuckDBPyConnection, least: int, shown: int) -> None:
    assert len(everything.execute(released(BALANCE, least)).fetchall()) == shown


def test_who_is_known_to_all_but_few_is_hidden(everything: duckdb.DuckDBPyConnection) -> None:
    plain = everything.execute(SLOPE).fetchall()
    outside = 1000 - plain[0][0]
    assert same(everything.execute(released(SLOPE, outside)).fetchall(), plain)
    assert everything.execute(released(SLOPE, outside + 1)).fetchall() == [(None,) * 4]


def test_the_star_s_answer_may_be_shown(everything: duckdb.DuckDBPyConnection) -> None:
    assert same(everything.execute(released(STAR)).fetchall(), everything.execute(STAR).fetchall())


@pytest.mark.parametrize("other", [[(1, 0.5000001)], [(1.0, 0.5)], [(1, None)], [(1, 0.5), (1, 0.5)], []])
def test_answers_that_differ(other: list[tuple]) -> None:
    assert same([(1, 0.5)], [(1, 0.5 + 1e-15)])
    assert not same([(1, 0.5)], other)
