"""Public tables: rows that are the same everywhere, told by a digest, exact in every type, and copied only as offered."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest

from fedsql.config.loading import federation_from
from fedsql.errors import ConfigError, ProgrammingError, ProtocolError
from fedsql.executors.engines import copies, texts
from fedsql.executors.engines.store import PartyStore
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.offer import Offer, ReleasePolicy, TableOffer
from fedsql.planner.question import StageInput

SECRET = bytes(range(32))
ONE = pa.table({"one": [1]})
CODES = pa.table({"code": ["a", "b", None], "name": ["Ada", "", "zoë"], "secret": [1, 2, 3]})
# Values at the edges of their types; each list is one column, in which NULL stands too.
TYPES = {
    "TINYINT": ["-128", "127"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "UBIGINT": ["18446744073709551615"],
    "HUGEINT": ["-170141183460469231731687303715884105728", "170141183460469231731687303715884105727"],
    "UHUGEINT": ["340282366920938463463374607431768211455"],
    "BIGNUM": ["123456789012345678901234567890123456789012345678901234567890"],
    "DECIMAL(38,10)": ["-9999999999999999999999999999.9999999999", "0.0000000001"],
    "DECIMAL(4,2)": ["-99.99", "0"],
    "FLOAT": ["3.4028235e38", "1e-45", "0.1", "nan"],
    "DOUBLE": ["1.7976931348623157e308", "5e-324", "0.1", "-0.0", "nan", "inf", "-inf"],
    "BOOLEAN": ["true", "false"],
    "VARCHAR": ["", "NULL", "a\0b", "zoë \U0001f40d", "'); DROP TABLE t; --"],
    "BLOB": ["\\x00\\xFFab\\x5C"],
    "BIT": ["0101", "1"],
    "UUID": ["12345678-1234-1234-1234-123456789abc"],
    "DATE": ["2024-02-29", "0044-03-15 (BC)", "infinity"],
    "TIME": ["23:59:59.999999", "24:00:00"],
    "TIME WITH TIME ZONE": ["12:00:00.5+15:59:59"],
    "TIMESTAMP": ["2024-01-01 00:00:00.000001", "294247-01-10 04:00:54.775806", "-infinity"],
    "TIMESTAMP_NS": ["2024-01-01 00:00:01.000000001"],
    "TIMESTAMP WITH TIME ZONE": ["2024-07-01 00:00:00.000001+00", "2024-07-01 00:00:00+05:30"],
    "INTERVAL": ["1 year 2 months 3 days 04:05:06.000007", "-1 month -30 days", "30 days", "720 hours"],
    "JSON": ['{"a": [1, null]}', '"x"'],
    "INTEGER[]": ["[1, NULL]", "[]"],
    "VARCHAR[]": ["['NULL', NULL, 'a, b', '''', '[']"],
    "STRUCT(a INTEGER, b VARCHAR)": ["{'a': 1, 'b': NULL}", "{'a': NULL, 'b': '}'}"],
}


def store(name="north", **tables):
    config = federation_from({"parties": {name: {"tables": tables}}}).embedded[name]
    return PartyStore(config, SECRET)


def codes(source=CODES, **settings):
    return {"source": source, "columns": {"code": {}, "name": {}}, "public": True, **settings}


def selected(*items, **settings):
    columns = {f"c{i}": {} for i in range(len(items))}
    listed = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
    return {"source": ONE, "sql": f"SELECT {listed} FROM source", "columns": columns, "public": True, **settings}


def offered(held, name="t"):
    """Return a store's public table, and its columns as they are offered."""
    offer = next(table for table in held.offers() if table.name == name)
    return PublicTable.of(offer), tuple((column.name, column.type) for column in offer.columns)


def copied(owner, other, name="t"):
    table, columns = offered(owner, name)
    other.keep(table, columns, owner.rows_of(name))
    return table


def digest(**tables):
    return offered(store(**tables))[0].content


def test_the_offer_holds_the_digest_of_what_is_sent():
    held = store(t=codes(), private=codes(public=False, columns={"code": {"use": ["join"]}}))
    public, private = held.offers()
    assert public.content == hashlib.sha256(held.rows_of("t")).digest()
    assert private.content == b""
    for name in ("private", "source", "nothing"):
        with pytest.raises(ValueError, match="no public table"):
            held.rows_of(name)


def test_what_is_not_listed_is_not_sent():
    sent = store(t=codes(columns={"code": {}})).rows_of("t")
    assert texts.unpacked(sent).to_pydict() == {"code": ["a", "b", None]}


