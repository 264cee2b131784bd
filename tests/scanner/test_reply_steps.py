"""What the scanning changes in replies: looking over, checking, covering, correcting, releasing."""

from __future__ import annotations

import asyncio
import io

import pikepdf
import pytest
from PIL import Image

from relay.domain.letters import COVER, Transcript, Word
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import Side
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part, reply_untouched_part
from relay.domain.sheet import Tick
from relay.sealing import Context, SealBrokenError
from relay.store import tables
from relay.store.sealed import find_blobs, load_key, open_part
from relay.store.transitions import NotThereError
from scanner import reply_steps, steps, tick_steps
from scanner.codes import CodeRead, Method, PageCodes
from scanner.reading import Box, Reading, opened_boxes, scan_key
from scanner.suggesting import Suggestion, Why
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, both_engines, picture, sure

SENT_PAGE = reply_steps.SentPage(b"a picture", b"untouched", ())
WORD_BOX: Box = (0.1, 0.3, 0.19, 0.33)


async def reply(house: House, state: str) -> reply_steps.ToAssemble:
    (row,) = await house.rows(tables.replies, state=state, pages_of=None)
    async with house.store.database.reading() as connection:
        return await reply_steps.to_assemble(connection, row.id, house.office_key)


async def checked(house: House) -> reply_steps.ToAssemble:
    """The one reply, which somebody has looked at."""
    assert await house.assemble()
    for row in await house.rows(tables.replies, state="held", pages_of=None):
        await reply_steps.check(house.store, row.id, house.volunteers["anna"])
    return await reply(house, "checked")


async def page_id(house: House, number: int = 1) -> str:
    return str((await house.row(tables.pages, number=number)).id)


async def seen_by(house: House, sent: Sent, reply_id: str) -> Transcript:
    """The transcript, as the sender opens it."""
    async with house.store.database.reading() as connection:
        key = await load_key(connection, Context("reply", reply_id), sent.secret.key)
    return Transcript.model_validate_json(key.decrypt((await house.row(tables.replies, id=reply_id)).transcript))


def whole(code: str) -> tuple[PageCodes, PageCodes]:
    """Both sides of the first sheet."""
    return sure(code, 1, Side.A), sure(code, 1, Side.B)  # type: ignore[arg-type]


# --- looking over


