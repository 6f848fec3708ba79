"""The audit log: it tells what was asked, and nobody changes what it told unnoticed."""

import datetime
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.errors import BudgetExhausted, ConfigError, IntegrityError, OperationalError
from fedsql.privacy import audit
from fedsql.privacy.accounting import calibrate, rdp_skellam, to_epsilon
from fedsql.privacy.ledger import Charge, Ledger, Limits

DAY = 86_400.0
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LIMITS = Limits(1.0, 1.5, 1e-6, 30 * DAY, 2, 30 * DAY)
CURVE = tuple(rdp_skellam(1, 1, calibrate(0.4, 1e-6, [(1, 1)])[0]).tolist())
NOTE = {
    "sql": "SELECT region, avg(age) FROM patients WHERE name <> 'Zoë' GROUP BY region",
    "parameters": (("INTEGER", "17"), ("VARCHAR", None)),
    "contributors": (("north", "south"),),
}
ENTRIES = 7


def key(number):
    return number.to_bytes(16, "big")


def charge(number, **changes):
    given = {"analyst": "ada", "tables": ("patients", "visits"), "question": key(number) * 2, "data_version": "v1"}
    return Charge(key(number), 1, **{**given, "time": NOW + number, "rdp": None, **changes})


def fill(path):
    """Write seven entries: a start, two questions that are answered, one refused, and one by another analyst."""
    heads = []
    with Ledger(path) as ledger:
        heads.append(ledger.note("started", {"version": "0.1.0"}, NOW))
        for number in (1, 2):
            heads.append(ledger.charge(charge(number), LIMITS, NOTE))
            released = {"columns": ["region", "avg(age)"], "slots": np.int64(4)}
            heads.append(ledger.finish(key(number), 1, b"q" * 32, b"vector", NOW + 3600, NOW + number, released))
        with pytest.raises(BudgetExhausted):
            ledger.charge(charge(3), LIMITS, NOTE)
        heads.append([entry.hash for entry in audit.entries(path)][-1])
        heads.append(ledger.charge(charge(4, analyst="bob", rdp=CURVE), LIMITS, NOTE))
    return heads


@pytest.fixture
def log(tmp_path):
    fill(tmp_path / "ledger.sqlite")
    return tmp_path / "ledger.sqlite"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    fill(path)
    return path


def tampered(sound, folder, *statements):
    """Return a copy of a ledger after an intruder's statements, each (SQL, parameters)."""
    path = Path(folder) / "ledger.sqlite"
    shutil.copyfile(sound, path)
    db = sqlite3.connect(path)
    for sql, parameters in statements:
        db.execute(sql, parameters)
    db.commit()
    db.close()
    return path


# --- what it tells -----------------------------------------------------------------------------------------------


def test_what_was_asked_charged_answered_and_refused(log):
    started, charged, answered, *_, refused, noisy = audit.entries(log)
    assert (started.seq, started.time, started.event) == (1, "2026-01-01T00:00:00.000Z", "started")
    assert started.details == {"version": "0.1.0"}
    assert charged.event == "charged"
    assert charged.time == "2026-01-01T00:00:01.000Z"
    assert charged.details == {
        "analyst": "ada",
        "attempt": 1,
        "contributors": [["north", "south"]],
        "cost": {"queries": 1, "queries_used": 1},
        "data_version": "v1",
        "meaning": key(1).hex() * 2,
        "parameters": [["INTEGER", "17"], ["VARCHAR", None]],
        "query_id": key(1).hex(),
        "sql": NOTE["sql"],
        "tables": ["patients", "visits"],
    }
    assert answered.event == "answered"
    assert answered.details == {
        "analyst": "ada",
        "attempt": 1,
        "bytes": 6,
        "columns": ["region", "avg(age)"],
        "query_id": key(1).hex(),
        "question": "71" * 32,
        "sha256": hashlib.sha256(b"vector").hexdigest(),
        "slots": 4,
    }
    assert refused.event == "refused"
    assert refused.details["sql"] == NOTE["sql"]
    assert refused.details["reason"].startswith("the quota of 2 exact queries per 30 days for analyst 'ada' is used up")
    cost = noisy.details["cost"]
    assert cost["epsilon"] == cost["epsilon_spent"] == cost["total_spent"] == pytest.approx(to_epsilon(CURVE, 1e-6))


