"""What analysts may spend at one party, and whether a question still fits: read from the table `charges`.

Exact questions draw on a quota of distinct questions, noisy ones on epsilon; both are limited over a sliding period. The
functions run inside a transaction of the ledger, so what they found still holds when the charge is written.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fedsql.errors import BudgetExhausted
from fedsql.privacy.accounting import ORDERS, to_epsilon

_DAY = 86_400.0
_LEAST = 0.001  # epsilon below which no answer is worth asking for


@dataclass(frozen=True)
class Charge:
    """One attempt at one question. ``rdp`` is its curve over accounting.ORDERS, None for an exact answer.

    ``question`` is the 32-byte digest of the normalised question, ``time`` the party's clock in seconds, ``answers`` how
    many releases an exact question has: each counts as a query; ``delta`` the probability that what groups are shown tells
    of one unit, which comes on top of the curve.
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
    delta: float = 0.0


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

    @property
    def left(self) -> float:
        """The epsilon that the analyst can still spend."""
        return min(self.epsilon_left, self.total_left)


def cost(db: sqlite3.Connection, charge: Charge, limits: Limits) -> dict[str, float]:
    """Return what ``charge`` costs and what its analyst will have used with it, named as the audit log names them.

    Raises BudgetExhausted when it does not fit ``limits``.
    """
    return _cost_exact(db, charge, limits) if charge.rdp is None else _cost_noisy(db, charge, limits)


def spent(db: sqlite3.Connection, analyst: str, limits: Limits, now: float) -> Spent:
    """Return where ``analyst`` stands at the time ``now``."""
    own = _curve(db, now - limits.budget_period, analyst)
    everyone = _curve(db, now - limits.budget_period, None)
    asked = _questions(db, now - limits.quota_period, analyst)
    queries = sum(answers for _, answers in asked.values())
    epsilon, total = (_epsilon(each.rdp, limits.delta - each.delta) for each in (own, everyone))
    return Spent(
        epsilon_spent=epsilon,
        epsilon_left=max(0.0, limits.epsilon - epsilon),
        total_left=max(0.0, limits.total_epsilon - total),
        queries_used=queries,
        queries_left=max(0, limits.queries - queries),
    )


def _cost_exact(db: sqlite3.Connection, charge: Charge, limits: Limits) -> dict[str, float]:
    asked = _questions(db, charge.time - limits.quota_period, charge.analyst)
    used = sum(answers for _, answers in asked.values())
    if (charge.question, charge.data_version) in asked:
        return {"queries": 0, "queries_used": used}
    if used + charge.answers <= limits.queries:
        return {"queries": charge.answers, "queries_used": used + charge.answers}
    needed = f", {charge.answers} needed" if charge.answers > 1 else ""
    freed = _freed(min((last for last, _ in asked.values()), default=None), limits.quota_period)
    raise BudgetExhausted(
        f"the quota of {limits.queries} exact queries per {_span(limits.quota_period)} for analyst"
        f" {charge.analyst!r} is used up: {used} used, {max(0, limits.queries - used)} left{needed}; {freed}",
        hint="A question already asked of unchanged data is not counted again.",
    )


def _cost_noisy(db: sqlite3.Connection, charge: Charge, limits: Limits) -> dict[str, float]:
    assert charge.rdp is not None
    since = charge.time - limits.budget_period
    used = {}
    for whose, name, analyst, limit in (
        (f"for analyst {charge.analyst!r}", "epsilon_spent", charge.analyst, limits.epsilon),
        ("for all analysts together", "total_spent", None, limits.total_epsilon),
    ):
        known = _curve(db, since, analyst)
        used[name] = after = _epsilon(known.rdp + np.array(charge.rdp), limits.delta - known.delta - charge.delta)
        if not after <= limit:
            before, oldest = _epsilon(known.rdp, limits.delta - known.delta), known.oldest
            raise BudgetExhausted(
                f"the budget of epsilon {limit:g} per {_span(limits.budget_period)} {whose} does not allow this:"
                f" {before:.3g} spent, {max(0.0, limit - before):.3g} left, {after:.3g} with this question;"
                f" {_freed(oldest, limits.budget_period)}",
                hint=_fitting(limit - before),
            )
    return {"epsilon": _epsilon(charge.rdp, limits.delta - charge.delta), "delta": charge.delta, **used}


@dataclass(frozen=True)
class _Known:
    """What was charged: the sums of the curves and of the deltas, and the time of the oldest charge."""

    rdp: NDArray[np.float64]
    delta: float
    oldest: float | None


def _epsilon(rdp: Sequence[float] | NDArray[np.float64], delta: float) -> float:
    """Return the epsilon of a curve at what is left of delta: infinite where nothing is."""
    return to_epsilon(rdp, delta) if delta > 0 else math.inf


def _curve(db: sqlite3.Connection, since: float, analyst: str | None) -> _Known:
    """Return what the noisy charges after ``since`` (of all analysts: None) add up to."""
    rows = db.execute(
        "SELECT rdp, time, delta FROM charges WHERE rdp IS NOT NULL AND time > ? AND (analyst = ? OR ? IS NULL) ORDER BY time",
        (since, analyst, analyst),
    ).fetchall()
    curves = np.frombuffer(b"".join(row[0] for row in rows), "<f8").reshape(len(rows), len(ORDERS))
    return _Known(curves.sum(axis=0), math.fsum(row[2] for row in rows), rows[0][1] if rows else None)


def _questions(db: sqlite3.Connection, since: float, analyst: str) -> dict[tuple[bytes, str], tuple[float, int]]:
    """Return the distinct exact questions of ``analyst`` after ``since``: when each was last asked, and its answers."""
    rows = db.execute(
        "SELECT question, data_version, max(time), max(answers) FROM charges"
        " WHERE rdp IS NULL AND time > ? AND analyst = ? GROUP BY question, data_version",
        (since, analyst),
    )
    return {(question, version): (last, answers) for question, version, last, answers in rows}


def _fitting(left: float) -> str:
    """Return which epsilon fits into what is left: curves add up to less than their epsilons do."""
    if left < _LEAST:
        return "Too little is left for any question until then."
    digit = 10.0 ** (1 - math.floor(math.log10(left)))
    fits = math.floor(left * digit) / digit
    return f"SET epsilon = {fits:g} or less fits here, and gives a noisier answer."


def _freed(oldest: float | None, period: float) -> str:
    if oldest is None:
        return "nothing has been spent that could be freed"
    when = datetime.fromtimestamp(math.ceil(oldest + period), UTC)
    return f"the oldest charge is freed on {when:%Y-%m-%dT%H:%M:%SZ}"


def _span(period: float) -> str:
    return f"{period / 3600:g} hours" if period % _DAY else f"{period / _DAY:g} days"
