"""`fedsql serve`: what it hands to the service, what it makes first, what it says, and what it refuses before it listens."""

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fedsql import serving
from fedsql.cli import app
from fedsql.crypto.certificates import expiry, hosts_of, issue, make_authority
from fedsql.errors import OperationalError
from fedsql.executors.setup import HERE
from fedsql.flight import users as module
from fedsql.flight.users import User

RUNNER = CliRunner(env={"COLUMNS": "80"})
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
PASSWORD = "correct horse"


class Standin:
    """Stands in for the service, and ends the process's work once ``work`` is through."""

    role, name, port = "gateway", "f", 4711
    made: list["Standin"]
    refuse = False

    def __init__(self, federation: Path, users: Any, **options: Any) -> None:
        self.federation, self.users, self.options = federation, users, options
        self.calls: list[str] = []
        self.work: Iterator[Any] = iter(())
        type(self).made.append(self)

    def start(self) -> None:
        self.calls.append("start")
        if self.refuse:
            raise OperationalError("cannot listen there")

    def reload(self) -> None:
        self.calls.append("reload")
        self.users.reload()

    def drain(self, timeout: float) -> bool:
        self.calls.append("drain")
        return True

    def close(self) -> None:
        self.calls.append("close")

    def ended(self) -> None:
        if next(self.work, "over") == "over":
            os.kill(os.getpid(), signal.SIGTERM)

    def connected(self) -> int:
        return 3

    def unhealthy(self) -> None:
        return None

    def due(self) -> None:
        return None

    def certificate_expiry(self) -> float | None:
        tls = self.options["tls"]
        return None if tls is None else expiry(tls[0])


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> type[Standin]:
    monkeypatch.setattr(module, "_MEMORY", 64)
    monkeypatch.setattr(module, "_PASSES", 1)
    monkeypatch.setattr(serving, "_LOOK", 0.01)

    class Fresh(Standin):
        pass

    Fresh.made = []
    fake: Any = ModuleType("fedsql.flight.service")
    fake.GatewayService = Fresh
    monkeypatch.setitem(sys.modules, "fedsql.flight.service", fake)
    return Fresh


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Leave the logger as it was: the command writes to a stream that is gone afterwards."""
    logger = logging.getLogger("fedsql")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A federation in one process whose gateway has the user ada."""
    (tmp_path / "north.toml").write_text('name = "north"\n')
    (tmp_path / "federation.toml").write_text('name = "f"\n[parties.north]\nconfig = "north.toml"\n')
    add(tmp_path / "federation.toml", "ada")
    return tmp_path / "federation.toml"


def add(federation: Path, name: str, *options: object) -> None:
    arguments = ["user", "add", federation, name, "--password-stdin", *options]
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], input=PASSWORD)
    assert result.exit_code == 0, result.output


def serve(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["serve", *map(str, arguments)])


def served(*arguments: object) -> str:
    result = serve(*arguments)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    return result.stderr


