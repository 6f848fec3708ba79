"""A party plans the analyst's text itself: what takes too much there is refused, and the party stays as it is."""

import sys
from contextlib import closing
from dataclasses import replace

import pytest
from world import NAMES, SQL, WHOLE

from fedsql.errors import TooComplex
from fedsql.executors.roles.analyst import Analyst
from tests.memory import ROOM, TOO_MUCH, children, forget_peak, is_there, peak

_ASKED = "SELECT COUNT(*) AS n FROM t WHERE v < ({})"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_question_that_takes_too_much_is_refused(network, monkeypatch):
    """Its analyst signs it without planning it: at the analyst it would take as much."""
    network.start("coordinator", *NAMES)
    pids = {name: network.processes[name].pid for name in NAMES}
    sign, sent = Analyst.sign, iter(TOO_MUCH)

    def signed(analyst, question, *more, **options):
        if question.sql == _ASKED.format(1000):
            question = replace(question, sql=_ASKED.format(next(sent)))
        return sign(analyst, question, *more, **options)

    monkeypatch.setattr(Analyst, "sign", signed)
    whole = [dict(zip("gns", row, strict=True)) for row in WHOLE]
    with closing(network.session()) as session, closing(network.session("bob")) as other:
        assert other.execute(SQL).table.to_pylist() == whole
        before = {name: forget_peak(pid) for name, pid in pids.items()}
        for number in range(len(TOO_MUCH)):
            with pytest.raises(TooComplex, match="describing the statement takes over") as caught:
                session.execute(_ASKED.format(1000))
            assert any(name in caught.value.message for name in NAMES)
            answer = other.execute(SQL.replace("GROUP", f"WHERE v >= {number} GROUP"))
            assert answer.table.to_pylist() == whole
        assert {name: peak(pid) - before[name] < ROOM for name, pid in pids.items()} == dict.fromkeys(NAMES, True)
    started = [each for pid in pids.values() for each in children(pid)]
    assert started
    network.end(*NAMES)
    assert not any(map(is_there, started))
