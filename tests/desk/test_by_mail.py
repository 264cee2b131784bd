"""Answers by mail become the next letters of their conversations, and nobody else's mail does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO
from typing import Any

import aiosmtplib
import imap_tools
import pytest
import sqlalchemy as sa
from PIL import Image, ImageDraw

from relay.desk import by_mail
from relay.desk.by_mail import Taking, take_incoming_next
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.directory import PrisonerState
from relay.domain.letters import LetterBody
from relay.mail.addresses import answer_address, return_path
from relay.mail.compose import Own
from relay.mail.incoming import RAW, Addressed, Doubt, Source, incoming_context, keep, known
from relay.mail.receiving import listening
from relay.sealing import Context, InboxSecret
from relay.store import leases, tables
from relay.store.erasing import erase_conversation
from relay.store.letters import read_body
from relay.store.rekeying import give_new_secret
from relay.store.sealed import load_key, open_part
from scanner.photos import PhotoDecoder
from tests.conftest import ImapServer, MailServer
from tests.desk.inboxes import begun
from tests.mail.answers import ANSWERS
from tests.mail.incoming import by, delivery
from tests.workplaces import ADDRESS, ENGLISH, WORKER_NAME, House, Sent, both_engines, send_all

MAILBOX = "letters@relay.example"
FROM = f"Mary <{ADDRESS}>"
WORDS = "Dear John,\n\nthe snow is gone.\n\nMary"


@pytest.fixture
def config() -> str:
    """A group that takes answers by mail."""
    return """\
[site]
name = "Example relay"
desk_url = "https://desk.example"
return_address = ["PO Box 9", "00000 Nowhere"]

[mail]
sender = "post@relay.example"

[incoming]
address = "letters@relay.example"
letters_per_day = 2