def test_help_fits_80_columns() -> None:
    result = serve("--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


@POSIX
def test_the_first_start_makes_a_certificate_and_says_how_to_connect(shared: Path, service: type[Standin]) -> None:
    folder = shared.parent / "gateway"
    said = served(shared, "--host", "gw.example", "--host", "10.0.0.7")
    (made,) = service.made
    assert made.federation == shared
    assert made.users.by_password("ada", PASSWORD) == User("ada", "ada")
    chain, key = made.options.pop("tls")
    assert (chain, key) == ((folder / "tls.pem").read_bytes(), (folder / "tls.key").read_bytes())
    assert sorted(hosts_of(chain)) == sorted(["gw.example", "10.0.0.7", *HERE])
    assert made.options == {"host": "0.0.0.0", "port": 31338, "keys": None, "idle": 1800.0}
    assert made.calls == ["start", "drain", "close"]
    assert f"a TLS certificate was made in {folder}; clients need {folder / 'ca.pem'}, which is no secret" in said
    assert (
        "listening at grpc+tls://0.0.0.0:4711; connect with ADBC at grpc+tls://gw.example:4711,"
        f" trusting {folder / 'ca.pem'}\n"
    ) in said
    said = served(shared)
    assert "was made" not in said
    assert "connect with ADBC at grpc+tls://gw.example:4711" in said
    assert service.made[1].options["tls"] == (chain, key)


@POSIX
def test_a_certificate_for_this_machine_alone_is_told_where_others_could_come(shared: Path) -> None:
    assert "the certificate is for this machine alone: --host NAME" in served(shared)
    assert "for this machine alone" not in served(shared, "--listen", "127.0.0.1")


@POSIX
def test_in_the_clear_it_listens_to_this_machine_alone(shared: Path, service: type[Standin]) -> None:
    said = served(shared, "--no-tls", "--port", 5000, "--idle", "90s")
    assert service.made[0].options == {"host": "127.0.0.1", "port": 5000, "tls": None, "keys": None, "idle": 90.0}
    assert "listening at grpc://127.0.0.1:4711; connect with ADBC at grpc://127.0.0.1:4711\n" in said
    served(shared, "--no-tls", "--listen", "localhost")
    assert [path.name for path in (shared.parent / "gateway").iterdir()] == ["users.toml"]


@POSIX
def test_a_certificate_of_one_s_own(shared: Path, service: type[Standin], tmp_path: Path) -> None:
    chain, key = issue(*make_authority("theirs"), ["gw.example"])
    (tmp_path / "c.pem").write_bytes(chain)
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "k.pem").chmod(0o600)
    said = served(shared, "--certificate", tmp_path / "c.pem", "--private-key", tmp_path / "k.pem", "--keys", tmp_path)
    assert service.made[0].options["tls"] == (chain, key)
    assert service.made[0].options["keys"] == tmp_path
    assert "connect with ADBC at grpc+tls://gw.example:4711\n" in said
    assert [path.name for path in (shared.parent / "gateway").iterdir()] == ["users.toml"]
    (tmp_path / "k.pem").chmod(0o644)
    result = serve(shared, "--certificate", tmp_path / "c.pem", "--private-key", tmp_path / "k.pem")
    assert result.exit_code == 2
    assert "k.pem: the private key is open to other users" in result.stderr


