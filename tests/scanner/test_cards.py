"""An answer to a group card goes to all who wrote on it, and to nobody else."""

from __future__ import annotations

from print import steps as print_steps
from relay.domain.lives import BatchState
from relay.domain.reply_code import Side
from relay.store import audit, tables
from scanner import steps
from scanner.codes import PageCodes
from tests.workplaces import ADDRESS, House, Sent, both_engines, get, sure


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
    count = 0
    while await house.assemble():
        count += 1
    return count


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
    desk = await house.desk()
    for one in cards:
        assert (
            "Привет" in (await get(desk, one.inbox)).screen.text or len((await get(desk, one.inbox)).screen.links) > 0
        )
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []


async def test_page_given_to_one_greeting_by_hand_is_given_to_all(house: House) -> None:
    cards, _ = await card_and_letter(house)
    scan = await house.split(PageCodes(()))
    page = await house.row(tables.pages, scan_id=scan)
    await steps.place_by_hand(house.store, page.id, cards[2].id, house.volunteers["anna"])
    assert await all_assembled(house) == 3
    assert {row.letter_id for row in await house.rows(tables.replies, scan_id=scan)} == {one.id for one in cards}


async def test_page_after_the_first_was_released_starts_an_answer_for_all(house: House) -> None:
    cards, _ = await card_and_letter(house)
    code = await house.code(cards[0])
    scan = await house.split(sure(code), PageCodes(()))
    assert await house.assemble()  # one of the three; the others are still open
    page = await house.row(tables.pages, scan_id=scan, number=2)
    await steps.place_by_hand(house.store, page.id, cards[0].id, house.volunteers["anna"])
    assert await all_assembled(house) == 5
    for one in cards:
        assert len(await house.rows(tables.replies, letter_id=one.id, state="released")) == 2


async def test_answer_to_a_letter_beside_a_card_is_its_senders_alone(house: House) -> None:
    _, letter = await card_and_letter(house)
    scan = await house.split(sure(await house.code(letter)))
    assert await all_assembled(house) == 1
    (reply,) = await house.rows(tables.replies, scan_id=scan)
    assert (reply.letter_id, reply.pages_of) == (letter.id, None)
