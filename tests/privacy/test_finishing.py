"""What was sent is stored first, once, and outlives everything; of all attempts of a query at most one is finished."""

import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.errors import BudgetExhausted, ConfigError, InternalError, ProtocolError
from fedsql.privacy import audit
from fedsql.privacy.ledger import Charge, Ledger, Limits
from fedsql.privacy.ledger_file import VERSION

DAY = 86_400.0
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LIMITS = Limits(1.0, 1.5, 1e-6, 30 * DAY, 1000, 30 * DAY)
QUESTION = b"q" * 32


def key(number):
    return number.to_bytes(16, "big")


def charge(number, attempt=1, **changes):
    given = {"analyst": "ada", "tables": ("patients",), "question": b"m" * 32, "data_version": "v1", "time": NOW}
    return Charge(key(number), attempt, **{**given, "rdp": None, **changes})


def finish(ledger, number, attempt=1, messages=b"vector", question=QUESTION, expiry=NOW + 3600, now=NOW):
    return ledger.finish(key(number), attempt, question, messages, expiry, now)


def rows(ledger, table):
    return ledger._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def ledger():
    with Ledger(":memory:") as opened:
        yield opened


def test_finished_messages_come_back_byte_for_byte_after_a_restart(tmp_path):
    messages = np.random.default_rng(1).bytes(1_000_000)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.charge(charge(1), LIMITS)
        assert ledger.finished(key(1), 1) is None
        assert not ledger.is_dead(key(1))
        finish(ledger, 1, messages=messages)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.finished(key(1), 1) == (QUESTION, messages)
        assert ledger.finished(key(1), 2) is None
        assert ledger.is_dead(key(1))
        assert not ledger.is_dead(key(2))


def test_finishing_twice_with_the_same_does_nothing_more(ledger):
    ledger.charge(charge(1), LIMITS)
    head = finish(ledger, 1)
    assert finish(ledger, 1) == head == audit.head(ledger._db)
    assert (rows(ledger, "finished"), rows(ledger, "audit")) == (1, 2)


@pytest.mark.parametrize("change", [{"messages": b"another"}, {"question": b"r" * 32}])
def test_one_attempt_is_never_finished_with_two_contents(ledger, change):
    ledger.charge(charge(1), LIMITS)
    finish(ledger, 1)
    with pytest.raises(ProtocolError, match="answered with something else") as refusal:
        finish(ledger, 1, **change)
    assert refusal.value.query_id == key(1).hex()
    assert ledger.finished(key(1), 1) == (QUESTION, b"vector")


def test_an_attempt_that_was_not_charged_cannot_be_finished(ledger):
    ledger.charge(charge(1), LIMITS)
    with pytest.raises(InternalError, match="not charged"):
        finish(ledger, 1, attempt=2)
    with pytest.raises(ValueError, match="32 bytes"):
        finish(ledger, 1, question=b"short")
    assert (rows(ledger, "finished"), rows(ledger, "audit")) == (0, 1)


def test_no_other_attempt_of_a_finished_query_is_charged_or_finished(ledger):
    ledger.charge(charge(1, 1), LIMITS)
    ledger.charge(charge(1, 2), LIMITS)
    finish(ledger, 1, attempt=2)
    with pytest.raises(ProtocolError, match="another attempt of this query was answered"):
        finish(ledger, 1, attempt=1)  # it ran on while the query was asked once more
    with pytest.raises(ProtocolError, match="another attempt of this query was answered"):
        ledger.charge(charge(1, 3), LIMITS)
    assert rows(ledger, "charges") == 2


def test_a_charged_attempt_is_never_charged_again(ledger):
    ledger.charge(charge(1), LIMITS)
    with pytest.raises(ProtocolError, match="asked before"):
        ledger.charge(charge(1), LIMITS)
    with pytest.raises(ProtocolError, match="another question"):
        ledger.charge(charge(1, analyst="bob"), LIMITS)
    assert (rows(ledger, "charges"), rows(ledger, "audit")) == (1, 1)


def test_messages_go_a_day_after_their_expiry_but_the_query_stays_dead(ledger):
    for number in range(12):
        ledger.charge(charge(number), LIMITS)
    for number in range(10):
        finish(ledger, number)
    finish(ledger, 10, now=NOW + 3600 + DAY - 1, expiry=NOW + 3 * DAY)
    assert rows(ledger, "finished") == 11
    finish(ledger, 11, now=NOW + 3600 + DAY, expiry=NOW + 3 * DAY)
    assert rows(ledger, "finished") == 8  # 12 less 4: a few at a time
    for number in range(20, 22):
        ledger.charge(charge(number), LIMITS)
        finish(ledger, number, now=NOW + 2 * DAY, expiry=NOW + 3 * DAY)
    assert {number for number in range(30) if ledger.finished(key(number), 1)} == {10, 11, 20, 21}
    assert all(ledger.is_dead(key(number)) for number in range(12))
    finish(ledger, 0)  # known for good, though its bytes are gone
    with pytest.raises(ProtocolError, match="answered with something else"):
        finish(ledger, 0, messages=b"another")
    assert ledger.finished(key(0), 1) is None