@POSIX
def test_the_certificate_is_kept_beside_the_users(shared: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "var" / "users.toml"
    add(shared, "bob", "--users", elsewhere)
    served(shared, "--users", elsewhere)
    assert sorted(path.name for path in elsewhere.parent.iterdir()) == [
        "ca.key",
        "ca.pem",
        "tls.key",
        "tls.pem",
        "users.toml",
    ]


@POSIX
@pytest.mark.parametrize("wrong", [False, True])
def test_a_changed_file_of_users_is_read_again(
    shared: Path, service: type[Standin], monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    file = shared.parent / "gateway" / "users.toml"

    def work(self: Standin) -> Iterator[str]:
        if wrong:
            file.write_text("[users.eve]\n")
        else:
            RUNNER.invoke(app, ["user", "remove", str(shared), "ada"])
        while "reload" not in self.calls:
            yield "waiting"
        assert (self.users.by_password("ada", PASSWORD) is not None) == wrong

    def start(self: Standin) -> None:
        self.work = work(self)

    monkeypatch.setattr(service, "start", start)
    said = served(shared, "--no-tls")
    assert ("the files were read again" in said) == (not wrong)
    assert (f"{file}: users.eve.password: missing" in said) == wrong


@POSIX
def test_health_and_metrics_are_those_of_a_gateway(
    shared: Path, service: type[Standin], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedsql.operation.endpoint import Endpoint

    answers: list[tuple[int, str]] = []
    real = Endpoint.watch

    def watch(self: Endpoint, watched: Any) -> Any:
        told = real(self, watched)
        host, _, port = self.address.rpartition(":")
        for path in ("/healthz", "/metrics"):
            connection = HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", path)
            response = connection.getresponse()
            answers.append((response.status, response.read().decode()))
            connection.close()
        return told

    monkeypatch.setattr(Endpoint, "watch", watch)
    served(shared, "--operations", "127.0.0.1:0")
    assert answers[0] == (200, "ok\n")
    metrics = answers[1][1]
    assert 'fedsql_info{name="f",role="gateway",version=' in metrics
    names = set(re.findall(r"^(fedsql_\w+)", metrics, re.M))
    assert names == {
        "fedsql_info",
        "fedsql_start_time_seconds",
        "fedsql_healthy",
        "fedsql_last_reload_success",
        "fedsql_last_reload_time_seconds",
        "fedsql_certificate_expiry_time_seconds",
        "fedsql_sessions",
    }
    assert "fedsql_sessions 3.0\n" in metrics


@POSIX
def test_keys_that_are_missing_are_told_at_the_start(tmp_path: Path) -> None:
    assert RUNNER.invoke(app, ["init", str(tmp_path), "--parties", "north", "--analyst", "ada"]).exit_code == 0
    shared = tmp_path / "federation.toml"
    add(shared, "ada")
    add(shared, "screen", "--analyst", "ada")
    assert "WARNING" not in served(shared, "--no-tls")
    said = served(shared, "--no-tls", "--keys", tmp_path / "keys")
    missing = tmp_path / "keys" / "ada" / "identity.pem"
    assert f"screen asks as ada, whose private key is not here: {missing}" in said
    shared.write_text(shared.read_text().replace("[analysts.ada]", "[analysts.bob]"))
    assert f"ada asks as ada, who is no analyst in {shared}" in served(shared, "--no-tls")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--no-tls", "--listen", "0.0.0.0"],
            "--no-tls, --listen 0.0.0.0: passwords and answers would cross the network for all to read",
        ),
        (["--no-tls", "--listen", "gw.example"], "--no-tls, --listen gw.example: passwords and answers would"),
        (["--no-tls", "--host", "gw.example"], "are for TLS; leave out --no-tls"),
        (["--certificate", "c.pem"], "--certificate, --private-key: give both or neither"),
        (["--private-key", "k.pem"], "--certificate, --private-key: give both or neither"),
        (
            ["--certificate", "c.pem", "--private-key", "k.pem", "--host", "a"],
            "--host: is for the certificate that the",
        ),
        (["--certificate", "c.pem", "--private-key", "k.pem"], "c.pem: cannot be read: No such file or directory"),
        (["--idle", "soon"], "--idle: write a number and a unit: s, m, h, d or w"),
        (["--host", "a:1"], "--host: 'a:1' is neither a host name"),
        (["--users", "none.toml"], "none.toml: there is no such file"),
        (["--operations", "here"], "--operations: here: write HOST:PORT"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_listens(
    shared: Path, service: type[Standin], options: list[str], line: str
) -> None:
    result = serve(shared, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"error: {line}" in result.stderr or line in result.stderr
    assert service.made == []
    assert [path.name for path in (shared.parent / "gateway").iterdir()] == ["users.toml"]


def test_without_users_it_says_how_to_add_one(shared: Path, tmp_path: Path) -> None:
    assert RUNNER.invoke(app, ["user", "remove", str(shared), "ada"]).exit_code == 0
    result = serve(shared)
    assert result.exit_code == 2
    assert "users.toml: there are no users\n" in result.stderr
    assert "HINT: fedsql user add FEDERATION NAME adds one\n" in result.stderr
    assert "no such file; did you mean federation.toml?" in serve(tmp_path / "federatoin.toml").stderr


def test_what_cannot_listen_is_closed(shared: Path, service: type[Standin], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "refuse", True)
    result = serve(shared, "--no-tls")
    assert result.exit_code == 1
    assert "error: cannot listen there" in result.stderr
    assert service.made[0].calls == ["start", "close"]