@both_engines
async def test_reply_with_sure_codes_and_all_pages_is_released_without_a_look(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.split(*whole(await house.code(sent)))
    assert [await house.assemble() for _ in range(3)] == [True, True, False]
    row = await house.row(tables.replies)
    assert (row.state, row.reason) == ("released", None)
    assert [event.target for event in await house.rows(tables.events, record_id=row.id)] == [
        "open",
        "checked",
        "released",
    ]


@pytest.mark.parametrize(
    ("read", "doubt"),
    [
        (CodeRead("", 1, Side.B, Method.SOFT_MATRIX), "method"),  # type: ignore[arg-type]
        (CodeRead("", 2, Side.A, Method.MATRIX), "missing"),  # type: ignore[arg-type]
    ],
)
async def test_reply_in_doubt_waits_for_a_person(house: House, read: CodeRead, doubt: str) -> None:
    sent = await house.posted(sheets=2)
    code = await house.code(sent)
    second = CodeRead(code, read.sheet, read.side, read.method)
    await house.split(sure(code), PageCodes((second,)))
    assert [await house.assemble(), await house.assemble()] == [True, False]
    row = await house.row(tables.replies)
    assert (row.state, row.reason) == ("held", doubt)
    assert await house.rows(tables.content_keys, record="reply") == []


async def test_reply_with_a_page_given_by_hand_waits_for_a_person(house: House) -> None:
    sent = await house.posted()
    await house.split(*whole(await house.code(sent)), PageCodes())
    await steps.place_by_hand(house.store, house.office_key, await page_id(house, 3), sent.id, house.volunteers["anna"])
    assert await house.assemble()
    assert (await house.row(tables.replies)).reason == "by_hand"


async def test_reply_waits_while_a_page_that_may_belong_to_it_does(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    torn = Reading(lines=(), suggested=(Suggestion(code=code, why=Why.NEIGHBOUR),))
    await house.split(*whole(code), torn)
    assert await house.assemble()
    assert (await house.row(tables.replies)).reason == "missing"


async def test_reply_with_an_unclear_tick_waits_for_a_person(house: House) -> None:
    sent = await house.posted()
    front, back = whole(await house.code(sent))
    await house.split(Reading(lines=(), codes=front, ticks={Tick.NEED_PAPER: None}), back)
    assert await house.assemble()
    assert (await house.row(tables.replies)).reason == "tick"


async def test_reply_waits_where_the_profile_says_so(house: House) -> None:
    sent = await house.posted()
    await house.split(*whole(await house.code(sent)))
    row = await house.row(tables.replies)
    await reply_steps.look_over(house.store, house.office_key, row.id, release_unseen=False)
    assert (await house.row(tables.replies)).reason == "profile"


async def test_reply_is_looked_over_once(house: House) -> None:
    sent = await house.posted()
    await house.split(*whole(await house.code(sent)))
    row = await house.row(tables.replies)
    await reply_steps.look_over(house.store, house.office_key, row.id, release_unseen=True)
    with pytest.raises(reply_steps.ReplyChangedError):
        await reply_steps.look_over(house.store, house.office_key, row.id, release_unseen=True)


# --- looking at it


@both_engines
async def test_reply_is_checked_by_one_of_two_who_look_at_it(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.split(sure(await house.code(sent)))
    assert await house.assemble()
    row = await house.row(tables.replies)
    results = await asyncio.gather(
        *(reply_steps.check(house.store, row.id, house.volunteers[login]) for login in ("anna", "boris")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "ReplyNotHeldError"]
    assert await house.assemble()
    assert (await house.row(tables.replies)).state == "released"
    transcript = await seen_by(house, sent, row.id)
    assert [(word.text, word.doubtful) for word in transcript.pages[0][0]] == [("Привет", False), ("friend", True)]
    assert (transcript.missing, transcript.ticks, transcript.by_person) == (((1, "B"),), (), ())


async def test_sides_that_are_empty_are_not_told_as_missing(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    assert await house.assemble()
    row = await house.row(tables.replies)
    await reply_steps.check(house.store, row.id, house.volunteers["anna"], complete=True)
    assert await house.assemble()
    assert (await seen_by(house, sent, row.id)).missing == ()


async def test_page_taken_out_waits_on_the_heap(house: House) -> None:
    sent = await house.posted(sheets=2)
    code = await house.code(sent)
    await house.split(sure(code), sure(code, 2))
    assert await house.assemble()
    first = await page_id(house)
    await reply_steps.take_out(house.store, first, house.volunteers["anna"])
    row = await house.row(tables.pages, id=first)
    assert (row.state, row.doubt, row.reply_id) == ("held", PageDoubt.TAKEN_OUT, None)
    assert (await house.row(tables.replies)).state == "held"
    with pytest.raises(reply_steps.PageNotPlacedError):
        await reply_steps.take_out(house.store, first, house.volunteers["anna"])
    await reply_steps.take_out(house.store, await page_id(house, 2), house.volunteers["anna"])
    assert (await house.row(tables.replies)).state == "void"


async def test_released_reply_loses_no_page(house: House) -> None:
    sent = await house.posted()
    await house.replied(sent)
    with pytest.raises(reply_steps.ReplyNotHeldError):
        await reply_steps.take_out(house.store, await page_id(house), house.volunteers["anna"])
    with pytest.raises(reply_steps.ReplyNotHeldError):
        await reply_steps.cover(house.store, house.office_key, await page_id(house), [], house.volunteers["anna"])
    with pytest.raises(reply_steps.ReplyNotHeldError):
        await reply_steps.check(house.store, (await house.row(tables.replies)).id, house.volunteers["anna"])


async def test_covered_words_and_pixels_do_not_reach_the_sender(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.split(sure(await house.code(sent)), words=("Secretname", "friend"))
    assert await house.assemble()
    page = await page_id(house)
    for boxes in ([WORD_BOX, (0.5, 0.5, 0.6, 0.6)], [WORD_BOX]):
        await reply_steps.cover(house.store, house.office_key, page, boxes, house.volunteers["anna"])
    await house.release()
    row = await house.row(tables.replies)
    context = Context("reply", row.id)
    transcript = await seen_by(house, sent, row.id)
    assert [word.text for word in transcript.pages[0][0]] == [COVER, "friend"]
    async with house.store.database.reading() as connection:
        parts = await find_blobs(connection, context)
        key = await scan_key(connection, row.scan_id, house.office_key)
    assert sorted(parts) == sorted([REPLY_PDF, reply_picture_part(1)])
    jpeg = await open_part(house.store, context, reply_picture_part(1), sent.secret.key)
    with Image.open(io.BytesIO(jpeg)) as shown:
        assert shown.convert("L").getpixel((14, 44)) == 0
    with pikepdf.open(io.BytesIO(await open_part(house.store, context, REPLY_PDF, sent.secret.key))) as pdf:
        assert len(pdf.pages) >= 1
    assert opened_boxes((await house.row(tables.pages, id=page)).covered, key, 1) == (WORD_BOX,)


async def test_page_as_it_came_goes_along(house: House) -> None:
    sent = await house.posted()
    reply_id = await house.replied(sent)
    part = await open_part(house.store, Context("reply", reply_id), reply_untouched_part(1), sent.secret.key)
    assert part == picture(101)


# --- transcripts


@both_engines
async def test_corrected_transcript_reaches_the_sender_with_its_history(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    reply_id = await house.replied(sent)
    page = await page_id(house)
    before = (await house.row(tables.pages)).reading
    lines = ((Word(text="Привет,", doubtful=False), Word(text="друг", doubtful=False)),)
    await reply_steps.correct(house.store, house.office_key, page, lines, house.volunteers["boris"])
    assert await house.assemble()
    assert not await house.assemble()
    transcript = await seen_by(house, sent, reply_id)
    assert (transcript.pages, transcript.by_person) == ((lines,), (1,))
    (kept,) = await house.rows(tables.corrections)
    assert (kept.before, kept.volunteer_id) == (before, house.volunteers["boris"])
    assert len(await house.rows(tables.outbox, kind="reply")) == 1
    async with house.store.database.reading() as connection:
        parts = await find_blobs(connection, Context("reply", reply_id))
    assert len(parts) == 3
    named = len(await house.rows(tables.blobs))
    assert len(house.blobs()) == named


async def test_transcript_of_a_page_without_reply_is_not_corrected(house: House) -> None:
    await house.split(PageCodes())
    with pytest.raises(reply_steps.PageNotPlacedError):
        await reply_steps.correct(house.store, house.office_key, await page_id(house), (), house.volunteers["anna"])


async def test_tick_that_a_person_recognises_after_the_release_reaches_the_sender(house: House) -> None:
    sent = await house.posted()
    front = sure(await house.code(sent))
    await house.split(Reading(lines=(), codes=front, ticks={Tick.NEED_PAPER: None}))
    await house.release()
    row = await house.row(tables.replies)
    assert (await seen_by(house, sent, row.id)).ticks == ()
    page = await page_id(house)
    await tick_steps.settle(house.store, page, Tick.NEED_PAPER, house.volunteers["anna"], ticked=True)
    assert await house.assemble()
    assert (await seen_by(house, sent, row.id)).ticks == (Tick.NEED_PAPER,)
    await tick_steps.settle(house.store, page, Tick.NEED_PAPER, house.volunteers["anna"])
    with pytest.raises(NotThereError):
        await tick_steps.settle(house.store, page, Tick.NEED_PAPER, house.volunteers["anna"])


# --- releasing


@both_engines
async def test_release_opens_the_reply_to_its_sender_and_to_nobody_else(house: House) -> None:
    mine, other = await house.posted(address=ADDRESS), await house.posted(RUSSIAN)
    await house.split(sure(await house.code(mine)))
    ready = await checked(house)
    await reply_steps.release(house.store, house.office_key, ready, b"a pdf", [SENT_PAGE])
    context = Context("reply", ready.id)
    parts = ((REPLY_PDF, b"a pdf"), (reply_picture_part(1), b"a picture"), (reply_untouched_part(1), b"untouched"))
    for part, data in parts:
        assert await open_part(house.store, context, part, mine.secret.key) == data
        with pytest.raises(SealBrokenError):
            await open_part(house.store, context, part, other.secret.key)
        with pytest.raises(SealBrokenError):
            await open_part(house.store, context, part, house.relay.private_key("desk"))
    assert (await house.row(tables.replies)).state == "released"
    assert [await house.state(sent) for sent in (mine, other)] == ["delivered", "posted"]
    assert (await house.row(tables.outbox, kind="reply")).reply_id == ready.id


@both_engines
async def test_swapped_codes_cannot_cross_two_conversations(house: House) -> None:
    """Two letters, two files: each page ends where its own code says, whatever came with it."""
    mine, other = await house.posted(ENGLISH), await house.posted(RUSSIAN)
    codes = [await house.code(mine), await house.code(other)]
    await house.split(sure(codes[0]), sure(codes[1]), words=("first",))
    await house.split(sure(codes[1], 1, Side.B), sure(codes[0], 1, Side.B), words=("second",))
    await house.release()
    replies = await house.rows(tables.replies)
    assert [row.state for row in replies] == ["released"] * 4
    for sent, code in zip((mine, other), codes, strict=True):
        for row in (row for row in replies if row.letter_id == sent.id):
            (page,) = await house.rows(tables.pages, reply_id=row.id)
            assert page.code == code
            async with house.store.database.reading() as connection:
                await load_key(connection, Context("reply", row.id), sent.secret.key)
                stranger = other if sent is mine else mine
                with pytest.raises(SealBrokenError):
                    await load_key(connection, Context("reply", row.id), stranger.secret.key)


async def test_two_senders_to_one_prisoner_do_not_see_each_other(house: House) -> None:
    mine, other = await house.posted(), await house.posted()
    await house.replied(mine)
    replies = await house.rows(tables.replies)
    assert [row.letter_id for row in replies] == [mine.id]
    async with house.store.database.reading() as connection:
        with pytest.raises(SealBrokenError):
            await load_key(connection, Context("reply", replies[0].id), other.secret.key)


@both_engines
async def test_reply_that_is_corrected_while_it_is_assembled_is_assembled_again(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    before = await checked(house)
    lines = ((Word(text="right", doubtful=False),),)
    await reply_steps.correct(house.store, house.office_key, await page_id(house), lines, house.volunteers["anna"])
    stored = house.blobs()
    with pytest.raises(reply_steps.ReplyChangedError):
        await reply_steps.release(house.store, house.office_key, before, b"old", [SENT_PAGE])
    assert house.blobs() == stored
    await house.release()
    assert (await seen_by(house, sent, before.id)).pages == (lines,)
    assert not (await house.row(tables.replies)).stale


async def test_page_after_the_release_starts_the_next_reply(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.split(sure(await house.code(sent)), PageCodes())
    await house.release()
    await steps.place_by_hand(house.store, house.office_key, await page_id(house, 2), sent.id, house.volunteers["anna"])
    await house.release()
    rows = await house.rows(tables.replies)
    assert [row.state for row in rows] == ["released", "released"]
    assert len(await house.rows(tables.outbox, kind="reply")) == 2
    assert len({row.reply_id for row in await house.rows(tables.pages)}) == 2
    assert await house.state(sent) == "delivered"


async def test_reply_is_released_once(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.split(sure(await house.code(sent)))
    ready = await checked(house)
    await reply_steps.release(house.store, house.office_key, ready, b"pdf", [SENT_PAGE])
    stored = house.blobs()
    with pytest.raises(reply_steps.ReplyChangedError):
        await reply_steps.release(house.store, house.office_key, ready, b"pdf", [SENT_PAGE])
    assert len(await house.rows(tables.outbox, kind="reply")) == 1
    assert house.blobs() == stored


async def test_sender_without_address_gets_the_reply_and_no_mail(house: House) -> None:
    sent = await house.posted()
    await house.replied(sent)
    assert await house.rows(tables.outbox) == []
