"""The signature of the domain: real ones, checked against the record that the operator puts into the DNS."""

from __future__ import annotations

import re
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from relay.cli.setting_up import _doctor_mail
from relay.config import ConfigError, Installation, Settings
from relay.domain.lives import MailKind
from relay.mail.compose import POLICY, Envelope, notice
from relay.mail.sending import Sender
from relay.mail.signing import load_signer
from tests.conftest import MailServer
from tests.mail.test_compose import AT, LINK, NAME
from tests.workplaces import ADDRESS, WORKER_NAME, House, send_all

KEYS: dict[str, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
BOTH = pytest.mark.parametrize("kind", KEYS)


def with_key(folder: Path, pem: bytes, **mail: object) -> Installation:
    """An installation whose mails are signed with the key in this file."""
    (folder / "dkim.pem").write_bytes(pem)
    settings = Settings()
    signed = {"sender": "post@relay.example", "dkim_key": "dkim.pem", "dkim_selector": "post2031", **mail}
    return Installation(folder, settings.model_copy(update={"mail": settings.mail.model_copy(update=signed)}))


def pem_of(kind: str, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A key file."""
    return KEYS[kind].private_bytes(Encoding.PEM, form, NoEncryption())


def verified(mail: bytes, record: str, name: str = "post2031._domainkey.relay.example") -> bool:
    """Whether the signature is good, where this record stands under the name."""

    def look_up(asked: bytes, timeout: int = 5) -> bytes:
        del timeout
        return record.encode() if asked.decode().rstrip(".") == name else b""

    return bool(dkim.DKIM(mail).verify(dnsfunc=look_up))


def mail() -> bytes:
    """A mail of ours."""
    head = Envelope(
        sender_name="Письма друзьям",
        sender="post@relay.example",
        address=ADDRESS,
        language="ru",
        message_id="0123",
        written_at=AT,
        choice=f"https://relay.example/ru/inbox/{'A' * 43}/mails",
    )
    return notice(head, MailKind.QUEUED, NAME, LINK).as_bytes(policy=POLICY.clone(cte_type="7bit"))


@BOTH
def test_signature_is_good(kind: str, tmp_path: Path) -> None:
    signer = load_signer(with_key(tmp_path, pem_of(kind)))
    assert signer is not None
    signed = signer.signed(mail())
    assert signer.name == "post2031._domainkey.relay.example"
    assert verified(signed, signer.record)
    fields = re.sub(rb"\s", b"", signed.partition(b"\r\nFrom:")[0].replace(b"\r\n", b""))
    assert b"d=relay.example" in fields
    assert b"list-unsubscribe:list-unsubscribe-post" in fields, "RFC 8058 wants both signed"


@BOTH
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"\r\nFrom:", b"\r\nFrom: eve@other.example\r\nFrom:"),
        (b"\r\nTo: mary", b"\r\nTo: eve"),
        (b"\r\nSubject: ", b"\r\nSubject: Look\r\nSubject: "),
        (b"/ru/inbox/AA", b"/ru/inbox/BA"),
    ],
)
def test_changed_mail_has_no_good_signature(kind: str, tmp_path: Path, was: bytes, becomes: bytes) -> None:
    signer = load_signer(with_key(tmp_path, pem_of(kind)))
    assert signer is not None
    changed = signer.signed(mail()).replace(was, becomes, 1)
    assert not verified(changed, signer.record)


def test_older_form_of_a_key_file_is_read(tmp_path: Path) -> None:
    signer = load_signer(with_key(tmp_path, pem_of("rsa", PrivateFormat.TraditionalOpenSSL)))
    assert signer is not None
    assert verified(signer.signed(mail()), signer.record)


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        (b"no key", "cannot be read"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "is no key for RSA or Ed25519",
        ),
    ],
)
def test_file_that_holds_no_such_key_is_named(tmp_path: Path, pem: bytes, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as raised:
        load_signer(with_key(tmp_path, pem))
    assert str(raised.value).startswith(f"mail.dkim_key: {tmp_path / 'dkim.pem'}")


def test_no_key_signs_nothing(tmp_path: Path) -> None:
    assert load_signer(with_key(tmp_path, b"", dkim_key="")) is None


def test_doctor_says_what_has_to_stand_in_the_dns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installation = with_key(tmp_path, pem_of("ed25519"))
    signer = load_signer(installation)
    assert signer is not None
    _doctor_mail(installation)
    said = "".join(capsys.readouterr().out.split())
    assert "".join(f"{signer.name} TXT {signer.record}".split()) in said


@BOTH
async def test_signature_survives_postfix(house: House, mail_server: MailServer, kind: str, tmp_path: Path) -> None:
    signer = load_signer(with_key(tmp_path, pem_of(kind)))
    assert signer is not None
    for language in ("ru", "de"):
        await house.queued(address=ADDRESS, language=language)
    settings = house.mail_settings(port=mail_server.port, sender="post@relay.example")
    await send_all(Sender(house.store, settings, WORKER_NAME, house.office_key, desk=False, signer=signer))
    assert len(mail_server.mails(2)) == 2
    for file in mail_server.arrived.glob("*"):
        raw = file.read_bytes().replace(b"\n", b"\r\n")
        assert verified(raw[raw.index(b"DKIM-Signature:") :], signer.record)