def test_every_change_of_rows_names_types_or_order_is_another_content():
    other = [
        codes(),
        codes(columns={"name": {}, "code": {}}),
        codes(columns={"code": {}}),
        codes(CODES.take([1, 0, 2])),
        codes(CODES.slice(1)),
        codes(CODES.slice(3)),
        codes(sql="SELECT coalesce(code, '') AS code, name FROM source"),
        codes(sql="SELECT code, name[:1] || name[2:] AS name FROM source"),
        codes(sql="SELECT code::BLOB AS code, name FROM source"),
        codes(sql='SELECT code AS "CODE", name FROM source'),
    ]
    assert len({digest(t=table) for table in other}) == len(other) - 1  # one of them only computes the same names
    assert digest(t=selected("1")) != digest(t=selected("1::BIGINT")) != digest(t=selected("'1'"))


def test_texts_cannot_run_into_each_other():
    assert len({digest(t=selected(*pair)) for pair in (("'ab'", "'c'"), ("'a'", "'bc'"), ("''", "'abc'"))}) == 3
    rows = [pa.table({"x": values}) for values in (["ab", ""], ["a", "b"], ["ab", None], [None, "ab"])]
    assert len({digest(t=codes(each, columns={"x": {}})) for each in rows}) == 4


def test_another_process_gets_the_same_bytes():
    """On another number of threads, from more rows than one of DuckDB's blocks, with NULLs in odd places."""
    script = """
import hashlib, sys
from fedsql.config.loading import federation_from
from fedsql.executors.engines.store import PartyStore
import pyarrow as pa
sql = ("SELECT CASE WHEN range % 7 <> 3 THEN range END AS i, CASE WHEN range % 11 > 2 THEN (range / 7.0)::VARCHAR END AS s"
       " FROM source, range(300001)")
table = {"source": pa.table({"one": [1]}), "sql": sql, "columns": {"i": {}, "s": {}}, "public": True}
party = {"tables": {"t": table}, "limits": {"threads": int(sys.argv[1])}}
store = PartyStore(federation_from({"parties": {"north": party}}).embedded["north"], bytes(32))
print(hashlib.sha256(store.rows_of("t")).hexdigest(), store.offers()[0].content.hex())
"""
    found = [subprocess.run([sys.executable, "-c", script, n], capture_output=True, check=True) for n in "14"]
    assert len({digest for each in found for digest in each.stdout.split()}) == 1


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_comes_back_exactly(type_):
    literal = ", ".join(["NULL", *("'" + value.replace("'", "''") + "'" for value in TYPES[type_])])
    owner = store(t=selected(f"unnest(list_transform([{literal}], lambda v: CAST(v AS {type_})))"))
    other = store("south")
    table = copied(owner, other)
    facts = "SELECT typeof(c0) AS t, CAST(c0 AS VARCHAR) AS v, hash(c0) AS h FROM "
    there = other.run(f'{facts}copies."{table.relation}"')
    assert there == owner.run(f"{facts}main.t")
    assert there == owner.run(f'{facts}copies."{table.relation}"')
    assert there.column("t").to_pylist() == [type_] * (len(TYPES[type_]) + 1)


def test_an_enum_becomes_text():
    owner = store(t=selected("'a'::ENUM('a', 'b')"))
    other = store("south")
    assert other.run(f'SELECT typeof(c0) AS t FROM copies."{copied(owner, other).relation}"')["t"].to_pylist() == [
        "VARCHAR"
    ]


@pytest.mark.parametrize(("value", "type_"), [("union_value(k := 1)", "UNION(k INTEGER)"), ("1::VARIANT", "VARIANT")])
def test_what_would_not_come_back_is_refused(value, type_):
    with pytest.raises(ConfigError) as error:
        store(t=selected(value))
    assert error.value.problems == (
        f"federation: parties.north.tables.t.columns.c0: 1 row is lost when {type_} becomes text and back; "
        "cast the column in sql",
    )


def test_a_table_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(copies, "MOST_BYTES", 3 << 20)
    with pytest.raises(ConfigError) as error:
        store(t=selected("repeat('x', 4000000)"))
    assert error.value.problems == (
        "federation: parties.north.tables.t.public: its rows are sent whole, and 4 MiB are more than 3; "
        "list fewer columns, or filter them in sql",
    )


def test_a_reference_is_no_way_out_for_an_unlisted_column():
    tables = {"t": codes(references={"secret": "u.id"}), "u": {"source": ONE, "columns": {"id": {"use": []}}}}
    with pytest.raises(ConfigError, match="list this one too, or remove the reference"):
        store(**tables)


