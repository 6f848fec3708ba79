"""`fedsql user`: who is added, changed, shown and removed, by whom the file can be read, and what is refused."""

import datetime
import os
import re
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedsql.cli import app
from fedsql.config.users import TokenEntry, UserEntry, UsersConfig, change_users, load_users
from fedsql.flight import users as module
from fedsql.flight.users import User, Users

RUNNER = CliRunner(env={"COLUMNS": "80"})
POSIX = pytest.mark.skipif(os.name == "nt", reason="rights and terminals of POSIX")
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEMORY", 64)
    monkeypatch.setattr(module, "_PASSES", 1)


@pytest.fixture
def networked(tmp_path: Path) -> Path:
    """A federation over the network with the analysts ada and bob."""
    assert RUNNER.invoke(app, ["init", str(tmp_path), "--parties", "north,south", "--analyst", "ada"]).exit_code == 0
    assert RUNNER.invoke(app, ["enroll", str(tmp_path / "federation.toml"), "--analyst", "bob"]).exit_code == 0
    return tmp_path / "federation.toml"


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    (tmp_path / "north.toml").write_text('name = "north"\n')
    (tmp_path / "federation.toml").write_text('name = "f"\n[parties.north]\nconfig = "north.toml"\n')
    return tmp_path / "federation.toml"


def run(command: str, *arguments: object, given: str | None = None) -> Result:
    options = [] if given is None else ["--password-stdin"]
    return RUNNER.invoke(app, ["user", command, *map(str, arguments), *options], input=given)


def done(command: str, *arguments: object, given: str | None = None) -> Result:
    result = run(command, *arguments, given=given)
    assert result.exit_code == 0, result.output
    return result


def refused(command: str, *arguments: object, given: str | None = None) -> str:
    """Run what must fail as wrong usage; return its one line and the hint."""
    result = run(command, *arguments, given=given)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["add", "password", "token", "list", "remove"])
def test_help_fits_80_columns(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_user_from_beginning_to_end(networked: Path) -> None:
    file = networked.parent / "gateway" / "users.toml"
    result = done("add", networked, "ada", given=f"{PASSWORD}\n")
    assert result.stdout == ""
    assert "ada may connect to the gateway and asks as the analyst ada" in " ".join(result.stderr.split())
    done("add", networked, "dashboard", "--analyst", "bob", given="another password\nrest\n")
    users = Users(file)
    assert users.by_password("ada", PASSWORD) == User("ada", "ada")
    assert users.by_password("dashboard", "another password") == User("dashboard", "bob")

    done("password", networked, "ada", given="battery staple\n")
    result = done("token", networked, "dashboard")
    token = result.stdout.removesuffix("\n")
    assert re.fullmatch(r"fedsql_[0-9a-z]+_[0-9a-f]{64}", token)
    token_id = token.split("_")[1]
    users.reload()
    assert users.by_password("ada", PASSWORD) is None
    assert users.by_password("ada", "battery staple") == User("ada", "ada")
    assert users.by_token(token) == User("dashboard", "bob")

    listed = done("list", networked).stdout
    entry = load_users(file).users["dashboard"].tokens[token_id]
    assert (entry.expires - entry.created).days == 90
    assert listed == (
        f"ada  analyst ada\ndashboard  analyst bob\n"
        f"  token {token_id}  created {entry.created:%Y-%m-%d}  expires {entry.expires:%Y-%m-%d %H:%M} UTC\n"
    )
    for secret in (token.split("_")[2], entry.sha256, "argon2"):
        assert secret not in listed + result.stderr

    done("remove", networked, "dashboard", "--token", token_id)
    users.reload()
    assert users.by_token(token) is None
    assert users.by_password("dashboard", "another password") is not None
    done("remove", networked, "dashboard")
    done("remove", networked, "ada")
    result = done("list", networked)
    assert (result.stdout, result.stderr) == ("", "(no users)\n")


def test_a_token_that_has_expired_is_shown_as_such(embedded: Path) -> None:
    done("add", embedded, "ada", given=PASSWORD)
    token_id = done("token", embedded, "ada", "--days", 1).stdout.split("_")[1]
    file = embedded.parent / "gateway" / "users.toml"
    file.write_text(re.sub(r"expires = \d{4}", "expires = 2020", file.read_text()))
    assert f"token {token_id}" in done("list", embedded).stdout
    assert "expired 2020-" in done("list", embedded).stdout
    assert run("token", embedded, "ada", "--days", 0).exit_code == 2


@POSIX
def test_folder_and_file_are_their_owner_s_and_stay_so(embedded: Path, tmp_path: Path) -> None:
    file = tmp_path / "gateway" / "users.toml"
    before = os.umask(0)
    try:
        done("add", embedded, "ada", given=PASSWORD)
        done("token", embedded, "ada")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o600]
    assert [path.name for path in file.parent.iterdir()] == ["users.toml"]
    file.chmod(0o644)
    content = file.read_text()
    for command in (["list"], ["token", "ada"], ["remove", "ada"]):
        line = refused(command[0], embedded, *command[1:])
        assert f"{file}: the file is open to other users HINT: chmod 600 {file}" in line
    assert file.read_text() == content