def test_a_refusal_for_lack_of_epsilon_charges_nothing_and_is_told(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        with pytest.raises(BudgetExhausted):
            ledger.charge(charge(1, rdp=tuple(1000 * r for r in CURVE)), LIMITS, NOTE)
        assert ledger.spent("ada", LIMITS, NOW).epsilon_spent == 0
        ledger.charge(charge(1, rdp=CURVE), LIMITS, NOTE)  # the attempt was not used up
    refused, charged = audit.entries(path)
    assert "the budget of epsilon 1 per 30 days for analyst 'ada'" in refused.details["reason"]
    assert "cost" not in refused.details
    assert charged.event == "charged"


def test_the_ledgers_own_facts_win_over_a_note(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.charge(charge(1), LIMITS, {"analyst": "bob", "query_id": "other", "cost": 0})
    (entry,) = audit.entries(tmp_path / "ledger.sqlite")
    assert entry.details["analyst"] == "ada"
    assert entry.details["query_id"] == key(1).hex()
    assert entry.details["cost"] == {"queries": 1, "queries_used": 1}


def test_a_question_asked_again_costs_nothing_more(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in (1, 2):
            ledger.charge(charge(number, question=b"m" * 32), LIMITS)
    assert [e.details["cost"]["queries"] for e in audit.entries(tmp_path / "ledger.sqlite")] == [1, 0]


def test_the_filters(log):
    def found(**filters):
        return [entry.seq for entry in audit.entries(log, **filters)]

    assert found() == [1, 2, 3, 4, 5, 6, 7]
    assert found(analyst="ada") == [2, 3, 4, 5, 6]
    assert found(event="charged") == [2, 4, 7]
    assert found(query=key(2).hex()) == [4, 5]
    assert found(query=key(2).hex().upper()) == [4, 5]
    assert found(query="00") == [2, 3, 4, 5, 6, 7]
    assert found(since=NOW + 2) == [4, 5, 6, 7]
    assert found(since=NOW + 2.001, event="charged", analyst="bob") == [7]
    assert found(since=NOW + DAY) == found(analyst="eve") == []


# --- how it is written -------------------------------------------------------------------------------------------


def test_the_chain_is_what_the_docs_say(sound):
    db = sqlite3.connect(sound)
    previous = hashlib.sha256(b"fedsql audit log 1").digest()
    for _, record, found in db.execute("SELECT seq, record, hash FROM audit ORDER BY seq"):
        assert record.isascii()
        previous = hashlib.sha256(previous + record.encode()).digest()
        assert found == previous
    db.close()
    assert audit.verify(sound) == audit.Verified(ENTRIES, previous.hex())


def test_each_call_returns_the_new_head(tmp_path):
    heads = fill(tmp_path / "ledger.sqlite")
    assert heads == [entry.hash for entry in audit.entries(tmp_path / "ledger.sqlite")]
    assert len(set(heads)) == ENTRIES


def noted(details):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with Ledger(path) as ledger:
            head = ledger.note("event", details, NOW)
        assert audit.verify(path) == audit.Verified(1, head)
        (entry,) = audit.entries(path)
        return entry


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text().filter(lambda name: name not in ("seq", "time", "event")), JSON, max_size=5))
def test_any_json_comes_back_and_the_order_of_names_does_not_matter(details):
    entry = noted(details)
    assert entry.details == details
    assert noted(dict(reversed(details.items()))).hash == entry.hash


def test_values_that_json_does_not_have():
    details = {
        "bytes": b"\x00\xff",
        "set": frozenset({"b", "a"}),
        "tuple": (1, (2, b"\x03")),
        "nan": float("nan"),
        "inf": float("inf"),
        "numpy": [np.int64(3), np.float64(0.5)],
        "decimal": Decimal("1.10"),
        "date": datetime.date(2026, 1, 2),
        "moment": datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),
        "surrogate": "\ud800",
        "nothing": "\0",
    }
    assert noted(details).details == {
        **details,
        "bytes": "00ff",
        "set": ["a", "b"],
        "tuple": [1, [2, "03"]],
        "nan": "nan",
        "inf": "inf",
        "numpy": [3, 0.5],
        "decimal": "1.10",
        "date": "2026-01-02",
        "moment": "2026-01-02T03:00:00+00:00",
    }


