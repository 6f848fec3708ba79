"""The TLS roots that a federation file names, and the private keys that must not stand in it.

`federation.toml` goes to everybody: whatever secret was ever written into it, in a comment even, is lost.
"""

from __future__ import annotations

from pathlib import Path

_BEGIN = "-----BEGIN"
_PRIVATE = "PRIVATE KEY-----"


def private_key_line(text: str) -> int | None:
    """Return the number of the first line of ``text`` with a private key in PEM, None when there is none."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if _PRIVATE in line), None)


def tls_roots(ca: str, base: Path) -> bytes:
    """Return the certificates (PEM) that ``ca`` holds or, as the path of a file from ``base``, names.

    Raises ValueError that says what is wrong with them.
    """
    pem, shown = ca.encode(), "the text"
    if not ca.lstrip().startswith(_BEGIN):
        file = base / Path(ca).expanduser()
        try:
            pem, shown = file.read_bytes(), str(file)
        except OSError as error:
            raise ValueError(f"{file}: cannot be read: {error.strerror}") from None
    if _PRIVATE.encode() in pem:
        raise ValueError(f"{shown} holds a private key, which stays with its owner: name the certificate alone")
    from cryptography.x509 import load_pem_x509_certificates  # takes a while to load, and most files need it not

    try:
        load_pem_x509_certificates(pem)
    except ValueError:  # the library's words are of the encoding
        raise ValueError(f"{shown} is no certificate in PEM ({_BEGIN} CERTIFICATE-----)") from None
    return pem
