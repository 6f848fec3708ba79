"""Users of the gateway: who is let in, who no longer, what a guess costs, and what a broken file says."""

import datetime
import os
import threading
from pathlib import Path

import pytest

from fedsql.config.users import TokenEntry, UserEntry, change_users, load_users
from fedsql.errors import ConfigError
from fedsql.flight import users as module
from fedsql.flight.users import FAILURES, PAUSE, WINDOW, User, Users, hash_password, new_token

POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
DAY = datetime.timedelta(days=1)
START = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEMORY", 64)
    monkeypatch.setattr(module, "_PASSES", 1)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that a hash was made of to compare it."""
    made: list[str] = []
    real = module._is_password
    monkeypatch.setattr(module, "_is_password", lambda stored, given: (made.append(given), real(stored, given))[1])
    return made


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway" / "users.toml"
    put(path, "ada", "correct horse", analyst="lovelace")
    return path


@pytest.fixture
def users(file: Path, clock: Clock) -> Users:
    return Users(file, clock=clock, now=lambda: START.timestamp() + clock.now - Clock.now)


def put(path: Path, name: str, password: str, analyst: str | None = None) -> None:
    entry = UserEntry(analyst=analyst or name, password=hash_password(password))
    change_users(path, lambda config: {**config.users, name: entry})


def grant(path: Path, name: str, days: float = 90) -> tuple[str, str]:
    """Give a user a token; return its id and itself."""
    token_id, digest, token = new_token()
    entry = TokenEntry(sha256=digest, created=START, expires=START + days * DAY)

    def changed(config):  # type: ignore[no-untyped-def]
        user = config.users[name]
        return {**config.users, name: user.model_copy(update={"tokens": {**user.tokens, token_id: entry}})}

    change_users(path, changed)
    return token_id, token


def withdraw(path: Path, name: str) -> None:
    change_users(path, lambda config: {each: entry for each, entry in config.users.items() if each != name})


def test_the_right_password_alone_lets_in(users: Users) -> None:
    assert users.by_password("ada", "correct horse") == User("ada", "lovelace")
    for name, password in (
        ("ada", "correct horsf"),
        ("ada", ""),
        ("Ada", "correct horse"),
        ("eve", "correct horse"),
        ("", ""),
        ("ada", "\udcff"),
        ("\ud800", "correct horse"),
    ):
        assert users.by_password(name, password) is None


def test_the_hash_is_as_rfc_9106_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert hashed != hash_password("correct horse")
    assert [len(part) for part in hashed.split("$")[4:]] == [22, 43]  # 16 and 32 bytes in base64


def test_every_wrong_guess_costs_one_hash_and_a_known_password_none(users: Users, hashes: list[str]) -> None:
    users.by_password("ada", "correct horse")
    users.by_password("ada", "correct horse")
    assert hashes == ["correct horse"]
    users.by_password("eve", "nobody there")
    users.by_password("ada", "wrong")  # though the keyed hash tells already: time must not
    assert hashes == ["correct horse", "nobody there", "wrong"]


def test_another_password_is_met_at_once_and_the_old_one_forgotten(file: Path, users: Users) -> None:
    old = users.by_password("ada", "correct horse")
    assert old is not None
    put(file, "ada", "battery staple", analyst="lovelace")
    assert users.by_password("ada", "correct horse") is not None  # the file was not read again
    users.reload()
    assert users.by_password("ada", "correct horse") is None
    assert users.by_password("ada", "battery staple") == old
    assert not users.current(old)
    assert users.current(User("ada", "lovelace"))


def test_who_is_removed_or_given_another_analyst_is_no_longer_current(file: Path, users: Users) -> None:
    put(file, "bob", "bob's password")
    users.reload()
    bob, ada = users.by_password("bob", "bob's password"), users.by_password("ada", "correct horse")
    assert bob is not None and users.current(bob)  # noqa: PT018
    assert ada is not None and users.current(ada)  # noqa: PT018
    entry = load_users(file).users["ada"].model_copy(update={"analyst": "bob"})
    change_users(file, lambda config: {"ada": entry})
    users.reload()
    assert not users.current(bob)
    assert not users.current(ada)
    assert users.by_password("bob", "bob's password") is None
    assert users.by_password("ada", "correct horse") == User("ada", "bob")


def test_a_token_lets_in_until_it_expires_or_is_taken_back(file: Path, users: Users, clock: Clock) -> None:
    _, short = grant(file, "ada", days=1)
    put(file, "bob", "bob's password")
    _, long = grant(file, "bob")
    users.reload()
    ada, bob = users.by_token(short), users.by_token(long)
    assert (ada, bob) == (User("ada", "lovelace"), User("bob", "bob"))
    assert ada is not None and users.current(ada)  # noqa: PT018
    clock.now += DAY.total_seconds() - 1
    assert users.by_token(short) == ada
    clock.now += 1
    assert users.by_token(short) is None
    assert not users.current(ada)
    assert users.by_token(long) == bob
    assert bob is not None and users.current(bob)  # noqa: PT018
    withdraw(file, "bob")
    users.reload()
    assert users.by_token(long) is None
    assert not users.current(bob)


def test_a_session_ends_with_its_token_though_the_user_stays(file: Path, users: Users) -> None:
    _, token = grant(file, "ada")
    users.reload()
    by_token, by_password = users.by_token(token), users.by_password("ada", "correct horse")
    assert by_token == by_password is not None
    entry = load_users(file).users["ada"].model_copy(update={"tokens": {}})
    change_users(file, lambda config: {"ada": entry})
    users.reload()
    assert by_token is not None
    assert not users.current(by_token)
    assert users.current(by_password)


def test_what_is_no_token_lets_nobody_in(file: Path, users: Users) -> None:
    token_id, token = grant(file, "ada")
    users.reload()
    secret = token.rpartition("_")[2]
    other = ("0" if secret[0] != "0" else "1") + secret[1:]
    for wrong in ("", "_", secret, f"fedsql_{token_id}_{other}", token + "0", token[:-1], f"fedsql_0000_{secret}"):
        assert users.by_token(wrong) is None
    assert secret not in file.read_text()
    assert "correct horse" not in file.read_text()


def test_after_some_failures_a_name_is_closed_for_a_while(users: Users, clock: Clock, hashes: list[str]) -> None:
    for _ in range(FAILURES):
        assert users.by_password("ada", "guess") is None
    assert len(hashes) == FAILURES
    assert users.by_password("ada", "correct horse") is None
    assert len(hashes) == FAILURES  # it was not even looked at
    assert users.by_password("eve", "guess") is None  # nobody else is kept waiting
    assert len(hashes) == FAILURES + 1
    clock.now += PAUSE - 1
    assert users.by_password("ada", "correct horse") is None
    clock.now += 1
    assert users.by_password("ada", "correct horse") is not None


def test_a_known_password_lets_nobody_guess_faster(users: Users, hashes: list[str]) -> None:
    assert users.by_password("ada", "correct horse") is not None
    for _ in range(FAILURES):
        users.by_password("ada", "guess")
    assert users.by_password("ada", "correct horse") is None
    assert len(hashes) == 1 + FAILURES


def test_failures_long_ago_or_before_a_success_do_not_count(users: Users, clock: Clock) -> None:
    for _ in range(3 * FAILURES):
        users.by_password("ada", "guess")
        clock.now += WINDOW / (FAILURES - 1)
    clock.now += WINDOW
    for _ in range(3):
        for _ in range(FAILURES - 1):
            users.by_password("ada", "guess")
        assert users.by_password("ada", "correct horse") is not None


def test_guesses_beside_one_another_are_counted_like_others(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty begin before the first is done; one hash at a time is made, and no more than FAILURES of them."""
    begun, most = threading.Semaphore(0), []
    together = 0
    real = module._is_password

    def slow(stored: str, given: str) -> bool:
        nonlocal together
        together += 1
        for _ in range(19):
            assert begun.acquire(timeout=30)
        begun.release(19)
        most.append(together)
        together -= 1
        return real(stored, given)

    monkeypatch.setattr(module, "_is_password", slow)

    class Line:
        def acquire(self, blocking: bool) -> bool:
            begun.release()
            return True

        def release(self) -> None:
            pass

    monkeypatch.setattr(users, "_line", Line())
    threads = [threading.Thread(target=users.by_password, args=("ada", f"guess {i}")) for i in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert most == [1] * FAILURES


def test_who_comes_when_the_line_is_full_is_refused(users: Users, hashes: list[str]) -> None:
    for _ in range(module._WAITING):
        assert users._line.acquire(blocking=False)
    assert users.by_password("ada", "correct horse") is None
    assert hashes == []
    users._line.release()
    assert users.by_password("ada", "correct horse") is not None


def test_the_throttle_forgets_names_that_were_tried_long_ago(users: Users, clock: Clock) -> None:
    for i in range(50):
        users.by_password(f"eve{i}", "guess")
        clock.now += WINDOW / 4
    assert len(users._throttle._failed) <= 5


def test_no_file_and_no_users_say_what_to_do(tmp_path: Path, file: Path, users: Users) -> None:
    with pytest.raises(ConfigError, match=r"users.toml: there is no such file") as error:
        Users(tmp_path / "users.toml")
    assert error.value.hint == "fedsql user add FEDERATION NAME adds one"
    withdraw(file, "ada")
    with pytest.raises(ConfigError, match=r"users.toml: there are no users") as error:
        Users(file)
    assert error.value.hint == "fedsql user add FEDERATION NAME adds one"
    users.reload()  # in one that runs the last may go
    assert users.by_password("ada", "correct horse") is None


BROKEN = [
    ("[users.ada", "end of document: not TOML"),
    ("[users.ada]\nanalyst = 'ada'\n", "users.ada.password: missing"),
    (
        "[users.ada]\nanalyst = 'ada'\npassword = 'correct horse'\n",
        "users.ada.password: expected a hash of Argon2id as `fedsql user password` writes it",
    ),
    ("[users.ada]\nanalyst = 'a b'\npassword = '{hash}'\n", "users.ada.analyst: 'a b' is not a name"),
    (
        "[users.ada]\nanalist = 'ada'\nanalyst = 'ada'\npassword = '{hash}'\n",
        "users.ada.analist: unknown key; did you mean analyst?",
    ),
    ("[users.'a:b']\nanalyst = 'ada'\npassword = '{hash}'\n", "'a:b' is not a user's name"),
    (
        "[users.ada]\nanalyst = 'ada'\npassword = '{hash}'\n[users.ADA]\nanalyst = 'ada'\npassword = '{hash}'\n",
        "users: ada and ADA differ in case only",
    ),
    (
        "[users.ada]\nanalyst='ada'\npassword='{hash}'\n[users.ada.tokens.abcd]\nsha256='ab'\ncreated={now}\nexpires={now}\n",
        "users.ada.tokens.abcd.sha256: expected the SHA-256 of a token",
    ),
    (
        "[users.ada]\nanalyst='ada'\npassword='{hash}'\n[users.ada.tokens.abcd]\nsha256='{sha}'\ncreated={now}\nexpires=2026-01-31\n",
        "users.ada.tokens.abcd.expires: ",
    ),
    (
        "[users.ada]\nanalyst='ada'\npassword='{hash}'\n[users.ada.tokens.abcd]\nsha256='{sha}'\ncreated={now}\nexpires={now}\n"
        "[users.bob]\nanalyst='bob'\npassword='{hash}'\n[users.bob.tokens.abcd]\nsha256='{sha}'\ncreated={now}\nexpires={now}\n",
        "the token abcd is ada's and bob's",
    ),
]


@pytest.mark.parametrize(("text", "line"), BROKEN)
def test_a_broken_file_is_told_and_leaves_the_old_users(file: Path, users: Users, text: str, line: str) -> None:
    now = "2026-01-31T12:00:00Z"
    hashed = hash_password("another")
    file.write_text(text.replace("{hash}", hashed).replace("{sha}", "0" * 64).replace("{now}", now))
    with pytest.raises(ConfigError) as error:
        users.reload()
    assert error.value.problems[0].startswith(f"{file}: ")
    assert line in error.value.problems[0]
    assert "horse" not in str(error.value)
    assert hashed not in str(error.value)
    assert users.by_password("ada", "correct horse") is not None


@pytest.mark.parametrize(
    "change", [("t=1", "t=0"), ("m=64", "m=31"), ("p=4", "p=0"), ("19", "16"), ("argon2id", "argon2i")]
)
def test_a_hash_that_could_not_be_checked_is_no_hash(file: Path, change: tuple[str, str]) -> None:
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    with pytest.raises(ConfigError, match=r"users\.ada\.password: expected a hash"):
        load_users(file)


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_users(file)


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_use_is_refused(file: Path, users: Users, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ConfigError, match=r"users.toml: the file is open to other users") as error:
        users.reload()
    assert error.value.hint == f"chmod 600 {file}"
    with pytest.raises(ConfigError):
        put(file, "bob", "bob's password")
    assert "bob" not in file.read_text()


def test_what_is_written_is_what_is_read(file: Path) -> None:
    put(file, "bob@clinic.example", "bob's password", analyst="bob")
    token_id, _ = grant(file, "bob@clinic.example")
    found = load_users(file).users
    assert list(found) == ["ada", "bob@clinic.example"]
    assert found["bob@clinic.example"].tokens[token_id].expires == START + 90 * DAY
    text = file.read_text()
    change_users(file, lambda config: dict(config.users))
    assert file.read_text() == text
    assert f'[users."bob@clinic.example".tokens.{token_id}]\n' in text
    assert "expires = 2026-05-01T12:00:00Z\n" in text
