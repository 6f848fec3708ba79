"""Every answer is paid for first, once per attempt, durably; what reveals nothing costs nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from harness import Watched, small

from fedsql.errors import BudgetExhausted, Error, OperationalError
from fedsql.executors.protocol.wire import Message
from fedsql.executors.roles.attempt import Attempt
from fedsql.privacy.ledger import Charge, Ledger
from fedsql.session import Session

GROUPS = {"north": {"aa": 20, "bb": 30}, "south": {"aa": 20, "bb": 30}, "west": {"aa": 9}}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
FREE = ("ask", "question", "hello", "roster")  # what may precede a charge: none of it depends on data
NOISY = {"noise": "required", "columns": {"g": {"values": ["aa", "bb"]}, "v": {"bounds": [0, 5]}}}


@pytest.fixture
def world() -> Iterator[Watched]:
    made = Watched(small(GROUPS))
    yield made
    made.close()


def charges(party: object) -> list[tuple[bytes, int]]:
    return party.ledger._db.execute("SELECT query_id, attempt FROM charges ORDER BY time, rowid").fetchall()


def paid_first(world: Watched, sql: str = SQL) -> None:
    """Assert that each contributor charged once before it sent anything that depends on data."""
    log: list[tuple[str, str]] = []
    original = Ledger.charge
    owners = {id(party.ledger): name for name, party in world.federation.parties.items()}

    def charge(ledger: Ledger, given: Charge, limits: object, note: object) -> str:
        head = original(ledger, given, limits, note)
        log.append((owners[id(ledger)], "charge"))
        return head

    def wire(message: Message) -> list[Message]:
        log.append((message.sender, message.kind))
        return [message]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "charge", charge)
        run = world.ask(sql, wire=wire)
    assert run.error is None
    for name in run.plan.parties:
        own = [kind for sender, kind in log if sender == name]
        assert own.count("charge") == 1
        assert set(own[: own.index("charge")]) <= set(FREE)
        assert not set(own[own.index("charge") :]) & set(FREE)
    first = min(i for i, (_, kind) in enumerate(log) if kind not in (*FREE, "charge"))
    assert ("@coordinator", "roster") in log[:first]


@pytest.mark.parametrize("options", [{}, NOISY], ids=["exact", "noisy"])
def test_each_party_pays_once_before_it_sends_anything_that_depends_on_data(options):
    made = Watched(small(GROUPS, **options))
    paid_first(made)
    run = made.ask(SQL)
    assert all((run.question.query_id, 1) in charges(p) for p in made.federation.parties.values())
    assert all(len(charges(p)) == 2 for p in made.federation.parties.values())
    made.close()


def test_the_test_sees_a_party_that_pays_late_or_not_at_all(world, monkeypatch):
    monkeypatch.setattr(Attempt, "_charge", lambda self, question, plan: None)
    with pytest.raises(AssertionError):
        paid_first(world)


def test_only_contributors_pay(world):
    for party in world.federation.parties.values():
        assert charges(party) == []
    lone = Watched(small(GROUPS, allow_alone=True))
    run = lone.ask("SELECT count(*) FROM north.t")
    assert run.rows == [{"a0": "50"}]
    assert {name: len(charges(p)) for name, p in lone.federation.parties.items()} == {"north": 1, "south": 0, "west": 0}
    lone.close()


def test_what_asks_no_party_costs_nothing():
    session = Session.open(small(GROUPS))
    spent = session.execute("SHOW BUDGET").table.to_pylist()
    for free in (
        f"EXPLAIN {SQL}",
        "SHOW BUDGET",
        "SHOW TABLES",
        "SHOW PARTIES",
        "DESCRIBE t",
        "SET epsilon = 2",
        "SELECT 1 + 1",
    ):
        session.execute(free)
    for refused in (
        "SELECT id FROM t",
        "SELECT max(v) FROM t",
        "SELECT sum(g) FROM t",
        "SELECT count(*) FROM north.t",
        "SELECT nothing FROM t",
        "SELECT count(*) FROM t WHERE id = 3",
        "COPY t TO 'x.csv'",
        "SELEKT",
    ):
        with pytest.raises(Error):
            session.execute(refused)
    assert session.execute("SHOW BUDGET").table.to_pylist() == spent
    assert all(row["queries_used"] == 0 for row in spent)
    assert all(charges(party) == [] for party in session.federation.parties.values())
    session.close()


def used(session: Session) -> dict[str, int]:
    return {row["party"]: row["queries_used"] for row in session.execute("SHOW BUDGET").table.to_pylist()}


def test_the_same_exact_question_on_the_same_data_counts_once():
    session = Session.open(small(GROUPS))
    for sql in (SQL, SQL, SQL.lower().replace("from", "\nFROM  ")):
        session.execute(sql)
    assert used(session) == {"north": 1, "south": 1, "west": 1}
    session.execute(SQL + " HAVING count(*) > 1")
    assert used(session) == {"north": 2, "south": 2, "west": 2}
    session.close()


def test_the_quota_and_the_budget_end_and_the_analyst_is_told():
    made = Watched(small(GROUPS, quota={"queries": 2}))
    for number in range(2):
        assert made.ask(f"SELECT count(*) FROM t WHERE v < {number + 5}").error is None
    run = made.ask("SELECT count(*) FROM t WHERE v < 77")
    assert isinstance(run.error, BudgetExhausted)
    assert "quota of 2 exact queries" in str(run.error)
    assert {m.kind for m in run.messages if m.sender in GROUPS} == {"abort"}
    assert made.ask("SELECT count(*) FROM t WHERE v < 5").error is None  # asked before: not counted again
    made.close()
    noisy = Watched(small(GROUPS, **NOISY, budget={"epsilon": 1.2}))
    assert noisy.ask(SQL, epsilon=1.0).error is None
    assert noisy.ask(SQL, epsilon=1.0).error is None  # asked before: the same answer
    run = noisy.ask(SQL, epsilon=0.99)
    assert isinstance(run.error, BudgetExhausted)
    assert "epsilon 1.2" in str(run.error)
    assert {m.kind for m in run.messages if m.sender in GROUPS} == {"abort"}
    noisy.close()


@pytest.mark.parametrize("options", [{"quota": {"queries": 1}}, {**NOISY, "budget": {"epsilon": 1.2}}])
def test_nobody_pays_for_a_question_that_one_party_cannot_afford(options):
    made = Watched(small(GROUPS, **options))
    assert made.ask(SQL).error is None
    for name in ("north", "south"):  # as if west alone had been asked
        made.federation.parties[name].ledger._db.execute("DELETE FROM charges")
    run = made.ask("SELECT sum(v) FROM t")
    assert isinstance(run.error, BudgetExhausted)
    assert str(run.error).startswith("west: ")
    assert [len(charges(party)) for party in made.federation.parties.values()] == [0, 0, 1]
    reasons = made.federation.parties["west"].ledger._db.execute("SELECT record FROM audit ORDER BY seq").fetchall()
    assert '"event":"refused"' in reasons[-1][0]
    made.close()


def test_another_noisy_question_is_paid_and_never_answered_twice_for_one_charge():
    made = Watched(small(GROUPS, **NOISY))
    run = made.ask(SQL)
    spent = [party.ledger.spent("ada", party.limits, party.clock()) for party in made.federation.parties.values()]
    assert all(0.5 < each.epsilon_spent <= 1.0 for each in spent)
    again = made.ask(SQL, edit=lambda q: replace(q, query_id=run.question.query_id))
    assert isinstance(again.error, OperationalError)
    assert not again.of("vector")
    assert made.ask(SQL, epsilon=0.99).error is None
    after = [party.ledger.spent("ada", party.limits, party.clock()) for party in made.federation.parties.values()]
    assert all(b.epsilon_spent > a.epsilon_spent * 1.2 for a, b in zip(spent, after, strict=True))
    made.close()


def test_a_failed_attempt_stays_charged(world, monkeypatch):
    def fail(sql: str) -> pa.Table:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(world.federation.parties["south"].engine, "run", fail)
        run = world.ask(SQL)
    assert isinstance(run.error, OperationalError)
    assert all(charges(p) == [(run.question.query_id, 1)] for p in world.federation.parties.values())
    assert world.ask(SQL).error is None


# --- on disk -----------------------------------------------------------------------------------------------------

PARTY = """name = "{0}"
[tables.t]
source = "{0}.parquet"
privacy_unit = "id"
[tables.t.columns]
id = {{ use = ["join"] }}
g = {{ use = ["group"] }}
v = {{ use = ["aggregate"] }}
"""
KILLED = """
import os, signal, sys
from fedsql.executors.engines.store import PartyStore
from fedsql.session import Session
session = Session.open(sys.argv[1], "ada")
PartyStore.run = lambda self, *_: os.kill(os.getpid(), signal.SIGKILL)
session.execute(sys.argv[2])
"""


def on_disk(folder: Path, value: int = 1) -> Path:
    for name in ("north", "south"):
        rows = pa.table({"id": range(30), "g": ["aa"] * 30, "v": [value] * 30})
        pyarrow.parquet.write_table(rows, folder / f"{name}.parquet")
        (folder / f"{name}.toml").write_text(PARTY.format(name))
    listed = "".join(f'[parties.{n}]\nconfig = "{n}.toml"\n' for n in ("north", "south"))
    (folder / "federation.toml").write_text(f'name = "kept"\n{listed}')
    return folder / "federation.toml"


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_process_leaves_its_charge_and_the_next_one_works(tmp_path):
    file = on_disk(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(file), SQL], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    session = Session.open(file, "ada")
    assert sum(used(session).values()) >= 1  # whoever was killed in its fragment had paid
    assert used(session)["north"] == 1
    answer = session.execute(SQL)
    assert answer.table.to_pylist() == [{"g": "aa", "count_star()": 60, "sum(v)": 60}]
    assert used(session) == {"north": 1, "south": 1}  # the same question of the same data
    session.close()


def test_changed_data_make_it_another_question(tmp_path):
    for write, value, expected in ((True, 1, 1), (False, 1, 1), (True, 2, 2)):
        file = on_disk(tmp_path, value) if write else tmp_path / "federation.toml"
        session = Session.open(file, "ada")
        assert session.execute(SQL).table.to_pylist()[0]["sum(v)"] == 60 * value
        assert used(session)["north"] == expected
        session.close()


def test_two_processes_share_one_ledger(tmp_path):
    file = on_disk(tmp_path)
    one, two = Session.open(file, "ada"), Session.open(file, "ada")
    one.execute(SQL)
    assert used(two) == {"north": 1, "south": 1}
    one.close()
    two.close()
