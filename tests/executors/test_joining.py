"""The private join, driven message by message: opened shares equal DuckDB's answers on pooled rows, and lengths tell nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from conversations import conversations
from hypothesis import given, settings
from hypothesis import strategies as st
from joins import joined, opened, words

from fedsql.crypto.circuit import Circuit
from fedsql.crypto.matching import Keys, sorting
from fedsql.crypto.words import of_int64
from fedsql.errors import InternalError, ProtocolError
from fedsql.executors.protocol import joining
from fedsql.executors.protocol.anchor import AnchorRows, join_rows
from fedsql.executors.protocol.helper import help_join
from fedsql.executors.protocol.joining import MATCHED, OWN, PRODUCT, PROVIDED, Link, Request, Setting, Shape
from fedsql.executors.protocol.provider import ProviderRows, provide
from fedsql.executors.protocol.threshold import Setting as ThresholdSetting
from fedsql.executors.protocol.threshold import deal_messages, decide
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message
from fedsql.executors.transport.drive import drive
from fedsql.executors.transport.inprocess import run
from fedsql.executors.transport.mailbox import Mailbox

REQUEST = Request(own=(1, 2), provided=(1, 2, 1), products=((0, 0), (1, 0), (0, 1)))
NAMES = ("bank", "clinic", "depot", "east")


def encoded(keys):
    return Keys.of([None if key is None else key.encode() for key in keys])


@st.composite
def worlds(draw):
    """An anchor's table (keys per provider, slot, two columns), providers' tables, and which of them are inner."""
    names = NAMES[: draw(st.integers(1, 4))]
    kind = draw(st.sampled_from(["some", "none", "all", "skew"]))
    rows = draw(st.integers(0, 25))
    alphabet = {"some": "abcdef", "none": "uvw", "all": "a", "skew": "aaaaaaab"}[kind]
    key = st.sampled_from(alphabet) if kind == "all" else st.none() | st.sampled_from(alphabet)
    slots = draw(st.integers(1, 5))
    wide = st.integers(-(2**62), 2**62)
    anchor = {name: draw(st.lists(key, min_size=rows, max_size=rows)) for name in names}
    anchor["slot"] = draw(st.lists(st.integers(-1, slots - 1), min_size=rows, max_size=rows))
    anchor["x"] = draw(st.lists(st.none() | st.integers(-(2**20), 2**20), min_size=rows, max_size=rows))
    anchor["w"] = draw(st.lists(wide, min_size=rows, max_size=rows))
    tables = {}
    for name in names:
        held = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8, min_size=kind == "all"))
        if kind == "all" and "a" not in held:
            held[0] = "a"
        nulls = [None] * draw(st.integers(0, 2))
        count = len(held) + len(nulls)
        values = draw(st.lists(st.integers(-(2**20), 2**20), min_size=count, max_size=count))
        squares = draw(st.lists(wide, min_size=count, max_size=count))
        label = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
        tables[name] = {"k": held + nulls, "y": values, "z": squares, "v": label}
    return anchor, slots, tables, frozenset(draw(st.sets(st.sampled_from(names))))


def built(anchor, slots, tables, inner):
    """Return the setting and the inputs of one world: two group values at each provider."""
    setting = Setting(3, "anchor", dict.fromkeys(tables, REQUEST), inner)
    own = [words(anchor["x"], 1), words(anchor["w"], 2)]
    keys = {name: encoded(anchor[name]) for name in tables}
    rows = AnchorRows(keys, np.array(anchor["slot"], np.int64), slots, dict.fromkeys(tables, own))
    given_rows = {}
    for name, t in tables.items():
        columns = []
        for value in (0, 1):
            here = [v == value for v in t["v"]]
            y = [a * h for a, h in zip(t["y"], here, strict=True)]
            z = [a * h for a, h in zip(t["z"], here, strict=True)]
            columns.append([words(y, 1), words(z, 2), of_int64(np.array(here, np.int64), 1)])
        given_rows[name] = ProviderRows(encoded(t["k"]), columns)
    return setting, rows, given_rows


def pooled(anchor, slots, tables, inner, name):
    """Return what DuckDB answers for one provider's link: rows by slot of all sums, and by slot and group value."""
    con = duckdb.connect()
    kinds = dict.fromkeys(tables, pa.string()) | dict.fromkeys(("slot", "x", "w"), pa.int64())
    con.register("a", pa.table({c: pa.array(anchor[c], kind) for c, kind in kinds.items()}))
    for each, t in tables.items():
        kinds = [pa.string(), pa.int64(), pa.int64(), pa.int64()]
        con.register(each, pa.table({c: pa.array(t[c], kind) for c, kind in zip("kyzv", kinds, strict=True)}))
    joins = " ".join(f"JOIN {each} ON a.{each} = {each}.k" for each in sorted({*inner, name}))
    con.execute(f"CREATE TABLE joined AS SELECT slot, x, w, {name}.y, {name}.z, {name}.v FROM a {joins}")
    every = f"(SELECT unnest(range({slots})) AS slot)"
    plain = con.execute(
        "SELECT count(joined.slot), coalesce(sum(x), 0), coalesce(sum(w::HUGEINT), 0) "
        f"FROM {every} e LEFT JOIN joined USING (slot) GROUP BY e.slot ORDER BY e.slot"
    ).fetchall()
    by_value = con.execute(
        "SELECT coalesce(sum(y), 0), coalesce(sum(z::HUGEINT), 0), count(joined.slot), coalesce(sum(x * y), 0), "
        "coalesce(sum(w::HUGEINT * y), 0), coalesce(sum(x * z::HUGEINT), 0) "
        f"FROM {every} e CROSS JOIN (VALUES (0), (1)) o(v) LEFT JOIN joined ON joined.slot = e.slot AND joined.v = o.v "
        "GROUP BY e.slot, o.v ORDER BY o.v, e.slot"
    ).fetchall()
    con.close()
    return [list(column) for column in zip(*plain, strict=True)], [list(c) for c in zip(*by_value, strict=True)]


