"""The ledger: nothing is charged twice, nothing is forgotten, nobody overspends, whatever dies or runs at once."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from dataclasses import replace

import pytest

from fedsql.errors import BudgetExhausted, ConfigError, OperationalError, ProtocolError
from fedsql.privacy import spending
from fedsql.privacy.accounting import ORDERS, calibrate, rdp_laplace, rdp_skellam, to_epsilon
from fedsql.privacy.ledger import Charge, Ledger, Limits, Spent

DAY = 86_400.0
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LIMITS = Limits(epsilon=1.0, total_epsilon=1.5, delta=1e-6, budget_period=30 * DAY, queries=3, quota_period=7 * DAY)
CURVE = tuple(rdp_skellam(1, 1, calibrate(0.4, 1e-6, [(1, 1)])[0]).tolist())


def exact(number, **changes):
    charge = Charge(
        query_id=number.to_bytes(16, "big"),
        attempt=1,
        analyst="ada",
        tables=("patients", "visits"),
        question=number.to_bytes(32, "big"),
        data_version="v1",
        time=NOW,
        rdp=None,
    )
    return replace(charge, **changes)


def noisy(number, **changes):
    return exact(number, **{"rdp": CURVE, **changes})


def affordable(limit):
    """Return how many charges of CURVE fit in ``limit``, by dp-accounting."""
    return next(n for n in range(1, 100) if to_epsilon([(n + 1) * r for r in CURVE], LIMITS.delta) > limit)


@pytest.fixture
def ledger():
    with Ledger(":memory:") as opened:
        yield opened


def test_a_new_ledger_has_everything_left(ledger):
    assert ledger.spent("ada", LIMITS, NOW) == Spent(0.0, 1.0, 1.5, 0, 3)


def test_noisy_charges_compose_by_their_curves(ledger):
    for number in range(3):
        ledger.charge(noisy(number), LIMITS)
    spent = ledger.spent("ada", LIMITS, NOW)
    assert spent.epsilon_spent == pytest.approx(to_epsilon([3 * r for r in CURVE], LIMITS.delta))
    assert spent.epsilon_spent < 3 * to_epsilon(CURVE, LIMITS.delta)
    assert spent.epsilon_left == pytest.approx(1.0 - spent.epsilon_spent)
    assert spent.total_left == pytest.approx(1.5 - spent.epsilon_spent)
    assert spent.queries_used == 0


def test_the_budget_of_an_analyst_ends_and_says_why(ledger):
    fits = affordable(LIMITS.epsilon)
    for number in range(fits):
        ledger.charge(noisy(number, time=NOW + number), LIMITS)
    before = ledger.spent("ada", LIMITS, NOW + fits)
    with pytest.raises(BudgetExhausted) as refusal:
        ledger.charge(noisy(99, time=NOW + fits), LIMITS)
    after = to_epsilon([(fits + 1) * r for r in CURVE], LIMITS.delta)
    assert refusal.value.message == (
        f"the budget of epsilon 1 per 30 days for analyst 'ada' does not allow this: {before.epsilon_spent:.3g} spent,"
        f" {before.epsilon_left:.3g} left, {after:.3g} with this question;"
        " the oldest charge is freed on 2026-01-31T00:00:00Z"
    )
    assert ledger.spent("ada", LIMITS, NOW + fits) == before


def test_a_smaller_question_still_fits_after_a_refusal(ledger):
    for number in range(affordable(LIMITS.epsilon)):
        ledger.charge(noisy(number), LIMITS)
    with pytest.raises(BudgetExhausted):
        ledger.charge(noisy(98), LIMITS)
    ledger.charge(noisy(99, rdp=tuple(r / 1000 for r in CURVE)), LIMITS)


@pytest.mark.parametrize("asked", range(1, 3))
@pytest.mark.parametrize("law", ["Skellam", "discrete Laplace"])
def test_a_refusal_says_which_epsilon_still_fits(ledger, asked, law):
    for number in range(asked):
        ledger.charge(noisy(number), LIMITS)
    with pytest.raises(BudgetExhausted) as refusal:
        ledger.charge(noisy(98, rdp=tuple(100 * r for r in CURVE)), LIMITS)
    fits = float(refusal.value.hint.split("SET epsilon = ")[1].split()[0])
    left = ledger.spent("ada", LIMITS, NOW).left
    assert 0.9 * left < fits <= left
    (variance,) = calibrate(fits, LIMITS.delta, [(1, 1)])
    curve = rdp_skellam(1, 1, variance) if law == "Skellam" else rdp_laplace(1, fits)
    ledger.charge(noisy(99, rdp=tuple(curve.tolist())), LIMITS)


def test_when_next_to_nothing_is_left_no_epsilon_is_named(ledger):
    ledger.charge(noisy(1, rdp=tuple(rdp_laplace(1, 0.9995).tolist())), LIMITS)
    with pytest.raises(BudgetExhausted) as refusal:
        ledger.charge(noisy(2), LIMITS)
    assert refusal.value.hint == "Too little is left for any question until then."


def test_analysts_share_the_total(ledger):
    fits = affordable(LIMITS.total_epsilon)
    assert fits / 3 < affordable(LIMITS.epsilon)
    for number in range(fits):
        ledger.charge(noisy(number, analyst=("ada", "bob", "cyd")[number % 3]), LIMITS)
    with pytest.raises(BudgetExhausted, match=r"epsilon 1\.5 per 30 days for all analysts together"):
        ledger.charge(noisy(99, analyst="eve"), LIMITS)
    assert ledger.spent("eve", LIMITS, NOW).epsilon_spent == 0
    assert ledger.spent("eve", LIMITS, NOW).total_left == ledger.spent("ada", LIMITS, NOW).total_left < 0.4


def test_a_question_that_alone_exceeds_the_budget_promises_no_date(ledger):
    with pytest.raises(BudgetExhausted, match="nothing has been spent that could be freed"):
        ledger.charge(noisy(1, rdp=tuple(1000 * r for r in CURVE)), LIMITS)
    with pytest.raises(BudgetExhausted, match="inf with this question"):
        ledger.charge(noisy(2, rdp=(float("inf"),) * len(ORDERS)), LIMITS)


def test_the_budget_renews_charge_by_charge(ledger):
    fits = affordable(LIMITS.epsilon)
    for number in range(fits):
        ledger.charge(noisy(number, time=NOW + number * DAY), LIMITS)
    with pytest.raises(BudgetExhausted):
        ledger.charge(noisy(98, time=NOW + 30 * DAY - 1), LIMITS)
    ledger.charge(noisy(98, time=NOW + 30 * DAY), LIMITS)
    with pytest.raises(BudgetExhausted, match="2026-02-01T00:00:00Z"):
        ledger.charge(noisy(99, time=NOW + 30 * DAY), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW + 61 * DAY).epsilon_left == 1.0


def test_the_quota_counts_distinct_questions(ledger):
    ledger.charge(exact(1), LIMITS)
    for attempt in range(2, 6):
        ledger.charge(exact(1, attempt=attempt), LIMITS)
    ledger.charge(exact(1, query_id=b"another run"), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW).queries_used == 1
    ledger.charge(exact(1, query_id=b"new data", data_version="v2"), LIMITS)
    ledger.charge(exact(2), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW) == Spent(0.0, 1.0, 1.5, 3, 0)
    with pytest.raises(BudgetExhausted) as refusal:
        ledger.charge(exact(3), LIMITS)
    assert refusal.value.message == (
        "the quota of 3 exact queries per 7 days for analyst 'ada' is used up: 3 used, 0 left;"
        " the oldest charge is freed on 2026-01-08T00:00:00Z"
    )
    ledger.charge(exact(1, query_id=b"the same again"), LIMITS)
    ledger.charge(exact(3, analyst="bob"), LIMITS)
    ledger.charge(noisy(4), LIMITS)


def test_each_release_of_a_question_counts(ledger):
    ledger.charge(exact(1, answers=2), LIMITS)
    ledger.charge(exact(1, query_id=b"the same again", answers=2), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW).queries_left == 1
    with pytest.raises(BudgetExhausted, match="2 used, 1 left, 2 needed"):
        ledger.charge(exact(2, answers=2), LIMITS)
    ledger.charge(exact(2), LIMITS)


def test_the_quota_renews_when_a_question_was_last_asked_a_period_ago(ledger):
    for number in range(3):
        ledger.charge(exact(number, time=NOW + number * DAY), LIMITS)
    ledger.charge(exact(0, query_id=b"again", time=NOW + 2 * DAY), LIMITS)
    with pytest.raises(BudgetExhausted, match="2026-01-09T00:00:00Z"):
        ledger.charge(exact(9, time=NOW + 7 * DAY), LIMITS)
    ledger.charge(exact(9, time=NOW + 8 * DAY), LIMITS)


def test_a_clock_set_back_frees_nothing(ledger):
    for number in range(3):
        ledger.charge(exact(number), LIMITS)
    with pytest.raises(BudgetExhausted):
        ledger.charge(exact(9, time=NOW - 300 * DAY), LIMITS)


def test_the_same_attempt_is_charged_once_even_when_nothing_is_left(ledger):
    fits = affordable(LIMITS.epsilon)
    for number in range(fits):
        ledger.charge(noisy(number), LIMITS)
    before = ledger.spent("ada", LIMITS, NOW)
    with pytest.raises(ProtocolError, match="asked before"):
        ledger.charge(noisy(0, time=NOW + 5), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW) == before
    with pytest.raises(BudgetExhausted):
        ledger.charge(noisy(0, attempt=2), LIMITS)


@pytest.mark.parametrize(
    "change",
    [{"question": b"q" * 32}, {"analyst": "bob"}, {"data_version": "v2"}, {"rdp": None}, {"tables": ("patients",)}],
)
def test_a_charged_attempt_cannot_be_used_for_something_else(ledger, change):
    ledger.charge(noisy(1), LIMITS)
    with pytest.raises(ProtocolError, match="already used") as refusal:
        ledger.charge(noisy(1, **change), LIMITS)
    assert refusal.value.query_id == noisy(1).query_id.hex()


@pytest.mark.parametrize("rdp", [(), CURVE[:-1], (-1.0, *CURVE[1:]), (float("nan"), *CURVE[1:])])
def test_a_malformed_curve_is_not_charged(ledger, rdp):
    with pytest.raises(ValueError, match="curve"):
        ledger.charge(noisy(1, rdp=rdp), LIMITS)
    assert ledger.spent("ada", LIMITS, NOW).epsilon_spent == 0


def test_a_nonce_is_fresh_once(ledger):
    assert ledger.remember_nonce(b"n", NOW + 60, NOW)
    assert not ledger.remember_nonce(b"n", NOW + 60, NOW)
    assert not ledger.remember_nonce(b"n", NOW + 90, NOW + 30)
    assert ledger.remember_nonce(b"m", NOW + 60, NOW)


def test_an_expired_nonce_is_never_fresh_and_not_after_the_clock_was_set_back(ledger):
    assert ledger.remember_nonce(b"n", NOW + 60, NOW)
    assert not ledger.remember_nonce(b"n", NOW + 60, NOW + 61)
    assert not ledger.remember_nonce(b"late", NOW + 60, NOW + 60)
    assert not ledger.remember_nonce(b"n", NOW + 60, NOW)


def test_an_attempt_is_admitted_once(ledger):
    ledger.admit(b"q", 1, b"n", NOW + 60, NOW)
    for query_id, attempt, nonce, expiry, reason in (
        (b"r", 1, b"n", NOW + 60, "its nonce is known"),
        (b"r", 1, b"late", NOW, "expired"),
        (b"q", 1, b"m", NOW + 60, "this attempt of the query was asked before"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            ledger.admit(query_id, attempt, nonce, expiry, NOW)
    ledger.admit(b"q", 2, b"m", NOW + 60, NOW)  # what was refused has left no trace
    ledger.admit(b"r", 1, b"late", NOW + 60, NOW)


def test_a_query_that_was_answered_admits_no_other_attempt(ledger):
    charge = exact(1)
    ledger.charge(charge, LIMITS)
    ledger.finish(charge.query_id, charge.attempt, b"q" * 32, b"sent", NOW + 60, NOW)
    with pytest.raises(ProtocolError, match="answered in another attempt"):
        ledger.admit(charge.query_id, charge.attempt + 1, b"n", NOW + 60, NOW)
    ledger.admit(b"another", 1, b"n", NOW + 60, NOW)


def test_nonces_are_durable_and_purged_after_a_day(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        assert ledger.remember_nonce(b"n", NOW + 60, NOW)
    with Ledger(path) as ledger:
        assert not ledger.remember_nonce(b"n", NOW + 60, NOW)
        assert ledger.remember_nonce(b"other", NOW + 3 * DAY, NOW + 2 * DAY)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT nonce FROM nonces").fetchall() == [(b"other",)]
    raw.close()


def test_the_file_is_the_owners_alone_and_keeps_everything(tmp_path):
    path = tmp_path / "state" / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.charge(noisy(1), LIMITS)
        spent = ledger.spent("ada", LIMITS, NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with Ledger(path) as ledger:
        assert ledger.spent("ada", LIMITS, NOW) == spent


CHILD = """
import sys
from fedsql.privacy.ledger import Charge, Ledger, Limits
from fedsql.errors import BudgetExhausted
path, first, count, curve = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
limits = Limits(1.0, 1.5, 1e-6, 30 * 86400.0, 10, 30 * 86400.0)
ledger = Ledger(path)
print("ready", flush=True)
sys.stdin.readline()
accepted = 0
for number in range(first, first + count):
    key = number.to_bytes(16, "big")
    try:
        ledger.charge(Charge(key, 1, "ada", ("t",), key * 2, "v1", 1767225600.0, curve), limits)
        accepted += 1
    except BudgetExhausted:
        pass
