"""What one party has spent and answered, kept so that neither a crash nor a second process can make it forget.

A charge that was accepted is on disk before `Ledger.charge` returns, and only then may anything that depends on data leave
the party. An attempt (query id, attempt) is charged once: one that was cut short stays charged and is dead. What the party
sends is on disk before `Ledger.finish` returns, and only then may its last message leave: a repeated delivery of the same
question gets the stored bytes. Of all attempts of a query at most one is finished. Whatever is decided is also written to
the audit log (audit.py), in the same transaction.
The ledger reads no clock: the caller passes the time, in seconds since 1970 (UTC).
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedsql.codec import digest
from fedsql.errors import BudgetExhausted, InternalError, ProtocolError
from fedsql.privacy import audit, spending
from fedsql.privacy.accounting import to_epsilon
from fedsql.privacy.ledger_file import LedgerFile
from fedsql.privacy.spending import Charge, Limits, Spent

__all__ = ["Charge", "Ledger", "Limits", "Spent"]

_DAY = 86_400.0
_HELD = 256  # answers to noisy questions


class Ledger(LedgerFile):
    """A party's ledger at ``path``, made if it does not exist (0600, in a directory 0700), or ":memory:".

    Threads may share one; processes open one each. Raises ConfigError when the file is not a sound ledger, and
    OperationalError from any method when it can no longer be read or written: without a ledger there is no answer.
    A ``note`` holds what the audit log tells beside what the ledger knows itself (see audit.append).
    """

    def charge(self, charge: Charge, limits: Limits, note: Mapping[str, Any] | None = None) -> str:
        """Record ``charge`` durably if it fits ``limits``; return the audit log's new head, in hexadecimal.

        Raises BudgetExhausted when it does not fit (nothing is charged, and the refusal is in the audit log),
        ProtocolError when this attempt was charged before or its query was answered, ValueError when its curve is not
        over accounting.ORDERS. Nothing is recorded then.
        """
        content, told = _content(charge, limits), _told(charge, note)
        with self._transaction() as db:
            _check_unused(db, charge, content)
            try:
                cost = spending.cost(db, charge, limits)
            except BudgetExhausted as error:
                refusal = error
                audit.append(db, "refused", {**told, "reason": error.message}, charge.time)
            else:
                db.execute(
                    "INSERT INTO charges"
                    " (query_id, attempt, time, answers, delta, analyst, tables, question, data_version, rdp)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (charge.query_id, charge.attempt, charge.time, charge.answers, charge.delta, *content),
                )
                return audit.append(db, "charged", {**told, "cost": cost}, charge.time)
        raise refusal

    def check(self, charge: Charge, limits: Limits, note: Mapping[str, Any] | None = None) -> None:
        """Raise BudgetExhausted when ``charge`` does not fit ``limits`` (as `charge` does); else record nothing."""
        told = _told(charge, note)
        with self._transaction() as db:
            try:
                spending.cost(db, charge, limits)
                return
            except BudgetExhausted as error:
                refusal = error
                audit.append(db, "refused", {**told, "reason": error.message}, charge.time)
        raise refusal

    def finish(
        self,
        query_id: bytes,
        attempt: int,
        question: bytes,
        messages: bytes,
        expiry: float,
        now: float,
        note: Mapping[str, Any] | None = None,
    ) -> str:
        """Store what a charged attempt sends, durably; return the audit log's new head, in hexadecimal.

        ``question`` is the 32-byte digest of the signed record, ``messages`` whatever a repeated delivery of it shall get
        until ``expiry``. Does nothing more for the same content. Raises ProtocolError when the attempt, or another one of
        its query, was finished with other content, and InternalError when it was not charged.
        """
        if len(question) != 32:
            raise ValueError("the digest of a question has 32 bytes")
        answer = hashlib.sha256(question + messages).digest()
        with self._transaction() as db:
            row = db.execute(
                "SELECT analyst, answer FROM charges WHERE query_id = ? AND attempt = ?", (query_id, attempt)
            ).fetchone()
            if row is None:
                raise InternalError("an attempt that was not charged is to be answered", query_id=query_id.hex())
            analyst, known = row
            if known == answer:
                return audit.head(db)
            if known is not None:
                raise ProtocolError("this attempt was answered with something else", query_id=query_id.hex())
            _check_alive(db, query_id)
            db.execute("UPDATE charges SET answer = ? WHERE query_id = ? AND attempt = ?", (answer, query_id, attempt))
            db.execute("INSERT INTO finished VALUES (?, ?, ?, ?, ?)", (query_id, attempt, question, messages, expiry))
            # A few at a time, but more than come in: after a busy day no answer waits until all of them are gone.
            db.execute(
                "DELETE FROM finished WHERE rowid IN (SELECT rowid FROM finished WHERE expiry <= ? LIMIT 4)",
                (now - _DAY,),
            )
            told = {
                **(note or {}),
                "query_id": query_id,
                "attempt": attempt,
                "analyst": analyst,
                "question": question,
                "bytes": len(messages),
                "sha256": hashlib.sha256(messages).digest(),
            }
            return audit.append(db, "answered", told, now)

    def finished(self, query_id: bytes, attempt: int) -> tuple[bytes, bytes] | None:
        """Return the question's digest and the messages of a finished attempt; None if it is not, or long expired."""
        with self._transaction() as db:
            row = db.execute(
                "SELECT question, messages FROM finished WHERE query_id = ? AND attempt = ?", (query_id, attempt)
            ).fetchone()
            return None if row is None else (row[0], row[1])

    def hold(self, key: bytes, run: bytes, sums: bytes, now: float) -> None:
        """Hold, durably, what the attempt ``run`` sends, under everything that it depends on. The newest stay."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", (key, run, sums, now))
            db.execute(
                "DELETE FROM held WHERE key NOT IN (SELECT key FROM held ORDER BY time DESC, rowid DESC LIMIT ?)",
                (_HELD,),
            )

    def held(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Return (run, sums) of what is held under ``key``."""
        with self._transaction() as db:
            found = db.execute("SELECT run, sums FROM held WHERE key = ?", (key,)).fetchone()
            return None if found is None else (found[0], found[1])

    def is_dead(self, query_id: bytes) -> bool:
        """Say whether some attempt of a query was finished, ever: no other attempt of it may be answered then."""
        with self._transaction() as db:
            return _is_dead(db, query_id)

    def note(self, event: str, details: Mapping[str, Any], now: float) -> str:
        """Append an entry to the audit log, durably; return its new head, in hexadecimal."""
        with self._transaction() as db:
            return audit.append(db, event, details, now)

    def head(self) -> str:
        """Return the audit log's head, in hexadecimal: whoever keeps it can see later that nothing before was changed."""
        with self._transaction() as db:
            return audit.head(db)

    def entries(self) -> tuple[int, int]:
        """Return how many attempts were charged, ever, and how many entries the audit log has."""
        with self._transaction() as db:  # neither table loses rows, so the last number is the number of them
            found = db.execute("SELECT (SELECT max(rowid) FROM charges), (SELECT max(seq) FROM audit)").fetchone()
            return found[0] or 0, found[1] or 0

    def spent(self, analyst: str, limits: Limits, now: float) -> Spent:
        """Return where ``analyst`` stands at the time ``now``. Costs nothing and records nothing."""
        with self._transaction() as db:
            return spending.spent(db, analyst, limits, now)

    def admit(self, query_id: bytes, attempt: int, nonce: bytes, expiry: float, now: float) -> None:
        """Record durably that an attempt was asked, and its nonce. Raises ProtocolError, having recorded neither.

        That is when the nonce was seen before or has expired, the query was answered, or the attempt was asked before:
        answered once more, under another nonce, it would draw a second noise for one charge.
        """
        with self._transaction() as db:
            if not _remember(db, nonce, expiry, now):
                raise ProtocolError("the question has expired or was asked before (its nonce is known)")
            if _is_dead(db, query_id):
                raise ProtocolError(
                    "the query was answered in another attempt: ask anew", hint="every answer has one query id"
                )
            if not _remember(db, digest(["attempt", query_id, attempt]), math.inf, now):
                raise ProtocolError("this attempt of the query was asked before")

    def remember_nonce(self, nonce: bytes, expiry: float, now: float) -> bool:
        """Record ``nonce`` durably until ``expiry``. Return False when it was seen before or has expired already."""
        with self._transaction() as db:
            return _remember(db, nonce, expiry, now)