def test_no_query_waits_for_what_has_expired(ledger):
    """Of a thousand nonces and messages, those that have not expired are not even looked at."""
    for table in ("nonces", "finished"):
        plan = ledger._db.execute(f"EXPLAIN QUERY PLAN SELECT rowid FROM {table} WHERE expiry <= 1").fetchall()
        assert f"{table}_by_expiry" in plan[0][3]


# --- a file of version 1 -----------------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE charges (
    query_id BLOB NOT NULL, attempt INTEGER NOT NULL, analyst TEXT NOT NULL, tables TEXT NOT NULL,
    question BLOB NOT NULL, data_version TEXT NOT NULL, time REAL NOT NULL, rdp BLOB, answers INTEGER NOT NULL, PRIMARY KEY (query_id, attempt));
CREATE INDEX charges_by_time ON charges (time);
CREATE TABLE nonces (nonce BLOB PRIMARY KEY, expiry REAL NOT NULL);
PRAGMA application_id = 1179864135;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


@pytest.fixture
def version_1(tmp_path):
    """A ledger as the first version wrote it: one noisy question, an exact one that took three attempts, a nonce."""
    path = tmp_path / "ledger.sqlite"
    raw = sqlite3.connect(path)
    raw.executescript(VERSION_1)
    rdp = np.full(103, 0.001, "<f8").tobytes()
    spent = [(key(1), 1, rdp, 1), *((key(2), attempt, None, 2) for attempt in (1, 2, 3))]
    raw.executemany(
        "INSERT INTO charges (query_id, attempt, rdp, answers, analyst, tables, question, data_version, time)"
        f" VALUES (?, ?, ?, ?, 'ada', '[\"patients\"]', x'{'6d' * 32}', 'v1', {NOW})",
        spent,
    )
    raw.execute("INSERT INTO nonces VALUES (?, ?)", (b"nonce", NOW + 60))
    raw.commit()
    raw.close()
    return path


def test_a_file_of_version_1_keeps_what_was_spent(version_1):
    with Ledger(version_1) as ledger:
        spent = ledger.spent("ada", LIMITS, NOW)
        assert spent.epsilon_spent > 0
        assert (spent.queries_used, spent.queries_left) == (2, 998)
        assert not ledger.remember_nonce(b"nonce", NOW + 60, NOW)
        with pytest.raises(ProtocolError, match="asked before"):
            ledger.charge(charge(2, 3), LIMITS)
        ledger.charge(charge(3), LIMITS)
        finish(ledger, 3)
    with Ledger(version_1) as ledger:
        assert ledger.spent("ada", LIMITS, NOW) == spent  # the question was asked before: not counted again
        assert ledger._db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert rows(ledger, "charges") == 5
    assert audit.verify(version_1).entries == 2


def test_what_version_1_may_have_answered_is_dead(version_1):
    with Ledger(version_1) as ledger:
        assert ledger.is_dead(key(1))
        assert ledger.is_dead(key(2))
        assert ledger.finished(key(2), 3) is None
        for number, attempt in ((1, 2), (2, 4)):
            with pytest.raises(ProtocolError, match="another attempt of this query was answered"):
                ledger.charge(charge(number, attempt), LIMITS)
        with pytest.raises(ProtocolError, match="something else"):
            finish(ledger, 2, attempt=3)


def test_many_may_bring_one_file_up_to_date_at_once(version_1):
    barrier, failures = threading.Barrier(6), []

    def work():
        barrier.wait()
        try:
            Ledger(version_1).close()
        except ConfigError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Ledger(version_1) as ledger:
        assert rows(ledger, "charges") == 4


def test_a_damaged_file_of_version_1_is_left_as_it_is(version_1):
    raw = sqlite3.connect(version_1)
    raw.execute("CREATE TABLE finished (other TEXT)")
    raw.commit()
    raw.close()
    before = version_1.read_bytes()
    with pytest.raises(ConfigError, match="not a usable ledger: table finished already exists"):
        Ledger(version_1)
    assert version_1.read_bytes() == before


# --- any order of things -----------------------------------------------------------------------------------------