[review]
undo_minutes = 0
"""


def taking(house: House) -> Taking:
    """What the job stands on."""
    return Taking(house.store, house.office_key, house.settings, PhotoDecoder(), house.pages, house.relay.screener)


async def answer_to(house: House, sent: Sent) -> str:
    """The address to which a sender answers."""
    letter = await house.row(tables.letters, id=sent.id)
    return answer_address(MAILBOX, sent.secret.answer_token(letter.conversation_id))


async def came(house: House, raw: bytes, *to: str) -> Any:
    """The row of a mail to these addresses, once the worker has looked at it."""
    house.clock.advance(seconds=1)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, to)
    head = "".join(f"Delivered-To: {one}\r\n" for one in to).encode()
    (incoming_id,) = await keep(house.store, head + raw, found, Source.SMTP)
    assert await take_incoming_next(taking(house), WORKER_NAME)
    row = await house.row(tables.incoming, id=incoming_id)
    assert (row.lease_owner, row.last_error) == (None, None)
    return row


async def answered(house: House, sent: Sent, text: str = WORDS, sender: str = FROM, **more: Any) -> Any:
    """The row of a mail with which a sender answered."""
    to = await answer_to(house, sent)
    return await came(house, by(sender, text=text, to=to, **more), to)


async def body_of(house: House, row: Any) -> LetterBody:
    """What became of a mail."""
    assert (row.state, row.reason) == ("letter", None)
    async with house.store.database.reading() as connection:
        return await read_body(connection, row.letter_id, house.office_key)


async def own(house: House, kind: str) -> list[Own]:
    """What our mails of this kind say that wait."""
    rows = sorted(await house.rows(tables.outbox, kind=kind, state="waiting"), key=lambda row: row.created_at)
    said = []
    for row in rows:
        async with house.store.database.reading() as connection:
            key = await load_key(connection, Context("mail", row.id), house.office_key)
        said.append(Own.model_validate_json(key.decrypt(row.body)))
    return said


async def mails(house: House, letter_id: str) -> list[tuple[str, str]]:
    """Kind and state of the mails about a letter."""
    return sorted((row.kind, row.state) for row in await house.rows(tables.outbox, letter_id=letter_id))


# --- letters


@both_engines
async def test_answer_is_the_next_letter_and_is_confirmed(house: House) -> None:
    sent = await house.posted(address=ADDRESS, name="Mary M.", sheets=2)
    row = await answered(house, sent, subject="Re: Snow")
    first, second = sorted(await house.rows(tables.letters), key=lambda letter: letter.created_at)
    assert (second.id, second.state, second.conversation_id) == (row.letter_id, "queued", first.conversation_id)
    assert (second.language, second.wants, second.prisoner_id) == (first.language, first.wants, first.prisoner_id)
    body = await body_of(house, row)
    assert body == LetterBody(text=WORDS, printed_name="Mary M.", address=ADDRESS)
    async with house.store.database.reading() as connection:
        assert await read_body(connection, second.id, sent.secret.key) == body, "the sender can read it"
    orders = [order.sheets for order in await house.rows(tables.reply_orders)]
    assert orders == [2, 2]
    assert await mails(house, second.id) == [("queued", "dropped"), ("taken", "waiting")]
    assert await own(house, "taken") == [Own(subject="Re: Snow", text=WORDS)]
    assert not await take_incoming_next(taking(house), WORKER_NAME)


async def test_mail_stays_as_it_came(house: House) -> None:
    row = await answered(house, await house.posted(address=ADDRESS))
    raw = await open_part(house.store, incoming_context(row.id), RAW, house.office_key)
    assert raw.endswith(b"Mary\r\n")


@pytest.mark.parametrize("name", ["en gmail", "ru mail.ru", "de outlook", "sv iphone"])
async def test_only_what_was_written_is_the_letter(house: House, name: str) -> None:
    sent = await house.posted(address="mary@supporter.example")
    row = await came(house, ANSWERS[name].mail, await answer_to(house, sent))
    assert (await body_of(house, row)).text == ANSWERS[name].written


@pytest.mark.parametrize("sender", ["MARY@Sender.example", '"M." <mary+prison@sender.example>'])
async def test_same_mailbox_written_otherwise_is_the_sender(house: House, sender: str) -> None:
    row = await answered(house, await house.posted(address=ADDRESS), sender=sender)
    assert row.state == "letter"


async def test_secret_link_never_gets_into_a_letter(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    text = f"I opened https://desk.example/en/inbox/{sent.secret.link} and wrote to <{to.upper()}> then.\nMary"
    body = await body_of(house, await answered(house, sent, text))
    assert body.text == "I opened […] and wrote to <[…]> then.\nMary"


@both_engines
async def test_mail_that_comes_twice_is_one_letter_with_one_confirmation(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    rows = [await answered(house, sent) for _ in range(2)]
    assert rows[0].letter_id == rows[1].letter_id
    assert len(await house.rows(tables.letters)) == 2
    assert await mails(house, rows[0].letter_id) == [("queued", "dropped"), ("taken", "waiting")]


async def test_process_that_ends_before_the_confirmation_makes_one_letter(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, [to])
    await keep(house.store, by(FROM, text=WORDS, to=to), found, Source.SMTP)

    async def die(*_: object) -> None:
        raise RuntimeError("the process died")

    with monkeypatch.context() as killed:
        killed.setattr(by_mail, "_taken", die)
        assert await take_incoming_next(taking(house), WORKER_NAME)
    house.clock.advance(minutes=5)
    assert await take_incoming_next(taking(house), WORKER_NAME)
    row = await house.row(tables.incoming)
    assert (row.state, len(await house.rows(tables.letters))) == ("letter", 2)
    assert await mails(house, row.letter_id) == [("queued", "dropped"), ("taken", "waiting")]


async def test_answer_to_a_letter_from_inside_asks_for_the_name(house: House) -> None:
    row = await answered(house, await begun(house, address=ADDRESS))
    letter = await house.row(tables.letters, id=row.letter_id)
    assert (letter.state, letter.reason) == ("changes_requested", "unreadable")
    (said,) = await own(house, "taken")
    assert said.sentences == (
        "It cannot go like this. Please change it first, behind the link below:",
        "Please give a name to be printed. It can be a pseudonym.",
    )
    assert await mails(house, row.letter_id) == [("changes", "dropped"), ("queued", "dropped"), ("taken", "waiting")]


@pytest.mark.parametrize(
    ("text", "reason"), [("snow " * 4000, "too_long"), ("snow\n" * 1500, "too_long"), ("snow \ue000", "unreadable")]
)
async def test_letter_that_cannot_be_printed_is_kept_to_be_changed(house: House, text: str, reason: str) -> None:
    row = await answered(house, await house.posted(address=ADDRESS), text)
    letter = await house.row(tables.letters, id=row.letter_id)
    assert (letter.state, letter.reason) == ("changes_requested", reason)
    assert (await body_of(house, row)).text == "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    (said,) = await own(house, "taken")
    assert len(said.sentences) == 2


async def test_letter_to_who_was_moved_waits_for_the_address(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await _state(house, PrisonerState.MOVED)
    row = await answered(house, sent)
    assert (await house.row(tables.letters, id=row.letter_id)).state == "held"
    (said,) = await own(house, "taken")
    assert said.sentences == ("Stopped for now: the address has to be checked. A volunteer is looking into it.",)


async def _state(house: House, state: PrisonerState) -> None:
    slug = tables.prisoners.c.slug == ENGLISH.prisoner.slug
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.prisoners).where(slug).values(state=state))


# --- pictures and other files


def picture(form: str = "JPEG", size: tuple[int, int] = (640, 480), colour: str = "teal") -> bytes:
    """A picture that a phone might send."""
    file, image = BytesIO(), Image.effect_noise(size, 60).convert("RGB")
    ImageDraw.Draw(image).ellipse((10, 10, size[0] // 2, size[1] // 2), colour)
    image.save(file, form)
    return file.getvalue()


def with_files(to: str, *files: tuple[str, str, bytes], text: str = WORDS, inline: bool = False) -> bytes:
    """An answer with attached files: name, type and content of each."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"], message["Message-ID"] = FROM, to, "Re: Snow", "<p@x.example>"
    message.set_content(text)
    for name, kind, content in files:
        main, _, sub = kind.partition("/")
        message.add_attachment(
            content,
            main,
            sub,
            filename=name,
            disposition="inline" if inline else "attachment",
            cid=f"<{name}@x.example>" if inline else None,
        )
    return message.as_bytes()


