"""The audit log: who asked what, what was released, what was refused and why, as a chain of hashes in the ledger's file.

An entry is one line of JSON; its hash is SHA-256(hash of the entry before || line), so whoever alters, drops, moves or adds
an entry must write all later ones anew. That alone a reader cannot see: so each append returns the new head, the party puts
it into its operator's log (or anywhere else outside), and `verify` finds a log that no longer holds it.
Reading changes nothing and needs no lock, while the party runs or when it is stopped.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import numbers
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from fedsql.errors import ConfigError, IntegrityError, OperationalError
from fedsql.privacy.ledger_file import APPLICATION

START = hashlib.sha256(b"fedsql audit log 1").digest()  # stands before the first entry, the head of an empty log
_OWN = ("seq", "time", "event")


@dataclass(frozen=True)
class Entry:
    """One entry: ``seq`` counts from 1, ``time`` is ISO 8601 in UTC, ``details`` is JSON, ``hash`` hexadecimal."""

    seq: int
    time: str
    event: str
    details: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class Verified:
    """A sound log: how many ``entries`` it has, and the hash of the last one, hexadecimal."""

    entries: int
    head: str


def append(db: sqlite3.Connection, event: str, details: Mapping[str, Any], now: float) -> str:
    """Append an entry within the caller's transaction; return its hash, the new head, in hexadecimal.

    Details may hold None, bool, numbers, text, bytes (kept as hexadecimal), dates, sequences, sets and mappings with names
    as keys. Raises TypeError for anything else and ValueError for the names seq, time and event.
    """
    seq, previous = _last(db)
    record = _record(seq + 1, stamp(now), event, details)
    found = _chained(previous, record.encode("ascii"))
    db.execute("INSERT INTO audit (seq, record, hash) VALUES (?, ?, ?)", (seq + 1, record, found))
    return found.hex()


def head(db: sqlite3.Connection) -> str:
    """Return the hash of the last entry, in hexadecimal."""
    return _last(db)[1].hex()


def stamp(now: float) -> str:
    """Return a time as entries have it: ISO 8601 in UTC with milliseconds, so that order of texts is order of times."""
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return f"{when.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def verify(path: str | Path, expect: str | None = None) -> Verified:
    """Check the chain in the ledger file at ``path``, and that ``expect`` (hexadecimal) was its head at some time.

    Raises IntegrityError that names the first bad entry, ConfigError when the file is no ledger.
    """
    with _reading(path) as db:
        seq, previous, met = 0, START, expect in (None, START.hex())
        for number, record, found in _rows(db):
            seq += 1
            if number != seq:
                raise IntegrityError(f"{path}: entry {seq} of the audit log is missing: entry {number} stands there")
            told = _parsed(record).get("seq")
            if told != seq:
                what = f"the record of entry {told}" if isinstance(told, int) else "no record"
                raise IntegrityError(f"{path}: entry {seq} of the audit log was altered: it holds {what}")
            if found != _chained(previous, record):
                after = f"entry {seq - 1}" if seq > 1 else "the start"
                raise IntegrityError(
                    f"{path}: entry {seq} of the audit log was altered: its hash is not that of {after} and its record"
                )
            previous = found
            met = met or found.hex() == expect
        if not met:
            raise IntegrityError(
                f"{path}: no entry of the audit log has the hash {expect}: entries were cut off or written anew;"
                f" entry {seq} is the last one",
            )
        return Verified(seq, previous.hex())


def entries(
    path: str | Path,
    *,
    since: float | None = None,
    analyst: str | None = None,
    event: str | None = None,
    query: str | None = None,
) -> Iterator[Entry]:
    """Yield the entries of the ledger file at ``path``, oldest first, without checking the chain.

    Only those not before ``since`` (seconds since 1970), of this analyst, event, and query id (hexadecimal, or how it
    begins). Raises IntegrityError at an entry that is none, ConfigError when the file is no ledger.
    """
    earliest = "" if since is None else stamp(since)
    with _reading(path) as db:
        for number, record, found in _rows(db):
            details = _parsed(record)
            own = [details.pop(name, None) for name in _OWN]
            if not isinstance(found, bytes) or own[0] != number or not all(isinstance(o, str) for o in own[1:]):
                hint = "`fedsql audit verify` checks them all"
                raise IntegrityError(f"{path}: entry {number} of the audit log was altered", hint=hint)
            entry = Entry(number, own[1], own[2], details, found.hex())
            if (
                entry.time >= earliest
                and event in (None, entry.event)
                and analyst in (None, details.get("analyst"))
                and (query is None or str(details.get("query_id", "")).startswith(query.lower()))
            ):
                yield entry


def _last(db: sqlite3.Connection) -> tuple[int, bytes]:
    row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, START) if row is None else (row[0], row[1])


def _chained(previous: bytes, record: bytes) -> bytes:
    return hashlib.sha256(previous + record).digest()


def _record(seq: int, time: str, event: str, details: Mapping[str, Any]) -> str:
    """Return the one text of an entry: seq, time, event, then the details by name; ASCII, no spaces between."""
    plain = _plain(details)
    if not plain.keys().isdisjoint(_OWN):
        raise ValueError(f"details of an audit entry may not be named {', '.join(_OWN)}")
    ordered = {"seq": seq, "time": time, "event": event, **plain}
    return json.dumps(ordered, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON has it: names in order, bytes as hexadecimal, what JSON has no number for as text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, numbers.Integral):  # of numpy, too
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if abs(number) < float("inf") else str(number)
    if isinstance(value, Mapping):
        return {str(name): _plain(value[name]) for name in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=repr)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"an audit entry cannot hold a {type(value).__name__}")


def _parsed(record: bytes) -> dict[str, Any]:
    """Return the record of a row; nothing when it is none."""
    try:
        found = json.loads(record)
    except (TypeError, ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _rows(db: sqlite3.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    return iter(db.execute("SELECT seq, record, hash FROM audit ORDER BY seq"))


@contextmanager
def _reading(path: str | Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger file so that nothing beside or in it changes."""
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigError(f"{path}: there is no ledger: the party has not run yet, or keeps its state elsewhere")
    # A party that runs, or was killed, has a write-ahead log: SQLite reads it along. Where there is none, all is in the
    # file, and a plain read-only connection would leave an empty one behind.
    running = file.with_name(f"{file.name}-wal").exists()
    db = None
    try:
        db = sqlite3.connect(f"{file.as_uri()}?{'mode=ro' if running else 'immutable=1'}", uri=True, timeout=30)
        db.text_factory = bytes
        mark, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if mark != APPLICATION or version < 2:
            raise ConfigError(
                f"{path}: it holds no audit log: its mark is {mark:#x}, version {version}",
                hint="A ledger of version 1 gets one when its party is started.",
            )
        yield db
    except sqlite3.Error as error:
        raise OperationalError(f"{path}: the audit log cannot be read: {error}") from error
    finally:
        if db is not None:
            db.close()
