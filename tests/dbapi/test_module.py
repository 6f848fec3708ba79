"""The module keeps PEP 249's letter, and importing it costs nothing."""

import json
import subprocess
import sys

import pytest

import fedsql
from fedsql import errors

HEAVY = (
    "duckdb",
    "phe",
    "gmpy2",
    "numpy",
    "pyarrow",
    "sqlglot",
    "pydantic",
    "typer",
    "cryptography",
    "cbor2",
    "pandas",
    "polars",
)


def test_import_brings_no_engine() -> None:
    script = "import sys, json, fedsql; fedsql.Error; print(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(run.stdout))


def test_globals() -> None:
    assert (fedsql.apilevel, fedsql.paramstyle, fedsql.threadsafety) == ("2.0", "qmark", 1)


@pytest.mark.parametrize("name", fedsql.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(fedsql, name) is not None
    assert name in dir(fedsql)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        fedsql.nonsense  # noqa: B018


def test_all_errors_of_the_tree_are_exported() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree <= set(fedsql.__all__)
    for name in tree - {"Warning", "Error", "InterfaceError"}:
        assert issubclass(getattr(fedsql, name), fedsql.DatabaseError), name
    assert issubclass(fedsql.InterfaceError, fedsql.Error)
    assert not issubclass(fedsql.InterfaceError, fedsql.DatabaseError)
    assert not issubclass(fedsql.Warning, fedsql.Error)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("BIGINT", "NUMBER"),
        ("HUGEINT", "NUMBER"),
        ("DECIMAL(38,2)", "NUMBER"),
        ("DOUBLE", "NUMBER"),
        ("BOOLEAN", "NUMBER"),
        ("VARCHAR", "STRING"),
        ("ENUM('a', 'b')", "STRING"),
        ("BLOB", "BINARY"),
        ("DATE", "DATETIME"),
        ("TIMESTAMP WITH TIME ZONE", "DATETIME"),
        ("INTERVAL", "DATETIME"),
        ("INTEGER[]", None),
    ],
)
def test_type_objects_tell_types_apart(type_: str, kind: str | None) -> None:
    equal = [name for name in ("STRING", "BINARY", "NUMBER", "DATETIME", "ROWID") if type_ == getattr(fedsql, name)]
    assert equal == ([kind] if kind else [])


def test_constructors() -> None:
    assert fedsql.Date(2024, 2, 29).isoformat() == "2024-02-29"
    assert fedsql.Time(1, 2, 3).isoformat() == "01:02:03"
    assert fedsql.Timestamp(2024, 2, 29, 1, 2, 3).isoformat() == "2024-02-29T01:02:03"
    assert fedsql.Binary(b"x") == b"x"
    stamp = fedsql.TimestampFromTicks(86400.5)
    assert (fedsql.DateFromTicks(86400.5), fedsql.TimeFromTicks(86400.5)) == (stamp.date(), stamp.time())
    assert stamp.timestamp() == 86400.5
