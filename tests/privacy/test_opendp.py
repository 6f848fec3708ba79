"""OpenDP as an oracle: what one honest party adds is the noise of a curator who has all rows, for the same epsilon."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import opendp.prelude as dp
import pyarrow as pa
import pytest
from laws import law, p_value

from fedsql.planner.sensitivity import Noise
from fedsql.privacy.mechanisms import DiscreteLaplace
from fedsql.session import Session

dp.enable_features("contrib")
SPACE = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
CASES = [("COUNT(*)", 1), ("SUM(small)", 100), ("SUM(large)", 500_000)]  # and what a unit adds at most
DRAWS = 20_000


@pytest.fixture(scope="module")
def session():
    columns = {name: {"use": ["aggregate"], "bounds": [0, most]} for name, most in (("small", 100), ("large", 500_000))}
    source = {"source": pa.table({"small": [1], "large": [1]}), "columns": columns}
    party = {"tables": {"t": source}, "release": {"noise": "required", "noise_colluders": 1}}
    with closing(Session.open({"name": "oracle", "parties": {"a": party, "b": party}})) as opened:
        yield opened


def planned(session: Session, call: str, epsilon: float) -> Noise:
    """Return the noise of an aggregate over two parties of which one may collude: the other's share is all of it."""
    session.execute(f"SET epsilon = {epsilon}")
    (release,) = session._plan(f"SELECT {call} AS a FROM t", ())[0].releases
    (noise,) = release.noise
    assert (noise.honest, noise.parties) == (1, 2)
    assert isinstance(noise.mechanism, DiscreteLaplace)
    return noise


@pytest.mark.parametrize("epsilon", [1.0, 0.25])
@pytest.mark.parametrize(("call", "most"), CASES)
def test_the_scale_is_opendps(session, call, most, epsilon):
    """Sums of more than 1,000 steps are rounded to a grid, which costs a step; the ledger's conversion less than 1e-4."""
    noise = planned(session, call, epsilon)
    central = dp.binary_search_param(lambda s: SPACE >> dp.m.then_laplace(s), d_in=most, d_out=epsilon, T=float)
    scale = noise.grid / noise.mechanism.rate
    assert scale == pytest.approx(central, rel=1e-4 if noise.grid == 1 else 2**-9)
    assert scale >= central * (1 - 1e-9)
    if noise.grid == 1:  # and so is the cost
        assert (SPACE >> dp.m.then_laplace(scale)).map(most) == pytest.approx(epsilon, rel=1e-4)


@pytest.mark.parametrize(("call", "most"), CASES[:2])
def test_draws_of_opendp_follow_the_law_of_the_share(session, call, most):
    mechanism = planned(session, call, 1.0).mechanism
    exact = law(mechanism, 1, 1)
    theirs = (SPACE >> dp.m.then_laplace(float(most)))([0] * DRAWS)
    assert p_value(np.array(theirs), *exact) > 1e-6
    assert p_value(mechanism.share(1, DRAWS), *exact) > 1e-6
    other = (SPACE >> dp.m.then_laplace(1.2 * most))([0] * DRAWS)
    assert p_value(np.array(other), *exact) < 1e-6
