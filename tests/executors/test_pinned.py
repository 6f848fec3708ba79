"""What is checked before a party or a coordinator serves."""

import pytest

from fedsql.errors import ConfigError
from fedsql.executors.pinned import everywhere, tls_files


@pytest.mark.parametrize(
    ("pinned", "listens"),
    [
        ("grpc+tls://coordinator.example:31337", "grpc+tls://0.0.0.0:31337"),
        ("grpc+tls://192.0.2.7:31337", "grpc+tls://0.0.0.0:31337"),
        ("grpc+tls://[2001:db8::7]:31337", "grpc+tls://[::]:31337"),
        ("grpc+tls://localhost:31337", "grpc+tls://localhost:31337"),
        ("grpc+tls://127.0.0.1:31337", "grpc+tls://127.0.0.1:31337"),
        ("grpc+tls://[::1]:31337", "grpc+tls://[::1]:31337"),
        ("grpc://localhost:31337", "grpc://localhost:31337"),
    ],
)
def test_what_is_dialled_on_this_machine_listens_to_it_alone(pinned, listens):
    assert everywhere(pinned) == listens


def test_a_certificate_that_is_none_is_named(tmp_path):
    (tmp_path / "tls.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"tls\.key: cannot be read"):
        tls_files(tmp_path)
    (tmp_path / "tls.key").write_text("")
    with pytest.raises(ConfigError, match=r"tls\.pem: is no certificate \(PEM\)"):
        tls_files(tmp_path)
