"""Puts this folder on the path, so that its tests and others share `pool`; and the rows that most tests ask."""

from __future__ import annotations

import datetime
import decimal
import random
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pool import Pool

_WIDE = decimal.Context(prec=50)


@pytest.fixture(autouse=True, scope="module")
def keys(kept_keys: None) -> None:
    """Look at answers, whatever keys they came under."""


@pytest.fixture(scope="session")
def pool_of() -> type[Pool]:
    """The harness itself, for tests that bring their own rows."""
    return Pool


@pytest.fixture(scope="session")
def hospitals() -> Iterator[Pool]:
    """Three parties with every type; the integer types of ``age`` differ; `south` alone has ``beds``, `west` no rows."""
    parties = {name: {"patients": _patients(seed, rows)} for seed, (name, rows) in enumerate(_SIZES.items())}
    parties["south"]["beds"] = pa.table({"ward": ["a", "b", None], "free": [3, 0, 7]})
    # Arrow has no 128-bit integers, so the owner's sql makes them
    sql = "SELECT * REPLACE (CAST(huge AS HUGEINT) AS huge) FROM source"
    bounds = {"x": {"bounds": [-1000, 1000]}, "y": {"bounds": [-1000, 1000]}, "f": {"bounds": [-100, 100]}}
    bounds |= {"i64": {"bounds": [-(10**12), 10**12]}}
    pool = Pool(parties, {"patients": {"sql": sql, "privacy_unit": "id", "columns": bounds}})
    yield pool
    pool.close()


_SIZES = {"east": 31, "north": 47, "south": 40, "west": 0}
_AGES = {"east": pa.int16(), "north": pa.int32(), "south": pa.int64(), "west": pa.int32()}
_REGIONS = ["Alps", "", "Zürich", "o'Hara", 'say "x"', "  pad ", "日本", None]
_NOTES = ["12", "x7", "-3.5", "2020-02-30", "2021-05-06", "TRUE", "", "a_b%c", "1e3", None]
_EPOCH = datetime.datetime(1970, 1, 1)


def _patients(seed: int, rows: int) -> pa.Table:
    rng = random.Random(seed)
    party = list(_SIZES)[seed]

    def maybe(value: Callable[[], Any], share: float = 0.15) -> list[Any]:
        return [None if rng.random() < share else value() for _ in range(rows)]

    def whole(bits: int, *, signed: bool = True) -> list[Any]:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return maybe(lambda: rng.choice([low, high, 0, 1, rng.randint(low, high), rng.randint(0, 100)]))

    def decimals(digits: int, scale: int) -> list[Any]:
        limit = 10**digits - 1
        return maybe(
            lambda: Decimal(rng.choice([limit, -limit, 0, 5, rng.randint(-limit, limit)])).scaleb(-scale, _WIDE)
        )

    moments = maybe(
        lambda: (
            _EPOCH + datetime.timedelta(seconds=rng.randint(-(10**9), 2 * 10**9), microseconds=rng.randint(0, 10**6))
        )
    )
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "id": (pa.int64(), [1000 * seed + i for i in range(rows)]),
        "sex": (pa.string(), maybe(lambda: rng.choice("FM"))),
        "region": (pa.string(), [rng.choice(_REGIONS) for _ in range(rows)]),
        "age": (_AGES[party], maybe(lambda: rng.randint(0, 99))),
        "visits": (pa.int32(), maybe(lambda: rng.randint(-3, 12))),
        "i8": (pa.int8(), whole(8)),
        "i16": (pa.int16(), whole(16)),
        "i32": (pa.int32(), whole(32)),
        "i64": (pa.int64(), maybe(lambda: rng.randint(-(10**12), 10**12))),
        "wide": (pa.int64(), whole(64)),
        "u8": (pa.uint8(), whole(8, signed=False)),
        "u16": (pa.uint16(), whole(16, signed=False)),
        "u32": (pa.uint32(), whole(32, signed=False)),
        "u64": (pa.uint64(), whole(64, signed=False)),
        "huge": (
            pa.decimal128(38, 0),
            maybe(lambda: Decimal(rng.choice([0, 7, -(10**35), rng.randint(-(10**35), 10**35)]))),
        ),
        "d4": (pa.decimal128(4, 1), decimals(4, 1)),
        "money": (pa.decimal128(10, 2), decimals(10, 2)),
        "d18": (pa.decimal128(18, 3), decimals(18, 3)),
        "d38": (pa.decimal128(38, 10), decimals(36, 10)),
        "f": (pa.float32(), maybe(lambda: rng.choice([0.0, -0.0, 0.1, rng.uniform(-100, 100)]))),
        "x": (pa.float64(), maybe(lambda: rng.choice([0.0, -0.0, 0.1, rng.uniform(-1000, 1000)]))),
        "y": (pa.float64(), maybe(lambda: rng.choice([0.5, rng.gauss(0, 50)]))),
        "flag": (pa.bool_(), maybe(lambda: rng.random() < 0.4)),
        "born": (pa.date32(), maybe(lambda: datetime.date(1920, 1, 1) + datetime.timedelta(rng.randint(0, 40_000)))),
        "seen": (pa.timestamp("us"), moments),
        "at": (pa.timestamp("us", "UTC"), moments[::-1]),
        "clock": (
            pa.time64("us"),
            maybe(lambda: datetime.time(rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59))),
        ),
        "note": (pa.string(), [rng.choice(_NOTES) for _ in range(rows)]),
        "nothing": (pa.int32(), [None] * rows),
    }
    return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})


