"""Puts this folder and the harness of `tests/equality` on the path."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "equality")]


@pytest.fixture(autouse=True, scope="module")
def keys(kept_keys: None) -> None:
    """Look at answers, whatever keys they came under."""
