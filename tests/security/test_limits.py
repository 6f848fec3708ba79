"""What is left to a coordinator that does not add up honestly: known, bounded, and said in the docs.

The check words show that a vector is a sum of all contributors' vectors for this very question, not that the coordinator
added nothing to it. It also names the slots, so it could put groups together; never apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import Run, Watched, answered, answering, lies, paillier, small

from fedsql.crypto.packing import Layout, to_ints
from fedsql.errors import Error, ProtocolError
from fedsql.executors.protocol.wire import COORDINATOR

HELD = {name: {"aa": 20, "bb": 30, "cc": 40, "few": 2} for name in ("north", "south", "west")}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
VALUE = 1_000_003
PUBLIC = {"columns": {"g": {"values": ["aa", "bb", "cc", "few"]}}}


@pytest.fixture(scope="module", params=[{}, PUBLIC], ids=["aligned", "public"])
def world(request):
    made = Watched(small(HELD, value=VALUE, **request.param))
    yield made
    made.close()


@pytest.fixture(scope="module")
def aligned():
    made = Watched(small(HELD, value=VALUE))
    yield made
    made.close()


WIDTH = 5  # of a slot's row: a byte of bits, four of the rank


def shifted(world: Watched, amount: int) -> Run:
    """Let the coordinator add ``amount`` to the first plaintext."""
    public = paillier().public

    def edit(released: dict[str, Any]) -> dict[str, Any]:
        first, *rest = public.from_bytes(released["vector"])
        first = first * public.phe.raw_encrypt(amount) % public.n**2
        return {**released, "vector": public.to_bytes([first, *rest])}

    return world.ask(SQL, wire=answering(edit))


@pytest.mark.parametrize(
    "power", [0, 1, 8, 63, 8 * 254, None], ids=lambda power: "minus one" if power is None else None
)
def test_what_is_added_to_a_check_word_or_behind_the_slots_is_noticed(world, power):
    amount = paillier().public.n - 1 if power is None else 1 << power  # not a parameter: its name must not be random
    assert isinstance(shifted(world, amount).error, ProtocolError)


def test_assumed_an_active_coordinator_could_add_to_a_value(aligned):
    honest = {row["k0"]: int(row["a0"]) for row in aligned.ask(SQL).rows}
    found = {row["k0"]: int(row["a0"]) for row in shifted(aligned, 5 << 72).rows}
    assert sum(found.values()) == sum(honest.values()) + 5


def test_assumed_an_active_coordinator_could_merge_groups_but_never_below_the_threshold(aligned):
    """It names the slots. So it can put two parties' different groups together: each sum is still over k units of two parties."""

    def edit(found: dict[str, Any], recipient: str) -> dict[str, Any]:
        slots = np.frombuffer(found["slots"], "<u4")
        return {**found, "slots": np.roll(slots, 1).tobytes()} if recipient == "south" else found

    with lies(COORDINATOR, "/align/slots", edit):
        run = aligned.ask(SQL)
    if run.error is None:
        for row in run.rows:
            assert int(row["a0"]) >= 10


def test_two_holders_of_a_group_cannot_be_sent_to_two_places(aligned):
    """Else the analyst would open one party's partial: the places are in what both computing parties signed."""

    def edit(go: dict[str, Any], recipient: str) -> dict[str, Any]:
        if recipient != "south":
            return go
        rows = [bytearray(go["bits"][i : i + WIDTH]) for i in range(0, len(go["bits"]), WIDTH)]
        for row in rows:
            if row[1] != 0xFF:
                row[1] += 4  # four places further
        return {**go, "bits": b"".join(rows)}

    with lies(COORDINATOR, "/go", edit):
        run = aligned.ask(SQL)
    assert isinstance(run.error, Error)
    assert "south" not in {m.sender for m in run.of("vector")}


def test_the_masks_hold_when_parties_are_told_different_numbers_of_rows():
    """More rows than needed, to one party only: what arrives does not pass, and opens to noise."""
    held = {name: {f"g{i}": 12 for i in range(9)} for name in ("north", "south", "west")}
    made = Watched(small(held, value=VALUE))
    with lies(COORDINATOR, "/go", lambda go, to: {**go, "rows": go["rows"] - 1} if to == "south" else go):
        run = made.ask(SQL)
    assert isinstance(run.error, ProtocolError)
    if run.of("answer"):
        released = answered(run)
        layout = Layout(run.outline.widths, released["rows"], paillier().public.plaintext_bytes)
        columns, _ = layout.unpack(paillier().decrypt(paillier().public.from_bytes(released["vector"])))
        partials = {12, 24, 36, 12 * VALUE, 24 * VALUE}
        assert set(to_ints(columns[0])) & partials <= {36}  # rows that all three laid alike are whole sums
        assert not set(to_ints(columns[1])) & partials
    made.close()
