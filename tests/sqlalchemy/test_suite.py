"""SQLAlchemy's own suite for dialects, in a process of its own: its plugin changes how tests are collected and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent / "suite"


@pytest.mark.skipif("config.getoption('network')", reason="local tables are the same wherever messages go")
def test_nothing_of_the_suite_fails(tmp_path: Path) -> None:
    (tmp_path / "federation.toml").write_text('name = "nobody"\n[parties.north]\nconfig = "north.toml"\n')
    (tmp_path / "north.toml").write_text('name = "north"\n')
    url = f"fedsql:///{tmp_path}/federation.toml"
    options = ["-c", "setup.cfg", "--rootdir", ".", "--confcutdir", ".", "--dburi", url, "--tb=short"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=SUITE, capture_output=True, text=True, check=False
    )
    summary = ran.stdout.strip().splitlines()[-1]
    print(summary)
    assert ran.returncode == 0, ran.stdout[-5000:]
    passed = re.search(r"(\d+) passed", summary)
    assert passed, summary
    assert int(passed[1]) > 300, summary
