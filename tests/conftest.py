"""What holds for every test: Hypothesis never fails for slowness, which on a shared machine says nothing about the code.

With --network every federation that a test opens has a real coordinator between its participants.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