def _content(charge: Charge, limits: Limits) -> tuple[object, ...]:
    """Return the columns of a charge that tell one question from another. Raises ValueError for a malformed curve."""
    if charge.rdp is not None:
        to_epsilon(charge.rdp, limits.delta)
    rdp = None if charge.rdp is None else np.array(charge.rdp, "<f8").tobytes()
    return (charge.analyst, json.dumps(charge.tables), charge.question, charge.data_version, rdp)


def _told(charge: Charge, note: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the audit log tells of a charge."""
    return {
        **(note or {}),
        "query_id": charge.query_id,
        "attempt": charge.attempt,
        "analyst": charge.analyst,
        "tables": charge.tables,
        "meaning": charge.question,
        "data_version": charge.data_version,
    }


def _remember(db: sqlite3.Connection, nonce: bytes, expiry: float, now: float) -> bool:
    # A day's grace: a clock that is set back must not make a forgotten nonce look fresh.
    db.execute("DELETE FROM nonces WHERE expiry <= ?", (now - _DAY,))
    if expiry <= now:
        return False
    return db.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?)", (nonce, expiry)).rowcount == 1


def _check_unused(db: sqlite3.Connection, charge: Charge, content: tuple[object, ...]) -> None:
    """Raise ProtocolError when this attempt was charged before, for the same or something else, or its query answered."""
    known = db.execute(
        "SELECT analyst, tables, question, data_version, rdp FROM charges WHERE query_id = ? AND attempt = ?",
        (charge.query_id, charge.attempt),
    ).fetchone()
    if known == content:
        raise ProtocolError("this attempt of the query was asked before", query_id=charge.query_id.hex())
    if known is not None:
        raise ProtocolError("this query id was already used for another question", query_id=charge.query_id.hex())
    _check_alive(db, charge.query_id)


def _check_alive(db: sqlite3.Connection, query_id: bytes) -> None:
    if _is_dead(db, query_id):
        raise ProtocolError("another attempt of this query was answered", query_id=query_id.hex())


def _is_dead(db: sqlite3.Connection, query_id: bytes) -> bool:
    found = db.execute("SELECT 1 FROM charges WHERE query_id = ? AND answer IS NOT NULL", (query_id,)).fetchone()
    return found is not None
