"""Letters that begin inside: pages that answer nobody become a conversation with whoever they are for."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.letters import LetterBody, Transcript, Wants
from relay.domain.lives import Record
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.mail.suppression import address_tag
from relay.sealing import Context, InboxSecret
from relay.store import audit, directory, tables
from relay.store.letters import read_body
from relay.store.sealed import load_key
from relay.store.transitions import NotThereError
from scanner import from_inside, steps
from scanner.codes import PageCodes
from scanner.from_inside import Beginning
from scanner.reading import Reading
from tests.conftest import SmtpCatcher
from tests.scanner.replies import text_of
from tests.workplaces import ENGLISH, House, Sent, both_engines, get, post, send_all, sure

MOTHER = "mother@supporter.example"
PLAIN = PageCodes(())


async def heap_pages(house: House, count: int = 1) -> tuple[str, ...]:
    """The ids of pages without a code, in the order of their scan."""
    scan = await house.split(*[PLAIN] * count)
    rows = await house.rows(tables.pages, scan_id=scan)
    return tuple(row.id for row in sorted(rows, key=lambda row: row.number))


async def beginning(house: House, pages: tuple[str, ...], address: str | None = MOTHER) -> Beginning:
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, ENGLISH.prisoner.slug)
    assert known is not None
    return Beginning(pages, known.prisoner_id, "de", address, new_claim_phrase("de"))


async def begin(house: House, wanted: Beginning) -> None:
    await from_inside.begin_conversation(house.store, house.office_key, wanted, house.volunteers["anna"])


async def page_states(house: House) -> list[str]:
    return [row.state for row in sorted(await house.rows(tables.pages), key=lambda row: row.number)]


async def tagged(house: House, sent: Sent, address: str) -> None:
    """Let the inbox of a letter be known by an address, as the worker does."""
    letter = await house.row(tables.letters, id=sent.id)
    inbox = (await house.row(tables.conversations, id=letter.conversation_id)).inbox_id
    async with house.store.database.writing() as connection:
        this = sa.update(tables.inboxes).where(tables.inboxes.c.id == inbox)
        await connection.execute(this.values(address_tag=address_tag(house.office_key, address)))


@both_engines
async def test_pages_become_a_conversation_that_its_new_inbox_opens(house: House) -> None:
    pages = await heap_pages(house, 3)
    wanted = await beginning(house, (pages[1], pages[0]))
    await begin(house, wanted)
    letter = await house.row(tables.letters)
    assert (letter.state, letter.language, letter.wants) == ("begun", "de", "full")
    async with house.store.database.reading() as connection:
        body = await read_body(connection, letter.id, house.office_key)
    assert body == LetterBody(text="", printed_name="", address=MOTHER)
    await house.release()
    reply = await house.row(tables.replies)
    assert (reply.state, reply.letter_id, await page_states(house)) == (
        "released",
        letter.id,
        ["placed", "placed", "unmatched"],
    )
    secret = InboxSecret.from_phrase(wanted.phrase)
    async with house.store.database.reading() as connection:
        key = await load_key(connection, Context(Record.REPLY, reply.id), secret.key)
        assert (await audit.verify(connection)).faults == []
    assert len(Transcript.model_validate_json(key.decrypt(reply.transcript)).pages) == 2
    assert [(mail.kind, mail.letter_id) for mail in await house.rows(tables.outbox)] == [
        ("begun", letter.id),
        ("reply", letter.id),
    ]
    assert (await house.row(tables.inboxes)).address_tag == address_tag(house.office_key, MOTHER)
    order = await house.row(tables.reply_orders)
    assert order.sheets == 0
    inbox = (await get(await house.desk(), f"/en/inbox/{secret.link}")).screen
    assert "John Sample" in inbox.text


async def test_without_an_address_nothing_is_mailed_and_the_words_open_it(house: House) -> None:
    wanted = await beginning(house, await heap_pages(house), None)
    await begin(house, wanted)
    await house.release()
    letter = await house.row(tables.letters)
    assert (letter.wants, (await house.row(tables.inboxes)).address_tag) == (Wants.NOTHING, "")
    assert (await house.rows(tables.outbox), (await house.row(tables.replies)).state) == ([], "released")
    opened = await post(await house.desk(), "/de/phrase", {"phrase": wanted.phrase})
    assert opened.location == f"/de/inbox/{InboxSecret.from_phrase(wanted.phrase).link}"


async def test_mails_come_first_the_news_and_then_the_letter(house: House, smtp_catcher: SmtpCatcher) -> None:
    wanted = await beginning(house, await heap_pages(house))
    await begin(house, replace(wanted, language="en"))
    sender = house.sender(port=smtp_catcher.port)
    await send_all(sender)
    await house.release()
    await send_all(sender)
    assert [(mail.recipients, len(list(mail.message.iter_attachments()))) for mail in smtp_catcher.mails] == [
        ([MOTHER], 0),
        ([MOTHER], 1),
    ]
    link = InboxSecret.from_phrase(wanted.phrase).link
    assert all(link in text_of(mail) for mail in smtp_catcher.mails)


@both_engines
async def test_same_form_again_is_the_same_conversation(house: House) -> None:
    wanted = await beginning(house, await heap_pages(house, 2))
    await asyncio.gather(begin(house, wanted), begin(house, wanted))
    await begin(house, wanted)
    counts = [len(await house.rows(table)) for table in (tables.letters, tables.replies, tables.inboxes)]
    assert counts == [1, 1, 1]


async def test_page_that_was_decided_about_changes_nothing(house: House) -> None:
    pages = await heap_pages(house, 2)
    await steps.put_away(house.store, pages[1], house.volunteers["anna"])
    before = await house.count()
    with pytest.raises(steps.PageNotOpenError):
        await begin(house, await beginning(house, pages))
    assert await house.count() == before


async def test_pages_of_two_files_are_refused(house: House) -> None:
    with pytest.raises(steps.PageNotOpenError):
        await begin(house, await beginning(house, (*await heap_pages(house), *await heap_pages(house))))


async def test_page_that_answers_somebody_is_never_sent_to_somebody_else(house: House) -> None:
    code = await house.code(await house.posted())
    scan = await house.split(sure(code), sure(code))
    again = await house.row(tables.pages, scan_id=scan, number=2)
    assert again.doubt == "duplicate"
    with pytest.raises(steps.PageNotOpenError):
        await begin(house, await beginning(house, (again.id,)))
    office = await house.office()
    assert f"/en/scan/page/{again.id}/begin" not in (await get(office, f"/en/scan/page/{again.id}")).screen.links
    assert (await get(office, f"/en/scan/page/{again.id}/begin")).status == 303


@both_engines
async def test_address_that_is_known_joins_its_conversation(house: House) -> None:
    sent = await house.posted(address=MOTHER, wants=Wants.NOTICE)
    await tagged(house, sent, MOTHER)
    wanted = await beginning(house, await heap_pages(house), "Mother+prison@supporter.example")
    async with house.store.database.reading() as connection:
        found = await from_inside.known(connection, house.office_key, MOTHER, wanted.prisoner_id)
    assert found is not None
    await begin(house, replace(wanted, join=True))
    await house.release()
    letter = await house.row(tables.letters, state="begun")
    assert (letter.conversation_id, letter.wants, letter.language) == (found.id, "notice", "en")
    assert len(await house.rows(tables.inboxes)) == 1
    kinds = sorted(mail.kind for mail in await house.rows(tables.outbox, letter_id=letter.id))
    assert (kinds, await house.state(sent)) == (["reply"], "posted")
    reply = await house.row(tables.replies)
    async with house.store.database.reading() as connection:
        await load_key(connection, Context(Record.REPLY, reply.id), sent.secret.key)


async def test_unconfirmed_address_is_no_conversation_to_join(house: House) -> None:
    sent = await house.submit(address=MOTHER)
    await tagged(house, sent, MOTHER)
    wanted = await beginning(house, await heap_pages(house))
    with pytest.raises(NotThereError):
        await begin(house, replace(wanted, join=True))
    assert await page_states(house) == ["unmatched"]


async def test_ticks_on_its_pages_are_noted(house: House) -> None:
    scan = await house.split(Reading(lines=(), ticks={Tick.PLEASE_STOP: True}))
    page = await house.row(tables.pages, scan_id=scan)
    await begin(house, await beginning(house, (page.id,)))
    assert (await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state == "do_not_write"


async def test_office_and_command_line_lists_take_a_letter_that_was_begun(house: House) -> None:
    await begin(house, await beginning(house, await heap_pages(house)))
    await house.release()
    reply = await house.row(tables.replies)
    scan = await house.row(tables.scans)
    office = await house.office()
    paths = ("/en/", "/en/scan", f"/en/scan/{scan.id}", "/en/replies", f"/en/replies/{reply.id}", "/en/ticks")
    assert [(await get(office, path)).status for path in paths] == [200] * len(paths)


# --- the screens


async def form_of(house: House, pages: tuple[str, ...], **more: str) -> dict[str, str]:
    taken = {f"page-{page}": "1" for page in pages}
    return taken | {"prisoner": ENGLISH.prisoner.slug, "letter_language": "de", "address": MOTHER} | more


async def test_screens_lead_from_the_page_to_the_conversation(house: House) -> None:
    pages = await heap_pages(house, 2)
    office = await house.office()
    path = f"/en/scan/page/{pages[0]}/begin"
    assert path in (await get(office, f"/en/scan/page/{pages[0]}")).screen.links
    assert (await get(office, path)).status == 200
    found = await post(office, path, {f"page-{pages[0]}": "1", "q": "sample", "do": "find", "letter_language": "de"})
    assert "John Sample" in found.screen.text
    look = (await post(office, path, await form_of(house, pages, do="look"))).screen
    assert (look.heading, look.fields["address"]) == ("Is this right?", MOTHER)
    assert await house.rows(tables.letters) == []
    done = await post(office, path, look.fields | {"do": "begin"})
    assert (done.status, done.location) == (303, f"/en/scan?decided={pages[0]}")
    assert "Page 1 is now in the reply of John Sample." in (await get(office, done.location)).screen.text
    again = await post(office, path, look.fields | {"do": "begin"})
    assert (again.status, len(await house.rows(tables.letters))) == (303, 1)


async def test_words_are_shown_once_in_the_language_of_the_person(house: House) -> None:
    pages = await heap_pages(house)
    office = await house.office()
    path = f"/en/scan/page/{pages[0]}/begin"
    look = (await post(office, path, await form_of(house, pages, do="look", address=""))).screen
    shown = await post(office, path, look.fields | {"do": "begin"})
    phrase = " ".join(re.findall(r"<li>(\w+)</li>", shown.screen.html))
    assert (shown.status, phrase) == (200, look.fields["phrase"])
    assert "/de/" in shown.screen.text
    assert len(await house.rows(tables.inboxes, lookup_hash=InboxSecret.from_phrase(phrase).lookup_hash)) == 1
    assert phrase not in (await get(office, f"/en/scan/page/{pages[0]}")).body.decode()


async def test_known_address_is_offered_without_a_name(house: House) -> None:
    sent = await house.posted(address=MOTHER, name="Quokka")
    await tagged(house, sent, MOTHER)
    pages = await heap_pages(house)
    office = await house.office()
    path = f"/en/scan/page/{pages[0]}/begin"
    look = (await post(office, path, await form_of(house, pages, do="look"))).screen
    assert "There is a conversation of this address with John Sample already." in look.text
    assert "Quokka" not in look.html
    assert (await post(office, path, look.fields | {"do": "join"})).status == 303
    assert len(await house.rows(tables.conversations)) == 1


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"address": "mother at home"}, "This is no mail address."),
        ({"prisoner": ""}, "Please choose who has written it."),
    ],
)
async def test_form_says_what_is_wrong_and_keeps_the_rest(house: House, more: dict[str, str], complaint: str) -> None:
    pages = await heap_pages(house)
    answer = await post(
        await house.office(), f"/en/scan/page/{pages[0]}/begin", await form_of(house, pages, do="look") | more
    )
    assert (answer.status, complaint in answer.screen.wrong) == (422, True)
    kept = {"address": MOTHER, f"page-{pages[0]}": "1"} | {name: more[name] for name in more if name == "address"}
    assert {name: answer.screen.fields[name] for name in kept} == kept


async def test_form_without_pages_is_refused(house: House) -> None:
    pages = await heap_pages(house)
    answer = await post(await house.office(), f"/en/scan/page/{pages[0]}/begin", await form_of(house, (), do="look"))
    assert (answer.status, answer.screen.wrong[-1]) == (422, "Please take at least one page.")


async def test_too_late_says_so(house: House) -> None:
    pages = await heap_pages(house)
    office = await house.office()
    path = f"/en/scan/page/{pages[0]}/begin"
    look = (await post(office, path, await form_of(house, pages, do="look"))).screen
    await steps.put_away(house.store, pages[0], house.volunteers["boris"])
    assert (await post(office, path, look.fields | {"do": "begin"})).status == 409
    assert await house.rows(tables.letters) == []


async def test_page_with_the_code_of_no_letter_may_begin(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.reply_order_letters))
        await connection.execute(sa.delete(tables.reply_orders))
    scan = await house.split(sure(code), sure(code, side=Side.B))
    pages = await house.rows(tables.pages, scan_id=scan)
    assert {page.doubt for page in pages} == {"unknown_code"}
    await begin(house, await beginning(house, tuple(page.id for page in pages)))
    await house.release()
    assert (await house.row(tables.replies)).state == "released"


async def test_no_conversation_is_known_by_an_address_that_nobody_confirmed_in_it(house: House) -> None:
    sent = await house.posted()
    await house.submit(address=MOTHER, phrase=sent.phrase)
    await tagged(house, sent, MOTHER)
    wanted = await beginning(house, ())
    async with house.store.database.reading() as connection:
        assert await from_inside.known(connection, house.office_key, MOTHER, wanted.prisoner_id) is None
