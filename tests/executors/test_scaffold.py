"""What `fedsql init` writes loads as it is, offers nothing, holds no value, and offers what one uncomments."""

import re
import secrets
import tomllib
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet
import pytest

from fedsql.config.loading import load_federation, load_party
from fedsql.config.models import ReleaseConfig
from fedsql.errors import ConfigError
from fedsql.executors.check import check
from fedsql.executors.scaffold import scaffold

MARK = "value" + secrets.token_hex(6)
ROWS = pa.table(
    {
        "patient_id": [987654321],
        "region": [MARK],
        "ward": pa.array([MARK]).dictionary_encode(),
        "age": pa.array([987654321], pa.int32()),
        "weight": [98765.4321],
        "smoker": [True],
        "born": [date(1987, 6, 5)],
        "seen": [datetime(1987, 6, 5)],
        "codes": [[MARK]],
        "blood pressure": [987654321],
        'a"b': [1],
        "größe": [987654321],
    }
)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "data").mkdir()
    pyarrow.parquet.write_table(ROWS, tmp_path / "data" / "patients.2024.parquet")
    return tmp_path / "data" / "patients.2024.parquet"


def test_what_is_written_loads_and_offers_nothing(tmp_path, source):
    written = scaffold([source], tmp_path / "new" / "place", "north")
    assert written == [tmp_path / "new" / "place" / "north.toml", tmp_path / "new" / "place" / "federation.toml"]
    report = check(written[1])
    assert (report.problems, report.silent) == ((), ("north.patients",))
    assert report.offers[0].tables == ()


def test_every_column_is_there_typed_and_without_values(tmp_path, source):
    (party, _) = scaffold([source], tmp_path, "north")
    text = party.read_text()
    assert (
        text.split("[tables.patients]\n")[1].split("# [release]")[0]
        == """\
source = "data/patients.2024.parquet"
# privacy_unit = "patient_id"   # whom the promises protect; without it one row is one unit

[tables.patients.columns]
# patient_id       = { use = ["join"] }   # BIGINT
# region           = { use = ["group", "filter"] }   # VARCHAR
# ward             = { use = ["group", "filter"] }   # VARCHAR
# age              = { use = ["filter", "aggregate"], bounds = ["low", "high"] }   # INTEGER
# weight           = { use = ["filter", "aggregate"], bounds = ["low", "high"] }   # DOUBLE
# smoker           = { use = ["group", "filter"] }   # BOOLEAN
# born             = { use = ["filter"] }   # DATE
# seen             = { use = ["filter"] }   # TIMESTAMP
# codes            = { use = [] }   # VARCHAR[]
# "blood pressure" = { use = ["filter", "aggregate"], bounds = ["low", "high"] }   # BIGINT
# "a\\"b": rename this column in sql = ...   # BIGINT
# "größe"          = { use = ["filter", "aggregate"], bounds = ["low", "high"] }   # BIGINT

"""
    )
    for value in (MARK, "987654321", "98765", "1987"):
        assert value not in text


def test_an_uncommented_file_asks_for_bounds_and_then_offers_everything(tmp_path, source):
    (party, federation) = scaffold([source], tmp_path, "north")
    text = re.sub(r"^# (?=[\w\"\[].*[=\]])(?!.*rename this)", "", party.read_text(), flags=re.M)
    text = re.sub(r"^(Take|  ).*$", "", text, flags=re.M)
    party.write_text(text)
    placeholders = [line for line in check(federation).problems if "'low' is not a number; write [low, high]" in line]
    assert len(placeholders) == 4
    party.write_text(text.replace('["low", "high"]', "[0, 1e9]"))
    report = check(federation)
    assert report.problems == ()
    assert [column.name for column in report.offers[0].tables[0].columns] == [
        n for n in ROWS.column_names if n != 'a"b'
    ]
    assert report.offers[0].tables[0].privacy_unit == "patient_id"
    assert load_party(party).release == ReleaseConfig()
    assert tomllib.loads(text)["release"]["budget"]["epsilon"] == 10


def test_several_sources_are_several_tables(tmp_path, source):
    (tmp_path / "2024-visits.csv").write_text(f"ward,note\na,{MARK}\n")
    (party, federation) = scaffold([source, tmp_path / "2024-visits.csv"], tmp_path, "north")
    assert list(load_federation(federation).embedded["north"].tables) == ["patients", "t_2024_visits"]
    assert MARK not in party.read_text()


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, source):
    existing = tmp_path / "federation.toml"
    existing.write_text("mine")
    with pytest.raises(ConfigError) as error:
        scaffold([source], tmp_path, "north")
    assert error.value.problems == (f"{existing}: is there already; move it, or choose another folder",)
    assert existing.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "federation.toml"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, source):
    (tmp_path / "place").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        scaffold([source], tmp_path / "place", "north")
    (tmp_path / "federation.toml").symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(ConfigError, match=r"federation.toml: cannot be written"):
        scaffold([source], tmp_path, "north")
    assert not (tmp_path / "north.toml").exists()


@pytest.mark.parametrize(
    ("sources", "party", "lines"),
    [
        ([], "north", ["--from: missing; name at least one file, such as patients.parquet"]),
        (["x.csv"], "nord 1", ["party: 'nord 1' is not a name: letters, digits and _ (at most 63), no digit first"]),
        (
            ["{0}/patient.parquet", "{0}/bad.parquet", "{0}/a.csv", "{0}/A.tsv"],
            "north",
            [
                "--from {0}/patient.parquet: there is no file {0}/patient.parquet; did you mean patients.2024.parquet?",
                "--from {0}/bad.parquet: DuckDB stops with InvalidInputException; its message may quote rows and is left out "
                "here: read the source with DuckDB to see it",
                "--from {0}/A.tsv: there is a table A already; rename the file",
            ],
        ),
    ],
)
def test_mistakes_are_lines(tmp_path, source, sources, party, lines):
    folder = source.parent
    for name, text in (("bad.parquet", "x"), ("a.csv", "x,y\n1,2\n"), ("A.tsv", "x\ty\n1\t2\n")):
        (folder / name).write_text(text)
    with pytest.raises(ConfigError) as error:
        scaffold([type(folder)(text.format(folder)) for text in sources], tmp_path / "out", party)
    assert error.value.problems == tuple(line.format(folder) for line in lines)
    assert not (tmp_path / "out").exists()