WARDS = pa.table({"code": ["a", "b", "c", "d"], "title": ["Alps", "Bay", "Coast", None], "beds": [10, 25, 5, 40]})


def _clinic(seed: int, people: int) -> dict[str, pa.Table]:
    rng = random.Random(seed)
    ids = [1000 * seed + i for i in range(people)]
    visits = [1000 * seed + i for i in range(2 * people)]

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.1 else value

    patients = {
        "id": pa.array(ids, pa.int64()),
        "sex": pa.array([maybe(rng.choice("FM")) for _ in ids]),
        "age": pa.array([maybe(rng.randint(0, 99)) for _ in ids], pa.int32()),
        "region": pa.array([rng.choice("abx") for _ in ids]),
    }
    stays = {
        "visit": pa.array(visits, pa.int64()),
        "patient": pa.array([maybe(rng.choice(ids)) for _ in visits], pa.int64()),
        "ward": pa.array([maybe(rng.choice("abcz")) for _ in visits]),
        "days": pa.array([maybe(rng.randint(0, 30)) for _ in visits], pa.int32()),
    }
    bills = {
        "visit": pa.array([rng.choice(visits) for _ in range(3 * people)], pa.int64()),
        "cents": pa.array([maybe(rng.randint(-50, 5000)) for _ in range(3 * people)], pa.int32()),
    }
    staff = {"id": pa.array(ids, pa.int64()), "boss": pa.array([maybe(rng.choice(ids)) for _ in ids], pa.int64())}
    return {
        "patients": pa.table(patients),
        "visits": pa.table(stays),
        "bills": pa.table(bills),
        "staff": pa.table(staff),
    }


@pytest.fixture(scope="session")
def clinics() -> Iterator[Pool]:
    """Three clinics: patients, their visits, and the bills of these; north also lends everybody a table of wards."""
    parties: dict[str, Any] = {
        name: _clinic(seed, people) for seed, (name, people) in enumerate((("north", 23), ("south", 17), ("west", 9)))
    }
    parties["north"]["wards"] = WARDS
    tables = {
        "patients": {"privacy_unit": "id"},
        "visits": {"references": {"patient": "patients.id"}, "privacy_unit": "patients.id"},
        "bills": {"references": {"visit": "visits.visit"}, "privacy_unit": "patients.id"},
        "staff": {"references": {"boss": "staff.id"}, "privacy_unit": "id"},
        "wards": {"public": True},
    }
    pool = Pool(parties, tables)
    yield pool
    pool.close()
