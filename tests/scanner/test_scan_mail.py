"""Mails of a scanner: stored before it hears that they were taken, and taken apart whatever they look like."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP as AS_SENT
from typing import Any

import aiosmtplib
import pytest
import sqlalchemy as sa

from relay.config import ScanSettings
from relay.domain.lives import WORKER
from relay.sealing import Context, PrivateKey
from relay.store.sealed import Store, open_part
from relay.store.tables import pages, scans
from scanner import scan_mail
from scanner.limits import NoAttachmentError, TooManyPartsError
from scanner.scan_mail import MOST_MEGABYTES, Attachment, attachments, taking_mail, unpack_next
from scanner.steps import Source, take_in
from tests.fakes.clock import FakeClock

PDF = b"%PDF-1.7 what a scanner made"
TIFF = b"II*\x00 what another made"
SETTINGS = ScanSettings(
    mail_port=1, mail_senders=("Scanner@office.example",), mail_recipients=("scans@relay.example", "b@relay.example")
)
OWNER = "worker-test"


def mail(*attached: tuple[str, bytes, str]) -> EmailMessage:
    """A mail as scanners make them: name, content and type of each file."""
    message = EmailMessage(policy=AS_SENT)
    message["From"], message["To"] = "scanner@office.example", "scans@relay.example"
    message["Subject"] = "Scan from the ground floor"
    message.set_content("Pages: 3\n")
    for name, content, kind in attached:
        main, _, sub = kind.partition("/")
        message.add_attachment(content, main, sub, filename=name)
    return message


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Where nothing depends on the engine."""
    return sqlite_url


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[int]:
    """The server at a port that the system chose."""
    async with scan_mail._listening(store, SETTINGS, 0) as port:
        yield port


async def send(
    port: int, message: bytes, sender: str = "scanner@office.example", to: str = "scans@relay.example"
) -> str:
    """What the server answers to a mail."""
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        return (await client.sendmail(sender, [to], message))[1]


async def stored(store: Store, office: PrivateKey, **values: Any) -> list[tuple[str, bytes]]:
    """State and content of the scans with these values, in the order in which they came."""
    query = sa.select(scans).where(*(scans.c[name] == value for name, value in values.items()))
    async with store.database.reading() as connection:
        found = (await connection.execute(query.order_by(scans.c.created_at))).all()
    return [(row.state, await open_part(store, Context("scan", row.id), "original", office)) for row in found]


async def received(store: Store, message: EmailMessage | bytes) -> str:
    """The id of a mail that is stored."""

    async def pieces() -> AsyncIterator[bytes]:
        yield message if isinstance(message, bytes) else message.as_bytes()

    return (await take_in(store, pieces(), "scanner@office.example", WORKER, source=Source.MAIL)).scan_id


# --- over SMTP


async def test_mail_is_stored_as_it_came_before_the_answer(store: Store, office: PrivateKey) -> None:
    sent = mail(("scan.pdf", PDF, "application/pdf")).as_bytes()
    async with listening(store) as port:
        assert await send(port, sent) == "2.0.0 The mail is stored"
        assert await stored(store, office, source="mail") == [("received", sent)]


@pytest.mark.parametrize("sender", ["SCANNER@office.example", "scanner@OFFICE.EXAMPLE"])
async def test_sender_in_other_letters_is_the_same(store: Store, sender: str) -> None:
    async with listening(store) as port:
        assert await send(port, mail().as_bytes(), sender) == "2.0.0 The mail is stored"


@pytest.mark.parametrize("sender", ["somebody@else.example", "scanner@office.example.else.example", ""])
async def test_other_sender_is_refused_before_anything_is_sent(store: Store, sender: str) -> None:
    async with listening(store) as port, aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await client.mail(sender)
    assert (refused.value.code, refused.value.message) == (550, "5.7.1 Scans are not taken from this address")


async def test_other_recipient_is_refused(store: Store, office: PrivateKey) -> None:
    async with listening(store) as port:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await send(port, mail().as_bytes(), to="letters@relay.example")
        (one,) = refused.value.recipients
        assert (one.code, one.message) == (550, "5.1.1 Scans are not taken for this address")
    assert await stored(store, office) == []


async def test_mail_to_both_addresses_is_one(store: Store, office: PrivateKey) -> None:
    async with listening(store) as port, aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        await client.sendmail("scanner@office.example", list(SETTINGS.mail_recipients), mail().as_bytes())
    assert len(await stored(store, office)) == 1


async def test_size_is_announced_and_a_larger_mail_refused_before_it_comes(store: Store) -> None:
    async with listening(store) as port, aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        await client.ehlo()
        assert client.esmtp_extensions["size"] == str(MOST_MEGABYTES * 1_000_000)
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await client.mail("scanner@office.example", options=[f"SIZE={MOST_MEGABYTES * 1_000_000 + 1}"])
    assert refused.value.code == 552


