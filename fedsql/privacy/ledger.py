"""What one party has spent, kept so that neither a crash nor a second process can make it forget.

One SQLite file per party: write-ahead log, synchronous=FULL, one immediate transaction per charge. A charge that was
accepted is on disk before `Ledger.charge` returns, and only then may anything that depends on data leave the party.
Charges are keyed by (query id, attempt): a repeated delivery costs nothing, and an attempt that failed stays charged.
Exact questions draw on a quota of distinct questions, noisy ones on epsilon; both are limited over a sliding period.
The ledger reads no clock: the caller passes the time, in seconds since 1970 (UTC).
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fedsql.errors import BudgetExhausted, ConfigError, OperationalError, ProtocolError
from fedsql.privacy.accounting import ORDERS, to_epsilon

_APPLICATION = 0x46534C47  # "FSLG", SQLite's mark of whose file this is
_VERSION = 1  # of the tables below, and of accounting.ORDERS, over which the curves are stored
_DAY = 86_400.0
_PATIENCE = 500  # times 20 ms
_TABLES = """
CREATE TABLE charges (
    query_id BLOB NOT NULL, attempt INTEGER NOT NULL, analyst TEXT NOT NULL, tables TEXT NOT NULL,
    question BLOB NOT NULL, data_version TEXT NOT NULL, time REAL NOT NULL, rdp BLOB, answers INTEGER NOT NULL, PRIMARY KEY (query_id, attempt));