def test_another_file_can_be_named(embedded: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "u.toml"
    done("add", embedded, "ada", "--users", file, given=PASSWORD)
    assert done("list", embedded, "--users", file).stdout == "ada  analyst ada\n"
    assert not (tmp_path / "gateway").exists()
    assert "there is no such file HINT: fedsql user add" in refused("list", embedded)


def test_who_asks_must_be_an_analyst_of_a_federation_over_the_network(networked: Path) -> None:
    line = refused("add", networked, "adda", given=PASSWORD)
    assert f"--analyst: {networked} knows no analyst adda; did you mean ada? valid: ada, bob" in line
    assert f"HINT: fedsql enroll {networked} --analyst adda" in line
    assert "knows no analyst north; valid: ada, bob" in refused(
        "add", networked, "x", "--analyst", "north", given=PASSWORD
    )
    assert not (networked.parent / "gateway").exists()


def test_in_one_process_any_name_will_do(embedded: Path) -> None:
    done("add", embedded, "bob@clinic.example", "--analyst", "bob", given=PASSWORD)
    assert "--analyst: 'a b' is not a name" in refused("add", embedded, "x", "--analyst", "a b", given=PASSWORD)
    assert "--analyst: 'x.y' is not a name" in refused("add", embedded, "x.y", given=PASSWORD)
    assert "NAME: 'a:b' is not a user's name" in refused("add", embedded, "a:b", given=PASSWORD)


def test_what_does_not_fit_changes_nothing(embedded: Path, tmp_path: Path) -> None:
    file = tmp_path / "gateway" / "users.toml"
    assert "a password has at least 8 characters, this one has 7" in refused("add", embedded, "ada", given="1234567\n")
    assert "this one has 0" in refused("add", embedded, "ada", given="")
    assert "no terminal to ask for the password HINT: give it with --password-stdin" in refused("add", embedded, "ada")
    assert not file.exists()
    done("add", embedded, "ada", given=PASSWORD)
    content = file.read_text()
    assert "there is a user ada already HINT: fedsql user password" in refused("add", embedded, "ada", given=PASSWORD)
    assert "there is a user ada already" in refused("add", embedded, "ADA", "--analyst", "x", given=PASSWORD)
    assert "there is no user adda; did you mean ada? valid: ada" in refused(
        "password", embedded, "adda", given=PASSWORD
    )
    assert "there is no user eve; valid: ada" in refused("token", embedded, "eve")
    assert "there is no user eve; valid: ada" in refused("remove", embedded, "eve")
    assert "ada has no token abcd; there is none" in refused("remove", embedded, "ada", "--token", "abcd")
    assert "there is no such file" in refused("add", tmp_path / "federatoin.toml", "bob", given=PASSWORD)
    assert file.read_text() == content
    done("remove", embedded, "ada")
    assert "there is no user ada; it has none yet" in refused("token", embedded, "ada")


def with_another(number: int) -> Callable[[UsersConfig], dict[str, UserEntry]]:
    moment = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    entry = TokenEntry(sha256="0" * 64, created=moment, expires=moment)

    def changed(config: UsersConfig) -> dict[str, UserEntry]:
        ada = config.users["ada"]
        return {"ada": ada.model_copy(update={"tokens": {**ada.tokens, f"{number:04}": entry}})}

    return changed


def test_who_change_it_at_once_wait_for_each_other(embedded: Path, tmp_path: Path) -> None:
    done("add", embedded, "ada", given=PASSWORD)
    file = tmp_path / "gateway" / "users.toml"

    with ThreadPoolExecutor(8) as pool:
        changes = [pool.submit(change_users, file, with_another(token)) for token in range(16)]
    for change in changes:
        change.result()
    assert len(load_users(file).users["ada"].tokens) == 16


def typed(arguments: list[str], *lines: str) -> tuple[int, str]:
    """Run `fedsql` on a terminal and type a line at each prompt; return its exit code and all that was shown."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", "from fedsql.cli import main; main()", *arguments])
    shown, rest, waiting = b"", b"", list(lines)
    with os.fdopen(terminal, "r+b", buffering=0) as stream, suppress(OSError):  # raised when its other end is closed
        while piece := stream.read(1024):
            shown, rest = shown + piece, rest + piece
            if waiting and rest.endswith(b": "):
                stream.write(waiting.pop(0).encode() + b"\n")
                rest = b""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


@POSIX
def test_on_a_terminal_it_is_asked_for_twice_and_not_shown(embedded: Path, tmp_path: Path) -> None:
    arguments = ["user", "add", str(embedded), "ada"]
    code, shown = typed(arguments, PASSWORD, "correct house")
    assert code == 2
    assert "the passwords differ; nothing has changed" in shown
    code, shown = typed(arguments, PASSWORD, PASSWORD)
    assert code == 0, shown
    assert "Password of ada:" in shown
    assert "Once more:" in shown
    assert PASSWORD not in shown
    assert Users(tmp_path / "gateway" / "users.toml").by_password("ada", PASSWORD) is not None
    code, shown = typed(arguments)
    assert code == 2
    assert "Password of" not in shown  # it is refused before anybody types