async def test_mail_that_is_larger_than_it_said_is_refused(
    store: Store, office: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_mail, "MOST_MEGABYTES", 1)
    async with listening(store) as port, aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        await client.mail("scanner@office.example")
        await client.rcpt("scans@relay.example")
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await client.data(mail(("scan.pdf", bytes(1_000_000), "application/pdf")).as_bytes())
        assert refused.value.code == 552
        await client.sendmail("scanner@office.example", ["scans@relay.example"], mail().as_bytes())
    assert len(await stored(store, office)) == 1, "the connection goes on"


async def test_mail_that_cannot_be_stored_stays_with_the_scanner(
    store: Store, office: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("the password of the database is 12345")

    async with listening(store) as port:
        with monkeypatch.context() as patched:
            patched.setattr(scan_mail, "take_in", fail)
            with pytest.raises(aiosmtplib.SMTPDataError) as refused:
                await send(port, mail().as_bytes())
            assert (refused.value.code, refused.value.message) == (
                451,
                "4.3.0 The mail could not be stored; send it again later",
            )
        await send(port, mail().as_bytes())
    assert len(await stored(store, office)) == 1


async def test_mail_broken_off_in_the_middle_is_not_stored(store: Store, office: PrivateKey) -> None:
    async with listening(store) as port:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await client.connect()
        await client.mail("scanner@office.example")
        await client.rcpt("scans@relay.example")
        await client.execute_command(b"DATA")
        client.transport.write(b"Subject: Scan\r\n\r\nhalf of")  # type: ignore[union-attr]
        client.close()
        await send(port, mail().as_bytes())
    assert len(await stored(store, office)) == 1


async def test_greeting_names_neither_machine_nor_program(store: Store) -> None:
    async with listening(store) as port:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        hello = await client.connect()
        assert (hello.code, hello.message) == (220, "localhost ESMTP")
        client.close()


async def test_no_port_in_the_settings_listens_nowhere(store: Store) -> None:
    async with taking_mail(store, ScanSettings()) as port:
        assert port == 0


# --- taken apart


async def test_attachments_become_scans_of_their_own(store: Store, office: PrivateKey, clock: FakeClock) -> None:
    mail_id = await received(store, mail(("a.pdf", PDF, "application/pdf"), ("b.tif", TIFF, "image/tiff")))
    clock.advance(seconds=1)
    assert await unpack_next(store, OWNER, office)
    assert await stored(store, office, came_in=mail_id) == [("received", PDF), ("received", TIFF)]
    (whole,) = await stored(store, office, id=mail_id)
    assert whole[0] == "split"
    async with store.database.reading() as connection:
        assert await connection.scalar(sa.select(scans.c.page_count).where(scans.c.id == mail_id)) == 0
        assert (await connection.execute(sa.select(pages))).all() == []
    assert not await unpack_next(store, OWNER, office), "what was attached is no mail"


async def test_mail_without_a_scan_is_rejected_and_kept(store: Store, office: PrivateKey) -> None:
    sent = mail(("notes.docx", b"PK", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"))
    await received(store, sent)
    assert await unpack_next(store, OWNER, office)
    assert await stored(store, office) == [("rejected", sent.as_bytes())]
    async with store.database.reading() as connection:
        assert await connection.scalar(sa.select(scans.c.reason)) == "no_attachment"


async def test_process_that_dies_between_two_attachments_finds_the_same_again(
    store: Store, office: PrivateKey, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_id = await received(store, mail(("a.pdf", PDF, "application/pdf"), ("b.tif", TIFF, "image/tiff")))
    left = iter(range(1))

    async def dying(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise ConnectionError
        return await take_in(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(scan_mail, "take_in", dying)
        await unpack_next(store, OWNER, office)
    assert await stored(store, office, came_in=mail_id) == [("received", PDF)]
    clock.advance(minutes=10)
    assert await unpack_next(store, OWNER, office)
    assert await stored(store, office, came_in=mail_id) == [("received", PDF), ("received", TIFF)]


async def test_scan_sent_twice_in_two_mails_is_one(store: Store, office: PrivateKey, clock: FakeClock) -> None:
    first = await received(store, mail(("a.pdf", PDF, "application/pdf")))
    clock.advance(seconds=1)
    second = await received(store, mail(("another name.pdf", PDF, "application/pdf"), ("b.tif", TIFF, "image/tiff")))
    assert [await unpack_next(store, OWNER, office) for _ in range(3)] == [True, True, False]
    assert await stored(store, office, came_in=first) == [("received", PDF)]
    assert await stored(store, office, came_in=second) == [("received", TIFF)]


def plain(headers: str, body: bytes = b"") -> bytes:
    """A mail written by hand, as no library would."""
    return headers.replace("\n", "\r\n").encode() + b"\r\n" + body


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("application/octet-stream", "DOC0001"),
        ("application/octet-stream", "scan.pdf"),
        ("application/x-pdf", "scan"),
        ("image/jpg", "photo"),
        ("image/heic", "IMG_1.HEIC"),
        ("application/x-unknown", "scan.TIF"),
        ("text/plain", "scan.pdf"),
    ],
)
def test_scan_is_known_by_its_type_or_its_name(kind: str, name: str) -> None:
    given = mail((name, PDF, kind)) if not kind.startswith("text") else mail()
    if kind.startswith("text"):
        given.add_attachment(PDF.decode(), filename=name)
    (found,) = attachments(given.as_bytes())
    assert (found.name, found.content.strip()) == (name, PDF)


def test_mail_that_is_nothing_but_the_scan_has_one() -> None:
    body = base64.encodebytes(PDF)
    given = plain("Content-Type: application/pdf; name=scan.pdf\nContent-Transfer-Encoding: base64\n", body)
    assert attachments(given) == [Attachment("scan.pdf", PDF)]


def test_scan_in_a_forwarded_mail_is_found() -> None:
    outer = mail()
    outer.add_attachment(mail(("scan.pdf", PDF, "application/pdf")))
    assert attachments(outer.as_bytes()) == [Attachment("scan.pdf", PDF)]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename==?utf-8?B?0L/QuNGB0YzQvNC+LnBkZg==?=", "письмо.pdf"),
        ("attachment; filename*=utf-8''%D0%BF%D0%B8%D1%81%D1%8C%D0%BC%D0%BE.pdf", "письмо.pdf"),
        ("attachment; filename*=no-such-charset''%ff.pdf", "ÿ.pdf"),
        ("attachment; filename==?no-such-charset?B?/w==?=", "attachment"),
        ("attachment; filename==?utf-8?B?*?=", "attachment"),
        ("attachment", "attachment"),
        ("attachment; filename=../../etc/passwd", "../../etc/passwd"),
        (f"attachment; filename={'x' * 5000}.pdf", "x" * 196 + ".pdf"),
    ],
)
def test_name_is_a_label_whatever_stands_there(header: str, name: str) -> None:
    given = plain(f"Content-Type: application/pdf\nContent-Disposition: {header}\n", PDF)
    assert [one.name.strip() for one in attachments(given)] == [name]


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"\r\n",
        b"\xff\xfe\x00" * 1000,
        plain("Content-Type: multipart/mixed\n", PDF),
        plain("Content-Type: multipart/mixed; boundary=\n", b"--\r\n--\r\n"),
        plain("Content-Type: message/rfc822\n"),
        plain("Subject\n"),
        plain("Content-Type: text/plain\n\n", b"begin 644 scan.pdf\n"),
    ],
)
def test_broken_mail_without_a_scan_is_refused(given: bytes) -> None:
    with pytest.raises(NoAttachmentError):
        attachments(given)