def test_keys_of_several_columns_are_verified():
    listed = {"c0": {}, "c1": {}}
    pairs = {"source": ONE, "columns": listed, "public": True, "unique": [["c0", "C1"]]}
    rows = "(1, 1), (1, 2), (NULL, 1), (NULL, 1)"
    (offer,) = store(t={**pairs, "sql": f"SELECT * FROM (VALUES {rows}) v(c0, c1)"}).offers()
    assert [offer.holds_once(names) for names in ({"c0", "c1"}, {"c0"}, {"c1"}, set())] == [True, False, False, False]
    with pytest.raises(ConfigError) as error:
        store(t={**pairs, "sql": f"SELECT * FROM (VALUES {rows}, (1, 2)) v(c0, c1)"})
    assert error.value.problems == (
        "federation: parties.north.tables.t.unique: 1 row is equal to another one in c0, C1",
    )


def test_a_copy_is_a_table_and_is_kept_once():
    owner, other = store(t=codes()), store("south", u=codes())
    table, columns = offered(owner)
    assert not other.holds(table.relation)
    with pytest.raises(duckdb.CatalogException):
        other.run(f'SELECT * FROM copies."{table.relation}"')
    copied(owner, other)
    assert other.holds(table.relation)
    other.keep(table, columns, b"not looked at: it is held")
    rows = other.run(f"SELECT rowid, name FROM copies.\"{table.relation}\" WHERE code = 'a'").to_pylist()
    assert rows == [{"rowid": 0, "name": "Ada"}]
    assert owner.holds(table.relation)  # its own


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:],
        lambda data: b"",
        lambda data: texts.packed(texts.unpacked(data).slice(1)),
    ],
)
def test_other_rows_than_those_offered_are_refused_and_their_owner_is_named(change):
    owner, other = store(t=codes()), store("south")
    table, columns = offered(owner)
    with pytest.raises(ProtocolError, match=r"^the rows of t that north sent are not those that it offers$"):
        other.keep(table, columns, change(owner.rows_of("t")))
    assert not other.holds(table.relation)


@pytest.mark.parametrize(
    ("columns", "values", "reason"),
    [
        ((("x", "INTEGER"),), ["twelve"], "do not fit their types"),
        ((("x", "INTEGER) FROM (SELECT 1 AS c0); DROP TABLE t; --"),), ["1"], "do not fit their types"),
        ((("x", "INT4"),), ["1"], "do not fit their types"),
        ((("x", "NOSUCHTYPE"),), ["1"], "do not fit their types"),
        ((('x" FROM t; --', "INTEGER"),), ["1"], None),
    ],
)
def test_an_owner_that_lies_about_its_own_rows_does_no_harm(columns, values, reason):
    """The digest is right, the rows are not what they are said to be; names are names whatever is in them."""
    data = texts.packed(texts.text_table(columns, [pa.array(values, pa.large_string()) for _ in columns]))
    table, other = PublicTable("north", "t", hashlib.sha256(data).digest()), store("south", t=codes())
    if reason is None:
        other.keep(table, columns, data)
        assert other.run(f'SELECT * FROM copies."{table.relation}"').column_names == [columns[0][0]]
    else:
        with pytest.raises(ProtocolError, match=f"the rows of t that north sent {reason}"):
            other.keep(table, columns, data)
    assert other.run("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 3}]


def test_rows_of_other_columns_than_those_offered_are_refused():
    owner, other = store(t=codes()), store("south")
    table, columns = offered(owner)
    for wrong in (columns[:1], columns[::-1], (("code", "BLOB"), columns[1]), (("x", "VARCHAR"), columns[1])):
        with pytest.raises(ProtocolError, match="that north sent are not those"):
            other.keep(table, wrong, owner.rows_of("t"))


def test_garbage_is_no_table():
    for data in (b"", b"\x80\x01", b"\xf6", texts.packed(texts.unpacked(store(t=codes()).rows_of("t")))[:-2]):
        with pytest.raises(ValueError):
            texts.unpacked(data)
    lengths = (3).to_bytes(4, "little")
    for column in (
        ["x", "INTEGER", lengths, b"ab"],
        ["x", "INTEGER", lengths, b"\xff\xff\xff"],
        ["x", "INTEGER", 1, 2],
    ):
        with pytest.raises(ValueError):
            texts.unpacked(texts.encode([column]))


def test_the_two_newest_versions_of_each_table_stay():
    other = store("south")
    versions = [copied(store(t=codes(CODES.slice(at))), other) for at in range(3)]
    same_name = copied(store("west", t=codes(CODES.slice(4))), other)
    assert [other.holds(each.relation) for each in (*versions, same_name)] == [False, True, True, True]
    assert other.run("SELECT table_name AS n FROM duckdb_tables() ORDER BY table_name")["n"].to_pylist() == sorted(
        each.relation for each in (*versions[1:], same_name)
    )


def test_many_threads_keep_and_read_at_once():
    owner, other = store(t=selected("unnest(range(20000))")), store("south")
    table, columns = offered(owner)
    data, seen, failed = owner.rows_of("t"), [], []

    def work():
        try:
            other.keep(table, columns, data)
            seen.append(other.run(f'SELECT sum(c0)::BIGINT AS n FROM copies."{table.relation}"')["n"].to_pylist())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, seen) == ([], [[19999 * 10000]] * 8)