NUMBERS, ATTEMPTS = st.integers(1, 2), st.integers(1, 2)
STEPS = st.one_of(
    st.tuples(st.just("charge"), NUMBERS, ATTEMPTS, st.sampled_from([b"m" * 32, b"n" * 32])),
    st.tuples(st.just("finish"), NUMBERS, ATTEMPTS, st.sampled_from([b"one", b"two"])),
    st.tuples(st.just("nonce"), NUMBERS, st.just(0), st.just(b"")),
    st.tuples(st.just("note"), NUMBERS, st.just(0), st.just(b"")),
    st.tuples(st.just("reopen"), st.just(0), st.just(0), st.just(b"")),
)


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=25), st.integers(1, 3))
def test_whatever_is_tried_in_whatever_order_is_charged_once_and_answered_once(steps, quota):
    limits = Limits(1.0, 1.5, 1e-6, 30 * DAY, quota, 30 * DAY)
    charged, answered, nonces, told = {}, {}, set(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = Ledger(path)
        for step, number, attempt, content in steps:
            if step == "reopen":
                ledger.close()
                ledger = Ledger(path)
            elif step == "note":
                ledger.note("reloaded", {"number": number}, NOW)
                told.append("reloaded")
            elif step == "nonce":
                assert ledger.remember_nonce(key(number), NOW + 60, NOW) == (number not in nonces)
                nonces.add(number)
            elif step == "charge":
                fits = len({*charged.values(), content}) <= quota
                dead = (number, attempt) in charged or number in answered
                try:
                    ledger.charge(charge(number, attempt, question=content), limits)
                    assert fits
                    assert not dead
                    charged[number, attempt] = content
                    told.append("charged")
                except BudgetExhausted:
                    assert not fits
                    assert not dead
                    told.append("refused")
                except ProtocolError:
                    assert dead
            else:
                known = answered.get(number)
                try:
                    finish(ledger, number, attempt, messages=content)
                    assert (number, attempt) in charged
                    assert known in (None, (attempt, content))
                    if known is None:
                        told.append("answered")
                    answered[number] = (attempt, content)
                except InternalError:
                    assert (number, attempt) not in charged
                except ProtocolError:
                    assert known not in (None, (attempt, content))
            for query, (finished, messages) in answered.items():
                assert ledger.finished(key(query), finished) == (QUESTION, messages)
            assert [ledger.is_dead(key(query)) for query in (1, 2)] == [query in answered for query in (1, 2)]
            assert ledger.spent("ada", limits, NOW).queries_used == len(set(charged.values()))
        ledger.close()
        assert [entry.event for entry in audit.entries(path)] == told
        assert audit.verify(path).entries == len(told)


# --- many at once ------------------------------------------------------------------------------------------------


def race(ledger, name, numbers):
    """Charge and finish these queries as fast as possible; return those that ``name`` won."""
    won = []
    for number in numbers:
        try:
            ledger.charge(charge(number), LIMITS)
        except ProtocolError:
            pass
        else:
            ledger.note("ran", {"name": name}, NOW)
        try:
            finish(ledger, number, messages=name.encode())
            won.append(number)
        except ProtocolError:
            pass
    return won


def check_race(path, won, entries):
    """Assert that each of 20 queries was won by exactly the one whose messages are stored, and that the chain holds."""
    assert sorted(number for numbers in won.values() for number in numbers) == list(range(20))
    with Ledger(path) as ledger:
        assert rows(ledger, "charges") == 20
        for name, numbers in won.items():
            assert all(ledger.finished(key(number), 1) == (QUESTION, name.encode()) for number in numbers)
    assert audit.verify(path).entries == entries == 60


def test_threads_that_race_for_every_attempt(tmp_path):
    path, won = tmp_path / "ledger.sqlite", {}
    with Ledger(path) as ledger:

        def work(name):
            won[name] = race(ledger, name, range(20))

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        seen = 0
        while any(thread.is_alive() for thread in threads):  # an auditor reads on meanwhile
            now = audit.verify(path).entries
            assert now >= seen
            seen = now
        for thread in threads:
            thread.join()
    check_race(path, won, audit.verify(path).entries)


PROCESS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("shared", sys.argv[1])
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
ledger = shared.Ledger(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(shared.race(ledger, sys.argv[3], range(20)), flush=True)
sys.stdin.readline()
"""


def test_processes_that_race_for_every_attempt(tmp_path):
    path, won = tmp_path / "ledger.sqlite", {}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", PROCESS, __file__, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    }
    for process in started.values():
        assert process.stdout.readline() == "ready\n"
    for process in started.values():
        process.stdin.write("\n")
        process.stdin.flush()
    for name, process in started.items():
        won[name] = eval(process.stdout.readline())
        process.communicate("\n", timeout=60)
    check_race(path, won, audit.verify(path).entries)
