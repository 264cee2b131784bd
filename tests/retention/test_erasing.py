"""Erasing a conversation: what is left of it, and what is not lost with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from print import steps as print_steps
from relay.domain.lives import BatchState
from relay.sealing import Context, SealBrokenError
from relay.store import audit, erasing, tables
from relay.store.sealed import load_key
from relay.store.transitions import NotThereError
from scanner import reply_steps
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, both_engines, sure


async def conversation_of(house: House, sent: Sent) -> str:
    return str((await house.row(tables.letters, id=sent.id)).conversation_id)


async def erase(house: House, sent: Sent) -> None:
    await erasing.erase_conversation(house.store, sent.secret.lookup_hash, await conversation_of(house, sent))


async def everything(house: House) -> str:
    """All that stands in all rows, and the names of all blobs."""
    found: list[Any] = [[path.name for path in house.blobs()]]
    for table in tables.metadata.sorted_tables:
        found += [tuple(row) for row in await house.rows(table)]
    return repr(found)


async def faults(house: House) -> list[str]:
    async with house.store.database.reading() as connection:
        return (await audit.verify(connection)).faults


async def pages_of(house: House, scan: str) -> list[tuple[str, str | None, bool]]:
    """State, doubt and whether something is left of each page."""
    found = await house.rows(tables.pages, scan_id=scan)
    return sorted((row.state, row.doubt, row.reading is not None) for row in found)


@both_engines
async def test_erased_conversation_leaves_rows_without_owner_and_content(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    reply = await house.replied(sent)
    before = await house.row(tables.letters, id=sent.id)
    conversation = await house.row(tables.conversations, id=before.conversation_id)
    inbox = await house.row(tables.inboxes, id=conversation.inbox_id)
    await erase(house, sent)
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.body, letter.wants) == ("erased", b"", "nothing")
    assert (await house.row(tables.replies, id=reply)).state == "erased"
    left = await everything(house)
    for trace in (
        conversation.id,
        inbox.id,
        inbox.lookup_hash,
        conversation.answer_hash,
        before.submission_hash,
        before.confirmation_hash,
    ):
        assert str(trace) not in left
    assert await house.rows(tables.outbox) == []
    kept = {
        (row.record, row.recipient == house.store.office.fingerprint) for row in await house.rows(tables.content_keys)
    }
    assert kept == {("batch", True), ("scan", True)}  # until the batch is destroyed, and the file
    assert await faults(house) == []


@both_engines
async def test_conversation_erased_with_its_letter_in_each_state(house: House) -> None:
    for stage in (House.submit, House.queued, House.approved, House.posted):
        sent = await stage(house, address=ADDRESS)
        await erase(house, sent)
        assert await house.state(sent) == "erased"
    assert len(await house.rows(tables.inboxes)) == 1
    assert await house.rows(tables.outbox) == []
    assert await faults(house) == []


async def test_other_conversations_of_the_inbox_stay(house: House) -> None:
    first = await house.queued(text="The first of mine")
    second = await house.queued(RUSSIAN, phrase=first.phrase)
    await erase(house, first)
    assert await house.state(second) == "queued"
    with pytest.raises(NotThereError):
        await erasing.erase_conversation(
            house.store, first.secret.lookup_hash, await conversation_of(house, first)
        )  # nobody's now
    await erase(house, second)
    assert [row.id for row in await house.rows(tables.inboxes)] == [erasing.NOBODY]


async def test_conversation_of_another_inbox_is_not_erased(house: House) -> None:
    mine, other = await house.queued(), await house.queued()
    with pytest.raises(NotThereError):
        await erasing.erase_conversation(house.store, mine.secret.lookup_hash, await conversation_of(house, other))
    assert await house.state(other) == "queued"


async def test_letter_leaves_an_open_batch(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    await erase(house, sent)
    assert (await house.row(tables.letters, id=sent.id)).batch_id is None
    await house.on_paper(batch, planned=[])
    assert (await house.row(tables.batches, id=batch)).state == "rendered"


async def test_batch_with_an_erased_letter_goes_on(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    await house.on_paper(batch)
    await erase(house, sent)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])
    assert await house.state(sent) == "erased"
    assert await faults(house) == []


@both_engines
async def test_pages_of_an_unreleased_reply_wait_for_the_office(house: House) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)))
    await erase(house, sent)
    assert await pages_of(house, scan) == [("held", "erased", True)]
    await house.release()
    assert (await house.row(tables.replies, scan_id=scan)).state == "erased"
    assert await faults(house) == []


async def test_pages_of_a_released_reply_are_destroyed(house: House) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)))
    await house.release()
    blobs = len(house.blobs())
    await erase(house, sent)
    assert await pages_of(house, scan) == [("placed", None, False)]
    # The file as it came, two pictures of the page, and the reply: its PDF and again two pictures.
    assert blobs - len(house.blobs()) == 6
    assert await house.rows(tables.blobs, record="scan") == []


@both_engines
@pytest.mark.parametrize("released", [False, True])
async def test_answer_to_a_card_still_goes_to_the_others(house: House, *, released: bool) -> None:
    first = await house.approved(card=True, name="Mary")
    second = await house.approved(card=True, name="Ada")
    batch = await house.batch()
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])
    scan = await house.split(sure(await house.code(first)))
    if released:
        await house.release()
    holder = await house.row(tables.replies, scan_id=scan, pages_of=None)
    erased, stays = (first, second) if holder.letter_id == first.id else (second, first)
    await erase(house, erased)
    await house.release()
    reply = await house.row(tables.replies, letter_id=stays.id)
    assert (reply.state, reply.pages_of) == ("released", None)
    assert [row.reply_id for row in await house.rows(tables.pages, scan_id=scan)] == [reply.id]
    page = await house.row(tables.pages, scan_id=scan)
    await reply_steps.correct(house.store, house.office_key, page.id, (), house.volunteers["anna"])
    await house.release()
    assert (await house.row(tables.replies, id=reply.id)).stale is False
    assert await faults(house) == []


async def test_next_answer_to_a_card_goes_to_who_is_left(house: House) -> None:
    first = await house.approved(card=True, name="Mary")
    second = await house.approved(card=True, name="Ada")
    batch = await house.batch()
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])
    await erase(house, first)
    scan = await house.split(sure(await house.code(second)))
    await house.release()
    assert [row.letter_id for row in await house.rows(tables.replies, scan_id=scan)] == [second.id]


async def test_other_reply_of_a_group_is_erased_without_stopping_it(house: House) -> None:
    first = await house.approved(card=True, name="Mary")
    second = await house.approved(card=True, name="Ada")
    await house.on_paper(await house.batch())
    scan = await house.split(sure(await house.code(first)))
    holder = await house.row(tables.replies, scan_id=scan, pages_of=None)
    erased, stays = (second, first) if holder.letter_id == first.id else (first, second)
    await erase(house, erased)
    await house.release()
    assert (await house.row(tables.replies, letter_id=stays.id)).state == "released"


async def test_reply_key_is_gone_for_the_office_too(house: House) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    await erase(house, sent)
    async with house.store.database.reading() as connection:
        for context in (Context("letter", sent.id), Context("reply", reply)):
            with pytest.raises(SealBrokenError):
                await load_key(connection, context, house.office_key)


async def test_files_of_blobs_are_removed_later_where_the_process_died(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted()
    await house.replied(sent)

    async def killed(_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasing, "remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            await erase(house, sent)
    removed = await house.rows(tables.blobs, record=erasing.REMOVED)
    assert len(removed) == 6
    await house.store.blobs.delete(removed[0].id)  # it died between the file and the row
    assert await erasing.remove_files(house.store) == 6
    assert {path.name for path in house.blobs()} == {row.id for row in await house.rows(tables.blobs)}


@both_engines
async def test_letter_sent_while_its_conversation_is_erased_is_not_lost(house: House) -> None:
    first = await house.queued()
    erased, second = await asyncio.gather(erase(house, first), house.submit(phrase=first.phrase))
    del erased
    letter = await house.row(tables.letters, id=second.id)
    assert letter.state in {"erased", "unconfirmed"}
    conversation = await house.row(tables.conversations, id=letter.conversation_id)
    assert (conversation.inbox_id == erasing.NOBODY) == (letter.state == "erased")


async def test_old_text_is_not_in_the_file_of_the_database(house: House) -> None:
    sent = await house.queued()
    sealed = (await house.row(tables.letters, id=sent.id)).body
    await erase(house, sent)
    folder = house.relay.installation.folder
    assert [path for path in folder.parent.rglob("relay.sqlite*") if sealed in path.read_bytes()] == []


async def test_erased_letters_of_one_person_are_one_nobodys(house: House) -> None:
    letters = [await house.queued(ENGLISH) for _ in range(2)]
    for sent in letters:
        await erase(house, sent)
    assert len({await conversation_of(house, sent) for sent in letters}) == 1
    assert await house.rows(tables.conversations, inbox_id=erasing.NOBODY) == await house.rows(tables.conversations)


async def test_nobodys_inbox_holds_no_key(house: House) -> None:
    await erase(house, await house.queued())
    async with house.store.database.reading() as connection:
        keys = sa.select(tables.content_keys).where(tables.content_keys.c.record == "inbox")
        assert (await connection.execute(keys)).all() == []