print(accepted, flush=True)
sys.stdin.readline()
"""


def start(path, first, count, curve):
    """Start a process that charges ``count`` questions when told to, prints how many passed, and then waits."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(first), str(count), repr(curve)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_charge_survives_kill_9_right_after_it_returned(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with start(path, 0, 2, CURVE) as process:
        assert process.stdout.readline() == "ready\n"
        tell(process)
        assert process.stdout.readline() == "2\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        spent = ledger.spent("ada", LIMITS, NOW)
    assert spent.epsilon_spent == pytest.approx(to_epsilon([2 * r for r in CURVE], LIMITS.delta))


@pytest.mark.parametrize(("curve", "most"), [(CURVE, affordable(1.0)), (None, 10)])
def test_two_processes_at_once_do_not_overspend(tmp_path, curve, most):
    path = tmp_path / "ledger.sqlite"
    with start(path, 0, 30, curve) as one, start(path, 1000, 30, curve) as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            tell(process)
        accepted = [int(process.stdout.readline()) for process in (one, two)]
        for process in (one, two):
            tell(process)
    assert sum(accepted) == most
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM charges").fetchone() == (most,)
    raw.close()


def test_threads_share_one_ledger_and_do_not_overspend(tmp_path):
    accepted = []
    with Ledger(tmp_path / "ledger.sqlite") as ledger:

        def work(first):
            for number in range(first, first + 10):
                try:
                    ledger.charge(exact(number), LIMITS)
                    accepted.append(number)
                except BudgetExhausted:
                    continue

        threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(accepted) == LIMITS.queries


