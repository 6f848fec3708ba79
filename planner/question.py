"""The question: the one canonical record that an analyst signs and every party plans from (DESIGN, promise 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, get_type_hints

from fedsql.codec import decode, digest, encode, fits
from fedsql.types import is_type

PLANNER_VERSION = "1"
_MOST = 200  # characters of a version, for it goes into errors
VALID_FOR = 3600  # seconds that a question may be answered after it was signed


@dataclass(frozen=True)
class Settings:
    """Settings of a session that change what a question asks for.

    ``epsilon`` is what a noisy query costs; with ``accuracy`` (a share of the value, such as 0.01) as much as that takes.
    """

    epsilon: float = 1.0
    allow_missing: bool = False
    accuracy: float | None = None


@dataclass(frozen=True)
class StageInput:
    """A released relation that a later stage of its statement reads: the parties see it.

    ``columns`` are (name, type text), ``rows`` DuckDB's texts of the values; ``unique`` sets of columns, of which no two
    rows have equal values.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str | None, ...], ...]
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Question:
    """Everything that planning and answering depend on, besides the catalog.

    ``parameters`` are (type text, value text or None) pairs, so that nobody depends on another's number formatting.
    ``now`` is ISO 8601 in UTC; ``local`` the schemas of the analyst's local tables that the SQL names; ``contributors``
    the parties of each release of the ``stage``, in order; ``inputs`` what earlier stages released and this one reads;
    ``offers`` the digest of each party's offer; ``missing`` the parties that are left out because they cannot be reached;
    ``software`` is what the analyst plans with, for errors; ``paillier_n`` the analyst's session key (big-endian bytes);
    ``expiry`` unix
    seconds.
    """

    federation: str
    analyst: str
    sql: str
    now: str
    parameters: tuple[tuple[str, str | None], ...] = ()
    settings: Settings = field(default_factory=Settings)
    local: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    offers: tuple[tuple[str, bytes], ...] = ()
    missing: tuple[str, ...] = ()
    planner: str = PLANNER_VERSION
    software: str = ""
    stage: int = 0
    inputs: tuple[StageInput, ...] = ()
    contributors: tuple[tuple[str, ...], ...] = ()
    plan_digest: bytes = b""
    paillier_n: bytes = b""
    analyst_key: bytes = b""
    analyst_box: bytes = b""
    query_id: bytes = b""
    attempt: int = 1
    nonce: bytes = b""
    expiry: int = 0

    def encode(self) -> bytes:
        """Return the canonical bytes that are signed."""
        return encode(_listed(asdict(self)))

    @classmethod
    def decode(cls, data: bytes) -> Question:
        """Read `encode`'s bytes. Raises ValueError when a field is missing, unknown or of another shape."""
        record = decode(data)
        if not isinstance(record, dict):
            raise ValueError("a question is a record")
        try:
            settings = Settings(**record.pop("settings"))
            inputs = tuple(StageInput(**{k: _tupled(v) for k, v in each.items()}) for each in record.pop("inputs"))
            given = {key: _tupled(value) for key, value in record.items()}
            question = cls(**given, settings=settings, inputs=inputs)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not the record of a question") from error
        for part in (question, settings, *inputs):
            if not all(fits(value, _KINDS[type(part)][key]) for key, value in vars(part).items()):
                raise ValueError("not the record of a question")
        listed = [*(columns for _, columns in question.local), *(each.columns for each in inputs)]
        if not all(is_type(type_) for columns in listed for _, type_ in columns):
            raise ValueError("a local table or an input has a column of no type")
        return question

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the signed record: names this very asking."""
        return digest(self.encode())


_KINDS: dict[type, dict[str, Any]] = {each: get_type_hints(each) for each in (Question, Settings, StageInput)}


def versions_of(data: bytes) -> tuple[str, str]:
    """Return (planner, software) of a question of any version, signed or not, each empty where it says nothing.

    Raises ValueError when it is no record.
    """
    record = decode(data)
    if not isinstance(record, dict):
        raise ValueError("a question is a record")
    planner, software = str(record.get("planner", "")), str(record.get("software", ""))
    return planner[:_MOST], software[:_MOST]


def _listed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_listed(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _listed(v) for k, v in value.items()}
    return value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value
