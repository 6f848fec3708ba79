"""The gateway's certificate: made once, renewed when it must be, never for what it cannot sign, and clients' trust stays."""

import datetime
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509

from fedsql.crypto import certificates
from fedsql.crypto.certificates import hosts_of, is_issued_by, is_key_of, issue, make_authority
from fedsql.errors import ConfigError
from fedsql.executors.setup import HERE
from fedsql.flight.tls import due, given, own

POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
FILES = ["ca.key", "ca.pem", "tls.key", "tls.pem"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def ends_in(patch: pytest.MonkeyPatch, days: float) -> None:
    """Let the certificates that are issued now end so soon."""
    patch.setattr(certificates, "_VALID", datetime.timedelta(days=days))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gateway"


@pytest.fixture
def old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A certificate for gw.example that ends in 20 days."""
    with monkeypatch.context() as patch:
        ends_in(patch, 20)
        own(folder, ["gw.example"], "f gateway")
    return files(folder)


def test_the_first_start_makes_an_authority_and_what_it_signs(folder: Path) -> None:
    before = os.umask(0)
    try:
        made = own(folder, ["gw.example", "10.0.0.7"], "clinics gateway")
    finally:
        os.umask(before)
    there = files(folder)
    assert sorted(there) == FILES
    assert (made.chain, made.key, made.authority) == (there["tls.pem"], there["tls.key"], folder / "ca.pem")
    assert sorted(hosts_of(made.chain)) == sorted(["gw.example", "10.0.0.7", *HERE])
    assert is_key_of(made.key, made.chain)
    assert is_issued_by(made.chain, there["ca.pem"])
    assert not is_issued_by(made.chain, make_authority("clinics gateway")[0])
    name = x509.load_pem_x509_certificate(made.chain).subject.rfc4514_string()
    assert name == "CN=fedsql gateway"
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE((folder / each).stat().st_mode) for each in ("ca.key", "tls.key")] == [0o600, 0o600]
        assert (folder / "ca.pem").stat().st_mode & 0o444 == 0o444
    assert own(folder, ["gw.example"], "clinics gateway") == made
    assert own(folder, [], "clinics gateway") == made
    assert files(folder) == there


def test_one_that_ends_soon_is_renewed_for_the_same_key(folder: Path, old: dict[str, bytes]) -> None:
    made = own(folder, [], "f gateway")
    new = files(folder)
    assert [name for name in FILES if new[name] != old[name]] == ["tls.pem"]
    assert made.chain == new["tls.pem"]
    assert is_key_of(old["tls.key"], made.chain)
    assert is_issued_by(made.chain, old["ca.pem"])
    assert sorted(hosts_of(made.chain)) == sorted(["gw.example", *HERE])
    assert due(certificates.expiry(made.chain)) is None


def test_another_host_needs_another_certificate_and_no_other_authority(folder: Path) -> None:
    first = own(folder, ["gw.example"], "f gateway")
    second = own(folder, ["gw.example", "new.example"], "f gateway")
    assert sorted(hosts_of(second.chain)) == sorted(["gw.example", "new.example", *HERE])
    assert (second.key, second.authority) == (first.key, first.authority)
    assert is_issued_by(second.chain, files(folder)["ca.pem"])


def test_without_the_authority_s_key_it_serves_to_its_end_and_says_so(
    folder: Path, old: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ca.key").unlink()
    made = own(folder, ["gw.example"], "f gateway")
    assert made.chain == old["tls.pem"]
    reminder = due(certificates.expiry(made.chain))
    assert reminder is not None
    assert "the TLS certificate ends at " in reminder
    with pytest.raises(ConfigError, match=r"--host: .*tls.pem is not for b.example, and .*ca.key, which could sign"):
        own(folder, ["b.example"], "f gateway")
    (folder / "tls.pem").unlink()
    (folder / "tls.key").unlink()
    with pytest.raises(ConfigError, match=r"ca.key: cannot be read: No such file") as error:
        own(folder, [], "f gateway")
    assert error.value.hint is not None
    assert sorted(files(folder)) == ["ca.pem"]


def test_a_lost_certificate_is_made_again_by_the_same_authority(folder: Path, old: dict[str, bytes]) -> None:
    (folder / "tls.pem").unlink()
    (folder / "tls.key").unlink()
    made = own(folder, ["gw.example"], "f gateway")
    assert is_issued_by(made.chain, old["ca.pem"])
    assert made.key != old["tls.key"]


def test_what_somebody_else_signed_is_not_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, root_key = make_authority("theirs")
    with monkeypatch.context() as patch:
        ends_in(patch, 5)
        chain, key = issue(root, root_key, ["gw.example"])
    own(folder, ["gw.example"], "f gateway")
    (folder / "tls.pem").write_bytes(chain)
    (folder / "tls.key").write_bytes(key)
    made = own(folder, ["gw.example"], "f gateway")
    assert (made.chain, made.authority) == (chain, None)
    with pytest.raises(ConfigError, match=r"is not for b\.example"):
        own(folder, ["b.example"], "f gateway")


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda f: (f / "tls.key").unlink(), "tls.key: cannot be read: No such file or directory"),
        (lambda f: (f / "tls.pem").unlink(), "tls.pem: cannot be read: No such file or directory"),
        (lambda f: (f / "tls.pem").write_bytes(b"?"), "tls.pem: is no certificate (PEM)"),
        (lambda f: (f / "tls.key").write_bytes(b"secret"), "tls.key: is not an unencrypted private key in PEM form"),
        (lambda f: (f / "tls.key").write_bytes(make_authority("x")[1]), "tls.key: is not the key of tls.pem beside it"),
        pytest.param(
            lambda f: (f / "tls.key").chmod(0o640), "tls.key: the private key is open to other users", marks=POSIX
        ),
        pytest.param(
            lambda f: (f / "ca.key").chmod(0o604), "ca.key: the private key is open to other users", marks=POSIX
        ),
        (lambda f: (f / "ca.key").write_bytes(make_authority("x")[1]), "ca.key: is not the key of ca.pem beside it"),
    ],
)
def test_what_does_not_fit_changes_nothing(folder: Path, old: dict[str, bytes], spoil, line: str) -> None:  # type: ignore[no-untyped-def]
    spoil(folder)
    before = files(folder)
    with pytest.raises(ConfigError) as error:
        own(folder, [], "f gateway")
    assert error.value.problems == (f"{folder}/{line}",)
    assert files(folder) == before


def test_a_host_that_is_none_leaves_nothing_behind(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--host: 'gw:1' is neither a host name"):
        own(folder, ["gw:1"], "f gateway")
    assert not folder.exists()


def test_an_authority_that_has_ended_signs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_AUTHORITY_VALID", datetime.timedelta(hours=-1))
        root, root_key = make_authority("f gateway")
    folder.mkdir()
    (folder / "ca.pem").write_bytes(root)
    (folder / "ca.key").write_bytes(root_key)
    (folder / "ca.key").chmod(0o600)
    with pytest.raises(ConfigError, match=r"ca.pem: has ended"):
        own(folder, [], "f gateway")


def test_a_certificate_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, root_key = make_authority("theirs")
    certificate, private_key = tmp_path / "c.pem", tmp_path / "k.pem"
    chain, key = issue(root, root_key, ["gw.example"])
    certificate.write_bytes(chain)
    private_key.write_bytes(key)
    private_key.chmod(0o600)
    made = given(certificate, private_key)
    assert (made.chain, made.key, made.authority) == (chain, key, None)
    private_key.write_bytes(root_key)
    with pytest.raises(ConfigError, match=r"k.pem: is not the key of c.pem"):
        given(certificate, private_key)
    with monkeypatch.context() as patch:
        ends_in(patch, -0.5)
        chain, key = issue(root, root_key, ["gw.example"])
    certificate.write_bytes(chain)
    private_key.write_bytes(key)
    with pytest.raises(ConfigError, match=r"c.pem: has ended"):
        given(certificate, private_key)
    with pytest.raises(ConfigError, match=r"no.pem: cannot be read"):
        given(tmp_path / "no.pem", private_key)