async def test_pictures_go_with_the_letter_and_other_files_are_named(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    files = [("cat.jpg", "image/jpeg", picture()), ("sea.PNG", "application/octet-stream", picture("PNG"))]
    row = await came(house, with_files(to, *files, ("plan.pdf", "application/pdf", b"%PDF-1.7")), to)
    body = await body_of(house, row)
    assert [(photo.width, photo.height) for photo in body.photos] == [(640, 480)] * 2
    (said,) = await own(house, "taken")
    assert said.sentences == (
        "2 pictures go with it.",
        "Files that are no pictures cannot be printed and do not go with it: “plan.pdf”.",
    )


async def test_too_many_pictures_are_for_the_sender_to_choose(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    most = house.relay.screener.rules_of(ENGLISH.facility).photos
    row = await came(house, with_files(to, *[("cat.jpg", "image/jpeg", picture())] * (most + 1)), to)
    assert len((await body_of(house, row)).photos) == most
    letter = await house.row(tables.letters, id=row.letter_id)
    assert (letter.state, letter.reason) == ("changes_requested", "photo")
    (said,) = await own(house, "taken")
    assert said.sentences == (
        "It cannot go like this. Please change it first, behind the link below:",
        f"At most {most} photos can go with a letter to this prison. The first ones were taken.",
        f"{most} pictures go with it.",
    )


async def test_broken_picture_is_told(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, with_files(to, ("cat.jpg", "image/jpeg", picture()[:2000])), to)
    assert (await house.row(tables.letters, id=row.letter_id)).state == "changes_requested"
    (said,) = await own(house, "taken")
    assert said.sentences[1].startswith("cat.jpg: This photo is damaged")


@pytest.mark.parametrize("logo", [picture(size=(60, 40)), picture("PNG", (400, 100))])
async def test_logo_within_the_text_is_no_photo(house: House, logo: bytes) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, with_files(to, ("logo.png", "image/png", logo), inline=True), to)
    assert (await body_of(house, row)).photos == ()


async def test_picture_alone_is_kept_and_the_sender_asked_for_words(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, with_files(to, ("page.jpg", "image/jpeg", picture()), text=""), to)
    assert len((await body_of(house, row)).photos) == 1
    (said,) = await own(house, "taken")
    assert said.sentences[1] == "The letter is empty."


# --- what is not taken


async def not_taken(house: House, row: Any, reason: str, *told: str) -> None:
    """That a mail waits for a person, and what the known sender is told."""
    assert (row.state, row.reason, row.letter_id) == ("unknown", reason, None)
    assert [one.sentences for one in await own(house, "not_taken")] == [(sentence,) for sentence in told]
    assert await house.rows(tables.outbox, kind="taken") == []


OTHER = "It did not come from the address that belongs to the conversation."


AUTOMATIC_SUBJECT = "It begins like the answer of a program. With another subject it can be taken."


async def test_letter_with_the_subject_of_a_program_waits_for_a_person_and_its_sender_is_told(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    row = await answered(house, sent, subject="Urlaub in Schweden")
    await not_taken(house, row, "seems_automatic", AUTOMATIC_SUBJECT)


@pytest.mark.parametrize("sender", ["Eve <eve@other.example>", f"{FROM}, eve@other.example", "mary@other.example", ""])
async def test_other_sender_is_not_taken_and_the_known_one_is_told_once_a_day(house: House, sender: str) -> None:
    sent = await house.posted(address=ADDRESS)
    for _ in range(3):
        await not_taken(house, await answered(house, sent, sender=sender), "other_sender", OTHER)
    house.clock.advance(days=2)
    await not_taken(house, await answered(house, sent, sender=sender), "other_sender", OTHER, OTHER)


@pytest.mark.parametrize("text", ["", "> only\n> what was quoted", "\n\n-- \nMary"])
async def test_mail_with_nothing_new_is_not_taken(house: House, text: str) -> None:
    row = await answered(house, await house.posted(address=ADDRESS), text)
    await not_taken(house, row, "empty", "There is nothing new in it: no text of its own, and no picture.")


async def test_more_letters_than_a_conversation_may_bring_wait_for_a_person(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    raws = [by(FROM, text=f"letter {n}", to=to).replace(b"<m1@", f"<m{n}@".encode()) for n in range(4)]
    rows = [await came(house, raw, to) for raw in raws]
    assert [row.state for row in rows] == ["letter", "letter", "unknown", "unknown"]
    assert [row.reason for row in rows[2:]] == ["too_many"] * 2
    assert [one.sentences for one in await own(house, "not_taken")] == [
        ("More letters came by mail in one day than one conversation may bring.",)
    ]
    house.clock.advance(days=1, seconds=1)
    assert (await came(house, raws[2], to)).state == "letter"


@pytest.mark.parametrize("state", [PrisonerState.RELEASED, PrisonerState.DO_NOT_WRITE])
async def test_nobody_is_written_to_who_must_not_be(house: House, state: PrisonerState) -> None:
    sent = await house.posted(address=ADDRESS)
    await _state(house, state)
    sentence = "Nobody can write to this prisoner through us any more."
    await not_taken(house, await answered(house, sent), "not_to_be_written_to", sentence)


async def test_conversation_that_was_never_confirmed_takes_nothing_and_tells_nobody(house: House) -> None:
    await not_taken(house, await answered(house, await house.submit(address=ADDRESS)), "not_confirmed")


async def test_conversation_whose_letters_are_destroyed_tells_nobody(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.content_keys).where(tables.content_keys.c.record == "letter"))
    await not_taken(house, await answered(house, sent), "erased")


async def test_mail_for_nobody_waits_for_a_person(house: House) -> None:
    await keep(house.store, by(to=MAILBOX), [Addressed()], Source.IMAP)
    assert await take_incoming_next(taking(house), WORKER_NAME)
    await not_taken(house, await house.row(tables.incoming), "not_addressed")


async def test_too_large_a_mail_is_told_to_its_sender(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, [to])
    await keep(house.store, by(FROM, text="", to=to), found, Source.IMAP, "box 1 1", Doubt.TOO_LARGE)
    assert await take_incoming_next(taking(house), WORKER_NAME)
    row = await house.row(tables.incoming)
    await not_taken(house, row, "too_large", "It is too large. Smaller pictures help.")


async def test_mail_that_cannot_be_taken_apart_is_told(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, by(FROM, text="\n--x" * 2000, to=to), to)
    await not_taken(house, row, "unreadable", "It could not be taken apart.")


async def test_mail_at_which_workers_fail_is_left_to_a_person(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, [to])
    await keep(house.store, by(FROM, to=to), found, Source.SMTP)

    async def die(*_: object) -> None:
        raise RuntimeError("the process died")

    monkeypatch.setattr(by_mail, "_take", die)
    for _ in range(leases.ATTEMPTS + 1):
        assert await take_incoming_next(taking(house), WORKER_NAME)
        house.clock.advance(days=1)
    assert not await take_incoming_next(taking(house), WORKER_NAME)
    await not_taken(house, await house.row(tables.incoming), "failed")


# --- what programs wrote


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "X-Loop: mary@sender.example",
        "X-Autoreply: yes",
        "Return-Path: <>",
        "List-Id: <friends.example>",
    ],
)
async def test_automatic_answer_is_no_letter_and_is_never_answered(house: House, header: str) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    before = len(await house.rows(tables.outbox))
    row = await came(house, by(FROM, header, to=to), to)
    assert (row.state, row.letter_id, len(await house.rows(tables.outbox))) == ("automatic", None, before)


