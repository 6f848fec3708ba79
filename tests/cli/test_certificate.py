"""`fedsql certificate`: the next TLS certificate, for the same key or a new one, and nothing changed when it cannot be."""

import datetime
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from fedsql.cli import app
from fedsql.config.loading import federation_file, load_party
from fedsql.crypto import certificates
from fedsql.crypto.certificates import hosts_of, is_key_of, make_authority
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.session import Session

RUNNER = CliRunner(env={"COLUMNS": "80"})
POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
HERE = ["localhost", "127.0.0.1", "::1"]


def run(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments])


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ends_in(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let the certificates that are issued now end so soon."""
    monkeypatch.setattr(certificates, "_VALID", datetime.timedelta(days=days))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A federation whose certificate ends in 20 days."""
    with monkeypatch.context() as patch:
        ends_in(patch, 20)
        result = run(
            "init", tmp_path / "f", "--parties", "north,south", "--host", "c.example", "--host", "10.0.0.7", "--example"
        )
    assert result.exit_code == 0, result.output
    return tmp_path / "f"


def test_the_next_one_is_for_the_same_key_and_hosts(made: Path) -> None:
    before = files(made)
    chain = made / "coordinator" / "tls.pem"
    result = run("certificate", made / "federation.toml")
    assert (result.exit_code, result.stdout) == (0, f"{chain}\n"), result.output
    after = files(made)
    assert [path for path in after if after[path] != before.get(path)] == [chain]
    assert is_key_of(before[made / "coordinator" / "tls.key"], after[chain])
    assert sorted(hosts_of(after[chain])) == sorted(["c.example", "10.0.0.7", *HERE])
    new, old = (x509.load_pem_x509_certificate(each[chain]) for each in (after, before))
    new.verify_directly_issued_by(x509.load_pem_x509_certificate((made / "ca" / "ca.pem").read_bytes()))
    assert new.not_valid_after_utc - old.not_valid_after_utc > datetime.timedelta(days=3000)
    assert f"ends on {new.not_valid_after_utc:%Y-%m-%d}." in result.stderr
    assert "needs tls.pem in its folder" in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 80


def test_hosts_that_are_given_take_the_place_of_the_old_but_for_the_one_that_is_dialled(made: Path) -> None:
    assert run("certificate", made / "federation.toml", "--host", "new.example", "--host", "::2").exit_code == 0
    assert sorted(hosts_of((made / "coordinator" / "tls.pem").read_bytes())) == sorted(
        ["c.example", "new.example", "::2", *HERE]
    )


def test_where_there_is_none_there_is_a_new_key_with_it(made: Path, tmp_path: Path) -> None:
    old = (made / "coordinator" / "tls.key").read_bytes()
    state, ca = tmp_path / "state", tmp_path / "stick"
    (made / "ca").rename(ca)
    result = run("certificate", made / "federation.toml", "--ca", ca, "--state", state)
    assert result.stdout.splitlines() == [str(state / "tls.pem"), str(state / "tls.key")]
    assert "needs tls.pem and tls.key in its folder" in result.stderr
    chain, key = (state / "tls.pem").read_bytes(), (state / "tls.key").read_bytes()
    assert is_key_of(key, chain)
    assert not is_key_of(old, chain)
    assert hosts_of(chain)[0] == "c.example"
    if os.name == "posix":
        assert [stat.S_IMODE(path.stat().st_mode) for path in (state, *state.iterdir())] == [0o700, 0o600, 0o600]


def test_a_certificate_is_renewed_without_its_key(made: Path) -> None:
    (made / "coordinator" / "tls.key").unlink()
    assert run("certificate", made / "federation.toml").exit_code == 0
    assert sorted(path.name for path in (made / "coordinator").iterdir()) == ["identity.pem", "tls.pem"]


def test_after_a_restart_all_goes_over_the_new_one(tmp_path: Path) -> None:
    assert run("init", tmp_path, "--parties", "north,south", "--port", free_port(), "--example").exit_code == 0
    shared, state = tmp_path / "federation.toml", tmp_path / "coordinator"
    with ExitStack() as stack:
        with closing(CoordinatorService(shared, state)) as first:
            for name in ("north", "south"):
                file = tmp_path / name / f"{name}.toml"
                party = stack.enter_context(closing(PartyService(file, federation_file(load_party(file)))))
                party.start()
                assert party.wait_connected(20), party.reason
            shown = first.certificate_expiry()
            (state / "tls.key").unlink()  # a new key, too
            (state / "tls.pem").unlink()
            assert run("certificate", shared).exit_code == 0
            assert first.certificate_expiry() == shown
        with closing(CoordinatorService(shared, state)), closing(Session.open(shared)) as session:
            live = session.federation._live  # type: ignore[attr-defined]
            with live._changed:
                assert live._changed.wait_for(lambda: all(each.reachable for each in live.presence()), 60)
            table = session.execute("SELECT COUNT(*) AS n FROM patients").table
            assert table is not None
            assert table.to_pylist() == [{"n": 20190}]


def replaced(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda f: (f / "ca" / "ca.key").unlink(), "{f}/ca/ca.key: cannot be read: No such file or directory"),
        (lambda f: shutil.rmtree(f / "ca"), "{f}/ca/ca.pem: cannot be read: No such file or directory"),
        pytest.param(
            lambda f: (f / "ca" / "ca.key").chmod(0o640),
            "{f}/ca/ca.key: the private key is open to other users",
            marks=POSIX,
        ),
        pytest.param(
            lambda f: (f / "coordinator" / "tls.key").chmod(0o604),
            "{f}/coordinator/tls.key: the private key is open to other users",
            marks=POSIX,
        ),
        (
            lambda f: replaced(f / "ca" / "ca.key", make_authority("x")[1]),
            "{f}/ca/ca.key: is not the key of ca.pem beside it",
        ),
        (
            lambda f: replaced(f / "coordinator" / "tls.key", make_authority("x")[1]),
            "{f}/coordinator/tls.key: is not the key of tls.pem beside it",
        ),
        (
            lambda f: [
                replaced(f / "ca" / n, c) for n, c in zip(("ca.pem", "ca.key"), make_authority("f"), strict=True)
            ],
            "{f}/ca/ca.pem: is not what {f}/federation.toml pins as coordinator.ca: nobody would trust its certificates",
        ),
        (lambda f: replaced(f / "ca" / "ca.pem", b"?"), "{f}/ca/ca.pem: is no certificate (PEM)"),
        (lambda f: replaced(f / "coordinator" / "tls.pem", b"?"), "{f}/coordinator/tls.pem: is no certificate (PEM)"),
        (
            lambda f: replaced(f / "ca" / "ca.key", b"secret"),
            "{f}/ca/ca.key: is not an unencrypted private key in PEM form",
        ),
        (
            lambda f: (f / "coordinator" / "tls.pem").unlink(),
            "{f}/coordinator/tls.key: is there already; move it, or choose another folder",
        ),
    ],
)
def test_what_cannot_be_changes_nothing(made: Path, spoil, line: str) -> None:  # type: ignore[no-untyped-def]
    spoil(made)
    before = files(made)
    result = run("certificate", made / "federation.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    errors = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    assert errors == [f"error: {line.format(f=made)}"]
    assert files(made) == before


def test_a_host_that_is_none_is_named(made: Path) -> None:
    before = files(made)
    result = run("certificate", made / "federation.toml", "--host", "c:1")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --host: 'c:1' is neither a host name")
    assert files(made) == before


def test_an_authority_that_has_ended_signs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_AUTHORITY_VALID", datetime.timedelta(hours=-1))
        ca, key = make_authority("f")
    assert run("init", tmp_path, "--parties", "north").exit_code == 0
    shared = tmp_path / "federation.toml"
    pinned = (tmp_path / "ca" / "ca.pem").read_text()
    shared.write_text(shared.read_text().replace(pinned, ca.decode()))
    replaced(tmp_path / "ca" / "ca.pem", ca)
    replaced(tmp_path / "ca" / "ca.key", key)
    result = run("certificate", shared)
    assert result.exit_code == 2
    assert f"{tmp_path / 'ca' / 'ca.pem'}: has ended: everybody needs another coordinator.ca" in result.stderr


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda text: 'name = "f"\n[parties.north]\nconfig = "north/north.toml"\n',
            "coordinator: missing; this federation has none",
        ),
        (
            lambda text: text.replace("grpc+tls://c.example", "grpc://localhost"),
            "is without TLS and needs no certificate",
        ),
        (
            lambda text: re.sub(r'ca = """.*?"""', "", text, flags=re.S),
            "coordinator.ca: missing: its certificate is one of a",
        ),
    ],
)
def test_a_federation_that_needs_none(made: Path, edit, reason: str) -> None:  # type: ignore[no-untyped-def]
    shared = made / "federation.toml"
    shared.write_text(edit(shared.read_text()))
    result = run("certificate", shared)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


@pytest.mark.parametrize(("days", "said"), [(29, "the TLS certificate ends at "), (31, None), (-0.5, "ended at ")])
def test_the_coordinator_reminds_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, said: str | None
) -> None:
    with monkeypatch.context() as patch:
        ends_in(patch, days)
        assert run("init", tmp_path, "--parties", "north", "--port", free_port()).exit_code == 0
    with closing(CoordinatorService(tmp_path / "federation.toml", tmp_path / "coordinator")) as coordinator:
        due = coordinator.due()
    assert due is None if said is None else due is not None and said in due


@POSIX
def test_the_reminder_stands_in_the_log_of_the_process(made: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from fedsql.cli import main; main()",
        "coordinator",
        str(made / "federation.toml"),
    ]
    listen = f"grpc+tls://127.0.0.1:{free_port()}"
    with subprocess.Popen([*command, "--listen", listen], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert " WARNING service: the TLS certificate ends at " in first
    assert "TLS certificate" not in rest
