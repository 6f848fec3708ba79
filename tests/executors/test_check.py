"""`check` shows who offers what in 80 columns, and all problems of all parties, with columns whose types clash."""

import base64
import secrets
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from fedsql.executors.check import check, render

PARTY = """name = "{}"
[tables.patients]
source = "{}"
privacy_unit = "id"
unit_scope = "global"
analysts = ["ada"]
[tables.patients.columns]
id = {{ use = ["join"], join_with = ["registry"] }}
age = {{ use = ["filter", "aggregate"], bounds = [0, 120], scale = 0 }}
sex = {{ use = ["group"], values = ["F", "M"], required = true }}
[tables.visits]
source = "{}"
"""
SECRET = secrets.token_hex(8)


def federation(folder: Path, *parties: str, extra: str = "") -> Path:
    listed = "".join(f'[parties.{name}]\nconfig = "{name}.toml"\n' for name in parties)
    (folder / "federation.toml").write_text(f'name = "hospitals"\n{extra}{listed}')
    return folder / "federation.toml"


def party(folder: Path, name: str, age: pa.Array, sex: str = "F") -> None:
    rows = pa.table({"id": range(len(age)), "age": age, "sex": [sex] * len(age), "note": [SECRET] * len(age)})
    pyarrow.parquet.write_table(rows, folder / f"{name}.parquet")
    (folder / f"{name}.toml").write_text(PARTY.format(name, f"{name}.parquet", f"{name}.parquet"))


def test_a_federation_without_mistakes(tmp_path):
    party(tmp_path, "north", pa.array([1, 2, 3], pa.int32()))
    party(tmp_path, "south", pa.array([1.5, 2], pa.float64()))
    (tmp_path / "south.toml").write_text(
        (tmp_path / "south.toml").read_text() + '[release]\nnoise = "required"\nallow_alone = true\n'
    )
    key = "ed25519:" + base64.b64encode(bytes(32)).decode()
    extra = (
        f'coordinator = {{ address = "grpc+tls://c:1", public_key = "{key}" }}\n[parties.west]\npublic_key = "{key}"\n'
    )
    report = check(federation(tmp_path, "north", "south", extra=extra))
    assert report.problems == ()
    assert (
        render(report)
        == """\
hospitals: 3 parties

north
  exact results; 1000 queries in 30d; groups of 10 units or more from 2 parties
      or more; count, sum, avg, stddev, var, covar, corr, regr, count_distinct
  patients: up to 4 rows; protects id; none is at another party; for ada
    id   BIGINT   join; joins registry
    age  INTEGER  filter, aggregate; 0 to 120; scale 0
    sex  VARCHAR  group; 2 public values; required
  visits: lists no column, so it is not offered

south
  noisy results; epsilon 10 an analyst, 10 in all, delta 1e-06, in 30d; 1 may
      collude; groups of 10 units or more from 2 parties or more; may answer
      alone; count, sum, avg, stddev, var, covar, corr, regr, count_distinct
  patients: up to 2 rows; protects id; none is at another party; for ada
    id   BIGINT   join; joins registry
    age  DOUBLE   filter, aggregate; 0 to 120; scale 0
    sex  VARCHAR  group; 2 public values; required
  visits: lists no column, so it is not offered

reached through the coordinator, not checked here: west

columns whose types differ, and the type of their union
  patients.age: DOUBLE (INTEGER at north, DOUBLE at south)

no problems
"""
    )
    assert not (tmp_path / ".fedsql").exists()


def test_the_problems_of_all_parties_and_clashing_types_are_together(tmp_path):
    party(tmp_path, "north", pa.array([1, 200], pa.int32()), sex="X")
    party(tmp_path, "south", pa.array(["1", "2"]))
    (tmp_path / "south.toml").write_text(
        (tmp_path / "south.toml").read_text().replace(", bounds = [0, 120], scale = 0", "")
    )
    party(tmp_path, "west", pa.array([1, 2], pa.int8()))
    report = check(federation(tmp_path, "north", "south", "west"))
    assert report.problems == (
        "north.toml: tables.patients.columns.age.bounds: 1 row is outside [0, 120]; widen the bounds, or filter the rows in sql",
        "north.toml: tables.patients.columns.sex.values: 2 rows are outside the listed values; list theirs, or filter the rows in sql",
        "patients.age: no common type (VARCHAR at south, TINYINT at west); cast it in a party's sql",
    )
    text = render(report)
    assert "\n3 problems\n  north.toml: tables.patients.columns.age.bounds: 1 row is outside [0, 120];\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert SECRET not in text


@pytest.mark.parametrize(
    ("north", "south", "clash"),
    [
        (pa.int32(), pa.float64(), False),
        (pa.int32(), pa.decimal128(10, 2), False),
        (pa.date32(), pa.timestamp("us"), False),
        (pa.int32(), pa.bool_(), True),
        (pa.string(), pa.date32(), True),
        (pa.timestamp("us"), pa.int64(), True),
        (pa.bool_(), pa.string(), True),
    ],
)
def test_types_clash_between_families_only(tmp_path, north, south, clash):
    for name, type_ in (("north", north), ("south", south)):
        pyarrow.parquet.write_table(pa.table({"x": pa.nulls(1, type_)}), tmp_path / f"{name}.parquet")
        columns = '[tables.t.columns]\nx = { use = ["group"] }\n'
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\n[tables.t]\nsource = "{name}.parquet"\n{columns}')
    report = check(federation(tmp_path, "north", "south"))
    assert [line.split(" (")[0] for line in report.problems] == (["t.x: no common type"] if clash else [])
    assert ("the type of their union" in render(report)) is not clash


def test_one_party_s_file_can_be_checked_alone(tmp_path):
    party(tmp_path, "north", pa.array([1, 2], pa.int32()))
    report = check(tmp_path / "north.toml")
    assert [offer.party for offer in report.offers] == ["north"]
    assert report.problems == ()


def test_a_file_that_does_not_load_is_a_report_too(tmp_path):
    report = check(tmp_path / "federation.toml")
    assert report.problems == (f"{tmp_path}/federation.toml: there is no such file",)
    assert "\n1 problem\n" in render(report)
