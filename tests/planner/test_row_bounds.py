"""How many rows a party has at most in a join, by public sizes; and that sums as large as that still add up exactly."""

import duckdb
import pyarrow as pa
import pytest

from fedsql.planner.bounds import MOST_ROWS
from fedsql.session import Session

USES = ["group", "filter", "aggregate", "join"]
OPEN = {"min_group_size": 1, "min_parties": 1}
PEOPLE, ORDERS, ITEMS, PARTS = 4, 8, 64, 16


def _columns(rows, **rest):
    return {name: {"use": USES, **rest.get(name, {})} for name in rows.column_names}


def _party(number, repeated):
    people = pa.table({"id": list(range(PEOPLE))})
    orders = pa.table({"o_id": [i // repeated for i in range(ORDERS)], "person": [i % PEOPLE for i in range(ORDERS)]})
    items = pa.table(
        {
            "o": [i % (ORDERS // repeated) for i in range(ITEMS)],
            "part": [i % PARTS for i in range(ITEMS)],
            "wide": pa.array([i % PARTS for i in range(ITEMS)], pa.int32()),
            "cost": [-1000 if number else 7] * ITEMS,
        }
    )
    unit = {"privacy_unit": "people.id"}
    tables = {
        "people": {"source": people, "privacy_unit": "id", "columns": _columns(people)},
        "orders": {"source": orders, **unit, "references": {"person": "people.id"}, "columns": _columns(orders)},
        "items": {
            "source": items,
            **unit,
            "references": {"o": "orders.o_id"},
            "columns": _columns(items, cost={"bounds": [-1000, 7]}),
        },
    }
    if number == 0:
        parts = pa.table({"p": list(range(PARTS)), "half": [i // 2 for i in range(PARTS)]})
        tables["parts"] = {"source": parts, "public": True, "columns": {"p": {}, "half": {}}}
    return {"tables": tables, "release": OPEN}


def _session(repeated=1):
    return Session.open({"parties": {name: _party(i, repeated) for i, name in enumerate(("east", "north", "west"))}})


@pytest.fixture(scope="module")
def session():
    """Three parties; the ids that items refer to are unique."""
    made = _session()
    yield made
    made.close()


@pytest.fixture(scope="module")
def repeating():
    """The same, but each order has two rows."""
    made = _session(repeated=2)
    yield made
    made.close()


def rows_of(session, source):
    plan, *_ = session._plan(f"SELECT COUNT(*) FROM {source}", ())
    return plan.releases[0].partials[0].limit


JOINED = "items i JOIN orders r ON i.o = r.o_id"
CASES = {
    "items": ITEMS,
    "items WHERE part IN (SELECT p FROM parts WHERE half > 3)": ITEMS,
    JOINED: ITEMS,
    "items i, orders r, people q WHERE r.o_id = i.o AND q.id = r.person": ITEMS,
    f"{JOINED} JOIN parts ON p = part": ITEMS,
    f"{JOINED} JOIN parts ON p = wide": ITEMS * PARTS,  # of another type: a cast could make two keys one
    f"{JOINED} JOIN parts ON half = part": ITEMS * PARTS,
    f"{JOINED} JOIN parts ON p + 0 = part": ITEMS * PARTS,
    f"{JOINED} JOIN parts ON p = part OR p = 1": ITEMS * PARTS,
    f"{JOINED} SEMI JOIN parts ON half = part": ITEMS,
    "orders a JOIN orders b ON a.person = b.person": ORDERS * ORDERS,
    "orders a JOIN orders b ON a.o_id = b.o_id": ORDERS,
    "people q JOIN orders r ON q.id = r.person": ORDERS,
    "orders r LEFT JOIN items i ON i.o = r.o_id": MOST_ROWS,
    "(SELECT person, COUNT(*) AS n FROM orders GROUP BY person) o JOIN people q ON q.id = o.person": MOST_ROWS,
}


@pytest.mark.parametrize("source", CASES)
def test_rows_at_most(session, source):
    assert rows_of(session, source) == CASES[source]


def test_what_is_referred_to_is_a_key_only_where_it_is_unique(repeating):
    assert rows_of(repeating, JOINED) == ITEMS * ORDERS


@pytest.mark.parametrize("made", ["session", "repeating"])
@pytest.mark.parametrize("source", [source for source in CASES if "AS n" not in source])
def test_sums_as_large_as_they_can_be(request, made, source):
    """Each party's values are all at one end of their bounds, and its rows as many as its offer says."""
    session, repeated = request.getfixturevalue(made), 1 if made == "session" else 2
    cost = "SUM(cost)" if "items" in source.split("SEMI")[0] else "SUM(CAST(1000 AS INTEGER))"
    call = f"COUNT(*), {cost}, AVG({'cost' if 'cost' in cost else 1})"
    database, parties = duckdb.connect(), [_party(number, repeated)["tables"] for number in range(3)]
    for name in ("people", "orders", "items"):  # ids are a party's own
        pooled = pa.concat_tables(
            [
                rows.set_column(i, name_of, pa.array([f"{number}/{v}" for v in rows[name_of].to_pylist()]))
                for number, tables in enumerate(parties)
                for rows in [tables[name]["source"]]
                for i, name_of in [(0, rows.column_names[0])]
            ]
        )
        if name == "orders":
            owner = [
                f"{n}/{v}" for n, tables in enumerate(parties) for v in tables[name]["source"]["person"].to_pylist()
            ]
            pooled = pooled.set_column(1, "person", pa.array(owner))
        database.register(f"_{name}", pooled)
        database.execute(f"CREATE TABLE {name} AS FROM _{name}")
    database.register("_parts", parties[0]["parts"]["source"])
    database.execute("CREATE TABLE parts AS FROM _parts")
    sql = f"SELECT {call} FROM {source}"
    assert session.execute(sql).table.to_pylist() == database.sql(sql).to_arrow_table().to_pylist()
