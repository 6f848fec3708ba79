"""A ledger whose process dies, or whose machine loses power, at any instant: what was acknowledged is there, whole."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fedsql.errors import BudgetExhausted, ProtocolError
from fedsql.privacy import audit
from fedsql.privacy.ledger import Charge, Ledger, Limits

NOW = 1_767_225_600.0
LIMITS = Limits(1.0, 1.5, 1e-6, 86_400.0, 3, 86_400.0)
QUESTION = b"q" * 32


def key(number):
    return number.to_bytes(16, "big")


def charge(ledger, number, attempt=1):
    given = Charge(key(number), attempt, "ada", ("patients",), key(number) * 2, "v1", NOW, None)
    ledger.charge(given, LIMITS, {"sql": "SELECT count(*) FROM patients"})


def finish(ledger, number, attempt=1, messages=b"v" * 10_000, expiry=NOW + 3600):
    ledger.finish(key(number), attempt, QUESTION, messages, expiry, NOW + 5, {"releases": 1})


def exhausted(ledger):
    with pytest.raises(BudgetExhausted):
        charge(ledger, 9)


# A party's life in steps. The first finished messages have expired when the last come: all statements there are run.
STEPS = (
    lambda ledger: ledger.note("started", {}, NOW),
    lambda ledger: ledger.admit(key(1), 1, b"nonce", NOW + 60, NOW),
    lambda ledger: charge(ledger, 1),
    lambda ledger: finish(ledger, 1, expiry=NOW - 90_000),
    lambda ledger: charge(ledger, 2, 1),
    lambda ledger: charge(ledger, 2, 2),
    lambda ledger: finish(ledger, 2, 2),
    lambda ledger: charge(ledger, 3),
    exhausted,
)


class Dying:
    """A connection whose process is killed just before its ``last`` statement."""

    def __init__(self, db, last):
        self.db, self.left = db, last

    @property
    def in_transaction(self):
        return self.db.in_transaction

    def execute(self, *arguments):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.db.execute(*arguments)


def live(folder, last):
    """Take all steps in ``folder``, writing down each one that returned, and die before statement ``last``."""
    done = os.open(folder / "done", os.O_CREAT | os.O_WRONLY)
    ledger = Ledger(folder / "ledger.sqlite")
    ledger._db = Dying(ledger._db, last)
    for number in range(len(STEPS)):
        STEPS[number](ledger)
        os.write(done, b".")


DRIVER = """
import importlib.util, os, pathlib, sys
spec = importlib.util.spec_from_file_location("shared", sys.argv[1])
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
for last in range(1, 1000):
    folder = pathlib.Path(sys.argv[2]) / f"{last:03}"
    folder.mkdir()
    child = os.fork()
    if not child:
        shared.live(folder, last)
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        break  # it survived: it has fewer statements
"""


def state(path):
    """Return what a ledger file says: charges, finished messages, nonces, and the audit log."""
    db = sqlite3.connect(path)
    found = [
        db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
        for table, columns in (
            ("charges", "query_id, attempt, answer"),
            ("finished", "query_id, attempt, messages"),
            ("nonces", "nonce, expiry"),
            ("audit", "seq, hash"),
        )
    ]
    db.close()
    return found


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """What the file says before the first step and after each."""
    path = tmp_path_factory.mktemp("whole") / "ledger.sqlite"
    with Ledger(path) as ledger:
        found = [state(path)]
        for step in STEPS:
            step(ledger)
            found.append(state(path))
    return found


def answers_once(ledger, number, attempt):
    """Assert that an attempt, once charged, is charged no more, and finished with one content."""
    with pytest.raises(ProtocolError):
        charge(ledger, number, attempt)
    finished = ledger.finished(key(number), attempt)
    if finished is not None:
        finish(ledger, number, attempt)
        with pytest.raises(ProtocolError):
            finish(ledger, number, attempt, messages=b"other noise")
        assert ledger.finished(key(number), attempt) == finished == (QUESTION, b"v" * 10_000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork and SIGKILL")
def test_kill_9_before_each_statement(tmp_path, states):
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, __file__, str(tmp_path)]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 60
    reached = []
    for folder in folders:
        path, done = folder / "ledger.sqlite", (folder / "done").stat().st_size
        audit.verify(path)  # before anything is repaired
        found = state(path)
        assert found == states[done]  # a step whose last statement (COMMIT) did not run did not happen
        reached.append(done)
        with Ledger(path) as ledger:
            assert ledger.spent("ada", LIMITS, NOW).queries_used == len({row[0] for row in found[0]})
            for number, attempt, _ in found[0]:
                answers_once(ledger, int.from_bytes(number, "big"), attempt)
    assert reached == sorted(reached)
    assert set(reached) == set(range(len(STEPS) + 1))


def test_power_that_fails_at_any_byte_of_the_log(tmp_path, states):
    """What SQLite had written of its log when the machine stopped: up to any place, it tells of whole steps."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for step in STEPS:
            step(ledger)
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    assert len(log) > 20 * 4120
    reached = []
    for number, length in enumerate([*range(0, len(log), 2060), len(log)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(main)
        (folder / "ledger.sqlite-wal").write_bytes(log[:length])
        found = state(folder / "ledger.sqlite")
        reached.append(states.index(found))
        audit.verify(folder / "ledger.sqlite")
        shutil.rmtree(folder)
    assert reached == sorted(reached)
    assert set(reached) == set(range(len(STEPS) + 1))
