"""An answer to a group card goes to all who wrote on it, and to nobody else."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from print import steps as print_steps
from print.returns import come_back
from relay.desk import steps as desk_steps
from relay.domain.lives import BatchState
from relay.domain.reasons import ReturnReason
from relay.domain.reply_code import Side
from relay.store import audit, tables
from scanner import reply_steps, steps
from scanner.codes import PageCodes
from tests.conftest import SmtpCatcher
from tests.scanner.replies import text_of
from tests.workplaces import ADDRESS, House, Sent, both_engines, get, send_all, sure


async def card_and_letter(house: House) -> tuple[list[Sent], Sent]:
    """Three greetings that were posted on one card, and a letter that was posted beside it."""
    cards = [
        await house.approved(card=True, text=f"Greeting {number}", address=f"{number}.{ADDRESS}") for number in range(3)
    ]
    letter = await house.approved(text="A letter", address=ADDRESS)
    batch = await house.batch()
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])
    return cards, letter


async def all_assembled(house: House) -> int:
    """How many replies are released by this."""
    before = len(await house.rows(tables.replies, state="released"))
    await house.release()
    return len(await house.rows(tables.replies, state="released")) - before


@both_engines
async def test_answer_to_a_card_reaches_all_who_wrote_on_it(house: House) -> None:
    cards, letter = await card_and_letter(house)
    code = await house.code(cards[0])
    scan = await house.split(sure(code), sure(code, side=Side.B))
    assert await all_assembled(house) == 3
    rows = await house.rows(tables.replies, scan_id=scan)
    assert {row.letter_id for row in rows} == {one.id for one in cards}
    assert {row.state for row in rows} == {"released"}
    assert [await house.state(one) for one in (*cards, letter)] == ["delivered"] * 3 + ["posted"]
    assert len(await house.rows(tables.outbox, kind="reply")) == 3
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []


async def test_scan_of_a_card_stands_in_every_inbox_and_comes_by_mail(house: House, smtp_catcher: SmtpCatcher) -> None:
    cards, letter = await card_and_letter(house)
    await house.split(sure(await house.code(cards[0])), words=("Thanks", "all"))
    await house.release()
    await send_all(house.sender(port=smtp_catcher.port))
    answers = [mail for mail in smtp_catcher.mails if mail.message["subject"] == "You have an answer"]
    assert sorted(mail.recipients for mail in answers) == [[f"{number}.{ADDRESS}"] for number in range(3)]
    for mail in answers:
        assert "\n\nThanks all?\n\n" in text_of(mail)
        assert [part.get_content_type() for part in mail.message.iter_attachments()] == ["application/pdf"]
    desk = await house.desk()
    for one in cards:
        reply = await house.row(tables.replies, letter_id=one.id)
        assert "Thanks all" in (await get(desk, f"{one.inbox}/reply/{reply.id}")).screen.text
    assert "/reply/" not in (await get(desk, letter.inbox)).body.decode()


async def test_page_given_to_one_greeting_by_hand_is_given_to_all(house: House) -> None:
    cards, _ = await card_and_letter(house)
    scan = await house.split(PageCodes(()))
    page = await house.row(tables.pages, scan_id=scan)
    await steps.place_by_hand(house.store, house.office_key, page.id, cards[2].id, house.volunteers["anna"])
    assert await all_assembled(house) == 3
    assert {row.letter_id for row in await house.rows(tables.replies, scan_id=scan)} == {one.id for one in cards}


async def test_page_after_the_first_was_released_starts_an_answer_for_all(house: House) -> None:
    cards, _ = await card_and_letter(house)
    code = await house.code(cards[0])
    scan = await house.split(sure(code), PageCodes(()))
    assert await house.assemble()  # they were looked over together
    assert {row.state for row in await house.rows(tables.replies)} == {"held"}
    holder = await house.row(tables.replies, pages_of=None)
    await reply_steps.check(house.store, holder.id, house.volunteers["anna"])
    assert await house.assemble()  # one of the three; the others are still to be assembled
    page = await house.row(tables.pages, scan_id=scan, number=2)
    await steps.place_by_hand(house.store, house.office_key, page.id, cards[0].id, house.volunteers["anna"])
    assert await all_assembled(house) == 5
    for one in cards:
        assert len(await house.rows(tables.replies, letter_id=one.id, state="released")) == 2


async def test_answer_to_a_letter_beside_a_card_is_its_senders_alone(house: House) -> None:
    _, letter = await card_and_letter(house)
    scan = await house.split(sure(await house.code(letter)))
    assert await all_assembled(house) == 1
    (reply,) = await house.rows(tables.replies, scan_id=scan)
    assert (reply.letter_id, reply.pages_of) == (letter.id, None)


async def back_and_on_paper_again(house: House, *cards: Sent, card: bool = True) -> None:
    """Let the card come back, and post it again as cards or as letters once it was read."""
    await come_back(house.store, await house.code(cards[0]), ReturnReason.NOT_FOUND, house.volunteers["anna"])
    async with house.store.database.writing() as connection:
        again = sa.update(tables.letters).where(tables.letters.c.id.in_([one.id for one in cards]))
        await connection.execute(again.values(state="approved", card=card))
    batch = await house.batch()
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, house.volunteers["anna"])


@both_engines
async def test_greetings_that_became_letters_get_their_own_answers(house: House) -> None:
    cards, _ = await card_and_letter(house)
    await back_and_on_paper_again(house, *cards, card=False)
    assert len({await house.code(one) for one in cards}) == 3
    scan = await house.split(sure(await house.code(cards[0])))
    assert await all_assembled(house) == 1
    assert (await house.row(tables.replies, scan_id=scan)).letter_id == cards[0].id


@both_engines
async def test_page_of_the_card_that_came_back_is_not_for_those_on_the_new_one(house: House) -> None:
    cards, _ = await card_and_letter(house)
    old = await house.code(cards[0])
    fourth = await house.approved(card=True, text="A fourth greeting")
    await back_and_on_paper_again(house, *cards, fourth)  # which waited for a better address too
    assert await house.code(fourth) == await house.code(cards[0])
    scan = await house.split(sure(old), sure(await house.code(fourth)))
    page = await house.row(tables.pages, scan_id=scan, number=1)
    assert (page.state, page.doubt) == ("unmatched", "unknown_code")
    await steps.place_by_hand(house.store, house.office_key, page.id, cards[0].id, house.volunteers["anna"])
    page = await house.row(tables.pages, id=page.id)
    assert await all_assembled(house) == 5
    assert (await house.row(tables.replies, id=page.reply_id)).letter_id == cards[0].id
    assert await house.rows(tables.replies, pages_of=page.reply_id) == []


async def test_page_given_to_any_greeting_by_hand_joins_the_answer_that_is_open(house: House) -> None:
    cards, _ = await card_and_letter(house)
    scan = await house.split(sure(await house.code(cards[0])), PageCodes(()), PageCodes(()))
    for number, one in ((2, max(cards, key=lambda card: card.id)), (3, min(cards, key=lambda card: card.id))):
        page = await house.row(tables.pages, scan_id=scan, number=number)
        await steps.place_by_hand(house.store, house.office_key, page.id, one.id, house.volunteers["anna"])
    assert len({page.reply_id for page in await house.rows(tables.pages, scan_id=scan)}) == 1
    assert await all_assembled(house) == 3


async def test_page_given_by_hand_is_not_for_who_took_the_greeting_back(house: House) -> None:
    cards, _ = await card_and_letter(house)
    code = await house.code(cards[0])
    async with house.store.database.writing() as connection:
        delivered = sa.update(tables.letters).where(tables.letters.c.id == cards[0].id)
        await connection.execute(delivered.values(state="delivered"))
    await come_back(house.store, code, ReturnReason.NOT_FOUND, house.volunteers["anna"])
    await desk_steps.withdraw(house.store, cards[1].id)
    scan = await house.split(sure(code))
    page = await house.row(tables.pages, scan_id=scan)
    assert (page.state, page.doubt) == ("held", "letter_not_sent")
    await steps.place_by_hand(house.store, house.office_key, page.id, cards[0].id, house.volunteers["anna"])
    assert await all_assembled(house) == 1
    assert (await house.row(tables.replies, scan_id=scan)).letter_id == cards[0].id


@both_engines
async def test_one_inbox_that_nothing_can_be_sealed_to_does_not_stop_the_others(house: House) -> None:
    cards, _ = await card_and_letter(house)
    first = min(cards, key=lambda card: card.id)
    letter = await house.row(tables.letters, id=first.id)
    conversation = await house.row(tables.conversations, id=letter.conversation_id)
    async with house.store.database.writing() as connection:
        inbox = sa.update(tables.inboxes).where(tables.inboxes.c.id == conversation.inbox_id)
        await connection.execute(inbox.values(public_key=b"damaged"))
    scan = await house.split(sure(await house.code(first)), PageCodes(()))
    await all_assembled(house)
    states = {row.letter_id: row.state for row in await house.rows(tables.replies, scan_id=scan)}
    assert states == {one.id: "checked" if one is first else "released" for one in cards}
    page = await house.row(tables.pages, scan_id=scan, number=2)
    await steps.place_by_hand(house.store, house.office_key, page.id, first.id, house.volunteers["anna"])
    await all_assembled(house)
    for one in cards:
        assert len(await house.rows(tables.replies, letter_id=one.id, state="released")) == (0 if one is first else 2)


@both_engines
async def test_page_placed_while_the_answers_are_put_together_reaches_all(house: House) -> None:
    cards, _ = await card_and_letter(house)
    code = await house.code(cards[0])
    scan = await house.split(sure(code), *[PageCodes(())] * 4)
    found = await house.rows(tables.pages, scan_id=scan, state="unmatched")

    async def by_hand(page: str, to: Sent) -> None:
        await steps.place_by_hand(house.store, house.office_key, page, to.id, house.volunteers["anna"])

    hands = [by_hand(page.id, cards[number % 3]) for number, page in enumerate(found)]
    more = [house.split(sure(code, sheet=2)), house.split(sure(code, side=Side.B))]
    await asyncio.gather(*hands, *more, *(house.assemble() for _ in range(4)))
    await house.release()
    for one in cards:
        mine = await house.rows(tables.replies, letter_id=one.id)
        assert {row.state for row in mine} == {"released"}
        holders = {row.pages_of or row.id for row in mine}
        placed = [page for page in await house.rows(tables.pages) if page.reply_id in holders]
        assert len(placed) == 7 - len(await house.rows(tables.pages, state="held"))