# --- what an earlier stage released -------------------------------------------------------------------------------


def released(*types, rows=1, name="_release_0"):
    columns = tuple((f"v{i}", type_) for i, type_ in enumerate(types))
    return StageInput(name, columns, tuple((str(n),) * len(types) for n in range(rows)))


def test_an_input_is_there_for_its_own_query_alone():
    held = store(t=codes())
    again = "SELECT typeof(v0) AS t, count(*) AS n FROM _release_0 GROUP BY 1"
    for type_ in ("HUGEINT", "DECIMAL(18,3)"):
        found = held.run(again, inputs=[released(type_, rows=3)])
        assert found.to_pylist() == [{"t": type_, "n": 3}]
    with pytest.raises(duckdb.CatalogException):
        held.run(again)


def test_no_query_sees_the_input_of_another_that_runs_beside_it():
    held = store(t=codes())

    def inputs():
        yield released("HUGEINT")
        assert held.load() == (1, 0)  # the first query runs, and has its input
        with pytest.raises(duckdb.CatalogException):
            held.run("SELECT * FROM _release_0")
        assert held.run("SELECT v0 FROM _release_0", inputs=[released("DATE", rows=0)]).num_rows == 0

    assert held.run("SELECT typeof(v0) AS t FROM _release_0", inputs=inputs())["t"].to_pylist() == ["HUGEINT"]


@pytest.mark.parametrize("name", ["t", "T"])
def test_an_input_never_stands_in_for_a_table(name):
    held = store(t=codes())
    with pytest.raises(ValueError, match="is a table, and cannot be an input"):
        held.run("SELECT * FROM t", inputs=[released("HUGEINT", name=name)])


def test_an_input_s_type_is_a_type_and_nothing_else():
    held = store(t=codes())
    for type_ in ("INTEGER) FROM _texts; DROP TABLE t; --", "INT", "x", ""):
        with pytest.raises(ValueError, match="not the name of a type"):
            held.run("SELECT * FROM _release_0", inputs=[released(type_)])
    assert held.run("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 3}]


# --- one table or several -----------------------------------------------------------------------------------------


def offers(*held, **others):
    """Return a catalog of (party, public, content)s that all offer `codes`."""
    tables = {p: TableOffer(p, "codes", (), public=public, content=content) for p, public, content in held}
    named = tuple(Offer(party, (table,), ReleasePolicy()) for party, table in sorted(tables.items()))
    return Catalog("f", named, **others)


A, B = bytes(32), bytes([1] * 32)


def test_the_same_rows_at_several_parties_are_one_table():
    both = offers(("north", True, A), ("south", True, A))
    assert both.public("CODES") == PublicTable("north", "codes", A)
    assert both.without(("north",)).public("codes") == PublicTable("south", "codes", A)
    assert both.without(("north", "south")).public("codes") == PublicTable("north", "codes", A)
    assert both.public("codes", "South") == PublicTable("south", "codes", A)
    assert both.public("nothing") is None


def test_different_rows_and_private_ones_are_told_apart():
    differ = offers(("north", True, A), ("south", True, B))
    with pytest.raises(ProgrammingError, match="north and south do not hold the same rows in the same order") as error:
        differ.public("codes")
    assert error.value.hint == "north.codes is that of north"
    assert differ.public("codes", "south") == PublicTable("south", "codes", B)
    mixed = offers(("north", False, b""), ("south", True, B))
    with pytest.raises(ProgrammingError, match="codes is public at south and not at north") as error:
        mixed.public("codes")
    assert error.value.hint == "south.codes is the public table of south"
    assert mixed.public("codes", "north") is None
    assert offers(("north", False, b"")).public("codes") is None


def test_the_columns_of_a_public_table_are_those_of_its_rows():
    held = store(t=codes())
    catalog = Catalog("f", (held.offer(),))
    table = catalog.public("t")
    assert (
        catalog.columns(table)
        == (("code", "VARCHAR"), ("name", "VARCHAR"))
        == texts.columns_of(texts.unpacked(held.rows_of("t")))
    )
    for gone in (replace(table, content=A), replace(table, owner="south"), replace(table, name="u")):
        with pytest.raises(ProtocolError, match=f"what {gone.owner} offers has changed"):
            catalog.columns(gone)
