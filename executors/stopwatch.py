"""Seconds spent in each stage of a query, for the shell's footer and the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OnStage = Callable[[str, int | None], None]  # (stage, place in its queue)


@dataclass
class Rest:
    """What a step turns out to have been about."""

    name: str = "handshake"


class Stopwatch:
    """Adds up wall seconds by stage. Stages do not nest; several participants may share one watch.

    ``on_stage`` is told each stage that begins, and the place in a queue.
    """

    def __init__(self, on_stage: OnStage | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage
        self._entered: tuple[str, int | None] | None = None

    def beside(self, on_stage: OnStage | None = None) -> Stopwatch:
        """Return a watch for another participant: it adds to the same seconds and tells its own stages."""
        watch = Stopwatch(on_stage)
        watch.seconds = self.seconds
        return watch

    def enter(self, stage: str, place: int | None = None) -> None:
        """Tell that ``stage`` begins, or the ``place`` in its queue."""
        if self._on_stage is not None and (stage, place) != self._entered:
            self._entered = stage, place
            self._on_stage(stage, place)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the body as part of ``stage``."""
        self.enter(stage)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    @contextmanager
    def rest(self) -> Iterator[Rest]:
        """Time the body, less the stages timed within it; the body says afterwards what it was about."""
        rest, before, start = Rest(), sum(self.seconds.values()), time.perf_counter()
        try:
            yield rest
        finally:
            within = sum(self.seconds.values()) - before
            spent = time.perf_counter() - start - within
            self.seconds[rest.name] = self.seconds.get(rest.name, 0.0) + spent