def test_attachment_whose_end_is_missing_is_taken_as_far_as_it_goes() -> None:
    whole = mail(("scan.pdf", PDF * 100, "application/pdf")).as_bytes()
    (found,) = attachments(whole[: whole.index(b"JVBERi") + 802])
    assert 0 < len(found.content) < len(PDF * 100)
    assert (PDF * 100).startswith(found.content)


def test_attachment_that_is_no_base64_is_taken_as_it_stands() -> None:
    given = plain("Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n", b"%PDF-\xff")
    assert len(attachments(given)) == 1


def nested(depth: int) -> bytes:
    inside = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return inside + b"x\r\n" * 1000


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda: nested(3000), id="nested"),
        pytest.param(lambda: b"Content-Type: message/rfc822\r\n\r\n" * 3000, id="mails in mails"),
        pytest.param(
            lambda: b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 100_000, id="many parts"
        ),
        pytest.param(lambda: b"a:\r\n" * 1_000_001, id="many lines"),
        pytest.param(lambda: b"Content-Type: application/pdf;\r\n" + b" a=b;\r\n" * 500_000, id="long header"),
        pytest.param(lambda: b"Content-Type: Multipart/mixed;\r\n" + b" a=b;\r\n" * 500_000, id="long one of parts"),
    ],
)
def test_mail_that_would_take_long_is_refused_at_once(given: Callable[[], bytes]) -> None:
    with pytest.raises(TooManyPartsError):
        attachments(given())


async def test_mail_of_too_many_parts_is_rejected_and_kept(store: Store, office: PrivateKey) -> None:
    await received(store, nested(3000))
    assert await unpack_next(store, OWNER, office)
    assert await stored(store, office) == [("rejected", nested(3000))]
