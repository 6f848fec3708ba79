"""What a party that runs writes into its audit log and, of it, into its operator's log."""

import logging
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from fedsql.cli import app
from fedsql.errors import DatabaseError, OperationalError
from fedsql.executors.roles.releases import Releases
from fedsql.privacy.audit import entries, verify

SQL = (
    "SELECT health, COUNT(DISTINCT person) AS n, SUM(visits) FILTER (WHERE age > 20) AS v FROM patients GROUP BY health"
)


def told(caplog, event, party="north"):
    """Return the fields of what the operator's log says of ``event`` at a party."""
    return [
        record.fields
        for record in (*caplog.get_records("setup"), *caplog.records)
        if getattr(record, "event", None) == event and record.fields.get("party") == party
    ]


@pytest.fixture(autouse=True)
def heard(caplog):
    caplog.set_level(logging.INFO, "fedsql")


def test_a_partys_life_stands_in_its_audit_log_with_each_head_in_the_operators(running, caplog):
    north = running.parties["north"]
    with closing(running.session()) as session:
        session.execute(SQL)
        with pytest.raises(DatabaseError):
            session.execute("SELECT SUM(visits) FROM north.patients")
    north.reload()
    north.close()
    found = list(entries(running.ledger("north")))
    assert [entry.event for entry in found] == ["started", "charged", "answered", "reloaded", "stopped"]
    started, _, answered, reloaded, stopped = found
    assert started.details["tables"] == ["patients"]
    assert started.details["policy"] == reloaded.details["policy"]
    assert started.details["policy"]["min_parties"] == 2
    assert set(stopped.details) == {"version"}
    assert answered.details["released"] == [
        {
            "columns": ["health", "count(DISTINCT person)", "sum(visits) FILTER (WHERE age > 20)"],
            "rows": 5,
            "slots": 5,
        }
    ]
    for event, entry in (("started", started), ("answered", answered), ("reloaded", reloaded), ("stopped", stopped)):
        (fields,) = told(caplog, event)
        assert fields["audit"] == entry.hash, event
        verify(running.ledger("north"), fields["audit"])
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["audit", "show", str(running.file("north"))])
    text = " ".join(shown.stdout.split())
    columns = "health, count(DISTINCT person), sum(visits) FILTER (WHERE age > 20)"
    assert f" released: columns={columns}; rows=5; slots=5 " in text
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_a_reload_that_cannot_be_noted_changes_nothing(running):
    north = running.parties["north"]
    offered, engine = north.party.offer(), north.party.engine
    file = running.file("north")
    file.write_text(file.read_text().replace("min_group_size = 10", "min_group_size = 50"))
    with closing(sqlite3.connect(running.ledger("north"))) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        with pytest.raises(OperationalError, match="disk full"):
            north.reload()
        assert (north.party.offer(), north.party.engine) == (offered, engine)
        db.execute("DROP TRIGGER full")
    north.reload()
    assert north.party.offer().release.min_group_size == 50


def test_the_operators_log_has_a_head_also_when_a_question_is_refused_or_fails(running, caplog, monkeypatch):
    with closing(running.session()) as session:
        monkeypatch.setattr(Releases, "run", lambda self, release: 1 / 0)
        with pytest.raises(OperationalError):
            session.execute(SQL)
        failed = [fields for name in running.parties for fields in told(caplog, "failed", name)]
        assert failed
    for fields in failed:
        refused = list(entries(running.ledger(fields["party"])))[-1]
        assert (refused.event, refused.hash) == ("refused", fields["audit"])


def test_only_a_log_that_cannot_be_written_is_passed_over(running, caplog, monkeypatch):
    """What cannot be noted for another reason is a mistake of ours: it must not look as if it had been noted."""
    monkeypatch.setattr(Releases, "run", lambda self, release: 1 / 0)
    for error in (OperationalError("the ledger failed: disk full"), TypeError("an audit entry cannot hold a set")):

        def note(*_, raised=error):
            raise raised

        with pytest.MonkeyPatch.context() as patch, closing(running.session()) as session:
            for party in running.parties.values():
                patch.setattr(party.party.ledger, "note", note)
            caplog.clear()
            with pytest.raises(OperationalError):
                session.execute(SQL)
            unnoted = [r for r in caplog.records if r.getMessage().endswith("the audit log cannot be written")]
            broken = [r for r in caplog.records if r.getMessage().endswith("a protocol failed")]
            assert bool(unnoted) == isinstance(error, OperationalError)
            assert bool(broken) == isinstance(error, TypeError)