CREATE INDEX charges_by_time ON charges (time);
CREATE TABLE nonces (nonce BLOB PRIMARY KEY, expiry REAL NOT NULL);
"""


@dataclass(frozen=True)
class Charge:
    """One attempt at one question. ``rdp`` is its curve over accounting.ORDERS, None for an exact answer.

    ``question`` is the 32-byte digest of the normalised question, ``time`` the party's clock in seconds, ``answers`` how
    many releases an exact question has: each counts as a query.
    """

    query_id: bytes
    attempt: int
    analyst: str
    tables: tuple[str, ...]
    question: bytes
    data_version: str
    time: float
    rdp: tuple[float, ...] | None
    answers: int = 1


@dataclass(frozen=True)
class Limits:
    """What a party allows: ``epsilon`` and ``queries`` per analyst, ``total_epsilon`` for all. Periods in seconds."""

    epsilon: float
    total_epsilon: float
    delta: float
    budget_period: float
    queries: int
    quota_period: float


@dataclass(frozen=True)
class Spent:
    """What an analyst has used within the periods, and what is left. ``total_left`` is what all analysts share."""

    epsilon_spent: float
    epsilon_left: float
    total_left: float
    queries_used: int
    queries_left: int


class Ledger:
    """A party's ledger at ``path``, made if it does not exist (0600, in a directory 0700), or ":memory:".

    Threads may share one; processes open one each. Raises ConfigError when the file is not a sound ledger, and
    OperationalError from any method when it can no longer be read or written: without a ledger there is no answer.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        try:
            if self._path != ":memory:":
                _make_private(Path(path))
            self._db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{self._path}: the ledger cannot be opened: {error}") from error
        try:
            self._prepare()
        except (OperationalError, sqlite3.Error) as error:
            self._db.close()
            hint = "If it is damaged, restore it from a backup: a new ledger forgets what was spent."
            raise ConfigError(f"{self._path}: not a usable ledger: {error.__cause__ or error}", hint=hint) from error

    def charge(self, charge: Charge, limits: Limits) -> None:
        """Record ``charge`` durably if it fits ``limits``; do nothing if this very attempt is already recorded.

        Raises BudgetExhausted when it does not fit, ProtocolError when its (query id, attempt) was used for something
        else, ValueError when its curve is not over accounting.ORDERS. Nothing is recorded then.
        """
        if charge.rdp is not None:
            to_epsilon(charge.rdp, limits.delta)  # refuses a malformed curve before the file is locked
        rdp = None if charge.rdp is None else np.array(charge.rdp, "<f8").tobytes()
        content = (charge.analyst, json.dumps(charge.tables), charge.question, charge.data_version, rdp)
        with self._transaction():
            known = self._db.execute(
                "SELECT analyst, tables, question, data_version, rdp FROM charges WHERE query_id = ? AND attempt = ?",
                (charge.query_id, charge.attempt),
            ).fetchone()
            if known == content:
                return
            if known is not None:
                query_id = charge.query_id.hex()
                raise ProtocolError("this query id was already used for another question", query_id=query_id)
            if charge.rdp is None:
                self._check_quota(charge, limits)
            else:
                self._check_epsilon(charge, limits)
            self._db.execute(
                "INSERT INTO charges"
                " (query_id, attempt, time, answers, analyst, tables, question, data_version, rdp)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (charge.query_id, charge.attempt, charge.time, charge.answers, *content),
            )

    def spent(self, analyst: str, limits: Limits, now: float) -> Spent:
        """Return where ``analyst`` stands at the time ``now``. Costs nothing and records nothing."""
        with self._transaction():
            own, _ = self._curve(now - limits.budget_period, analyst)
            everyone, _ = self._curve(now - limits.budget_period, None)
            asked = self._questions(now - limits.quota_period, analyst)
            queries = sum(answers for _, answers in asked.values())
        epsilon, total = to_epsilon(own, limits.delta), to_epsilon(everyone, limits.delta)
        return Spent(
            epsilon_spent=epsilon,
            epsilon_left=max(0.0, limits.epsilon - epsilon),
            total_left=max(0.0, limits.total_epsilon - total),
            queries_used=queries,
            queries_left=max(0, limits.queries - queries),
        )

    def remember_nonce(self, nonce: bytes, expiry: float, now: float) -> bool:
        """Record ``nonce`` durably until ``expiry``. Return False when it was seen before or has expired already."""
        with self._transaction():
            # A day's grace: a clock that is set back must not make a forgotten nonce look fresh.
            self._db.execute("DELETE FROM nonces WHERE expiry <= ?", (now - _DAY,))
            if expiry <= now:
                return False
            return self._db.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?)", (nonce, expiry)).rowcount == 1

    def close(self) -> None:
        """Close the file. The ledger cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _check_quota(self, charge: Charge, limits: Limits) -> None:
        asked = self._questions(charge.time - limits.quota_period, charge.analyst)
        used = sum(answers for _, answers in asked.values())
        if (charge.question, charge.data_version) in asked or used + charge.answers <= limits.queries:
            return
        needed = f", {charge.answers} needed" if charge.answers > 1 else ""
        freed = _freed(min((last for last, _ in asked.values()), default=None), limits.quota_period)
        raise BudgetExhausted(
            f"the quota of {limits.queries} exact queries per {_span(limits.quota_period)} for analyst"
            f" {charge.analyst!r} is used up: {used} used, {max(0, limits.queries - used)} left{needed}; {freed}",
            hint="A question already asked of unchanged data is not counted again.",
        )

    def _check_epsilon(self, charge: Charge, limits: Limits) -> None:
        since = charge.time - limits.budget_period
        for whose, analyst, limit in (
            (f"for analyst {charge.analyst!r}", charge.analyst, limits.epsilon),
            ("for all analysts together", None, limits.total_epsilon),
        ):
            spent, oldest = self._curve(since, analyst)
            after = to_epsilon(spent + np.array(charge.rdp), limits.delta)
            if not after <= limit:
                before = to_epsilon(spent, limits.delta)
                raise BudgetExhausted(
                    f"the budget of epsilon {limit:g} per {_span(limits.budget_period)} {whose} does not allow this:"
                    f" {before:.3g} spent, {max(0.0, limit - before):.3g} left, {after:.3g} with this question;"
                    f" {_freed(oldest, limits.budget_period)}",
                    hint="A smaller SET epsilon costs less and gives a noisier answer.",
                )

    def _curve(self, since: float, analyst: str | None) -> tuple[NDArray[np.float64], float | None]:
        """Return the summed curves of the noisy charges after ``since`` (of all analysts: None) and the oldest time."""
        rows = self._db.execute(
            "SELECT rdp, time FROM charges WHERE rdp IS NOT NULL AND time > ? AND (analyst = ? OR ? IS NULL)"
            " ORDER BY time",
            (since, analyst, analyst),
        ).fetchall()
        curves = np.frombuffer(b"".join(row[0] for row in rows), "<f8").reshape(len(rows), len(ORDERS))
        return curves.sum(axis=0), rows[0][1] if rows else None

    def _questions(self, since: float, analyst: str) -> dict[tuple[bytes, str], tuple[float, int]]:
        """Return the distinct exact questions of ``analyst`` after ``since``: when each was last asked, and its answers."""
        rows = self._db.execute(
            "SELECT question, data_version, max(time), max(answers) FROM charges"
            " WHERE rdp IS NULL AND time > ? AND analyst = ? GROUP BY question, data_version",
            (since, analyst),
        )
        return {(question, version): (last, answers) for question, version, last, answers in rows}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the file's write lock over the block: what was checked still holds when it is written."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise OperationalError(f"{self._path}: the ledger failed: {error}") from error

    def _prepare(self) -> None:
        """Check that the file is a ledger, make its tables when it is empty, and set the connection up."""
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA fullfsync = ON")  # for macOS, whose plain fsync leaves data in the drive's cache
        with self._transaction():
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            marks = [self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if marks != [_APPLICATION, _VERSION]:
                raise ConfigError(f"its mark is {marks[0]:#x}, version {marks[1]}")
            state = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if state != "ok":
                raise ConfigError(state)
        for patience in range(_PATIENCE, -1, -1):  # last, so that a foreign file stays as it is
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:  # SQLite does not wait by itself while others open the same new file
                if not patience:
                    raise
                time.sleep(0.02)


def _make_private(path: Path) -> None:
    """Make the file and its directory if there are none, for the owner alone; SQLite's side files take its mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _freed(oldest: float | None, period: float) -> str:
    if oldest is None:
        return "nothing has been spent that could be freed"
    when = datetime.fromtimestamp(math.ceil(oldest + period), UTC)
    return f"the oldest charge is freed on {when:%Y-%m-%dT%H:%M:%SZ}"


def _span(period: float) -> str:
    return f"{period / 3600:g} hours" if period % _DAY else f"{period / _DAY:g} days"
