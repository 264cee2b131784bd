"""Sealing: what is written for somebody can be read by nobody else, not even by the process that wrote it.

A fresh content key per record encrypts with AES-256-GCM; HPKE (RFC 9180, KEM MLKEM768-X25519 of
draft-ietf-hpke-pq) wraps the content key once per recipient. The context (kind and id of the record) is bound into
both, so a sealed text cannot be moved to another record. Without its wraps a record cannot be opened any more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.domain.claim_phrase import normal

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MLKEM_SEED_BYTES: Final = 64
MLKEM_PUBLIC_BYTES: Final = 1184
SEED_BYTES: Final = MLKEM_SEED_BYTES + 32
"""The private half of a key pair: the ML-KEM seed (d, z) of FIPS 203, then the X25519 scalar."""
CHUNK: Final = 1024 * 1024
"""Plain bytes of a sealed blob that are in memory at a time."""

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SealBrokenError(Exception):
    """The sealed bytes were changed, belong to another record, or are sealed to another key."""


class Context(NamedTuple):
    """The record that sealed bytes belong to."""

    kind: str
    id: str

    def bound(self, part: str) -> bytes:
        """What is bound into the encryption of one part of the record."""
        return "\x1f".join(("relay", self.kind, self.id, part)).encode()


class PublicKey:
    """The half of a key pair to which things are sealed."""

    def __init__(self, data: bytes) -> None:
        """Read a key from its bytes. Raises ValueError where they are none."""
        self.data = data
        self.fingerprint = hashlib.sha256(data).hexdigest()[:32]
        self.hpke = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(data[:MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(data[MLKEM_PUBLIC_BYTES:]),
        )

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a key file. Raises OSError, or ValueError where it holds no key."""
        return cls(_from_file(path))

    @property
    def text(self) -> str:
        """What stands in a key file."""
        return _for_file(self.data)


class PrivateKey:
    """The half of a key pair that opens; made from SEED_BYTES of seed."""

    def __init__(self, seed: bytes) -> None:
        """Derive the pair from its seed. Raises ValueError for a seed of another length."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a key seed has {SEED_BYTES} bytes, this has {len(seed)}")
        self.seed = seed
        kem = MLKEM768PrivateKey.from_seed_bytes(seed[:MLKEM_SEED_BYTES])
        curve = X25519PrivateKey.from_private_bytes(seed[MLKEM_SEED_BYTES:])
        self.hpke = MLKEM768X25519PrivateKey(kem, curve)
        self.public = PublicKey(kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())

    @classmethod
    def new(cls) -> PrivateKey:
        """A fresh random key pair."""
        return cls(os.urandom(SEED_BYTES))

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """Read a key file. Raises OSError, or ValueError where it holds no key."""
        return cls(_from_file(path))

    @property
    def text(self) -> str:
        """What stands in a key file."""
        return _for_file(self.seed)

    def tag(self, kind: str, value: str) -> str:
        """A keyed hash under which equal values are recognised; without the key nobody can try values out."""
        key = _derive(self.seed, b"tags", KEY_BYTES)
        return hmac.new(key, f"{kind}\x1f{value}".encode(), "sha256").hexdigest()


def _from_file(path: Path) -> bytes:
    return base64.b64decode(path.read_text("ascii").strip(), validate=True)


def _for_file(data: bytes) -> str:
    return base64.b64encode(data).decode() + "\n"


class InboxSecret:
    """What a claim phrase or a secret link stands for: the inbox's key pair and its look-up id."""

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of a secret. Raises ValueError for another length."""
        if len(secret) != KEY_BYTES:
            raise ValueError("this is no secret of an inbox")
        self.secret = secret

    @classmethod
    def from_phrase(cls, phrase: str) -> InboxSecret:
        """The secret behind a claim phrase, however it was typed."""
        return cls(_derive(normal(phrase).encode(), b"claim phrase", KEY_BYTES))

    @classmethod
    def from_link(cls, text: str) -> InboxSecret:
        """The secret in a secret link. Raises ValueError where the text is none."""
        found = cls(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if found.link != text:  # the decoder skips what is no base64
            raise ValueError("this is no secret of an inbox")
        return found

    @property
    def link(self) -> str:
        """The secret as it stands in a link."""
        return base64.urlsafe_b64encode(self.secret).decode().rstrip("=")

    @property
    def key(self) -> PrivateKey:
        """The inbox's key pair."""
        return PrivateKey(_derive(self.secret, b"inbox key", SEED_BYTES))

    def answer_token(self, conversation_id: str) -> str:
        """What stands in the address to which the sender answers the mails of a conversation: 26 letters and digits."""
        token = _derive(self.secret, b"answer " + conversation_id.encode(), 16)
        return base64.b32encode(token).decode().rstrip("=").lower()

    @property
    def lookup_hash(self) -> str:
        """Under which the inbox is found; it tells nothing about the key."""
        return token_hash(_derive(self.secret, b"inbox look-up", KEY_BYTES).hex())


