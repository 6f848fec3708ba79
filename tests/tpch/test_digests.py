"""Every party must derive the same plan in a process of its own: the digests of all plans, under two hash seeds.

The golden scripts have the same test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tpch.federation import generate, queries

DIGESTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tpch.federation import federation, queries
from fedsql.planner.question import Question
from fedsql.session import Session
session = Session.open(federation(Path(sys.argv[2])))
for sql in queries().values():
    question = Question("tpch", "analyst", sql, "2020-02-29 12:00:00")
    print(session.federation.directory.plan(question).digest.hex())
session.close()
"""


def test_plans_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    folder = generate(tmp_path, 0.001)
    examples = Path(__file__).parents[2] / "examples"
    seen = {
        subprocess.run(
            [sys.executable, "-c", DIGESTS, examples, folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    (digests,) = seen
    assert len(digests.split()) == len(queries())
