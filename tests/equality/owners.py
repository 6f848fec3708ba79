"""Owners of different facts about the same people: what the tests of private joins ask.

Keys come from a small range, so that some match nothing, some once, some often; every table has NULLs, keys included.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pool import Pool

PEOPLE = 36
NAMES = ["Ann", "ann", " Ann", "Ann ", "", "o'Hara", "ÅSA", "Åsa", "日本", None]
_DAY = datetime.date(2020, 2, 27)
_TIME = datetime.datetime(2020, 2, 28, 23, 59, 59, 999_999)
_DATES = [_DAY + datetime.timedelta(days) for days in (0, 1, 2, 3, 400)]
_TIMES = [_TIME + datetime.timedelta(microseconds=n) for n in (0, 1, 1_000_000)]
_WHOLE = {"int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(), "uint64": pa.uint64()}


def owners(seed: int = 5) -> Pool:
    """Return a pool of six owners, each with tables of its own.

    bank: clients, their loans (several each), and a public table of kinds; telco: users, one a key, and invoices (several);
    phone: calls, several a key; grid: meters and tax: returns, one a key and declared so; shop: orders, with keys of other
    types and of two columns.
    """
    rng = random.Random(seed)
    parties = {
        "bank": {"clients": _clients(rng), "loans": _loans(rng), "kinds": KINDS},
        "telco": {"users": _users(rng), "invoices": _invoices(rng)},
        "phone": {"calls": _calls(rng)},
        "grid": {"meters": _meters(rng)},
        "tax": {"returns": _returns(rng)},
        "shop": {"orders": _orders(rng)},
    }
    tables: dict[str, dict[str, Any]] = {
        "clients": {"privacy_unit": "cid"},
        "loans": {
            "privacy_unit": "clients.cid",
            "references": {"cid": "clients.cid"},
            "columns": {"rate": {"bounds": [0, 1]}},
        },
        "kinds": {"public": True},
        "users": {"columns": {"used": {"bounds": [0, 10]}}, "privacy_unit": "uid"},
        "invoices": {"privacy_unit": "users.uid", "references": {"uid": "users.uid"}},
        "meters": {"privacy_unit": "cid", "columns": {"kwh": {"bounds": [0, 100]}}},
        "returns": {"privacy_unit": "cid"},
    }
    return Pool(parties, tables)


KINDS = pa.table({"kind": ["a", "b", None], "title": ["House", "Car", "?"], "risk": [3, 7, 1]})


def column(rng: random.Random, rows: int, draw: Callable[[], Any], kind: Any = None, nulls: float = 0.1) -> pa.Array:
    """Return a column of drawn values, some of them NULL; ``kind``: its type or the name of an integer type."""
    values = [None if rng.random() < nulls else draw() for _ in range(rows)]
    return pa.array(values, _WHOLE.get(kind, kind) if isinstance(kind, str) else kind)


def _clients(rng: random.Random) -> pa.Table:
    held = range(0, PEOPLE, 2)
    return pa.table(
        {
            "cid": pa.array([*held], pa.int64()),
            "branch": column(rng, len(held), lambda: rng.choice("mn")),
            "income": column(rng, len(held), lambda: Decimal(rng.randrange(10**6)) / 100, pa.decimal128(10, 2)),
        }
    )


def _loans(rng: random.Random) -> pa.Table:
    rows = 45
    return pa.table(
        {
            "loan": pa.array(range(rows), pa.int64()),
            "cid": column(rng, rows, lambda: rng.randrange(0, PEOPLE, 2), "int64"),
            "amount": column(rng, rows, lambda: Decimal(rng.randrange(-5000, 500_000)) / 100, pa.decimal128(12, 2)),
            "kind": column(rng, rows, lambda: rng.choice("abc")),
            "n": column(rng, rows, lambda: rng.randrange(-2, 9), "int32"),
            "ok": column(rng, rows, lambda: rng.random() < 0.5, pa.bool_()),
            "rate": column(rng, rows, rng.random, pa.float64()),
            "name": pa.array([rng.choice(NAMES) for _ in range(rows)]),
            "day": column(rng, rows, lambda: rng.choice(_DATES), pa.date32()),
            "at": column(rng, rows, lambda: rng.choice(_TIMES), pa.timestamp("us")),
        }
    )


def _users(rng: random.Random) -> pa.Table:
    ids = [*rng.sample(range(PEOPLE + 9), 24), None]
    rows = len(ids)
    return pa.table(
        {
            "uid": pa.array(range(100, 100 + rows), pa.int64()),
            "cid": pa.array(ids, pa.int32()),
            "seg": column(rng, rows, lambda: rng.choice("xyz")),
            "age": column(rng, rows, lambda: rng.randrange(90), "int16"),
            "used": column(rng, rows, lambda: rng.random() * 10, pa.float64()),
            "fee": column(rng, rows, lambda: Decimal(rng.randrange(-100, 9999)) / 10, pa.decimal128(8, 1)),
            "active": column(rng, rows, lambda: rng.random() < 0.6, pa.bool_()),
            "name": pa.array(rng.choices(NAMES, k=rows)),
            "day": column(rng, rows, lambda: rng.choice(_DATES), pa.date32()),
            "at": column(rng, rows, lambda: rng.choice(_TIMES), pa.timestamp("us")),
        }
    )


def _invoices(rng: random.Random) -> pa.Table:
    rows = 30
    return pa.table(
        {
            "uid": column(rng, rows, lambda: rng.randrange(100, 125), "int64"),
            "cents": column(rng, rows, lambda: rng.randrange(-50, 5000), "int32"),
        }
    )


def _calls(rng: random.Random) -> pa.Table:
    """One person makes a third of them."""
    rows = 60
    return pa.table(
        {
            "cid": column(rng, rows, lambda: 4 if rng.random() < 0.3 else rng.randrange(PEOPLE), "int64"),
            "mins": column(rng, rows, lambda: rng.randrange(100), "int32"),
            "far": column(rng, rows, lambda: rng.random() < 0.4, pa.bool_()),
        }
    )


def _meters(rng: random.Random) -> pa.Table:
    rows = 26
    return pa.table(
        {
            "cid": pa.array(rng.sample(range(PEOPLE), rows), pa.int64()),
            "kwh": column(rng, rows, lambda: rng.random() * 100, pa.float64()),
            "area": column(rng, rows, lambda: rng.choice("pq")),
        }
    )


def _returns(rng: random.Random) -> pa.Table:
    rows = 30
    return pa.table(
        {
            "cid": pa.array(rng.sample(range(PEOPLE + 5), rows), pa.int64()),
            "paid": column(rng, rows, lambda: rng.randrange(10**6), "int64"),
            "class": column(rng, rows, lambda: rng.choice("uvw")),
        }
    )


def _orders(rng: random.Random) -> pa.Table:
    """``code`` is a customer's number as a DECIMAL, ``real`` as a DOUBLE, ``big`` as an unsigned one, ``txt`` as a text."""
    rows = 40
    numbers = [rng.randrange(PEOPLE) for _ in range(rows)]

    def some(value: Callable[[int], Any]) -> list[Any]:
        return [None if rng.random() < 0.1 else value(number) for number in numbers]

    return pa.table(
        {
            "code": pa.array(some(lambda n: Decimal(n) + rng.choice([0, 0, Decimal("0.5")])), pa.decimal128(8, 1)),
            "real": pa.array(some(lambda n: n + rng.choice([0.0, 0.0, 0.25])), pa.float64()),
            "big": pa.array(some(lambda n: n), pa.uint64()),
            "txt": pa.array(some(str)),
            "kind": column(rng, rows, lambda: rng.choice("abc")),
            "price": column(rng, rows, lambda: rng.randrange(1, 50), "int32"),
        }
    )