def test_what_cannot_be_told_is_a_bug_and_writes_nothing(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(TypeError, match="cannot hold a object"):
            ledger.charge(charge(1), LIMITS, {"what": object()})
        with pytest.raises(ValueError, match="may not be named seq, time, event"):
            ledger.charge(charge(1), LIMITS, {"seq": 7})
        assert ledger.spent("ada", LIMITS, NOW).queries_used == 0
        ledger.charge(charge(1), LIMITS)
    assert audit.verify(tmp_path / "ledger.sqlite").entries == 1


# --- nobody changes it unnoticed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", range(1, ENTRIES + 1))
def test_an_entry_altered_in_any_field_is_named(sound, tmp_path, seq):
    db = sqlite3.connect(sound)
    record, found = db.execute("SELECT record, hash FROM audit WHERE seq = ?", (seq,)).fetchone()
    db.close()
    fields = json.loads(record)
    other = [json.dumps({**fields, name: f"not {value}"}, separators=(",", ":")) for name, value in fields.items()]
    other += [json.dumps({n: v for n, v in fields.items() if n != name}, separators=(",", ":")) for name in fields]
    other += [
        json.dumps(fields | {"more": 1}, separators=(",", ":")),
        record + " ",
        "",
        "null",
        "[]",
        "{",
        "[" * 100_000,
    ]
    bad = [("record", text) for text in other] + [("record", record.encode()[:-1] + b"\xff"), ("record", 7)]
    bad += [
        ("hash", bytes([found[0] ^ 1]) + found[1:]),
        ("hash", found[:-1]),
        ("hash", b""),
        ("hash", "text"),
        ("hash", 7),
    ]
    assert len(bad) > 2 * len(fields)
    for column, value in bad:
        path = tampered(sound, tmp_path, (f"UPDATE audit SET {column} = ? WHERE seq = ?", (value, seq)))
        with pytest.raises(IntegrityError, match=rf"ledger\.sqlite: entry {seq} of the audit log was altered"):
            audit.verify(path)


@pytest.mark.parametrize("seq", range(1, ENTRIES))
def test_an_entry_that_is_missing_is_named(sound, tmp_path, seq):
    drop = ("DELETE FROM audit WHERE seq = ?", (seq,))
    with pytest.raises(IntegrityError, match=f"entry {seq} of the audit log is missing: entry {seq + 1} stands there"):
        audit.verify(tampered(sound, tmp_path, drop))
    close_up = [("UPDATE audit SET seq = seq - 1 WHERE seq = ?", (later,)) for later in range(seq + 1, ENTRIES + 1)]
    with pytest.raises(IntegrityError, match=f"entry {seq} .* was altered: it holds the record of entry {seq + 1}"):
        audit.verify(tampered(sound, tmp_path, drop, *close_up))


@pytest.mark.parametrize(("one", "two"), [(1, 2), (3, 4), (2, 7), (6, 7)])
def test_entries_that_changed_places_are_named(sound, tmp_path, one, two):
    swap = [("UPDATE audit SET seq = ? WHERE seq = ?", pair) for pair in ((-1, one), (one, two), (two, -1))]
    with pytest.raises(IntegrityError, match=f"entry {one} .* was altered: it holds the record of entry {two}"):
        audit.verify(tampered(sound, tmp_path, *swap))


@pytest.mark.parametrize("seq", [-1, 0, 9])
def test_an_entry_put_in_is_noticed(sound, tmp_path, seq):
    copy = ("INSERT INTO audit SELECT ?, record, hash FROM audit WHERE seq = 3", (seq,))
    named = f"entry {min(max(seq, 1), 8)} of the audit log is missing: entry {seq} stands there"
    with pytest.raises(IntegrityError, match=named):
        audit.verify(tampered(sound, tmp_path, copy))


def test_a_log_cut_off_is_noticed_by_whoever_noted_a_head(sound, tmp_path):
    heads = [entry.hash for entry in audit.entries(sound)]
    for kept in range(ENTRIES):
        path = tampered(sound, tmp_path, ("DELETE FROM audit WHERE seq > ?", (kept,)))
        head = heads[kept - 1] if kept else audit.START.hex()
        assert audit.verify(path) == audit.Verified(kept, head)
        for seq, noted in enumerate(heads, start=1):
            if seq <= kept:
                assert audit.verify(path, noted).entries == kept
            else:
                with pytest.raises(
                    IntegrityError, match=f"no entry .* has the hash {noted}: .* entry {kept} is the last"
                ):
                    audit.verify(path, noted)


def test_a_log_written_anew_is_noticed_by_whoever_noted_a_head(sound, tmp_path):
    heads = [entry.hash for entry in audit.entries(sound)]
    path = tampered(sound, tmp_path, ("DELETE FROM audit WHERE seq > 4", ()))
    with Ledger(path) as ledger:
        for _ in range(3):
            ledger.note("nothing", {}, NOW)
    assert audit.verify(path, heads[3]).entries == ENTRIES
    for noted in heads[4:]:
        with pytest.raises(IntegrityError, match="cut off or written anew"):
            audit.verify(path, noted)


def test_showing_an_entry_that_is_none_names_it(sound, tmp_path):
    path = tampered(sound, tmp_path, ("UPDATE audit SET record = '{}' WHERE seq = 3", ()))
    with pytest.raises(IntegrityError, match="entry 3 of the audit log was altered"):
        list(audit.entries(path))


# --- reading changes nothing -------------------------------------------------------------------------------------


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


def read(path):
    return audit.verify(path).entries, len(list(audit.entries(path)))


def test_reading_while_the_party_runs(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for number in range(1, 20):
            ledger.note("reloaded", {"number": number}, NOW)
            before = content(tmp_path)
            assert read(path) == (number, number)
            assert content(tmp_path) == before
        reading = audit.entries(path)
        assert next(reading).details == {"number": 1}
        ledger.note("reloaded", {"number": 20}, NOW)  # nobody waits for an auditor
        assert len(list(reading)) == 18  # who sees the log as it was when the reading began
    assert read(path) == (20, 20)


def test_reading_when_the_party_is_stopped_leaves_the_folder_as_it_was(log):
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in log.parent.iterdir()}
    assert list(before) == ["ledger.sqlite"]
    assert read(log) == (ENTRIES, ENTRIES)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in log.parent.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_reading_what_a_killed_party_left_changes_nothing(tmp_path):
    killed = (
        "import os, signal, sys; from fedsql.privacy.ledger import Ledger; ledger = Ledger(sys.argv[1]);"
        "[ledger.note('reloaded', {}, 0.0) for _ in range(5)]; os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "ledger.sqlite"
    done = subprocess.run([sys.executable, "-c", killed, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    before = content(tmp_path)
    assert "ledger.sqlite-wal" in before
    assert read(path) == (5, 5)
    assert content(tmp_path) == before


def test_what_is_no_ledger_is_named(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: there is no ledger"):
        audit.verify(path)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: it holds no audit log: its mark is 0x0"):
        audit.verify(path)
    path.write_bytes(b"patient,age\n" * 500)
    with pytest.raises(OperationalError, match=r"ledger\.sqlite: the audit log cannot be read: file is not a database"):
        list(audit.entries(path))
