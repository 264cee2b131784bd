"""The clocks: what is due is destroyed, what waits is not, and what is left still works."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from censor_queue import claims, decisions
from print import steps as print_steps
from relay import retention
from relay.config import Retention
from relay.desk import steps
from relay.domain.letters import LetterBody
from relay.domain.lives import WORKER, BatchState, LetterState, Record
from relay.domain.photos import photo_part
from relay.domain.reasons import ReviewReason
from relay.retention import Done
from relay.sealing import Context, InboxSecret, SealBrokenError
from relay.store import audit, tables
from relay.store.database import new_id
from relay.store.letters import read_body
from relay.store.sealed import load_key, name_blob
from relay.store.transitions import move
from scanner import steps as scanner_steps
from scanner.codes import PageCodes
from tests.desk.inboxes import begun
from tests.desk.letters import ask
from tests.retention.test_erasing import erase
from tests.store.rows import add_row
from tests.workplaces import ADDRESS, House, Sent, both_engines, send_all, sure

DAYS = Retention()


async def run(house: House) -> Done:
    """All that is due now."""
    done = Done()
    while (more := await retention.run(house.store, house.settings.retention, house.office_key)) != Done():
        done += more
    return done


async def after(house: House, days: float) -> Done:
    house.clock.advance(days=days)
    return await run(house)


async def body_of(house: House, sent: Sent, secret: InboxSecret | None = None) -> LetterBody | None:
    """What is left of a letter, for the office or for its sender."""
    key = secret.key if secret else house.office_key
    async with house.store.database.reading() as connection:
        try:
            return await read_body(connection, sent.id, key)
        except SealBrokenError:
            return None


async def faults(house: House) -> Sequence[str]:
    async with house.store.database.reading() as connection:
        return (await audit.verify(connection)).faults


# --- letters


@both_engines
async def test_delivered_letter_is_destroyed_when_its_time_is_over(house: House) -> None:
    sent = await house.posted()
    await after(house, DAYS.letters - 1)
    assert (await body_of(house, sent)) is not None
    assert (await after(house, 2)).letters == 1
    assert await body_of(house, sent) is None
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.body, letter.treatment) == ("posted", b"", None)
    assert letter.destroyed_at == house.clock()
    assert await run(house) == Done()
    assert await faults(house) == []


@both_engines
async def test_address_is_left_for_answers_that_may_come(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await after(house, DAYS.letters + 1)
    bare = LetterBody(text="", printed_name="", address=ADDRESS)
    assert await body_of(house, sent) == bare
    assert await body_of(house, sent, sent.secret) == bare
    assert (await after(house, DAYS.replies - DAYS.letters)).addresses == 1
    assert await body_of(house, sent) is None
    assert (await house.row(tables.letters, id=sent.id)).body == b""


async def test_late_answer_still_reaches_its_sender(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await after(house, DAYS.letters + 1)
    reply = await house.replied(sent)
    assert (await house.row(tables.letters, id=sent.id)).state == "delivered"
    assert [row.kind for row in await house.rows(tables.outbox, reply_id=reply)] == ["reply"]
    house.clock.advance(days=DAYS.replies - 1)
    assert (await run(house)).addresses == 0


async def test_answer_keeps_its_letter(house: House) -> None:
    sent = await house.posted()
    house.clock.advance(days=DAYS.letters - 1)
    await house.replied(sent)
    await after(house, DAYS.letters - 1)
    assert await body_of(house, sent) is not None
    await after(house, 2)
    assert await body_of(house, sent) is None


@pytest.mark.parametrize("stage", [House.submit, House.queued, House.approved])
async def test_letter_that_waits_is_never_destroyed(house: House, stage: object) -> None:
    sent = await stage(house)  # type: ignore[operator]
    await after(house, 2000)
    assert await body_of(house, sent) is not None


async def test_letter_of_an_unposted_batch_is_never_destroyed(house: House) -> None:
    sent = await house.approved()
    await house.on_paper(await house.batch())
    done = await after(house, 2000)
    assert await body_of(house, sent) is not None
    assert done.batches == 0


async def test_letter_that_is_asked_for_again_is_kept(house: House) -> None:
    sent = await house.posted()
    async with house.store.database.writing() as connection:
        asked = sa.update(tables.letters).where(tables.letters.c.id == sent.id)
        await connection.execute(asked.values(asked_again_at=house.clock()))
    assert (await after(house, 2000)).letters == 0


async def test_letter_is_kept_until_its_copy_is_printed(house: House) -> None:
    sent = await house.posted()
    (batch,) = await print_steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    assert (await after(house, DAYS.letters + 1)).letters == 0
    await house.on_paper(batch)
    await print_steps.mark(house.store, batch, BatchState.PRINTED, house.volunteers["anna"])
    assert (await run(house)).letters == 1


async def test_withdrawn_letter_is_destroyed_earlier(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    await steps.withdraw(house.store, sent.id)
    assert (await after(house, DAYS.stopped_letters - 1)).letters == 0
    assert (await after(house, 2)).letters == 1
    assert await body_of(house, sent) is None


# --- replies, pages, files


@both_engines
async def test_file_is_destroyed_after_its_pages_found_their_place(house: House) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)))
    await house.release()
    assert (await after(house, DAYS.scans - 1)).scans == 0
    assert (await after(house, 2)).scans == 1
    page = await house.row(tables.pages, scan_id=scan)
    assert (page.state, page.reading) == ("placed", None)
    assert await house.rows(tables.blobs, record="scan") == []
    assert (await house.row(tables.replies, scan_id=scan)).destroyed_at is None
    assert {path.name for path in house.blobs()} == {row.id for row in await house.rows(tables.blobs)}
    assert await faults(house) == []


async def test_reply_is_destroyed_when_its_time_is_over(house: House) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    await after(house, DAYS.replies - 1)
    assert (await house.row(tables.replies, id=reply)).destroyed_at is None
    assert (await after(house, 2)).replies == 1
    row = await house.row(tables.replies, id=reply)
    assert (row.state, row.transcript) == ("released", None)
    assert await house.rows(tables.blobs, record="reply") == []


async def test_held_reply_keeps_its_pages_and_its_letter(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    while await house.assemble():
        pass
    assert [row.state for row in await house.rows(tables.replies)] == ["held"]
    done = await after(house, 2000)
    assert (done.letters, done.scans, done.pages) == (0, 0, 0)


async def test_page_that_nobody_could_place_is_destroyed(house: House) -> None:
    scan = await house.split(PageCodes())
    assert await after(house, DAYS.pages - 1) == Done()
    assert (await after(house, 2)).pages == 1
    page = await house.row(tables.pages, scan_id=scan)
    assert (page.state, page.reading) == ("void", None)
    with pytest.raises(scanner_steps.PageNotOpenError):
        await scanner_steps.take_back(house.store, page.id, house.volunteers["anna"])
    assert (await after(house, DAYS.scans + 1)).scans == 1
    assert await faults(house) == []


async def test_page_for_an_erased_conversation_is_destroyed_earlier(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    await erase(house, sent)
    await house.split(sure(code))
    assert (await after(house, DAYS.erased_replies - 1)).pages == 0
    assert (await after(house, 2)).pages == 1
    assert await house.rows(tables.blobs, record="scan") == []


async def test_mail_that_came_in_is_destroyed(house: House) -> None:
    async with house.store.database.writing() as connection:
        common = {"source": "smtp", "state_since": house.clock(), "created_at": house.clock()}
        for state in ("received", "unknown", "letter"):
            await add_row(connection, tables.incoming, state=state, **common)
    assert (await after(house, DAYS.mails + 1)).mails == 1
    waiting = {row.state for row in await house.rows(tables.incoming, destroyed_at=None)}
    assert waiting == {"received", "unknown"}  # a person has to look at it
    assert (await after(house, DAYS.pages - DAYS.mails)).mails == 1
    assert [row.state for row in await house.rows(tables.incoming, destroyed_at=None)] == ["received"]
    await after(house, DAYS.records + 1)
    assert [row.state for row in await house.rows(tables.incoming)] == ["received"]


async def test_pages_of_a_posted_batch_are_destroyed(house: House) -> None:
    sent = await house.posted()
    batch = (await house.row(tables.letters, id=sent.id)).batch_id
    assert await print_steps.batch_pdf(house.store, batch, house.office_key) == b"pages"
    assert (await after(house, retention.BATCH_KEPT.days + 1)).batches == 1
    with pytest.raises(print_steps.NotRenderedError):
        await print_steps.batch_pdf(house.store, batch, house.office_key)
    (again,) = await print_steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    await house.on_paper(again)  # the letter is still there


async def test_pages_with_an_erased_letter_are_destroyed_when_they_are_posted(house: House) -> None:
    erased = await house.approved()
    await house.approved()
    batch = await house.batch()
    await house.on_paper(batch)
    await erase(house, erased)
    assert (await run(house)).batches == 0
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])
    assert (await run(house)).batches == 1


# --- rows


@both_engines
async def test_rows_go_at_last_and_are_counted(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    month = f"{house.clock():%Y-%m}"
    await after(house, DAYS.replies + 1)
    house.clock.advance(days=DAYS.records + 1)
    await run(house)
    for table in ("letters", "replies", "scans", "pages", "outbox", "conversations", "inboxes", "reply_orders"):
        assert await house.rows(tables.metadata.tables[table]) == [], table
    counts = {(row.what, row.month): row.number for row in await house.rows(tables.monthly_counts)}
    assert counts == {("letters", month): 1, ("replies", month): 1, ("scans", month): 1}
    assert await faults(house) == []
    assert await house.rows(tables.content_keys) == []
    assert house.blobs() == []


async def test_missing_row_whose_events_do_not_say_so_is_a_fault(house: House) -> None:
    sent = await house.posted()
    await after(house, DAYS.letters + 1)
    async with house.store.database.writing() as connection:
        for table in (tables.enclosures, tables.decisions, tables.reply_order_letters, tables.outbox):
            await connection.execute(sa.delete(table).where(table.c.letter_id == sent.id))
        await connection.execute(sa.delete(tables.letters).where(tables.letters.c.id == sent.id))
    assert await faults(house) == [f"letter {sent.id}: the state is missing, the events say posted"]


async def test_offer_of_a_link_is_forgotten(house: House) -> None:
    async with house.store.database.writing() as connection:
        inbox = await add_row(connection, tables.inboxes)
        common = {"inbox_id": inbox, "created_at": house.clock()}
        await add_row(connection, tables.link_requests, state="offered", token_hash=new_id(), **common)
    assert await run(house) == Done()
    assert (await after(house, 3)).records == 1


# --- the job


async def test_job_rests_when_nothing_is_due(house: House) -> None:
    job = retention.keeping_clocks(house.store, house.settings.retention, house.office_key)
    sent = await house.posted()
    assert await job("worker-test") is False
    house.clock.advance(days=DAYS.letters + 1)
    assert await job("worker-test") is True
    assert await body_of(house, sent) is None


async def test_two_workers_at_once_destroy_once(house: House) -> None:
    for _ in range(3):
        await house.posted()
    house.clock.advance(days=DAYS.letters + 1)
    both = await asyncio.gather(run(house), run(house))
    assert sum(done.letters for done in both) == 3


async def test_no_mail_is_sent_about_a_destroyed_letter(house: House) -> None:
    await house.posted()
    await after(house, DAYS.records)
    assert await send_all(house.sender()) == 0


async def test_expired_letter_is_destroyed_with_its_photos(house: House) -> None:
    sent = await house.submit(address=ADDRESS)
    async with house.store.database.writing() as connection:
        key = await load_key(connection, Context("letter", sent.id), house.office_key)
        await name_blob(connection, key.context, photo_part(1), await house.store.blobs.put_bytes(b"photo", key))
        await move(connection, Record.LETTER, sent.id, LetterState.EXPIRED, by=WORKER, at=house.clock())
    assert (await run(house)).letters == 1
    assert house.blobs() == []


async def test_letter_that_nobody_changes_is_erased(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    await ask(house, sent)
    assert (await after(house, DAYS.letters - 1)).letters == 0
    assert (await after(house, 2)).letters == 1
    assert await house.state(sent) == "erased"
    assert await body_of(house, sent) is None
    assert await faults(house) == []


async def test_conversation_that_began_inside_keeps_the_address_for_a_while(house: House) -> None:
    sent = await begun(house, address=ADDRESS)
    await after(house, DAYS.letters + 1)
    assert await body_of(house, sent) == LetterBody(text="", printed_name="", address=ADDRESS)
    await after(house, DAYS.replies)
    assert await body_of(house, sent) is None


async def test_letter_by_which_a_sender_was_blocked_stays_with_the_block(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    held = await claims.claim_next(house.review, house.volunteers["anna"])
    assert held is not None
    await decisions.refuse(house.review, sent.id, house.volunteers["anna"], ReviewReason.SPAM, block=True)
    await after(house, DAYS.stopped_letters + 1)
    assert await body_of(house, sent) is None
    await after(house, DAYS.records + 1)
    assert await house.state(sent) == "refused"
