"""TLS certificates for a federation: an authority of its own, and the certificates of who listens below it.

TLS only protects the way: participants are known by their pinned Ed25519 keys, which no certificate stands for. So
certificates live for ten years and their authority for thirty, and there is no revocation: another authority in the
shared file replaces the old one.
X.509 v3 as RFC 5280 has it, keys of the curve P-256.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = datetime.timedelta(days=3652)  # ten years
_AUTHORITY_VALID = datetime.timedelta(days=10957)  # thirty: it stands in the shared file, a certificate is soon renewed
_SKEW = datetime.timedelta(days=1)  # clocks differ
SUBJECT = "fedsql coordinator"  # the name in a certificate; clients look at its hosts
_LONGEST_NAME = 64  # bytes of a common name
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


def make_authority(name: str) -> tuple[bytes, bytes]:
    """Return (certificate, private key) of a new authority, both PEM. What is too long of ``name`` is cut off."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), _now() + _AUTHORITY_VALID)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return _pem(builder, key), _private(key)


def issue(authority: bytes, authority_key: bytes, hosts: Sequence[str], subject: str = SUBJECT) -> tuple[bytes, bytes]:
    """Return (certificate chain, private key) of a new server certificate for ``hosts``, both PEM.

    ``authority`` and ``authority_key`` are PEM, as `make_authority` returns them; hosts are names or IP addresses.
    Raises ValueError naming a host that is neither, or when there is none, or the key is not the authority's.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return _certify(authority, authority_key, hosts, key.public_key(), subject), _private(key)


def renew(authority: bytes, authority_key: bytes, hosts: Sequence[str], chain: bytes, subject: str = SUBJECT) -> bytes:
    """Return a new certificate for the key that ``chain`` is for. All else is as in `issue`."""
    public = x509.load_pem_x509_certificate(chain).public_key()
    return _certify(authority, authority_key, hosts, public, subject)


def _certify(
    authority: bytes, authority_key: bytes, hosts: Sequence[str], public: CertificatePublicKeyTypes, subject: str
) -> bytes:
    root = x509.load_pem_x509_certificate(authority)
    root_key = load_pem_private_key(authority_key, password=None)
    if not isinstance(root_key, ec.EllipticCurvePrivateKey) or root_key.public_key() != root.public_key():
        raise ValueError("the private key is not that of the authority's certificate")
    names = [_host(host) for host in dict.fromkeys(hosts)]
    if not names:
        raise ValueError("a certificate is for at least one host")
    until = min(_now() + _VALID, root.not_valid_after_utc)
    builder = _builder(_name(subject), root.subject, public, until)
    issuer = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(authority=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _pem(builder, root_key)


def expiry(chain: bytes) -> float:
    """Return when the first certificate of a PEM chain ends, in seconds since 1970. Raises ValueError when there is none."""
    return x509.load_pem_x509_certificate(chain).not_valid_after_utc.timestamp()


def hosts_of(chain: bytes) -> list[str]:
    """Return the hosts of the first certificate of a PEM chain. Raises ValueError when there is none."""
    try:
        extensions = x509.load_pem_x509_certificate(chain).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def is_key_of(private: bytes, chain: bytes) -> bool:
    """Return whether a private key in PEM is that of the first certificate of a PEM chain. Raises ValueError."""
    key, certificate = load_pem_private_key(private, password=None), x509.load_pem_x509_certificate(chain)
    return key.public_key() == certificate.public_key()


def is_among(certificate: bytes, others: bytes) -> bool:
    """Return whether a certificate in PEM is one of those in ``others``. Raises ValueError."""
    return x509.load_pem_x509_certificate(certificate) in x509.load_pem_x509_certificates(others)


def is_issued_by(chain: bytes, authority: bytes) -> bool:
    """Return whether the first certificate of a PEM chain is one that ``authority`` (PEM) signed. Raises ValueError."""
    try:
        x509.load_pem_x509_certificate(chain).verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _host(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        if "%" not in host:  # an interface of one machine means nothing on another
            return x509.IPAddress(ipaddress.ip_address(host))
    if len(host) > 253 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", host) or re.fullmatch(r"[\d.]+", host):
        raise ValueError(f"{host!r} is neither a host name (letters, digits, - and .) nor an IP address")
    return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, until: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_now() - _SKEW).not_valid_after(until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _name(name: str) -> x509.Name:
    cut = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cut)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
