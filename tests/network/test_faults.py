"""A party killed, stopped or cut off at every message of the protocol in turn.

Whatever happens: the right answer or an error that names the party, nobody pays twice for an attempt, and as soon as the
party is back the next question is answered.
"""

import signal

import pytest
from process import COMPUTING
from world import NAMES, SQL, WHOLE, Network

from fedsql.errors import Error, OperationalError, PartyUnreachable
from fedsql.executors.protocol.outline import Outline

VICTIM = "south"
MESSAGES = 23  # of a party that computes the threshold: the most there are


@pytest.fixture(scope="module", autouse=True)
def computing():
    """Let the victim be one of the two computing parties, who have the most to say; everybody is told so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COMPUTING, f"{VICTIM} west")
        patch.setattr(Outline, "computing", lambda outline, draw: (VICTIM, "west"))
        yield


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Everybody but the victim."""
    made = Network(tmp_path_factory.mktemp("faults"))
    made.start("coordinator", *(name for name in NAMES if name != VICTIM))
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(federation):
    made = federation.session()
    yield made
    made.close()


def rows(session):
    return [tuple(row.values()) for row in session.execute(SQL).table.to_pylist()]


def struck(federation, session):
    """Ask until the fault strikes; return whether that question had an answer.

    On a busy machine any participant can be late; then the error says so, and the question is asked anew.
    """
    federation.signal(VICTIM, signal.SIGUSR1)
    assert federation.says(VICTIM) == "armed"
    for _ in range(50):
        answer, error = outcome(session)
        assert error is not None or answer == WHOLE
        if not federation.is_silent(VICTIM):
            assert federation.says(VICTIM).startswith("strikes")
            assert error is None or (VICTIM in error.message and error.query_id)
            assert error is None or isinstance(error, PartyUnreachable)
            return error is None
    raise AssertionError("the fault did not strike")


def outcome(session):
    try:
        return rows(session), None
    except OperationalError as error:  # lost, or just back under a new offer that not everybody has heard of
        return None, error


def ask_again(session):
    """Ask until everybody is there again; return how often it took, less one."""
    live = session.federation._live
    for tries in range(200):
        answer, error = outcome(session)
        if error is None:
            assert answer == WHOLE
            return tries
        assert any(name in error.message for name in (*NAMES, "coordinator"))
        with live._changed:
            live._changed.wait(0.2)
    raise AssertionError("the party did not come back")


def paid_once(federation, before, attempts):
    for name in NAMES:
        new = federation.charges(name)[before[name] :]
        assert len(new) == len(set(new)) <= attempts
        assert all(attempt == 1 for _, attempt in new)


def counts(federation):
    return {name: len(federation.charges(name)) for name in NAMES}


def test_how_many_messages_a_party_sends_and_gets(federation, session):
    """The numbers below: a fault strikes at each of them."""
    federation.start(VICTIM, fault=("count", 0))
    ask_again(session)
    seen = []
    while not seen or not seen[-1].endswith("/vector"):
        seen.append(federation.says(VICTIM))
    assert len(seen) == MESSAGES
    federation.end(VICTIM)


@pytest.mark.parametrize("kind", ["stop", "cut"])
def test_a_party_is_stopped_or_cut_off_at_every_message(federation, session, kind):
    federation.start(VICTIM, fault=(kind, 1))
    ask_again(session)
    answers = 0
    for _ in range(MESSAGES):
        before = counts(federation)
        answers += struck(federation, session)
        if kind == "stop":
            federation.signal(VICTIM, signal.SIGCONT)
        tries = ask_again(session)
        paid_once(federation, before, tries + 2)
    assert answers <= 1  # only when it had said its last word already
    federation.end(VICTIM)


@pytest.mark.parametrize("number", range(1, MESSAGES + 1))
def test_a_party_is_killed_at_every_message(federation, session, number):
    before = counts(federation)
    federation.start(VICTIM, fault=("kill", number))
    tries = ask_again(session)  # it has come back from the last blow
    struck(federation, session)
    federation.end(VICTIM)
    paid_once(federation, before, tries + 2)


def test_a_coordinator_that_is_killed_is_found_again(network):
    network.start("coordinator", *NAMES)
    session = network.session()
    assert rows(session) == WHOLE
    network.end("coordinator")
    with pytest.raises(Error, match="coordinator"):
        rows(session)
    network.start("coordinator")
    ask_again(session)
    session.close()
