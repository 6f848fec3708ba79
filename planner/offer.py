"""What one party offers: all that it says of its data, and of what it is willing to release.

An `Offer` is signed on the wire: the party's visible tables and columns with their types, declared uses, bounds and public
domains, its release policy and its public keys. Nothing here is computed from rows except what the offer says was verified.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, get_type_hints

from fedsql.codec import decode, digest, encode, fits
from fedsql.types import DATED, is_type

_MOST = 1 << 63  # every number of an offer is below it
USES = ("group", "filter", "aggregate", "join")
AGGREGATES = ("count", "sum", "avg", "stddev", "var", "covar", "corr", "regr", "count_distinct")
UNLISTED_AGGREGATES = ("min", "max", "quantile", "mode")


def days(date: datetime.date) -> Decimal:
    """Return how many days a date is after 1970-01-01."""
    return Decimal((date - _EPOCH).days)


def date_of(days: Decimal) -> datetime.date:
    """Return the date that is so many days after 1970-01-01."""
    return _EPOCH + datetime.timedelta(int(days))


_EPOCH = datetime.date(1970, 1, 1)
_EARLIEST, _LATEST = days(datetime.date.min), days(datetime.date.max)


@dataclass(frozen=True)
class ColumnOffer:
    """One visible column. ``type`` is DuckDB's type text; ``bounds`` are closed and verified for the data version.

    Those of a DATE are days since 1970-01-01. ``required``: the party verified that every row has a value in it (neither
    NULL nor NaN or infinite).
    """

    name: str
    type: str
    use: frozenset[str] = frozenset()
    bounds: tuple[Decimal, Decimal] | None = None
    scale: int | None = None
    values: tuple[str, ...] | None = None  # public domain, each as DuckDB's text of the value in ``type``
    join_with: tuple[str, ...] | None = None
    unique: bool = False  # of a public table, or referred to: no two rows share a value
    required: bool = False

    @property
    def bounds_text(self) -> tuple[str, str] | None:
        """The bounds as people write them: numbers, or dates."""
        if self.bounds is None:
            return None
        low, high = (date_of(bound) if self.type in DATED else bound for bound in self.bounds)
        return str(low), str(high)


@dataclass(frozen=True)
class TableOffer:
    """One visible table. ``privacy_unit`` is a column name, "table.column" along references, or None (one row is one unit).

    ``unit_unique``: the party verified that each unit has at most one row. ``rows`` is the row count rounded up to a
    power of two (public size). ``data_version`` changes whenever the data may have changed; it tells nothing else.
    ``content``: SHA-256 of a public table's rows as they are sent (32 bytes), empty for all others. ``unique``: of a public
    table, sets of columns of which no two rows share all values (`ColumnOffer.unique` says so of single ones,
    also of those of other tables that some reference of the party refers to).
    """

    party: str
    name: str
    columns: tuple[ColumnOffer, ...]
    privacy_unit: str | None = None
    unit_scope: str = "party"
    unit_unique: bool = True
    max_rows_per_unit: int = 1
    max_groups_per_unit: int = 1
    references: Mapping[str, str] = field(default_factory=dict)
    analysts: tuple[str, ...] = ("*",)
    public: bool = False
    rows: int = 0
    data_version: str = ""
    content: bytes = b""
    unique: tuple[tuple[str, ...], ...] = ()

    def column(self, name: str) -> ColumnOffer | None:
        """Return the column called ``name`` (any case), or None."""
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)

    def holds_once(self, names: AbstractSet[str]) -> bool:
        """Say whether no two rows of a public table share the values of the columns ``names`` (lower case)."""
        keys = [(c.name,) for c in self.columns if c.unique] + list(self.unique)
        return self.public and any(names >= {name.lower() for name in key} for key in keys)


@dataclass(frozen=True)
class ReleasePolicy:
    """DESIGN section 5, [release]. Periods in seconds."""

    noise: str = "none"
    noise_colluders: int = 1
    min_group_size: int = 10
    min_parties: int = 2
    allow_alone: bool = False
    join_both_sides: bool = True
    aggregates: tuple[str, ...] = AGGREGATES
    epsilon: float = 10.0
    total_epsilon: float = 10.0
    delta: float = 1e-6
    budget_period: int = 30 * 86400
    queries: int = 1000
    quota_period: int = 30 * 86400


@dataclass(frozen=True)
class Offer:
    """Everything that one party tells the federation. Keys are raw 32-byte public keys."""

    party: str
    tables: tuple[TableOffer, ...]
    release: ReleasePolicy
    identity_key: bytes = b""  # Ed25519, RFC 8032
    seal_key: bytes = b""  # X25519, for HPKE (RFC 9180)

    def table(self, name: str) -> TableOffer | None:
        """Return the table called ``name`` (any case), or None."""
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    def encode(self) -> bytes:
        """Return the canonical bytes that the party signs."""
        return encode(_plain(asdict(self)))

    @property
    def digest(self) -> bytes:
        """SHA-256 of `encode`'s bytes: 32 bytes."""
        return digest(_plain(asdict(self)))

    @classmethod
    def decode(cls, data: bytes) -> Offer:
        """Read `encode`'s bytes. Raises ValueError when they are not exactly an offer."""
        record = _values(decode(data), _OFFER)
        release = _values(record["release"], _RELEASE)
        try:
            tables = tuple(_table_offer(_values(table, _TABLE)) for table in record["tables"])
            policy = ReleasePolicy(**release | {"aggregates": tuple(release["aggregates"])})
            offer = cls(**record | {"tables": tables, "release": policy})
        except InvalidOperation as error:
            raise ValueError("not the record of an offer") from error
        if offer.encode() != data:
            raise ValueError("not the canonical record of an offer")
        return offer


