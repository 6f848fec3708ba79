"""Identity keys: files, signatures, text form; query keys: agreement, separation by purpose, refusals."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fedsql.crypto.keys import IdentityKey, QueryKey, format_public, parse_public, verify
from fedsql.errors import ConfigError, ProtocolError

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def test_signature_holds_for_its_key_and_data_only() -> None:
    key, other = IdentityKey.generate(), IdentityKey.generate()
    signature = key.sign(b"question")
    assert len(signature) == 64
    assert len(key.public) == 32
    assert verify(key.public, signature, b"question")
    assert not verify(key.public, signature, b"question!")
    assert not verify(other.public, signature, b"question")
    assert not verify(key.public, signature[:-1], b"question")
    assert not verify(key.public[:-1], signature, b"question")


def test_rfc8032_test_vector_2_verifies() -> None:
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify(public, signature, b"\x72")


def test_key_file_round_trip(tmp_path: Path) -> None:
    key = IdentityKey.generate()
    path = tmp_path / "state" / "north" / "identity.pem"
    key.to_file(path)
    assert IdentityKey.from_file(path).public == key.public
    assert [entry.name for entry in path.parent.iterdir()] == ["identity.pem"]  # no draft stays behind


@posix
def test_key_file_and_its_directories_are_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "north" / "identity.pem"
    before = os.umask(0)
    try:
        IdentityKey.generate().to_file(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.pem"
    IdentityKey.generate().to_file(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="open to other users") as caught:
        IdentityKey.from_file(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    first = IdentityKey.generate()
    first.to_file(path)
    with pytest.raises(ConfigError, match="never overwritten"):
        IdentityKey.generate().to_file(path)
    assert IdentityKey.from_file(path).public == first.public
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_key_files_are_refused_without_quoting_them(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    with pytest.raises(ConfigError, match="cannot read"):
        IdentityKey.from_file(path)
    path.touch(mode=0o600)
    path.write_bytes(b"hunter2")
    with pytest.raises(ConfigError, match="not an unencrypted private key") as caught:
        IdentityKey.from_file(path)
    assert "hunter2" not in str(caught.value)
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        IdentityKey.from_file(path)


def test_text_form_round_trip_and_refusals() -> None:
    public = IdentityKey.generate().public
    text = format_public(public)
    assert text.startswith("ed25519:")
    assert parse_public(text) == public
    last_char_spare_bits = format_public(bytes(32))[:-2] + "B="
    for bad, reason in [
        ("rsa:AAAA", "is written ed25519:"),
        ("ed25519:***", "not base64"),
        ("ed25519:é", "not base64"),
        ("ed25519:AAAA", "this one has 3"),
        (last_char_spare_bits, "not canonical"),
    ]:
        with pytest.raises(ValueError, match=reason):
            parse_public(bad)
    with pytest.raises(ValueError, match="not 31"):
        format_public(public[1:])


def test_a_key_does_not_show_itself_in_its_repr() -> None:
    key = IdentityKey.generate()
    assert repr(key) == f"IdentityKey({format_public(key.public)})"


def test_both_ends_agree_per_purpose() -> None:
    a, b, c = QueryKey(), QueryKey(), QueryKey()
    assert a.shared(b.public, b"masks") == b.shared(a.public, b"masks")
    assert a.shared(b.public, b"masks") != a.shared(b.public, b"seals")
    assert a.shared(b.public, b"masks") != a.shared(c.public, b"masks")
    assert len(a.shared(b.public, b"masks")) == 32
    assert len(a.shared(b.public, b"masks", length=80)) == 80


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), bytes(31), b""])
def test_points_of_small_order_and_wrong_lengths_are_refused(point: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a valid X25519 key"):
        QueryKey().shared(point, b"masks")
