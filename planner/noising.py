"""Noise of a whole statement: all its releases together cost the epsilon that was set, or the least for an accuracy.

The accuracy is relative: how far (95 %) a value may be off from what it would be in groups of even size, of all rows, with
values in the middle of their bounds. Nothing but public sizes and bounds is looked at, so it costs nothing to ask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from fedsql.crypto.circuit import Circuit
from fedsql.errors import DataError
from fedsql.planner.partials import Output, Partial
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.question import Settings
from fedsql.planner.sensitivity import calibrated, curve, off_by, tau

_OF_DELTA = 2.0**-10  # what deciding about the groups of one release takes of the budget's delta
_UNITS = Partial("units", (), 0, 8, once=True)  # the noisy number of units that a group is shown by
_STEPS = range(-160, 113)  # epsilon 2^(step / 16), from 1/1024 to 128


def with_noise(made: Plan, settings: Settings) -> Plan:
    """Calibrate the noisy releases of a statement together. Raises DataError where no noise fits what was set."""
    noisy = [r for r in made.releases if r.terms.noisy]
    if not noisy:
        return made
    delta = min(r.terms.delta for r in noisy)
    epsilon = settings.epsilon
    if settings.accuracy is not None:
        epsilon = _least(noisy, settings.accuracy, delta)
    found = iter(_noised(noisy, epsilon, delta))
    releases = tuple(next(found) if r.terms.noisy else r for r in made.releases)
    return replace(
        made,
        releases=releases,
        epsilon=epsilon,
        delta=delta,
        rdp=curve([n for r in releases for n in r.all_noise]),
        delta_of_groups=delta * _OF_DELTA * sum(r.noise_of_units is not None for r in releases),
        accuracy=settings.accuracy,
    )


def _noised(noisy: Sequence[ReleasePlan], epsilon: float, delta: float) -> list[ReleasePlan]:
    """Return the releases with their noise, and with the test of a group's units where its key is unknown."""
    unknown = [r.domain is None for r in noisy]
    given = [(*r.partials, *([_UNITS] if u else [])) for r, u in zip(noisy, unknown, strict=True)]
    left = delta * (1 - _OF_DELTA * sum(unknown))
    shapes = [(partials, r.unit, r.terms, len(r.contributors)) for r, partials in zip(noisy, given, strict=True)]
    made = []
    for release, noise, own in zip(noisy, calibrated(shapes, epsilon, left), unknown, strict=True):
        if not own:
            made.append(replace(release, noise=noise))
            continue
        least, shared = tau(noise[-1], release.unit, delta * _OF_DELTA), release.join is not None
        circuit = Circuit((least,), (0,), noisy=True, shared=shared)
        made.append(replace(release, noise=noise[:-1], noise_of_units=noise[-1], circuit=circuit))
    return made


def _least(noisy: Sequence[ReleasePlan], accuracy: float, delta: float) -> float:
    """Return the least epsilon, in steps of 4.4 %, at which every value is as accurate as was asked."""

    def error(step: int) -> float:
        try:
            made = _noised(noisy, 2.0 ** (step / 16), delta)
        except DataError:
            return float("inf")
        return max(relative_error(release, output) for release in made for output in release.outputs)

    at = bisect_left(_STEPS, True, key=lambda step: error(step) <= accuracy)
    if at == len(_STEPS):
        raise DataError(
            f"no epsilon reaches an accuracy of {100 * accuracy:.3g} %: at epsilon {2.0 ** (_STEPS[-1] / 16):g} it is"
            f" {100 * error(_STEPS[-1]):.3g} %",
            hint="SET accuracy to more, or ask for fewer groups",
        )
    return float(2.0 ** (_STEPS[at] / 16))


def relative_error(release: ReleasePlan, output: Output) -> float:
    """Return the half-width of the 95 % interval over the value itself, in a group of even size; see above."""
    assert release.noise is not None
    noise = dict(zip((p.name for p in release.partials), release.noise, strict=True))
    partials = {p.name: p for p in release.partials}
    # Public sizes are powers of two above the true ones: half of each is there for certain.
    rows = max(1.0, sum(offer.rows for offer in release.leaf.offers) / 2 / max(1, len(release.domain or ((),))))
    first = noise[output.partials[0]].error95
    if output.ranges is not None:
        ranges, unit = output.ranges, abs(float(output.units[0]))
        middle = (ranges.low + ranges.count * ranges.width / 2) * unit + float(output.offsets[0])
        off = ranges.even_error(off_by(output, noise[output.partials[0]]), rows) * unit
        return off / (abs(middle) or ranges.count * ranges.width * unit / 2)
    if output.function == "count":
        return first / rows
    units = [float(unit) for unit in output.units]
    sums = output.partials[1:] if output.function == "avg" else output.partials
    half = sum(noise[name].error95 * abs(unit) for name, unit in zip(sums, units, strict=True))
    middle = sum((partials[n].low + partials[n].high) / 2 * unit for n, unit in zip(sums, units, strict=True))
    widest = sum(max(abs(partials[n].low), abs(partials[n].high)) * abs(u) for n, u in zip(sums, units, strict=True))
    middle = abs(middle + float(sum(output.offsets))) or widest / 2 or 1.0
    if output.function == "sum":
        return half / rows / middle
    return (half + first * widest) / rows / middle
