"""Sealing: it opens with the right key and context alone, and what was derived once is derived the same for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.sealing import (
    AES_TAG,
    CHUNK,
    SEED_BYTES,
    ContentKey,
    Context,
    InboxSecret,
    PrivateKey,
    PublicKey,
    SealBrokenError,
    Sealed,
    open_sealed,
    seal,
    token_hash,
)

GOLDEN = Path(__file__).with_name("sealed.golden.json")
LETTER = Context("letter", "7f3a")
OFFICE, INBOX, STRANGER = (PrivateKey(bytes([number]) * SEED_BYTES) for number in (1, 2, 3))


async def pieces(data: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def sealed_chunks(key: ContentKey, data: bytes, blob_id: str = "blob") -> list[bytes]:
    return [chunk async for chunk in key.encrypt_chunks(pieces(data), blob_id)]


async def opened(key: ContentKey, sealed: bytes, blob_id: str = "blob") -> bytes:
    return b"".join([chunk async for chunk in key.decrypt_chunks(pieces(sealed), blob_id)])


# --- texts ---


@settings(deadline=None, max_examples=20)
@given(st.binary(max_size=1000))
def test_sealed_text_opened_by_each_recipient(plaintext: bytes) -> None:
    sealed = seal(plaintext, [OFFICE.public, INBOX.public], LETTER)
    assert [open_sealed(sealed, key, LETTER) for key in (OFFICE, INBOX)] == [plaintext, plaintext]


def test_sealed_text_not_opened_by_another_key() -> None:
    sealed = seal(b"text", [OFFICE.public], LETTER)
    with pytest.raises(SealBrokenError, match="the letter is not sealed to this key"):
        open_sealed(sealed, STRANGER, LETTER)
    as_if_to_stranger = {STRANGER.public.fingerprint: sealed.wraps[OFFICE.public.fingerprint]}
    with pytest.raises(SealBrokenError, match="the key of this letter does not open"):
        open_sealed(Sealed(sealed.body, as_if_to_stranger), STRANGER, LETTER)


@pytest.mark.parametrize("other", [Context("letter", "7f3b"), Context("reply", "7f3a"), Context("letter7f3a", "")])
def test_sealed_text_not_opened_in_another_record(other: Context) -> None:
    sealed = seal(b"text", [OFFICE.public], LETTER)
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, OFFICE, other)
    key = ContentKey.unwrap(sealed.wraps, OFFICE, LETTER)
    moved = ContentKey(key._key, other)
    with pytest.raises(SealBrokenError):  # the text is bound as well as the key
        moved.decrypt(sealed.body)


def test_part_not_opened_as_another_part() -> None:
    key = ContentKey.new(LETTER)
    sealed = key.encrypt(b"text", "name")
    assert key.decrypt(sealed, "name") == b"text"
    with pytest.raises(SealBrokenError):
        key.decrypt(sealed, "text")


def test_sealed_text_with_any_bit_changed_does_not_open() -> None:
    sealed = seal(b"text", [OFFICE.public], LETTER)
    (recipient, wrap), *_ = sealed.wraps.items()
    for changed in (sealed.body[:-1], sealed.body[1:], b"", *_flipped(sealed.body)):
        with pytest.raises(SealBrokenError):
            open_sealed(Sealed(changed, sealed.wraps), OFFICE, LETTER)
    for changed in (wrap[:-1], b"", *_flipped(wrap, every=97)):
        with pytest.raises(SealBrokenError):
            open_sealed(Sealed(sealed.body, {recipient: changed}), OFFICE, LETTER)


def _flipped(data: bytes, every: int = 1) -> list[bytes]:
    return [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in range(0, len(data), every)]


def test_sealing_twice_gives_other_bytes() -> None:
    first, second = (seal(b"text", [OFFICE.public], LETTER) for _ in range(2))
    assert first.body != second.body
    assert first.wraps != second.wraps


def test_wrap_made_by_the_post_quantum_suite_alone() -> None:
    """Opened here with the suite that is meant, spelled out again; no other KEM makes a wrap of this length."""
    key = ContentKey.new(LETTER)
    (wrap,) = key.wrap([OFFICE.public]).values()
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    info = b"relay\x1fletter\x1f7f3a\x1fkey"
    assert suite.decrypt(wrap, OFFICE.hpke, info=info) == key._key
    mlkem_ciphertext, x25519_public, content_key = 1088, 32, 32
    assert len(wrap) == mlkem_ciphertext + x25519_public + content_key + AES_TAG
    with pytest.raises(InvalidTag):
        suite.decrypt(wrap, OFFICE.hpke, info=b"")


# --- blobs ---


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + CHUNK // 2])
async def test_blob_opened(size: int) -> None:
    key, data = ContentKey.new(LETTER), bytes(range(251)) * (size // 251 + 1)
    sealed = await sealed_chunks(key, data[:size])
    assert [len(chunk) for chunk in sealed[:-1]] == [CHUNK + AES_TAG] * (max(size - 1, 0) // CHUNK)
    assert await opened(key, b"".join(sealed)) == data[:size]


async def test_blob_of_changed_chunks_does_not_open() -> None:
    key = ContentKey.new(LETTER)
    a, b, c, d = await sealed_chunks(key, bytes(3 * CHUNK + CHUNK // 2))
    other = await sealed_chunks(key, bytes(3 * CHUNK + CHUNK // 2), "other blob")
    changed = {
        "last chunk missing": [a, b, c],
        "cut in the middle": [a, b, c, d[: len(d) // 2]],
        "cut in the tag": [a, b, c, d[:-1]],
        "nothing left": [],
        "first chunk missing": [b, c, d],
        "middle chunk missing": [a, c, d],
        "chunks exchanged": [b, a, c, d],
        "chunk twice": [a, a, b, c, d],
        "last chunk twice": [a, b, c, d, d],
        "last chunk alone": [d],
        "something after the end": [a, b, c, d, b"\0"],
        "chunk of another blob": [a, other[1], c, d],
        "bit changed": [a, b[:100] + bytes([b[100] ^ 1]) + b[101:], c, d],
    }
    for what, chunks in changed.items():
        with pytest.raises(SealBrokenError, match=r"chunk \d of a blob does not open"):
            pytest.fail(f"{what}: {len(await opened(key, b''.join(chunks)))} bytes")
    assert await opened(key, b"".join([a, b, c, d])) == bytes(3 * CHUNK + CHUNK // 2)


async def test_blob_does_not_open_under_another_id_key_or_record() -> None:
    key = ContentKey.new(LETTER)
    sealed = b"".join(await sealed_chunks(key, b"picture"))
    for wrong, blob_id in (
        (key, "other"),
        (ContentKey.new(LETTER), "blob"),
        (ContentKey(key._key, Context("letter", "7f3b")), "blob"),
    ):
        with pytest.raises(SealBrokenError):
            await opened(wrong, sealed, blob_id)


# --- keys ---


def test_key_files_read_back(tmp_path: Path) -> None:
    private, public = tmp_path / "office.key", tmp_path / "office.pub"
    private.write_text(OFFICE.text)
    public.write_text(OFFICE.public.text)
    assert PrivateKey.load(private).public.data == PublicKey.load(public).data == OFFICE.public.data


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", OFFICE.text[:-8], OFFICE.public.text])
def test_key_file_of_something_else_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "office.key").write_text(text)
    with pytest.raises(ValueError, match=r"."):
        PrivateKey.load(tmp_path / "office.key")


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", OFFICE.public.text[:-8], OFFICE.text])
def test_public_key_file_of_something_else_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "office.pub").write_text(text)
    with pytest.raises(ValueError, match=r"."):
        PublicKey.load(tmp_path / "office.pub")


# --- the secret of an inbox ---


@settings(deadline=None, max_examples=50)
@given(st.binary(min_size=32, max_size=32))
def test_link_of_inbox_read_back(secret: bytes) -> None:
    link = InboxSecret(secret).link
    assert set(link) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert InboxSecret.from_link(link).secret == secret


@pytest.mark.parametrize(
    "link",
    ["", "a", "AAAA", "A" * 42, "A" * 44, "Я" * 43, "A" * 42 + "!", "!" + "A" * 43, " " + "A" * 43, "A" * 42 + "B"],
)
def test_link_that_is_none_refused(link: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        InboxSecret.from_link(link)


def test_inbox_lookup_tells_nothing_about_key() -> None:
    secret = InboxSecret(b"\7" * 32)
    assert InboxSecret(b"\7" * 32).key.public.fingerprint == secret.key.public.fingerprint
    assert len({secret.lookup_hash, secret.secret.hex(), secret.key.seed.hex(), secret.key.public.fingerprint}) == 4
    assert token_hash(secret.secret.hex()) != secret.lookup_hash


# --- golden: what is derived or sealed today must open for as long as there are letters ---


@pytest.mark.parametrize(
    "phrase", ["Ёлка größe weiß", "елка grösse weiss", "  ЕЛКА\tGRÖSSE\nWEISS ", "е\u0308лка gro\u0308ße-weiß"]
)
def test_derivation_from_phrase_stays_as_it_was(phrase: str) -> None:
    secret = InboxSecret.from_phrase(phrase)
    assert secret.link == "tbtvU9QHsYqlnVcFz6eD34_Ge9rOWLx_YN225DRrBek"
    assert secret.lookup_hash == "409070b19af36e81756718ee5f59290189bd3cb4370eece22578f0ea64cdf8ec"
    assert secret.key.public.fingerprint == "176221cb4f6c7a286703bda846deb05a"


def test_what_was_sealed_before_still_opens() -> None:
    golden = json.loads(GOLDEN.read_text("ascii"))
    office = PrivateKey(bytes(range(SEED_BYTES)))
    assert office.public.fingerprint == "d99e4496af749b54ee4a2d270c805745"
    sealed = Sealed(bytes.fromhex(golden["body"]), {office.public.fingerprint: bytes.fromhex(golden["wrap"])})
    assert open_sealed(sealed, office, Context("letter", "golden")).decode() == "Привет, Анна"


async def test_blob_sealed_before_still_opens() -> None:
    key = ContentKey(bytes(range(32)), Context("scan", "golden"))
    sealed = bytes.fromhex("5a03ecbf2eb7bd0ecfafbdc0c6f9c077b7225fbb1833")
    assert await opened(key, sealed, "blob1") == b"golden"
    assert b"".join(await sealed_chunks(key, b"golden", "blob1")) == sealed
