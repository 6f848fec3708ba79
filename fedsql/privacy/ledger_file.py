"""A party's SQLite file: made for its owner alone, checked when opened, brought up to date, written in transactions.

Write-ahead log, synchronous=FULL, one immediate transaction for all that must become true together: when it returns, all
of it is on disk, after one sync; cut short at any instant, nothing of it happened.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fedsql.errors import ConfigError, OperationalError

APPLICATION = 0x46534C47  # "FSLG", SQLite's mark of whose file this is
_PATIENCE = 500  # times 20 ms
# What each version adds to the one before it. The version is also that of accounting.ORDERS, over which rdp is stored.
_VERSIONS = (
    """
    CREATE TABLE charges (
        query_id BLOB NOT NULL, attempt INTEGER NOT NULL, analyst TEXT NOT NULL, tables TEXT NOT NULL,
        question BLOB NOT NULL, data_version TEXT NOT NULL, time REAL NOT NULL, rdp BLOB, answers INTEGER NOT NULL,
        PRIMARY KEY (query_id, attempt));
    CREATE INDEX charges_by_time ON charges (time);
    CREATE TABLE nonces (nonce BLOB PRIMARY KEY, expiry REAL NOT NULL);
    """,
    # answer: SHA-256 of what was sent, NULL as long as nothing was. Version 1 did not know: its last attempt of each
    # query counts as answered, with an empty hash that equals none.
    """
    ALTER TABLE charges ADD COLUMN answer BLOB;
    UPDATE charges SET answer = x''
        WHERE attempt = (SELECT max(attempt) FROM charges AS every WHERE every.query_id = charges.query_id);
    CREATE UNIQUE INDEX one_answer ON charges (query_id) WHERE answer IS NOT NULL;
    CREATE INDEX charges_by_analyst ON charges (analyst, time);
    CREATE INDEX nonces_by_expiry ON nonces (expiry);
    CREATE TABLE finished (
        query_id BLOB NOT NULL, attempt INTEGER NOT NULL, question BLOB NOT NULL, messages BLOB NOT NULL,
        expiry REAL NOT NULL, PRIMARY KEY (query_id, attempt));
    CREATE INDEX finished_by_expiry ON finished (expiry);
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, hash BLOB NOT NULL);
    """,
    # held: the noised sums of an attempt, for the same question asked again (roles/held.py).
    # delta: the probability that showing groups of unknown keys told of one unit, beside what rdp bounds.
    """
    ALTER TABLE charges ADD COLUMN delta REAL NOT NULL DEFAULT 0;
    CREATE TABLE held (key BLOB PRIMARY KEY, run BLOB NOT NULL, sums BLOB NOT NULL, time REAL NOT NULL);
    CREATE INDEX held_by_time ON held (time);
    """,
)
VERSION = len(_VERSIONS)


class LedgerFile:
    """The file at ``path``, made if it does not exist (0600, in a directory 0700), or ":memory:".

    Threads may share one; processes open one each. Raises ConfigError when the file is not a sound ledger.
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

    def close(self) -> None:
        """Close the file. The ledger cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the file's write lock over the block: what was checked still holds when it is written."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise OperationalError(f"{self._path}: the ledger failed: {error}") from error

    def _prepare(self) -> None:
        """Check that the file is a ledger, add what its version lacks, and set the connection up."""
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA fullfsync = ON")  # for macOS, whose plain fsync leaves data in the drive's cache
        with self._transaction() as db:
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                db.execute(f"PRAGMA application_id = {APPLICATION}")
            mark, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
            if mark != APPLICATION or not 0 <= version <= VERSION:
                raise ConfigError(f"its mark is {mark:#x}, version {version}; versions up to {VERSION} are known here")
            state = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if state != "ok":
                raise ConfigError(state)
            if version < VERSION:
                for statement in filter(str.strip, "".join(_VERSIONS[version:]).split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
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