def _of(holder: type, **listed: Any) -> dict[str, Any]:
    """Return the kind of each field of a dataclass, with ``listed`` in place of those that CBOR has otherwise."""
    return get_type_hints(holder) | listed


_COLUMN = _of(ColumnOffer, use=list[str], bounds=tuple[str, str] | None)
_TABLE = _of(TableOffer, columns=list[dict[str, Any]], references=dict[str, str])
_RELEASE = _of(ReleasePolicy)
_OFFER = _of(Offer, tables=list[dict[str, Any]], release=dict[str, Any])


def _values(record: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``record``. Raises ValueError unless it has exactly these keys, each of its kind, and no number below zero."""
    if not fits(record, dict[str, Any]) or record.keys() != kinds.keys():
        raise ValueError("not the record of an offer")
    found: dict[str, Any] = record
    if not all(fits(found[key], kind) for key, kind in kinds.items()):
        raise ValueError("not the record of an offer")
    if any(not 0 <= value < _MOST for value in found.values() if isinstance(value, int | float)):
        raise ValueError("an offer with a number that means nothing")
    return found


def _table_offer(record: dict[str, Any]) -> TableOffer:
    """Read a table of an offer; what JSON-like data flattened becomes tuples, sets and decimals again."""
    columns = tuple(_column_offer(_values(column, _COLUMN)) for column in record["columns"])
    unique = tuple(tuple(names) for names in record["unique"])
    if not all(unique):
        raise ValueError("an offer with a key of no columns")
    return TableOffer(**record | {"columns": columns, "analysts": tuple(record["analysts"]), "unique": unique})


def _column_offer(record: dict[str, Any]) -> ColumnOffer:
    read: dict[str, Any] = {"use": frozenset(record["use"])}
    read |= {key: tuple(record[key]) for key in ("values", "join_with") if record[key] is not None}
    if record["bounds"] is not None:
        low, high = read["bounds"] = tuple(Decimal(bound) for bound in record["bounds"])
        if not (low.is_finite() and high.is_finite() and low <= high):
            raise ValueError("an offer with bounds that are none")
        if record["type"] in DATED and not all(
            _EARLIEST <= bound <= _LATEST and bound % 1 == 0 for bound in (low, high)
        ):
            raise ValueError("an offer with dates that are none")
    if not is_type(record["type"]):
        raise ValueError("an offer with a type that is none")
    return ColumnOffer(**record | read)


def _plain(value: object) -> object:
    """Reduce dataclass contents to what the codec takes; sets sorted, decimals as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Decimal) else value