def token_hash(token: str) -> str:
    """How a random token is stored: its SHA-256. Only for tokens of 128 random bits and more."""
    return hashlib.sha256(token.encode()).hexdigest()


def _derive(secret: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=b"relay " + purpose).derive(secret)


Wraps = Mapping[str, bytes]
"""The wrapped content key of a record, by the fingerprint of the recipient."""


class ContentKey:
    """The key of one record. Its parts (a text, a picture) are encrypted under it, each bound to its name."""

    def __init__(self, key: bytes, context: Context) -> None:
        """Take the raw key of the record named by `context`."""
        self._key = key
        self.context = context

    @classmethod
    def new(cls, context: Context) -> ContentKey:
        """A fresh key for a record."""
        return cls(os.urandom(KEY_BYTES), context)

    @classmethod
    def unwrap(cls, wraps: Wraps, key: PrivateKey, context: Context) -> ContentKey:
        """Open the wrap for `key`. Raises SealBrokenError where there is none or it does not open."""
        wrap = wraps.get(key.public.fingerprint)
        if wrap is None:
            raise SealBrokenError(f"the {context.kind} is not sealed to this key")
        try:
            return cls(_SUITE.decrypt(wrap, key.hpke, info=context.bound("key")), context)
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"the key of this {context.kind} does not open") from None

    def wrap(self, to: Sequence[PublicKey]) -> dict[str, bytes]:
        """Wrap the key for each recipient."""
        info = self.context.bound("key")
        return {recipient.fingerprint: _SUITE.encrypt(self._key, recipient.hpke, info=info) for recipient in to}

    def encrypt(self, plaintext: bytes, part: str = "") -> bytes:
        """Encrypt one part of the record."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, plaintext, self.context.bound(part))

    def decrypt(self, body: bytes, part: str = "") -> bytes:
        """Decrypt one part of the record. Raises SealBrokenError."""
        try:
            return AESGCM(self._key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], self.context.bound(part))
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"this {self.context.kind} does not open") from None

    async def encrypt_chunks(self, plain: AsyncIterable[bytes], blob_id: str) -> AsyncIterator[bytes]:
        """Encrypt a stream in chunks of CHUNK bytes. Chunk number and last-chunk flag are bound in."""
        cipher, number, held = self._blob_cipher(blob_id), 0, bytearray()
        async for piece in plain:
            held += piece
            while len(held) > CHUNK:
                yield cipher.encrypt(_chunk_nonce(number, last=False), bytes(held[:CHUNK]), None)
                del held[:CHUNK]
                number += 1
        yield cipher.encrypt(_chunk_nonce(number, last=True), bytes(held), None)

    async def decrypt_chunks(self, sealed: AsyncIterable[bytes], blob_id: str) -> AsyncIterator[bytes]:
        """Decrypt what `encrypt_chunks` gave, split in any way. Raises SealBrokenError, also if the end is missing."""
        cipher, number, held = self._blob_cipher(blob_id), 0, bytearray()
        try:
            async for piece in sealed:
                held += piece
                while len(held) > CHUNK + AES_TAG:
                    yield cipher.decrypt(_chunk_nonce(number, last=False), bytes(held[: CHUNK + AES_TAG]), None)
                    del held[: CHUNK + AES_TAG]
                    number += 1
            yield cipher.decrypt(_chunk_nonce(number, last=True), bytes(held), None)
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"chunk {number} of a blob does not open") from None

    def _blob_cipher(self, blob_id: str) -> AESGCM:
        # A key of its own per blob: its chunks can count their nonces.
        return AESGCM(_derive(self._key, b"blob " + self.context.bound(blob_id), KEY_BYTES))


AES_TAG: Final = 16


def _chunk_nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">3xBQ", last, number)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed text with the wraps of its content key."""

    body: bytes
    wraps: Wraps


def seal(plaintext: bytes, to: Sequence[PublicKey], context: Context) -> Sealed:
    """Encrypt for the recipients, bound to the record named by `context`."""
    key = ContentKey.new(context)
    return Sealed(key.encrypt(plaintext), key.wrap(to))


def open_sealed(sealed: Sealed, key: PrivateKey, context: Context) -> bytes:
    """Decrypt what `seal` gave. Raises SealBrokenError."""
    return ContentKey.unwrap(sealed.wraps, key, context).decrypt(sealed.body)
