"""The signature of the group's domain on outgoing mails (DKIM, RFC 6376; Ed25519 by RFC 8463)."""

from __future__ import annotations

import base64
from typing import Final

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from relay.config import ConfigError, Installation

SMALLEST_RSA: Final = 1024
"""Bits; receivers may take a signature by a smaller key for none (RFC 8301)."""
SIGNED: Final = (
    *(b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"references", b"auto-submitted"),
    *(b"list-unsubscribe", b"list-unsubscribe-post", b"mime-version", b"content-type", b"content-transfer-encoding"),
)


class Signer:
    """Signs mails with one key."""

    def __init__(self, key: RSAPrivateKey | Ed25519PrivateKey, selector: str, domain: str) -> None:
        """Take the key whose public half stands in the DNS under `selector`._domainkey.`domain`."""
        self._selector, self._domain = selector.encode(), domain.encode()
        if isinstance(key, RSAPrivateKey):
            self._algorithm = b"rsa-sha256"
            self._key = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            self._algorithm = b"ed25519-sha256"
            self._key = base64.b64encode(key.private_bytes_raw())
            public = key.public_key().public_bytes_raw()
        kind = self._algorithm.decode().partition("-")[0]
        self.name: Final = f"{selector}._domainkey.{domain}"
        """Where the public half has to stand."""
        self.record: Final = f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"
        """What has to stand there, as a TXT record."""

    def signed(self, mail: bytes) -> bytes:
        """The mail with a signature before it. Its lines have to end with CRLF, and nothing may change it any more."""
        there = {line.partition(b":")[0].lower() for line in mail.partition(b"\r\n\r\n")[0].split(b"\r\n")}
        # Named once more than it is there: nobody can add another one.
        fields = [*(name for name in SIGNED if name in there), b"from", b"subject"]
        signature: bytes = dkim.DKIM(mail).sign(
            self._selector,
            self._domain,
            self._key,
            signature_algorithm=self._algorithm,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=fields,
        )
        return signature + mail


def load_signer(installation: Installation) -> Signer | None:
    """The signer that the settings name; None for no signature. Raises ConfigError."""
    mail = installation.settings.mail
    if not mail.dkim_key:
        return None
    path = installation.folder / mail.dkim_key
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"mail.dkim_key: {path} cannot be read ({error})") from error
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigError(f"mail.dkim_key: {path} is no key for RSA or Ed25519")
    if isinstance(key, RSAPrivateKey) and key.key_size < SMALLEST_RSA:
        raise ConfigError(f"mail.dkim_key: {path} has {key.key_size} bits, {SMALLEST_RSA} are the least")
    return Signer(key, mail.dkim_selector, mail.sender.rpartition("@")[2])
