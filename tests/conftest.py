"""What holds for every test: Hypothesis never fails for slowness, which on a shared machine says nothing about the code.

With --network every federation that a test opens has a real coordinator between its participants.
"""

import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fedsql.crypto.paillier import PublicKey, generate
from fedsql.executors.roles import analyst

sys.path.insert(0, str(Path(__file__).parent))  # for what tests of several folders share
settings.register_profile("fedsql", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("fedsql")


def pytest_addoption(parser):
    parser.addoption("--network", action="store_true", help="ask every question over the network transport")
    parser.addoption("--frames", type=int, default=2000, help="how many random frames tests/network/test_fuzz.py sends")


@pytest.fixture(autouse=True, scope="session")
def transport(request):
    if not request.config.getoption("--network"):
        yield
        return
    spec = importlib.util.spec_from_file_location("over_network", Path(__file__).with_name("over_network.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedsql.executors.connecting.EmbeddedFederation", module.OverNetwork)
        yield


_generate, _from_n = cache(generate), cache(PublicKey.from_n)


@pytest.fixture(scope="module")
def kept_keys() -> Iterator[None]:
    """Let all analysts of a process have one Paillier key, and all parties one table for it: they cost a third of a second.

    For folders that open many federations and look at answers alone.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyst, "generate", _generate)
        patch.setattr(PublicKey, "from_n", staticmethod(_from_n))
        yield
