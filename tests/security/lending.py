"""A federation whose party `lib` offers the public table `codes` and no patient, and questions whose fragments read it."""

from __future__ import annotations

import pyarrow as pa
from harness import federation, party

GROUPS = {"north": {"aa": 20, "bb": 30, "zz": 40}, "south": {"aa": 21, "bb": 31, "zz": 41}}
CODES = pa.table({"code": ["aa", "bb", None], "name": ["Aardvark-46", "Bandersnatch-82", "Nobody-19"]})
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t JOIN codes ON g = codes.code GROUP BY g"
SHOWN = [{"k0": "aa", "a0": "41", "a1": "287"}, {"k0": "bb", "a0": "61", "a1": "427"}]
NAMING = f"SELECT name AS g, n, s FROM ({SQL}) AS r JOIN codes ON code = r.g ORDER BY 1"  # also above the cut
NAMED = [{"g": "Aardvark-46", "n": 41, "s": 287}, {"g": "Bandersnatch-82", "n": 61, "s": 427}]


def public(source: pa.Table = CODES, **settings: object) -> dict[str, object]:
    """Return the entry of a public table."""
    return {"source": source, "public": True, "columns": {name: {} for name in source.column_names}, **settings}


def patients(name: str, **tables: object) -> dict[str, object]:
    """Return a contributor's file, with more tables."""
    labels = [label for label, count in GROUPS[name].items() for _ in range(count)]
    made = party(name, {"id": list(range(len(labels))), "g": labels, "v": [7] * len(labels)})
    made["tables"] |= tables  # type: ignore[operator]
    return made


def lib(**tables: object) -> dict[str, object]:
    """Return the file of a party that contributes nothing."""
    staff = {"source": pa.table({"wage": [6174]}), "columns": {"wage": {"use": ["aggregate"]}}}
    return {"name": "lib", "tables": {"codes": public(), "staff": staff} | tables}


def world(**tables: object) -> dict[str, object]:
    """Return the federation; ``tables`` replace those of `lib`."""
    return federation(patients("north"), patients("south"), lib(**tables))
