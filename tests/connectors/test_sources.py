"""Each kind of source gives its rows and a version; what cannot be opened is said with what would work."""

import os
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from fedsql.connectors import ENDINGS, open_source
from fedsql.connectors.source import detach
from fedsql.errors import ConfigError

ROWS = pa.table({"Age": [1, 2, None], "name": ["a", "b", None]})


def rows(source: object, base: Path = Path()) -> list[tuple[object, ...]]:
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as database:
        open_source(source, base).attach(database, "source")
        found = database.execute("SELECT * FROM source ORDER BY ALL").fetchall()
        detach(database, "source")
        with pytest.raises(duckdb.CatalogException):
            database.execute("SELECT * FROM source")
    return found


@pytest.fixture
def folder(tmp_path):
    pyarrow.parquet.write_table(ROWS, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(ROWS, str(tmp_path / "a.feather"))
    with pa.ipc.new_stream(str(tmp_path / "a.arrows"), ROWS.schema) as stream:
        stream.write_table(ROWS)
    (tmp_path / "a.csv").write_text("Age,name\n1,a\n2,b\n,\n")
    (tmp_path / "a.tsv").write_text("Age\tname\n1\ta\n2\tb\n\t\n")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.feather", "a.arrows", "a.csv", "a.tsv", "*.parquet", "file://{}/a.csv"]
)
def test_every_kind_of_file_gives_its_rows(folder, name):
    assert rows(name.format(folder), folder) == [(1, "a"), (2, "b"), (None, None)]


def test_every_kind_of_object_gives_its_rows():
    frame = pd.DataFrame({"Age": pd.array([1, 2, None], dtype="Int64"), "name": ["a", "b", None]})
    for source in (ROWS, ROWS.to_reader(), ROWS.to_batches()[0], frame, duckdb.arrow(ROWS)):
        assert rows(source) == [(1, "a"), (2, "b"), (None, None)]


def test_a_folder_is_all_its_files_with_the_keys_of_its_folders(tmp_path):
    for year in (2024, 2025):
        (tmp_path / "visits" / f"year={year}").mkdir(parents=True)
        pyarrow.parquet.write_table(ROWS.slice(0, 1), tmp_path / "visits" / f"year={year}" / "x.parquet")
    (tmp_path / "visits" / "_SUCCESS").write_text("")
    assert rows("visits", tmp_path) == [(1, "a", 2024), (1, "a", 2025)]


def test_signs_in_file_names_mean_nothing(tmp_path):
    for name in ("it's.parquet", "a[1].parquet", "a*.parquet"):
        pyarrow.parquet.write_table(ROWS.slice(0, 1), tmp_path / name)
        assert rows(name, tmp_path) == [(1, "a")]


def test_variables_are_expanded(folder, monkeypatch):
    monkeypatch.setenv("FEDSQL_DATA", str(folder))
    assert len(rows("${FEDSQL_DATA}/a.csv")) == 3


def test_a_late_value_decides_the_type_of_a_csv_column(tmp_path):
    (tmp_path / "late.csv").write_text("a,b\n" + "1,2\n" * 30000 + "x,2\n")
    assert len(rows("late.csv", tmp_path)) == 30001


def test_a_csv_file_without_a_header_does_not_lose_its_first_row_to_one(tmp_path):
    (tmp_path / "bare.csv").write_text("1,2\n3,4\n")
    assert rows("bare.csv", tmp_path) == [(1, 2), (3, 4)]


def test_a_csv_file_with_a_long_line_loses_no_row(tmp_path):
    (tmp_path / "long.csv").write_text("a,b\n1,2\n3,4,5\n")
    assert rows("long.csv", tmp_path) == [("1,2",), ("3,4,5",)]  # one column: the listed ones will be missed, by name


LISTED = ", ".join(ENDINGS)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("b.parquet", "there is no file {}/b.parquet; did you mean a.parquet?"),
        ("x/b.parquet", "there is no file {0}/x/b.parquet, nor the folder {0}/x"),
        ("z*.parquet", "no file matches {}/z*.parquet"),
        ("empty", f"the folder {{}}/empty holds no file ending in {LISTED}"),
        ("notes.txt", f"notes.txt is of no known kind; valid endings: {LISTED}"),
        (".", "{} holds files of several kinds (arrow, csv, parquet); write a glob, such as *.parquet"),
        ("bad.arrow", "bad.arrow is not an Arrow IPC file"),
        (
            "postgresql://me:secret@host/db",
            "postgresql:// sources are not available yet in this version; name a file, such as data.parquet",
        ),
        ("spark://host", "spark:// sources are not available yet in this version; name a file, such as data.parquet"),
        ("${FEDSQL_NOT_SET}/a.csv", "the environment variable FEDSQL_NOT_SET is not set"),
        (pd.DataFrame({"a": [1, "secret"]}), "DataFrame cannot become an Arrow table (ArrowInvalid)"),
    ],
)
def test_what_cannot_be_opened_is_one_line(folder, source, line):
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("")
    (folder / "bad.arrow").write_bytes(b"not arrow at all")
    with pytest.raises(ConfigError) as error:
        open_source(source, folder)
    assert error.value.problems == (line.format(folder),)


def test_arrow_files_with_other_columns_do_not_mix(tmp_path):
    pyarrow.feather.write_feather(ROWS, str(tmp_path / "a.feather"))
    pyarrow.feather.write_feather(ROWS.drop_columns(["name"]), str(tmp_path / "b.feather"))
    with pytest.raises(ConfigError, match=r"b\.feather has other columns or types than a\.feather"):
        open_source("*.feather", tmp_path)


def test_a_version_changes_with_the_file_and_only_then(folder):
    file = folder / "a.csv"
    before = open_source("a.csv", folder).version
    assert open_source(str(file), Path()).version == before
    os.utime(file, ns=(0, 0))
    touched = open_source("a.csv", folder).version
    file.write_text("Age,name\n")
    os.utime(file, ns=(0, 0))
    assert len({before, touched, open_source("a.csv", folder).version}) == 3


def test_the_version_of_a_table_is_that_of_its_contents():
    version = open_source(ROWS, Path()).version
    assert open_source(pa.table(ROWS.to_pydict()), Path()).version == version
    assert open_source(ROWS.slice(0, 2), Path()).version != version
    assert open_source(ROWS.rename_columns(["age", "name"]), Path()).version != version
    assert open_source(ROWS.to_reader(), Path()).version != open_source(ROWS.to_reader(), Path()).version


def test_a_source_shows_no_rows():
    assert "secret" not in repr(open_source(pa.table({"x": ["secret"]}), Path()))
