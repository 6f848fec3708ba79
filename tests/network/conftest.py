"""Puts this folder on the path, so that its tests share `world`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import NAMES, Network


@pytest.fixture
def network(tmp_path):
    """A federation of files; processes are started by the test."""
    made = Network(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A federation whose coordinator and parties all run."""
    made = Network(tmp_path_factory.mktemp("running"))
    made.start("coordinator", *NAMES)
    yield made
    made.close()