@pytest.mark.parametrize("locked", [True, False])
def test_who_looks_before_the_other_wrote_would_spend_twice_and_the_test_sees_it(tmp_path, monkeypatch, locked):
    if not locked:
        both_looked, look = threading.Barrier(2), spending.cost
        monkeypatch.setattr(Ledger, "_transaction", lambda self: nullcontext(self._db))
        monkeypatch.setattr(spending, "cost", lambda *given: (look(*given), both_looked.wait(30))[0])

    def spend(number):
        # Without the lock, both may also write the same number into the audit log.
        with Ledger(tmp_path / "ledger.sqlite") as ledger, suppress(BudgetExhausted, sqlite3.IntegrityError):
            ledger.charge(noisy(number), replace(LIMITS, epsilon=0.5))

    Ledger(tmp_path / "ledger.sqlite").close()
    threads = [threading.Thread(target=spend, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        charged, _ = ledger.entries()
    assert affordable(0.5) == 1
    assert charged == (1 if locked else 2)


def test_many_may_open_a_new_ledger_at_once(tmp_path):
    failures = []
    for attempt in range(60):
        barrier = threading.Barrier(6)

        def work(path=tmp_path / str(attempt) / "ledger.sqlite", barrier=barrier):
            barrier.wait()
            try:
                Ledger(path).close()
            except ConfigError as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def sqlite_file(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_file_that_is_no_database_is_refused_by_name_and_left_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"patient,age\n" * 500)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: not a usable ledger: file is not a database"):
        Ledger(path)
    assert path.read_bytes() == b"patient,age\n" * 500


def test_a_foreign_database_is_refused_by_name_and_left_alone(tmp_path):
    path = tmp_path / "music.sqlite"
    sqlite_file(path, "CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"music\.sqlite: not a usable ledger: its mark is 0x0"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    sqlite_file(path, "PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: not a usable ledger: .*version 7"):
        Ledger(path)


def test_a_damaged_ledger_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    generous = replace(LIMITS, epsilon=1e6, total_epsilon=1e6)
    with Ledger(path) as ledger:
        for number in range(30):
            ledger.charge(noisy(number), generous)
    content = bytearray(path.read_bytes())
    assert len(content) > 5 * 4096
    content[4096 : 3 * 4096] = b"\xa5" * (2 * 4096)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite: not a usable ledger") as refusal:
        Ledger(path)
    assert "backup" in refusal.value.hint


def test_a_path_that_cannot_be_a_file_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened") as refusal:
        Ledger(tmp_path)
    assert str(tmp_path) in refusal.value.message


def test_a_closed_ledger_gives_no_permission(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.close()
    with pytest.raises(OperationalError, match="the ledger failed"):
        ledger.charge(exact(1), LIMITS)