async def test_mail_in_a_circle_is_no_letter(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, by(FROM, *["Received: from a by b; Mon, 12 May 2031 14:05:33 +0000"] * 31, to=to), to)
    assert row.state == "automatic"


async def test_our_own_mail_that_comes_back_is_no_letter(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    row = await came(house, by("Example relay <post@relay.example>", "Auto-Submitted: auto-generated", to=to), to)
    assert row.state == "automatic"


@both_engines
async def test_bounce_is_noted_with_the_mail_that_it_is_about(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    mail = await house.row(tables.outbox, kind="posted", letter_id=sent.id)
    row = await came(house, delivery("failed", "5.1.1"), return_path(MAILBOX, mail.message_id))
    assert (row.state, row.mail_id) == ("bounce", mail.id)
    noted = await house.row(tables.outbox, id=mail.id)
    assert noted.bounce.startswith("permanent")


async def test_what_came_back_and_cannot_be_read_waits_for_a_person(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    mail = await house.row(tables.outbox, kind="posted", letter_id=sent.id)
    row = await came(house, by("Eve <eve@other.example>"), return_path(MAILBOX, mail.message_id))
    assert (row.state, row.reason, row.mail_id) == ("unknown", "unclear", mail.id)


# --- through real servers


@asynccontextmanager
async def taking_from(mail_server: MailServer, house: House) -> AsyncIterator[None]:
    """Let postfix hand mails over to us, up to one megabyte."""
    incoming = house.settings.incoming.model_copy(update={"max_megabytes": 1})
    async with listening(house.store, incoming, mail_server.lmtp_port):
        yield


async def sent_by(mail_server: MailServer, raw: bytes, to: str, sender: str = ADDRESS) -> None:
    """Give a mail to postfix as the sender's program does."""
    async with aiosmtplib.SMTP(hostname=mail_server.host, port=mail_server.port, start_tls=False) as client:
        await client.sendmail(sender, [to], raw)


async def arrived(house: House, count: int) -> Sequence[Any]:
    """All that came in, once there is so much and the worker has looked at it."""
    async with asyncio.timeout(20):
        while len(await house.rows(tables.incoming)) < count:  # noqa: ASYNC110 - postfix tells nobody that it did so
            await asyncio.sleep(0.05)
    house.clock.advance(seconds=1)
    while await take_incoming_next(taking(house), WORKER_NAME):
        pass
    return await house.rows(tables.incoming)


async def test_whole_round_through_postfix_and_dovecot(
    house: House, mail_server: MailServer, imap_server: ImapServer
) -> None:
    sent = await house.posted(address=ADDRESS)
    sender = house.sender(host=mail_server.host, port=mail_server.port)
    await send_all(sender)
    for mail in mail_server.mails(len(await house.rows(tables.outbox, state="sent"))):
        imap_server.deliver("mary", mail.as_bytes())

    def read() -> list[imap_tools.MailMessage]:
        box = imap_tools.MailBoxUnencrypted(imap_server.host, imap_server.port)
        with box.login("mary", imap_server.password) as mailbox:
            return list(mailbox.fetch())

    (ours,) = [mail for mail in await asyncio.to_thread(read) if "on its way" in mail.subject]
    quoted = "".join(f"> {line}\n" for line in ours.text.splitlines())
    answer = EmailMessage(policy=SMTP)
    answer["From"], answer["To"], answer["Subject"] = FROM, ours.reply_to[0], f"Re: {ours.subject}"
    answer["Message-ID"], answer["In-Reply-To"] = "<answer@sender.example>", ours.headers["message-id"][0]
    answer.set_content(f"{WORDS}\n\nOn 5/12/31 2:05 PM, {ours.from_values and ours.from_values.name} wrote:\n{quoted}")
    async with taking_from(mail_server, house):
        await sent_by(mail_server, answer.as_bytes(), ours.reply_to[0])
        (row,) = await arrived(house, 1)
    assert (await body_of(house, row)).text == WORDS
    assert (await house.row(tables.letters, id=row.letter_id)).state == "queued"
    count = len(list(mail_server.arrived.glob("*")))
    await send_all(sender)
    confirmation = mail_server.mails(count + 1)[-1]
    assert (confirmation["Subject"], confirmation["To"]) == ("Your mail was taken as a letter", ADDRESS)
    text = confirmation.get_body(("plain",))
    assert text is not None
    assert "the snow is gone." in text.get_content()
    assert sent.secret.link in text.get_content()


async def test_each_kind_of_mail_through_postfix(house: House, mail_server: MailServer) -> None:
    sent = await house.posted(address=ADDRESS)
    to, mail = await answer_to(house, sent), await house.row(tables.outbox, kind="posted", letter_id=sent.id)
    path = return_path(MAILBOX, mail.message_id)
    async with taking_from(mail_server, house):
        await sent_by(mail_server, by(FROM, "Auto-Submitted: auto-replied", to=to), to)
        await sent_by(mail_server, by("Eve <eve@other.example>", to=to), to, "eve@other.example")
        await sent_by(mail_server, by(FROM, to=to), to, sender="")
        await sent_by(mail_server, delivery("failed", "5.1.1"), path, sender="")
        await sent_by(mail_server, by(FROM, to=to, text=WORDS), to)
        rows = await arrived(house, 5)
    assert sorted((row.state, row.reason or "") for row in rows) == [
        ("automatic", ""),
        ("automatic", ""),
        ("bounce", ""),
        ("letter", ""),
        ("unknown", "other_sender"),
    ]


async def test_postfix_hears_of_addresses_that_nobody_has_and_of_huge_mails(
    house: House, mail_server: MailServer
) -> None:
    """It then tells the sender, who gets the mail back."""
    sent = await house.posted(address=ADDRESS)
    nobody = answer_address(MAILBOX, "a" * 26)
    huge = by(FROM, to=await answer_to(house, sent), text="0123456789 abcdef\n" * 70_000)
    async with taking_from(mail_server, house):
        await sent_by(mail_server, by(FROM, to=nobody), nobody)
        await sent_by(mail_server, huge, await answer_to(house, sent))
        backs = await asyncio.to_thread(mail_server.mails, 2)
    reasons = sorted("5.1.1" in back.as_string() for back in backs)
    assert reasons == [False, True]
    assert await house.rows(tables.incoming) == []


@pytest.mark.parametrize("subject", ["=?utf-7?q?+2AA-?=", "=?unicode_escape?q?\\ud800?="])
async def test_half_a_character_in_a_subject_is_told_as_a_question_mark(house: House, subject: str) -> None:
    await answered(house, await house.posted(address=ADDRESS), subject=subject)
    assert await own(house, "taken") == [Own(subject="?", text=WORDS)]


@both_engines
async def test_conversation_that_is_erased_while_a_mail_is_read_does_not_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted(address=ADDRESS)
    to = await answer_to(house, sent)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, [to])
    await keep(house.store, b"Delivered-To: " + to.encode() + b"\r\n" + by(FROM, to=to), found, Source.SMTP)
    look = by_mail._photos

    async def erased_meanwhile(*args: Any) -> Any:
        letter = await house.row(tables.letters, id=sent.id)
        await erase_conversation(house.store, sent.secret.lookup_hash, letter.conversation_id)
        return await look(*args)

    monkeypatch.setattr(by_mail, "_photos", erased_meanwhile)
    assert await take_incoming_next(taking(house), WORKER_NAME)
    assert [(row.id, row.state) for row in await house.rows(tables.letters)] == [(sent.id, "erased")]
    assert [row.id for row in await house.rows(tables.inboxes)] == ["nobody"]


@both_engines
async def test_inbox_that_gets_another_secret_while_a_mail_is_read_gets_its_letter_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted(address=ADDRESS)
    new = InboxSecret.from_phrase(new_claim_phrase("en"))
    to = await answer_to(house, sent)
    async with house.store.database.reading() as connection:
        found = await known(connection, MAILBOX, [to])
    await keep(house.store, b"Delivered-To: " + to.encode() + b"\r\n" + by(FROM, to=to), found, Source.SMTP)
    look = by_mail._photos

    async def changed_meanwhile(*args: Any) -> Any:
        async with house.store.database.writing() as connection:
            await give_new_secret(connection, house.store, house.office_key, sent.secret.lookup_hash, new)
        return await look(*args)

    with monkeypatch.context() as once:
        once.setattr(by_mail, "_photos", changed_meanwhile)
        assert await take_incoming_next(taking(house), WORKER_NAME)
    assert len(await house.rows(tables.letters)) == 1
    assert await take_incoming_next(taking(house), WORKER_NAME)
    first, second = sorted(await house.rows(tables.letters), key=lambda letter: letter.created_at)
    assert second.conversation_id == first.conversation_id
    assert [row.lookup_hash for row in await house.rows(tables.inboxes)] == [new.lookup_hash]


@both_engines
@pytest.mark.parametrize("odd", ["\0", "\udcff"])
async def test_bounce_about_an_id_that_no_database_takes_is_left_to_a_person(house: House, odd: str) -> None:
    sent = await house.posted(address=ADDRESS)
    raw = delivery("failed", "5.1.1").replace(
        b"Message-ID: <", b"Message-ID: <" + odd.encode("utf-8", "surrogateescape")
    )
    row = await came(house, raw, await answer_to(house, sent))
    assert (row.state, row.reason) == ("unknown", "unclear")
