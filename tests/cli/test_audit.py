"""`fedsql audit`: what an auditor types and reads."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedsql.cli import app
from fedsql.errors import BudgetExhausted
from fedsql.privacy.ledger import Charge, Ledger, Limits

RUNNER = CliRunner(env={"COLUMNS": "80"})
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LIMITS = Limits(1.0, 1.5, 1e-6, 30 * 86_400.0, 1, 30 * 86_400.0)
SQL = "SELECT region, avg(age), stddev(age), count(DISTINCT patient_id) FROM patients\n-- all\x1b[2J\nWHERE age > ? GROUP BY 1"
NOTE = {"sql": SQL, "parameters": (("INTEGER", "17"),), "contributors": (("north", "south"),)}
SHOWN = """\
     1  2026-01-01T00:00:00Z  started
        version: 0.1.0
     2  2026-01-01T00:00:01Z  charged  ada  11111111/1
        sql: SELECT region, avg(age), stddev(age), count(DISTINCT patient_id)
          FROM patients
          -- all\\x1b[2J
          WHERE age > ? GROUP BY 1
        contributors: ["north", "south"]
        cost: queries=1, queries_used=1
        data_version: v1
        parameters: ["INTEGER", "17"]
        tables: patients
     3  2026-01-01T00:00:01Z  answered  ada  11111111/1
        bytes: 6
        slots: 4
     4  2026-01-01T00:00:02Z  refused  bob  22222222/1
        sql: SELECT region, avg(age), stddev(age), count(DISTINCT patient_id)
          FROM patients
          -- all\\x1b[2J
          WHERE age > ? GROUP BY 1
        reason: the quota of 0 exact queries per 30 days for analyst 'bob' is
          used up: 0 used, 0 left; nothing has been spent that could be freed
        contributors: ["north", "south"]
        data_version: v1
        parameters: ["INTEGER", "17"]
        tables: patients
"""


def run(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["audit", *map(str, arguments)])


def charge(number: int, analyst: str) -> Charge:
    key = bytes([17 * number]) * 16
    return Charge(key, 1, analyst, ("patients",), key * 2, "v1", NOW + number, None)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A party's state beside its file, after a question that was answered and one that was refused."""
    (tmp_path / "north.toml").write_text('name = "north"\n')
    folder = tmp_path / ".fedsql" / "north"
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.note("started", {"version": "0.1.0"}, NOW)
        one, two = charge(1, "ada"), charge(2, "bob")
        ledger.charge(one, LIMITS, NOTE)
        ledger.finish(one.query_id, 1, b"q" * 32, b"vector", NOW + 3600, NOW + 1, {"slots": 4})
        with pytest.raises(BudgetExhausted):
            ledger.charge(two, Limits(1.0, 1.5, 1e-6, 30 * 86_400.0, 0, 30 * 86_400.0), NOTE)
    return folder


def head(state: Path) -> str:
    return json.loads(run("show", state, "--format", "json").stdout.splitlines()[-1])["hash"]


@pytest.mark.parametrize("arguments", [(), ("verify",), ("show",)])
def test_help_fits_80_columns(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_sound_log_says_how_long_it_is_and_its_head(state: Path) -> None:
    for place in (state, state.parent.parent / "north.toml"):
        for expected in ((), ("--expect", head(state)), ("--expect", head(state).upper())):
            result = run("verify", place, *expected)
            assert (result.exit_code, result.stdout) == (0, f"entries 4\nhead    {head(state)}\n")
            assert result.stderr == ""


def test_a_log_that_was_changed_is_1_and_the_first_bad_entry_is_named(state: Path) -> None:
    noted = head(state)
    db = sqlite3.connect(state / "ledger.sqlite")
    db.execute("DELETE FROM audit WHERE seq = 4")
    db.commit()
    assert run("verify", state).exit_code == 0
    result = run("verify", state, "--expect", noted)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no entry of the audit log has the hash" in " ".join(result.stderr.split())
    db.execute("UPDATE audit SET record = replace(record, 'ada', 'bob') WHERE seq = 2")
    db.commit()
    db.close()
    result = run("verify", state)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "entry 2 of the audit log was altered" in " ".join(result.stderr.split())


def test_the_table_is_for_people_and_cannot_steer_their_terminal(state: Path) -> None:
    result = run("show", state)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == SHOWN
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json_lines_hold_everything(state: Path) -> None:
    result = run("show", state.parent.parent / "north.toml", "--format", "json")
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert [entry["event"] for entry in entries] == ["started", "charged", "answered", "refused"]
    assert entries[1]["sql"] == SQL
    assert entries[1]["query_id"] == "11" * 16
    assert entries[1]["cost"] == {"queries": 1, "queries_used": 1}
    assert all(len(entry["hash"]) == 64 for entry in entries)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("--analyst", "bob"), [4]),
        (("--event", "charged"), [2]),
        (("--query", "1111"), [2, 3]),
        (("--since", "2026-01-01T00:00:02"), [4]),
        (("--since", "2026-01-01T01:00:01+01:00"), [2, 3, 4]),
        (("--since", "2026-01-01"), [1, 2, 3, 4]),
        (("--since", "2026-01-01T00:00:00Z", "--analyst", "ada", "--event", "answered"), [3]),
    ],
)
def test_the_filters(state: Path, filters: tuple[str, ...], expected: list[int]) -> None:
    lines = run("show", state, "--format", "json", *filters).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == expected


def test_nothing_found_is_said_aside(state: Path) -> None:
    result = run("show", state, "--analyst", "eve")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "(no such entries)\n")


def test_reading_leaves_the_state_as_it_was(state: Path) -> None:
    before = {file.name: file.read_bytes() for file in state.iterdir()}
    run("verify", state)
    run("show", state)
    assert {file.name: file.read_bytes() for file in state.iterdir()} == before


def test_reading_while_the_party_runs(state: Path) -> None:
    with Ledger(state / "ledger.sqlite") as ledger:
        noted = ledger.note("reloaded", {}, NOW)
        assert run("verify", state, "--expect", noted).exit_code == 0
        assert json.loads(run("show", state, "--format", "json", "--event", "reloaded").stdout)["hash"] == noted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "Missing argument 'PARTY'"),
        (("verify", "{state}", "--expect", "12"), "a hash has 64 hexadecimal digits"),
        (("show", "{state}", "--since", "tomorrow"), "write a time such as 2026-01-31"),
        (("show", "{state}", "--format", "xml"), "'xml' is not one of 'table', 'json'"),
        (("verify", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("show", "{state}/.."), "ledger.sqlite: there is no ledger: the party has not run yet"),
    ],
)
def test_wrong_usage_is_2_and_says_what_would_be_right(state: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(*(argument.format(state=state) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())
