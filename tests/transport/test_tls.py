"""TLS with a certificate authority of its own: the root certificate that a participant has decides."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from toys import Toys

from fedsql.errors import ConfigError, OperationalError


def authority():
    """Return (root certificate, a certificate for 127.0.0.1 below it, its key), all PEM."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toy authority")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject, public):
        builder = x509.CertificateBuilder().issuer_name(root_name).subject_name(subject).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))

    root = certificate(root_name, root_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    leaf = certificate(x509.Name([]), key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signed = [built.sign(root_key, SHA256()).public_bytes(Encoding.PEM) for built in (root, leaf)]
    return *signed, private


def test_queries_go_over_tls(make):
    root, certificate, key = authority()
    toys = make(tls=(certificate, key), address="grpc+tls://127.0.0.1:0")
    assert toys.hub.address.startswith("grpc+tls://")
    for number, name in enumerate("abc"):
        toys.party(name, 10**number, tls_root_certs=root)
    assert toys.sum(toys.analyst(tls_root_certs=root), "abc")[0] == 111


def test_a_certificate_of_another_authority_is_not_trusted(make):
    _, certificate, key = authority()
    other, _, _ = authority()
    toys = make(tls=(certificate, key), address="grpc+tls://127.0.0.1:0")
    with pytest.raises(OperationalError, match="cannot be reached"):
        toys.analyst(tls_root_certs=other)


def test_a_key_of_another_certificate_is_refused():
    (_, certificate, _), (_, _, key) = authority(), authority()
    with pytest.raises(ConfigError, match="the certificate and its key may not fit"):
        Toys(tls=(certificate, key), address="grpc+tls://127.0.0.1:0")


def test_a_hub_without_tls_is_not_taken_for_one_with(make):
    root, _, _ = authority()
    toys = make()
    with pytest.raises(OperationalError, match="cannot be reached"):
        toys.analyst(address=toys.hub.address.replace("grpc:", "grpc+tls:"), tls_root_certs=root)
