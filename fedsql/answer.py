"""What a statement yields: the result, what must be said with it, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Sent:
    """One message of a query: its kind, who sent it to whom, its size in bytes, and whether it was sealed."""

    kind: str
    sender: str
    recipient: str
    size: int
    sealed: bool


@dataclass(frozen=True)
class Answer:
    """What a statement yields.

    ``table`` is the result (None: there is none); ``columns`` its (name, DuckDB type) pairs; ``notices`` what must be
    said with it; ``seconds`` wall time by stage; ``sent`` every message; ``epsilon`` what was charged at each party
    (None: one exact query); ``margins`` the half-width of the 95 % interval of each column that is a noisy aggregate;
    ``changed`` how many rows of a local table a statement has written (None: that is not said).
    """

    table: pa.Table | None = None
    columns: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    sent: tuple[Sent, ...] = ()
    query_id: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    margins: Mapping[str, float | None] = field(default_factory=dict)
    parties: tuple[str, ...] = ()
    changed: int | None = None


def listing(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Answer:
    """Return an answer that fedsql itself lists: whole numbers, decimal numbers, else text."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    types = [_type(column) for column in columns]
    arrays = [_array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return Answer(pa.Table.from_arrays(arrays, names=list(names)), tuple(zip(names, types, strict=True)))


def _type(column: Sequence[Any]) -> str:
    kinds = {type(value) for value in column if value is not None}
    return {frozenset({int}): "BIGINT", frozenset({float}): "DOUBLE"}.get(frozenset(kinds), "VARCHAR")


def _array(column: Sequence[Any], type_: str) -> pa.Array:
    if type_ == "VARCHAR":
        return pa.array([None if value is None else str(value) for value in column], pa.string())
    return pa.array(column, pa.int64() if type_ == "BIGINT" else pa.float64())
