"""Puts the harness of `tests/equality` and the example on the path."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "equality"), str(TESTS.parent / "examples")]
