"""Golden scripts: one statement each, with its plan after every stage that changed it, and its rows.

A script under `scripts/` is the statement, then blocks headed `== name`: the stages in order, and last `== rows`, as
fedsql prints them. FEDSQL_REWRITE_GOLDEN=1 writes all blocks anew: read the difference before it is committed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from fedsql.config.values import AGGREGATES, UNLISTED_AGGREGATES
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.session import Session

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.sql"))
REWRITE = "FEDSQL_REWRITE_GOLDEN"


ALL = [*AGGREGATES, *UNLISTED_AGGREGATES]
REGIONS = pa.table({"code": ["a", "b", "c"], "name": ["Alps", "Bay", "Coast"], "beds": [10, 20, 30]})


def federation():
    """Return two hospitals with a public table of regions, and a laboratory.

    `region` is a public list of values; `charges` is a DOUBLE with bounds; ids repeat in `visits`, and are of the same people
    in the laboratory's `tests`.
    """
    people = {
        "north": ([1, 2, 3, 4, 5, 6], "FFMMFM", "ababab", [30, 41, None, 52, 67, 70], [1.5, 2.25, 0, 8, None, 100]),
        "south": ([1, 2, 3, 4, 5], "FMMFF", "bbbab", [19, 33, 45, 45, 81], [0.5, 7.75, 3, 3, 60]),
    }
    visits = {"north": ([1, 1, 2, 3, 3, 3], [1, 2, 3, 4, 5, 6]), "south": ([1, 2, 2, 4], [7, 8, 9, 10])}
    columns = {
        name: {"use": ["group", "filter", "aggregate", "join"]} for name in ("id", "sex", "region", "age", "charges")
    }
    columns["region"]["values"] = ["a", "b"]
    columns["age"]["bounds"] = [0, 120]
    columns["charges"]["bounds"] = [0, 100]
    parties = {}
    for party, (ids, sexes, regions, ages, charges) in people.items():
        held = {
            "id": ids,
            "sex": list(sexes),
            "region": list(regions),
            "age": ages,
            "charges": pa.array(charges, pa.float64()),
        }
        rows = dict(zip(("patient", "day"), visits[party], strict=True))
        parties[party] = {
            "tables": {
                "patients": {"source": pa.table(held), "privacy_unit": "id", "columns": columns},
                "visits": {
                    "source": pa.table(rows),
                    "privacy_unit": "patient",
                    "references": {"patient": "patients.id"},
                    "columns": {name: {"use": ["group", "filter", "aggregate", "join"]} for name in rows},
                },
                "regions": {"source": REGIONS, "public": True, "columns": {"code": {}, "name": {}, "beds": {}}},
            },
            "release": {"min_group_size": 2, "min_parties": 1, "allow_alone": True, "aggregates": ALL},
        }
    tests = {"person": [1, 3, 4, 9, 10, 11, 12], "kind": list("xxyxyxy"), "level": [7, 12, 4, 3, 0, None, 8]}
    parties["lab"] = {
        "tables": {
            "tests": {
                "source": pa.table(tests),
                "privacy_unit": "person",
                "columns": {name: {"use": ["group", "filter", "aggregate", "join"]} for name in tests},
            }
        },
        "release": {"min_group_size": 2, "min_parties": 1, "aggregates": ALL},
    }
    parties["lab"]["tables"]["tests"]["columns"]["level"]["bounds"] = [0, 20]
    return {"name": "golden", "parties": parties}


@pytest.fixture(scope="module")
def session():
    opened = Session.open(federation())
    yield opened
    opened.close()


def asked(sql: str) -> Question:
    return Question("golden", "analyst", sql, "2020-02-29 12:00:00")


def planned(session: Session, sql: str) -> Plan:
    plan: Plan = session.federation.directory.plan(asked(sql))
    return plan


def rendered(session: Session, sql: str) -> str:
    """Return the blocks of a script."""
    stages = [(name, text) for name, text in session.federation.directory.stages(asked(sql)) if name != "parse"]
    answer = session.execute(sql)
    header = " | ".join(f"{name} {type_}" for name, type_ in answer.columns)
    rows = zip(*(column.to_pylist() for column in answer.table.columns), strict=True)
    listed = [" | ".join("NULL" if value is None else str(value) for value in row) for row in rows]
    if "order by" not in sql.lower():
        listed.sort()
    return "\n\n".join(f"== {name}\n{text}" for name, text in [*stages, ("rows", "\n".join([header, *listed]))]) + "\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(session, script):
    text = script.read_text(encoding="utf-8")
    sql = text.split("\n== ")[0].strip()
    expected = f"{sql}\n\n{rendered(session, sql)}"
    if os.environ.get(REWRITE):
        script.write_text(expected, encoding="utf-8")
    assert text == expected


def test_there_are_scripts():
    assert len(SCRIPTS) >= 12


def test_every_rule_has_a_script():
    rules = {path.stem for path in (Path(__file__).parents[2] / "planner" / "rules").glob("*.py")} - {"__init__"}
    stages = {
        line[3:].split(" (")[0] for path in SCRIPTS for line in path.read_text().splitlines() if line.startswith("== ")
    }
    assert rules <= stages


DIGESTS = """
import importlib.util, sys
from fedsql.session import Session
spec = importlib.util.spec_from_file_location("golden", sys.argv[1])
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)
session = Session.open(golden.federation())
for script in golden.SCRIPTS:
    print(golden.planned(session, script.read_text().split("\\n== ")[0].strip()).digest.hex())
session.close()
"""


def test_plans_do_not_depend_on_the_hash_seed(session):
    """Every party must derive the same plan in a process of its own; this one has a hash seed of its own."""
    digests = subprocess.run(
        [sys.executable, "-c", DIGESTS, __file__],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert digests == [
        planned(session, script.read_text().split("\n== ")[0].strip()).digest.hex() for script in SCRIPTS
    ]
