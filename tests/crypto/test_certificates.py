"""Certificates that a real TLS server and its clients accept, for the hosts they name and no other."""

import datetime
import socket
import ssl
import threading

import pyarrow.flight as flight
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedsql.crypto.certificates import issue, make_authority

ROOT, ROOT_KEY = make_authority("hospitals")


def certificate(pem):
    return x509.load_pem_x509_certificate(pem)


def test_an_authority_signs_certificates_and_nothing_else():
    root = certificate(ROOT)
    root.verify_directly_issued_by(root)
    assert load_pem_private_key(ROOT_KEY, None).public_key() == root.public_key()
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert root.subject.rfc4514_string() == "CN=hospitals"


def test_a_certificate_names_its_hosts_and_ends_with_its_authority():
    chain, key = issue(ROOT, ROOT_KEY, ["c.example", "localhost", "10.0.0.7", "::1", "localhost"])
    leaf = certificate(chain)
    leaf.verify_directly_issued_by(certificate(ROOT))
    assert load_pem_private_key(key, None).public_key() == leaf.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["c.example", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "::1"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for each in (leaf, certificate(ROOT)):
        assert each.not_valid_after_utc - each.not_valid_before_utc > datetime.timedelta(days=3650)
    assert leaf.not_valid_after_utc <= certificate(ROOT).not_valid_after_utc


@pytest.mark.parametrize("name", ["x" * 200, "ä" * 200, "Krankenhäuser im Süden"])
def test_a_name_of_any_length_is_taken(name):
    root = certificate(make_authority(name)[0])
    (common,) = root.subject
    assert name.startswith(common.value)
    assert 63 <= len(common.value.encode()) <= 64 or common.value == name


@pytest.mark.parametrize(
    "host", ["", "a b", "*", "*.example", "http://c", "c:1", "-c", "1.2.3", "c..d", "ö.example", "fe80::1%eth0"]
)
def test_what_is_no_host_is_named(host):
    with pytest.raises(ValueError, match="is neither a host name"):
        issue(ROOT, ROOT_KEY, ["localhost", host])


def test_no_host_and_a_foreign_key_are_refused():
    with pytest.raises(ValueError, match="at least one host"):
        issue(ROOT, ROOT_KEY, [])
    with pytest.raises(ValueError, match="not that of the authority"):
        issue(ROOT, make_authority("hospitals")[1], ["localhost"])


class Server(flight.FlightServerBase):
    def list_actions(self, context):
        return []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_flight_goes_over_it(host):
    with (
        Server("grpc+tls://127.0.0.1:0", tls_certificates=[issue(ROOT, ROOT_KEY, [host])]) as server,
        flight.FlightClient(f"grpc+tls://{host}:{server.port}", tls_root_certs=ROOT) as client,
    ):
        assert client.list_actions() == []


def handshake(chain, key, folder, server_name, root=ROOT):
    """Shake hands in memory as OpenSSL does it, with its strictest checks; raise what the client finds wrong."""
    (folder / "tls.pem").write_bytes(chain)
    (folder / "tls.key").write_bytes(key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    client = ssl.create_default_context(cadata=root.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()

    def serve():
        try:
            serving.wrap_socket(there, server_side=True).close()
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with here, client.wrap_socket(here, server_hostname=server_name):
            pass
    finally:
        thread.join()


def test_openssl_takes_it_for_its_hosts_and_for_no_other(tmp_path):
    chain, key = issue(ROOT, ROOT_KEY, ["c.example", "10.0.0.7", "::1"])
    for name in ("c.example", "10.0.0.7", "::1"):
        handshake(chain, key, tmp_path, name)
    for name in ("d.example", "x.c.example", "10.0.0.8"):
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            handshake(chain, key, tmp_path, name)
    other, _ = make_authority("hospitals")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(chain, key, tmp_path, "c.example", other)
