"""What an answer says about itself, and the words for it that EXPLAIN uses, too.

It follows from the query alone, never from the data: that there are groups which are not shown is said whether there are any
or not.
"""

from __future__ import annotations

from fedsql.planner.plans import Plan, ReleasePlan


def notices(plan: Plan) -> tuple[str, ...]:
    """Return what an answer says about itself. It follows from the query alone, never from the data."""
    found = []
    for release in plan.releases:
        terms = release.terms
        if release.missing:
            found.append(f"Without {', '.join(release.missing)}, which could not be reached (allow_missing).")
        if terms.noisy:
            found.append(
                f"Every value carries noise (epsilon {plan.epsilon:.4g} for this query, delta {plan.delta:g})."
            )
            if plan.accuracy is not None and _lone(plan):
                accuracy = f"{100 * plan.accuracy:.3g} %"
                found.append(f"The accuracy of {accuracy} is that of a group of all rows; small groups are less exact.")
            if release.noise_of_units is not None and release.circuit is not None:
                least = units(release, release.circuit.tests[0])
                found.append(f"Groups of fewer than about {least}, by a noisy count, if any, are not shown.")
            if not all(offer.unit_unique for offer in release.leaf.offers):
                rows = "1 row" if release.unit.rows == 1 else f"{release.unit.rows} rows"
                found.append(f"Of each unit at most {rows} at a party count, drawn at random (max_rows_per_unit).")
        elif terms.hides:
            what = "groups" if release.release.keys else "results"
            few = f"fewer than {units(release, terms.min_group_size)}" if terms.min_group_size > 1 else ""
            lone = f"from fewer than {terms.min_parties} parties" if terms.min_parties > 1 else ""
            if few and release.both_sides:
                few += f" (or of all but fewer than {terms.min_group_size})"
            text = f"{what.capitalize()} of {' or '.join(t for t in (few, lone) if t)}, if any, are not shown"
            if terms.min_group_size > 1 and release.circuit is not None and release.circuit.cells:
                text += f"; values that rest on fewer than {terms.min_group_size}, if any, are NULL"
            found.append(text + ".")
            if release.after:
                found.append("Totals from which hidden groups could be calculated, if any, are not shown either.")
    return tuple(dict.fromkeys(found))


def _lone(plan: Plan) -> str:
    """Say what an accuracy is of where nobody knows beforehand how many groups there are."""
    return " if all rows were one group" * any(r.domain is None and r.terms.noisy for r in plan.releases)


def least_epsilon(plan: Plan) -> str:
    """Say what accuracy an epsilon was derived from, and of what: nobody may look at the values beforehand."""
    if plan.accuracy is None:
        return ""
    outputs = (output for r in plan.releases if r.terms.noisy for output in r.outputs)
    middle = " where values are in the middle of their bounds" * any(o.function != "count" for o in outputs)
    return f" (the least for an accuracy of {100 * plan.accuracy:.3g} %{middle}{_lone(plan)})"


def units(release: ReleasePlan, count: int) -> str:
    """Say ``count`` of what a release protects: rows, or units by the name of their column."""
    names = {offer.privacy_unit for offer in release.leaf.offers}
    (name,) = names if len(names) == 1 else ("units",)
    if name is None or name == "units":
        return f"{count} {name or 'rows'}"
    return f"{count} units ({name.rpartition('.')[2]})"
