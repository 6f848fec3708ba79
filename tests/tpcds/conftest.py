"""Puts this folder and the harness of `tests/equality` on the path."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "equality")]
