"""Letters that the post brings back."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from print import steps
from print.returns import UnknownCodeError, come_back, find, typed_code
from relay.domain.directory import Entry, PrisonerState
from relay.domain.lives import BatchState
from relay.domain.reasons import ReturnReason
from relay.domain.reply_code import MatrixCode, ReplyCode, Side, grouped, new_reply_code
from relay.store import audit, directory, tables
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, both_engines, send_all


@pytest.mark.parametrize("reason", ReturnReason)
@both_engines
async def test_letter_goes_where_the_reason_leads(house: House, reason: ReturnReason) -> None:
    sent = await house.posted(address=ADDRESS)
    waiting, elsewhere = await house.approved(), await house.approved(RUSSIAN)
    found = await come_back(house.store, await house.code(sent), reason, house.volunteers["anna"])
    assert (found.letter_ids, found.known.prisoner.name) == ((sent.id,), ENGLISH.prisoner.name)
    lost = reason is not ReturnReason.REFUSED
    again = reason in {ReturnReason.MOVED, ReturnReason.NOT_FOUND}
    prisoner = {
        ReturnReason.MOVED: "moved",
        ReturnReason.NOT_FOUND: "moved",
        ReturnReason.RELEASED: "released",
        ReturnReason.REFUSED: "active",
    }[reason]
    assert (await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state == prisoner
    assert await house.state(sent) == ("held" if again else "returned")
    assert await house.state(waiting) == ("held" if lost else "approved")
    assert await house.state(elsewhere) == "approved"
    row = await house.row(tables.letters, id=sent.id)
    assert (row.reason, row.outcome) == (reason, "refused" if reason is ReturnReason.REFUSED else None)
    assert len(await house.rows(tables.outbox, letter_id=sent.id, kind="returned")) == 1
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []


@both_engines
async def test_letter_to_somebody_who_was_found_again_is_read_and_printed_again(house: House) -> None:
    sent = await house.posted()
    await come_back(house.store, await house.code(sent), ReturnReason.MOVED, house.volunteers["anna"])
    found = dataclasses.replace(ENGLISH, facility=RUSSIAN.facility)
    found = dataclasses.replace(found, prisoner=found.prisoner.model_copy(update={"state": PrisonerState.ACTIVE}))
    await save(house, found)
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.batch_id) == ("queued", None)


async def test_envelope_comes_back_with_all_letters_in_it(house: House) -> None:
    cards = [await house.approved(card=True, text=f"Greeting {number}") for number in range(3)]
    batch = await house.batch()
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await steps.mark(house.store, batch, state, house.volunteers["anna"])
    found = await come_back(house.store, await house.code(cards[2]), ReturnReason.REFUSED, house.volunteers["anna"])
    assert set(found.letter_ids) == {one.id for one in cards}
    assert {await house.state(one) for one in cards} == {"returned"}


async def test_envelope_that_came_back_twice_is_noted_once(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    code, anna = await house.code(sent), house.volunteers["anna"]
    await come_back(house.store, code, ReturnReason.REFUSED, anna)
    found = await come_back(house.store, code, ReturnReason.MOVED, anna)
    assert not found.underway
    assert len(await house.rows(tables.outbox, kind="returned")) == 1
    assert (await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state == "active"


async def test_newer_address_is_not_lost_by_an_old_envelope(house: House) -> None:
    sent = await house.posted()
    await save(house, dataclasses.replace(ENGLISH, facility=RUSSIAN.facility))
    waiting = await house.approved()
    await come_back(house.store, await house.code(sent), ReturnReason.MOVED, house.volunteers["anna"])
    assert (await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state == "active"
    assert (await house.state(sent), await house.state(waiting)) == ("queued", "approved")


async def save(house: House, entry: Entry) -> None:
    async with house.store.database.writing() as connection:
        await directory.save(connection, [entry], by=house.anna, at=house.clock())


async def test_letter_not_printed_yet_cannot_come_back(house: House) -> None:
    sent = await house.approved()
    with pytest.raises(UnknownCodeError):
        await come_back(house.store, await house.code(sent), ReturnReason.MOVED, house.volunteers["anna"])
    assert await house.state(sent) == "approved"


async def test_sender_is_told_why(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await send_all(house.sender())
    await come_back(house.store, await house.code(sent), ReturnReason.RELEASED, house.volunteers["anna"])
    assert len(await house.rows(tables.outbox, kind="returned", state="waiting")) == 1


async def test_code_is_found_in_every_form_in_which_it_is_typed(house: House) -> None:
    code = await house.code(await house.posted())
    matrix = str(MatrixCode(code, 1, Side.B))
    for text in (code, grouped(code), f" {code.lower()}\n", matrix, matrix.lower()):
        assert typed_code(text) == code
    async with house.store.database.reading() as connection:
        assert (await find(connection, code)).code == code


@pytest.mark.parametrize("text", ["", "R1", "hello", "2222 2222 2223", "R12222222222220", "\x00" * 12])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(UnknownCodeError):
        typed_code(text)


def test_code_with_a_wrong_symbol_is_not_repaired() -> None:
    code = new_reply_code()
    wrong = ReplyCode(("3" if code[0] != "3" else "4") + code[1:])
    with pytest.raises(UnknownCodeError):
        typed_code(wrong)


@both_engines
async def test_greeting_that_came_back_gets_a_new_code(house: House) -> None:
    cards = [await house.approved(card=True, text=f"Greeting {number}") for number in range(2)]
    await house.on_paper(await house.batch())
    (batch,) = await house.rows(tables.batches)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await steps.mark(house.store, batch.id, state, house.volunteers["anna"])
    old = await house.code(cards[0])
    assert await house.code(cards[1]) == old
    await come_back(house.store, old, ReturnReason.MOVED, house.volunteers["anna"])
    await save(
        house,
        dataclasses.replace(ENGLISH, prisoner=ENGLISH.prisoner.model_copy(update={"state": PrisonerState.ACTIVE})),
    )
    async with house.store.database.writing() as connection:
        change = sa.update(tables.letters).where(tables.letters.c.id.in_([one.id for one in cards]))
        await connection.execute(change.values(state="approved"))
    await house.batch()
    codes = {await house.code(one) for one in cards}
    assert (len(codes), old in codes) == (2, False)
    assert await house.rows(tables.reply_order_letters, code=old) == []
