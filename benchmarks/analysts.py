"""Many analysts at once, each with an identity and a process of its own; every answer is compared with the right one."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fedsql.errors import Error
from fedsql.session import Session

_PATIENCE = 300.0  # seconds until all of them are ready
_begin: Barrier


class Asked(NamedTuple):
    """What one analyst lived through: the seconds of each answer, how many were wrong, and errors as texts."""

    seconds: list[float]
    wrong: int
    errors: list[str]


def agree(answer: pa.Table, expected: pa.Table) -> bool:
    """Say whether two results hold the same rows, in any order: doubles to 1e-9, all else exactly."""
    rows, wanted = (sorted(map(_parted, table.to_pylist()), key=repr) for table in (answer, expected))
    return [exact for exact, _ in rows] == [exact for exact, _ in wanted] and all(
        math.isclose(a, b, rel_tol=1e-9)
        for (_, some), (_, others) in zip(rows, wanted, strict=True)
        for a, b in zip(some, others, strict=True)
    )


def _parted(row: Mapping[str, object]) -> tuple[list[object], list[float]]:
    doubles = [value for value in row.values() if isinstance(value, float)]
    return [None if isinstance(value, float) else value for value in row.values()], doubles


def ask_at_once(shared: Path, analysts: int, seconds: float, expected: Mapping[str, pa.Table]) -> list[Asked]:
    """Let the analysts ask the questions of ``expected`` in turn for ``seconds``, each the next when one is answered."""
    spawn = multiprocessing.get_context("spawn")  # a fork would share the connections of this process
    begin = spawn.Barrier(analysts)
    with ProcessPoolExecutor(analysts, spawn, _set_up, (begin,)) as pool:  # the barrier: one analyst a process
        futures = [pool.submit(_ask, shared, number, seconds, dict(expected)) for number in range(analysts)]
        return [future.result() for future in futures]


def _set_up(begin: Barrier) -> None:
    global _begin
    _begin = begin


def _ask(shared: Path, number: int, seconds: float, expected: Mapping[str, pa.Table]) -> Asked:
    asked, wrong = Asked([], 0, []), 0
    session = Session.open(shared, f"analyst{number}")
    try:
        for sql in expected:  # its key is made by now, and nobody plans for the first time when the clock runs
            session.execute(sql)
        _begin.wait(_PATIENCE)
        until = time.perf_counter() + seconds
        texts = itertools.islice(itertools.cycle(expected), number % len(expected), None)
        while (start := time.perf_counter()) < until:
            sql = next(texts)
            try:
                answer = session.execute(sql).table
            except Error as error:
                asked.errors.append(str(error))
                continue
            asked.seconds.append(time.perf_counter() - start)
            wrong += not agree(answer, expected[sql])
    finally:
        session.close()
    return asked._replace(wrong=wrong)
