"""Puts this folder on the path, so that its tests share `toys`; sees that no test leaves a thread behind."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toys import Toys, no_thread_left


@pytest.fixture(autouse=True, scope="module")
def no_thread_of_the_module_left():
    with no_thread_left():
        yield


@pytest.fixture
def make():
    made = []

    def toys(**options):
        made.append(Toys(**options))
        return made[-1]

    with no_thread_left():
        yield toys
        for each in made:
            each.close()