def wrapped(values, bits):
    return [(value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for value in values]


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_opened_shares_are_the_answers_of_duckdb_on_pooled_rows(world):
    setting, rows, tables = built(*world)
    for name, both in joined(setting, rows, tables).items():
        plain, by_value = pooled(*world, name)
        assert [opened(both, MATCHED), opened(both, OWN, own=0), opened(both, OWN, own=1)] == plain
        asked = [
            (PROVIDED, -1, 0),
            (PROVIDED, -1, 1),
            (PROVIDED, -1, 2),
            *((PRODUCT, x, y) for x, y in REQUEST.products),
        ]
        for (source, own, provided), wanted in zip(asked, by_value, strict=True):
            got = [opened(both, source, own=own, provided=provided, value=value) for value in (0, 1)]
            assert got[0] + got[1] == (wanted if provided == 1 else wrapped(wanted, 64)), (source, own, provided)


def plain_world(matching, rows=300, held=200, groups=7, inner=("bank", "clinic")):
    """Return a world whose anchor's keys all match, or none does."""
    rng = np.random.default_rng(8)
    names = ("bank", "clinic")
    anchor = {n: [f"{i if matching else i + held}" for i in rng.integers(0, held, rows).tolist()] for n in names}
    anchor |= {"slot": rng.integers(-1, groups, rows).tolist(), "x": [5] * rows, "w": [7] * rows}
    table = {"k": [str(i) for i in range(held)], "y": [1] * held, "z": [2] * held, "v": [0] * held}
    return anchor, groups, dict.fromkeys(names, table), frozenset(inner)


def recorded(world):
    sent: list[Message] = []
    return joined(*built(*world), sent.append), sent


def test_nothing_about_messages_depends_on_what_matches_or_on_groups():
    found = []
    for matching, skewed in ((True, False), (False, False), (True, True)):
        world = plain_world(matching)
        if skewed:
            world[0]["slot"] = [0] * len(world[0]["slot"])
        shares, sent = recorded(world)
        total = sum(opened(shares["bank"], MATCHED))
        assert (total > 0) == matching
        assert all(message.sealed for message in sent)
        found.append(sorted((m.kind, m.sender, m.recipient, len(m.body)) for m in sent))
    assert found[0] == found[1] == found[2]


def test_columns_travel_in_pieces(monkeypatch):
    monkeypatch.setattr(joining, "PIECE", 64)
    world = plain_world(True, rows=200, held=130)
    shares, sent = recorded(world)
    assert opened(shares["clinic"], MATCHED) == pooled(*world, "clinic")[0][0]
    assert max(len(message.body) for message in sent) == 28 + 64 * 16
    assert {m.kind.rsplit("-")[-1] for m in sent if "/tags-" in m.kind and m.sender == "anchor"} == {"0", "1", "2", "3"}


def test_messages_go_where_they_are_said_to_go_and_no_more_columns_wait_than_may(monkeypatch):
    monkeypatch.setattr(joining, "UNDER_WAY", 3 * 16 * 307)
    _, sent = recorded(plain_world(True, inner=()))
    routes = {}
    for message in sent:
        routes.setdefault(message.kind.split("/")[4].rstrip("-0123456789"), set()).add(
            (message.sender, message.recipient)
        )
    links = ("bank", "clinic")
    assert routes == {
        "hello": {("anchor", to) for to in (*links, COORDINATOR)},
        "tags": {(name, COORDINATOR) for name in ("anchor", *links)},
        "table": {(name, to) for name in links for to in ("anchor", COORDINATOR)},
        **{name: {("anchor", COORDINATOR)} for name in ("order", "ends-order", "masked")},
        **{name: {(link, COORDINATOR) for link in links} for name in ("column", "correction")},
        **{name: {(link, "anchor") for link in links} for name in ("permuted-shift", "ends-shift")},
        **{name: {(COORDINATOR, "anchor")} for name in ("factor", "permuted", "ends")},
        "done": {(COORDINATOR, link) for link in links},
    }
    assert len({(m.kind, m.sender, m.recipient) for m in sent}) == len(sent)
    order = [(m.kind.split("/", 4)[4], m.sender) for m in sent if "/bank/" in m.kind]
    shape = Shape(REQUEST, 300, 7, 2)
    assert [shape.ahead(), shape.ahead(921), shape.ahead(10**9)] == [3, 1, 1]
    for number in range(3, len(shape.sums)):
        done = order.index((f"done-{number - 3}", COORDINATOR))
        assert done < order.index((f"ends-shift-{number}-0", "bank"))


def test_rows_that_only_count_send_no_factors():
    setting = Setting(0, "anchor", {"bank": Request()})
    rows = AnchorRows({"bank": Keys.of([b"a", b"b", b"a", None])}, np.array([0, 0, 1, 1]), 2, {"bank": []})
    sent: list[Message] = []
    both = joined(setting, rows, {"bank": ProviderRows(Keys.of([b"a", None]), [[]])}, sent.append)["bank"]
    assert opened(both, MATCHED) == [1, 1]
    assert not [message for message in sent if "factor" in message.kind or "masked" in message.kind]
    with pytest.raises(KeyError):
        both[0].column(OWN, own=0)


def test_inputs_that_do_not_fit_are_refused():
    one = of_int64(np.zeros(1, np.int64), 1)
    with pytest.raises(ValueError, match="equally long"):
        AnchorRows({"bank": Keys.of([b"a"])}, np.zeros(2, np.int64), 1, {"bank": []})
    with pytest.raises(ValueError, match="equally long"):
        ProviderRows(Keys.of([b"a", b"b"]), [[one]])
    with pytest.raises(ValueError, match="products are of columns that exist"):
        Request((1,), (1,), ((0, 1),))
    with pytest.raises(ValueError, match="limbs"):
        Request((3,))
    with pytest.raises(ValueError, match="only those can be inner"):
        Setting(0, "anchor", {"bank": Request()}, frozenset({"east"}))
    for sizes in ((-1, 1, 1), (0, 0, 1), (2**32, 1, 1), (1, 1, -1), (1, 1, 1 << 17)):
        with pytest.raises(ValueError, match="out of range"):
            Shape(Request(), *sizes)
    setting = Setting(0, "anchor", {"bank": Request((1,), (1,))})
    rows = AnchorRows({"bank": Keys.of([b"a"])}, np.zeros(1, np.int64), 1, {"bank": [one]})
    with pytest.raises(InternalError, match="a key is there twice"):
        joined(setting, rows, {"bank": ProviderRows(Keys.of([b"a", b"a"]), [[of_int64(np.zeros(2, np.int64), 1)]])})
    with pytest.raises(ValueError, match="limbs that are asked for"):
        joined(setting, rows, {"bank": ProviderRows(Keys.of([b"a"]), [[of_int64(np.zeros(1, np.int64), 2)]])})
    with pytest.raises(ValueError, match="limbs that are asked for"):
        joined(
            setting,
            AnchorRows(rows.keys, rows.slots, 1, {"bank": []}),
            {"bank": ProviderRows(Keys.of([b"a"]), [[one]])},
        )


def test_each_role_in_a_thread_of_its_own_comes_to_the_same_sums(monkeypatch):
    """Whatever order messages arrive in: the generators wait for what they need by name."""
    monkeypatch.setattr(joining, "PIECE", 50)
    monkeypatch.setattr(joining, "UNDER_WAY", 1)
    world = plain_world(True, inner=("bank",))
    setting, rows, tables = built(*world)
    talks = conversations((setting.anchor, *setting.providers))
    steps = {setting.anchor: join_rows(talks[setting.anchor], setting, rows)}
    steps |= {name: provide(talks[name], setting, table) for name, table in tables.items()}
    steps[COORDINATOR] = help_join(talks[COORDINATOR], setting)
    boxes = {name: Mailbox() for name in steps}

    def send(messages):
        for message in messages:
            boxes[message.recipient].put(message)

    with ThreadPoolExecutor(len(steps)) as pool:
        running = {name: pool.submit(drive, each, send, boxes[name], 60) for name, each in steps.items()}
        results = {name: each.result() for name, each in running.items()}
    for name in setting.providers:
        both = results[setting.anchor][name], results[name]
        plain, by_value = pooled(*world, name)
        assert [opened(both, MATCHED), opened(both, OWN, own=0), opened(both, OWN, own=1)] == plain
        got = [opened(both, PRODUCT, own=0, provided=0, value=value) for value in (0, 1)]
        assert got[0] + got[1] == by_value[3]


def test_a_threshold_is_decided_on_the_shares_that_a_join_leaves():
    """Matched and unmatched rows of a group must each be enough, or its survival would tell who is at the provider."""
    _, rows, tables = built(*plain_world(True, rows=200, held=150, groups=9, inner=("bank",)))
    slots = np.where(rows.slots == 0, -1, rows.slots)  # one group is empty
    given = rows.keys["bank"]
    keys = Keys(given.data, given.ends, given.known & (slots <= 5) & (np.arange(len(slots)) % 2 == 0))
    one = Setting(3, "anchor", {"bank": REQUEST})
    anchor = AnchorRows({"bank": keys}, slots, 9, {"bank": rows.columns["bank"]})
    mine, theirs = joined(one, anchor, {"bank": tables["bank"]})["bank"]
    counted = np.bincount(slots[slots >= 0], minlength=9)
    matched = np.array(opened((mine, theirs), MATCHED))
    assert matched[1:6].min() > 0
    assert not matched[6:].any()

    parts = [shares.words[0][0].view(np.int64) for shares in (mine, theirs)]
    tests = [np.stack([parts[0], counted - parts[0]], axis=1), np.stack([parts[1], -parts[1]], axis=1)]
    circuit = Circuit((8, 8), (0, 1), shared=True)
    names = ("anchor", "bank")
    step, talks = ThresholdSetting(3, circuit, 9, names, names), conversations(names)

    def deal():
        yield Exchange.of(deal_messages(step, talks[COORDINATOR].sealer))

    steps = {name: decide(step, name, part, talks[name].sealer) for name, part in zip(names, tests, strict=True)}
    found = run({**steps, COORDINATOR: deal()})
    wanted = (matched >= 8) & (counted - matched >= 8)
    assert 0 < wanted.sum() < 6
    for name in names:
        np.testing.assert_array_equal(found[name].bits.survive, wanted)


def small():
    """Return a join of two rows with three."""
    setting = Setting(0, "anchor", {"bank": Request((1,), (1,))})
    rows = AnchorRows({"bank": Keys.of([b"a", b"b"])}, np.array([0, 1]), 2, {"bank": [of_int64(np.arange(2), 1)]})
    return setting, rows, {"bank": ProviderRows(Keys.of([b"a", b"b", b"c"]), [[of_int64(np.arange(3), 1)]])}


@pytest.mark.parametrize(
    ("name", "sender", "blamed"),
    [
        ("tags", "anchor", "a message of anchor is malformed (0/join/anchor/bank/tags-0)"),
        ("tags", "bank", "a message of bank is malformed (0/join/anchor/bank/tags-0)"),
        ("masked-1", "anchor", "a message of anchor is malformed (0/join/anchor/bank/masked-1-0)"),
        ("permuted-shift-2", "bank", "a message of bank is malformed (0/join/anchor/bank/permuted-shift-2-0)"),
        ("ends-0", COORDINATOR, "a message of the coordinator is malformed (0/join/anchor/bank/ends-0-0)"),
    ],
)
def test_a_piece_of_another_length_is_refused(monkeypatch, name, sender, blamed):
    send = Link.send

    def shorter(link, recipient, sent, columns):
        cut = sent == name and link.talk.me == sender
        return send(link, recipient, sent, columns[:, :-1] if cut else columns)

    monkeypatch.setattr(Link, "send", shorter)
    with pytest.raises(ProtocolError) as caught:
        joined(*small())
    assert caught.value.message == blamed


def test_the_helper_refuses_tags_out_of_order_and_orders_of_rows_that_there_are_not(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("fedsql.executors.protocol.provider.rising", lambda tags: True)
        patch.setattr("fedsql.executors.protocol.provider.sorting", lambda tags: sorting(tags)[::-1])
        with pytest.raises(ProtocolError, match="the tags of bank are not sorted"):
            joined(*small())
    monkeypatch.setattr("fedsql.executors.protocol.anchor.asked", lambda order, rho: order + np.uint32(1))
    with pytest.raises(ProtocolError, match="the order of anchor is malformed"):
        joined(*small())


@pytest.mark.parametrize(
    ("name", "sender", "told", "blamed"),
    [
        ("hello", "anchor", {"slots": 0}, "a message of anchor is malformed (0/join/anchor/bank/hello)"),
        ("hello", "anchor", {"rows": 2**32}, "a message of anchor is malformed (0/join/anchor/bank/hello)"),
        ("hello", "anchor", {"pads": bytes(31)}, "the keys of anchor are malformed"),
        ("hello", "anchor", {"rows": "2"}, "a message of anchor is malformed (0/join/anchor/bank/hello)"),
        ("table", "bank", {"values": -1}, "a message of bank is malformed (0/join/anchor/bank/table)"),
        ("table", "bank", {"rows": -1}, "the seed or size of bank is malformed"),
        ("table", "bank", {"seed": b""}, "the seed or size of bank is malformed"),
    ],
)
def test_sizes_and_keys_out_of_range_are_refused(monkeypatch, name, sender, told, blamed):
    note = Link.note

    def other(link, recipient, sent, record):
        wrong = {key: value for key, value in told.items() if (sent, link.talk.me) == (name, sender) and key in record}
        return note(link, recipient, sent, record | wrong)

    monkeypatch.setattr(Link, "note", other)
    with pytest.raises(ProtocolError) as caught:
        joined(*small())
    assert caught.value.message == blamed
