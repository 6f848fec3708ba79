"""Noised sums that a party holds, so that a question which is asked again is answered again and charged once.

Whoever asks the same question of the same data may see the same answer once more: it tells nothing new (post-processing).
So each party holds what it sent, noise and all, under everything that it depends on: the plan with its noise and
contributors, the analyst, the stage inputs, and the version of its own data. In its hello it names the attempt that it
holds. Only where all contributors name the same one is it used, under fresh masks; else all draw anew, and charge.

Held are releases whose groups are public: where groups are unknown, noise decides about slots that are drawn anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fedsql.codec import decode, digest, encode
from fedsql.executors.protocol.contribute import held
from fedsql.executors.protocol.conversation import Context
from fedsql.executors.protocol.outline import GroupPartials
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.question import Question

_NAME_BYTES = 16


@dataclass(frozen=True)
class Held:
    """What an attempt, ``run``, sent of each release: its columns."""

    run: bytes
    parts: tuple[GroupPartials, ...]


def is_holdable(plan: Plan) -> bool:
    """Say whether what is sent for a plan's releases can be held: noisy sums of public groups alone."""
    return bool(plan.releases) and all(
        release.noise is not None
        and release.domain is not None
        and release.join is None
        and not any(p.tagged for p in release.partials)
        for release in plan.releases
    )


def held_under(question: Question, plan: Plan, data_version: str) -> bytes:
    """Return the digest of everything that an answer depends on at one party."""
    inputs = [asdict(each) for each in question.inputs]
    return digest(["held", question.analyst, plan.digest, question.stage, inputs, data_version])


def run_of(context: Context) -> bytes:
    """Return what names an attempt."""
    return encode([context.query_id, context.attempt])


def name_of(run: bytes, context: Context) -> bytes:
    """Return the name of the attempt ``run`` in this one: only who knows it can tell that two parties mean the same."""
    return hashlib.sha256(run + context.bind("holds")).digest()[:_NAME_BYTES]


def packed(parts: Sequence[GroupPartials]) -> bytes:
    """Return the columns of releases as bytes."""
    return encode([[[column.shape[1], column.tobytes()] for column in part.columns] for part in parts])


def unpacked(data: bytes, releases: Sequence[ReleasePlan]) -> tuple[GroupPartials, ...]:
    """Return what `packed` was given."""
    found = []
    for release, columns in zip(releases, decode(data), strict=True):
        assert release.domain is not None
        arrays = [np.frombuffer(text, np.uint8).reshape(len(release.domain), width) for width, text in columns]
        found.append(held(release.domain, arrays))
    return tuple(found)
