"""Questions over a private join, with all roles: who can lie where, and what is sent of groups that are not shown."""

from __future__ import annotations

import pyarrow as pa
import pytest
from harness import Watched, answering, federation, lies, party

from fedsql.codec import decode, encode
from fedsql.errors import OperationalError, ProtocolError
from fedsql.executors.protocol.labels import LabelBoxes
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.executors.roles import releases

SQL = "SELECT a.g, b.g AS h, count(*) AS n, sum(b.v) AS s FROM bank.t a JOIN clinic.t b ON a.id = b.id GROUP BY ALL"


def side(name, group, ids):
    """Return a party with these units; ``group`` tells the group of each."""
    rows = {
        "id": pa.array(ids, pa.int64()),
        "g": pa.array([group(i) for i in ids], pa.string()),
        "v": pa.array(ids, pa.int64()),
    }
    return party(name, rows, min_group_size=5)


def at_bank(i):
    return "Xylotomy" if i < 13 else "large"


def at_clinic(i):
    return "north" if i < 22 else "Quagmire" if i in range(37, 40) else "south"


@pytest.fixture(scope="module")
def world():
    bank = side("bank", at_bank, range(10, 50))
    clinic = side("clinic", at_clinic, [*range(40), *range(100, 110)])
    made = Watched(federation(bank, clinic))
    yield made
    made.close()


def joined_by_hand():
    found = {}
    for i in range(10, 40):
        label = at_bank(i), at_clinic(i)
        n, s = found.get(label, (0, 0))
        found[label] = n + 1, s + i
    return found


def test_shown_are_the_groups_in_which_enough_units_match_and_enough_do_not(world):
    run = world.ask(SQL)
    wanted = {label: counted for label, counted in joined_by_hand().items() if counted[0] >= 5}
    assert set(wanted) == {("large", "north"), ("large", "south")}
    found = {(row["k0"], row["k1"]): (int(row["a0"]), int(row["a1"])) for row in run.rows}
    assert found == wanted


def test_labels_of_groups_that_are_not_shown_are_in_no_message(world):
    run = world.ask(SQL)
    assert run.error is None
    sealed = [plain for _, kind, _, plain in run.opened]
    assert not any(
        name in body for name in (b"Xylotomy", b"Quagmire") for body in [*sealed, *(m.body for m in run.messages)]
    )
    answer = decode(run.of("answer")[0].body)["releases"][0]
    key = world.analyst.box.open(answer["label_key"], run.context.bind("labels", 0))
    parts = []
    for message in run.of("vector"):
        part = "anchor" if message.sender == "bank" else "provider"
        opener = LabelBoxes(key, run.context, 0, part)
        for position, box in decode(message.body)["labels"]:
            parts.append((part, opener.open(position, box)[4:].rstrip(b"\0")))
    assert sorted(parts) == sorted(
        [("anchor", encode(["large"]))] * 2 + [("provider", encode([each])) for each in ("north", "south")]
    )


def test_both_parts_of_a_label_are_bound_to_their_place_and_their_party(world):
    def swapped(first, second):
        def edit(released):
            boxes = list(released["labels"])
            boxes[first], boxes[second] = boxes[second], boxes[first]
            return {**released, "labels": boxes}

        return edit

    for first, second in ((0, 1), (0, 2), (1, 3)):
        assert isinstance(world.ask(SQL, wire=answering(swapped(first, second))).error, ProtocolError)
    fewer = world.ask(SQL, wire=answering(lambda released: {**released, "labels": released["labels"][:-1]}))
    assert isinstance(fewer.error, ProtocolError)


@pytest.mark.parametrize("name", ["bank", "clinic"])
@pytest.mark.parametrize("position", [7, 0xFFFFFFFF])
def test_a_party_seals_no_label_that_is_not_shown(world, name, position):
    def edit(record, recipient):
        return {**record, "labels": [*record["labels"], position]} if recipient == name else record

    with lies(COORDINATOR, "/go", edit):
        run = world.ask(SQL)
    assert isinstance(run.error, ProtocolError)
    assert "asks for labels of groups that are not here" in str(run.error)
    assert name not in [message.sender for message in run.of("vector")]


@pytest.mark.parametrize("told", [8, 10_000_000, 0, -1])
@pytest.mark.parametrize("deceived", ["bank", COORDINATOR])
def test_group_values_on_which_participants_disagree_end_the_question(world, told, deceived):
    with lies(
        "clinic", "/table", lambda record, to: {**record, "values": told + (told == 8)} if to == deceived else record
    ):
        run = world.ask(SQL)
    assert run.error is not None
    assert not run.of("vector")


def test_a_fragment_that_cannot_be_read_ends_in_the_constant_error(world, monkeypatch):
    def fail(*_):
        raise ValueError("Xylotomy")

    monkeypatch.setattr(releases, "read_joined", fail)
    run = world.ask(SQL)
    assert isinstance(run.error, OperationalError)
    assert "Xylotomy" not in str(run.error)
    assert not run.of("hello-0")


def test_what_a_join_sends_is_not_kept_so_it_is_answered_once(world):
    run = world.ask(SQL)
    assert run.error is None
    before = [party.spent("ada") for party in world.federation.parties.values()]
    again = world.send(run.question, run.plan)
    assert isinstance(again.error, ProtocolError)
    assert "not kept" in str(again.error)
    assert not again.of("vector")
    assert [party.spent("ada") for party in world.federation.parties.values()] == before
