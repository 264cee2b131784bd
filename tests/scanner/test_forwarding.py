"""An answer that the prisoner wants others to have too: it goes to them when a person agrees, and to nobody else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from relay.domain.letters import Transcript, Word
from relay.domain.lives import Record
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.sealing import Context
from relay.store import audit, tables
from relay.store.sealed import load_key
from relay.store.transitions import NotThereError
from scanner import forwarding, reply_steps, steps, tick_steps
from scanner.codes import PageCodes
from scanner.reading import Reading
from tests.conftest import SmtpCatcher
from tests.scanner.replies import text_of
from tests.workplaces import RUSSIAN, House, Sent, both_engines, get, post, send_all, sure

LINES = ((Word(text="snow", doubtful=False),),)
FORWARD: dict[Tick, bool | None] = {Tick.FORWARD: True}


async def answered(house: House, sent: Sent, ticks: dict[Tick, bool | None] = FORWARD, *, whole: bool = True) -> str:
    """The id of a page with these ticks; the reply is released where the scan is `whole`."""
    code = await house.code(sent)
    front = Reading(lines=LINES, codes=sure(code), ticks=ticks)
    scan = await house.split(front, *([sure(code, side=Side.B)] if whole else []))
    assert await house.assemble()
    if whole:
        await house.release()
    return str((await house.row(tables.pages, scan_id=scan, number=1)).id)


async def replies_to(house: House, sent: Sent) -> list[tuple[str, bool]]:
    """States of the replies to a letter, and whether they are forwarded."""
    return [(row.state, row.forwarded) for row in await house.rows(tables.replies, letter_id=sent.id)]


async def transcript(house: House, sent: Sent) -> Transcript:
    """What the sender of a letter reads of its only reply, opened with the sender's own key."""
    row = await house.row(tables.replies, letter_id=sent.id)
    async with house.store.database.reading() as connection:
        key = await load_key(connection, Context(Record.REPLY, row.id), sent.secret.key)
    return Transcript.model_validate_json(key.decrypt(row.transcript))


async def forward(house: House, page: str) -> int:
    return await forwarding.forward(house.store, page, house.volunteers["anna"])


@both_engines
@pytest.mark.parametrize("whole", [True, False], ids=["released already", "waits for a look"])
async def test_answer_goes_to_the_other_correspondents_once_a_person_agrees(house: House, whole: bool) -> None:
    mary = await house.posted(name="Mary", address="mary@supporter.example")
    tom = await house.posted(name="Tom", address="tom@supporter.example")
    eve = await house.posted(name="Eve")
    waiting = await house.queued(name="Not yet posted")
    page = await answered(house, mary, whole=whole)
    await house.release()
    assert [await replies_to(house, one) for one in (mary, tom, eve, waiting)] == [[("released", False)], [], [], []]
    assert await forward(house, page) == 2
    await house.release()
    assert [await replies_to(house, one) for one in (mary, tom, eve)] == [
        [("released", False)],
        [("released", True)],
        [("released", True)],
    ]
    assert await replies_to(house, waiting) == []
    assert [await house.state(one) for one in (mary, tom, eve)] == ["delivered", "posted", "posted"]
    assert [mail.letter_id for mail in await house.rows(tables.outbox, kind="reply")] == [mary.id, tom.id]
    assert [(await transcript(house, one)).forwarded for one in (mary, tom)] == [False, True]
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []


async def test_others_are_told_by_mail_that_it_answers_somebody_else(house: House, smtp_catcher: SmtpCatcher) -> None:
    mary = await house.posted(name="Mary")
    await house.posted(name="Tom", address="tom@supporter.example")
    await forward(house, await answered(house, mary))
    await house.release()
    await send_all(house.sender(port=smtp_catcher.port))
    mail = smtp_catcher.mails[-1]
    assert (mail.recipients, [part.get_content_type() for part in mail.message.iter_attachments()]) == (
        ["tom@supporter.example"],
        ["application/pdf"],
    )
    text = text_of(mail)
    assert ("another" in text, "Mary" in text) == (True, False)


async def test_prisoner_of_another_conversation_is_not_forwarded_to(house: House) -> None:
    mary, pen_friend = await house.posted(name="Mary"), await house.posted(RUSSIAN, name="Tom")
    assert await forward(house, await answered(house, mary)) == 0
    assert await replies_to(house, pen_friend) == []


@both_engines
async def test_second_confirmation_does_nothing(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary)
    assert await forward(house, page) == 1
    with pytest.raises(NotThereError):
        await forward(house, page)
    assert len(await replies_to(house, tom)) == 1


async def test_two_sheets_with_the_tick_forward_once(house: House) -> None:
    mary, tom = await house.posted(name="Mary", sheets=2), await house.posted(name="Tom")
    code = await house.code(mary)
    both = [Reading(lines=LINES, codes=sure(code, sheet=sheet), ticks=FORWARD) for sheet in (1, 2)]
    scan = await house.split(*both)
    await house.release()
    pages = await house.rows(tables.pages, scan_id=scan)
    assert [await forward(house, page.id) for page in pages] == [1, 0]
    assert len(await replies_to(house, tom)) == 1


async def test_newest_letter_of_each_correspondent_gets_it_and_one_address_gets_it_once(house: House) -> None:
    mary = await house.posted(name="Mary")
    old = await house.posted(name="Tom", phrase=None)
    house.clock.advance(hours=1)
    new = await house.posted(name="Tom", phrase=old.phrase)
    house.clock.advance(hours=1)
    other_inbox = await house.posted(name="Tom again")
    again = await house.posted(name="Mary again")
    async with house.store.database.writing() as connection:
        for tag, ones in (("tom", (new, other_inbox)), ("mary", (mary, again))):
            of = sa.select(tables.conversations.c.inbox_id).join(
                tables.letters, tables.letters.c.conversation_id == tables.conversations.c.id
            )
            chosen = of.where(tables.letters.c.id.in_([one.id for one in ones]))
            tagged = sa.update(tables.inboxes).where(tables.inboxes.c.id.in_(chosen.scalar_subquery()))
            await connection.execute(tagged.values(address_tag=tag))
    assert await forward(house, await answered(house, mary)) == 1
    await house.release()
    assert [await replies_to(house, one) for one in (old, new, other_inbox, again)] == [
        [],
        [],
        [("released", True)],
        [],
    ]


async def test_older_letter_of_one_inbox_gets_nothing(house: House) -> None:
    mary, old = await house.posted(name="Mary"), await house.posted(name="Tom")
    house.clock.advance(hours=1)
    new = await house.posted(name="Tom", phrase=old.phrase)
    assert await forward(house, await answered(house, mary)) == 1
    assert [await replies_to(house, one) for one in (old, new)] == [[], [("checked", True)]]


async def test_ticks_about_the_letter_are_not_for_others(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    everything: dict[Tick, bool | None] = dict.fromkeys(Tick, True)
    page = await answered(house, mary, everything | {Tick.PLEASE_STOP: False})
    await forward(house, page)
    await house.release()
    said = [(await transcript(house, one)).ticks for one in (mary, tom)]
    assert said == [tuple(sorted(set(Tick) - {Tick.PLEASE_STOP})), (Tick.BEING_MOVED, Tick.NEED_PAPER)]


async def test_correction_reaches_others_too(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary)
    await forward(house, page)
    await house.release()
    lines = ((Word(text="slow", doubtful=False),),)
    await reply_steps.correct(house.store, house.office_key, page, lines, house.volunteers["anna"])
    await house.release()
    assert [(await transcript(house, one)).text().split()[0] for one in (mary, tom)] == ["slow", "slow"]


async def test_unclear_tick_asks_only_after_a_person_says_that_it_is_ticked(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary, {Tick.FORWARD: None})
    with pytest.raises(NotThereError):
        await forward(house, page)
    await tick_steps.settle(house.store, page, Tick.FORWARD, house.volunteers["anna"], ticked=True)
    assert await replies_to(house, tom) == []
    assert await forward(house, page) == 1


@both_engines
async def test_stray_mark_shows_nobody_anything_and_is_not_told_to_the_sender(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary)
    assert (await transcript(house, mary)).ticks == (Tick.FORWARD,)
    await forwarding.keep(house.store, page, house.volunteers["anna"])
    await house.release()
    assert (await transcript(house, mary)).ticks == ()
    with pytest.raises(NotThereError):
        await forward(house, page)
    assert await replies_to(house, tom) == []


@both_engines
async def test_forwarding_is_taken_back_before_the_release(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary, whole=False)
    await forward(house, page)
    assert await replies_to(house, tom) == [("held", True)]
    reply = (await house.row(tables.replies, letter_id=mary.id)).id
    await forwarding.take_back(house.store, reply, house.volunteers["anna"])
    with pytest.raises(NotThereError):
        await forwarding.take_back(house.store, reply, house.volunteers["anna"])
    await house.release()
    assert [await replies_to(house, one) for one in (mary, tom)] == [[("released", False)], [("void", True)]]
    assert (await transcript(house, mary)).ticks == ()


async def test_page_that_is_taken_out_takes_the_forwarding_with_it(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    code = await house.code(mary)
    scan = await house.split(Reading(lines=LINES, codes=sure(code), ticks=FORWARD), PageCodes(()))
    second = await house.row(tables.pages, scan_id=scan, number=2)
    await steps.place_by_hand(house.store, house.office_key, second.id, mary.id, house.volunteers["anna"])
    assert await house.assemble()
    page = await house.row(tables.pages, scan_id=scan, number=1)
    await forward(house, page.id)
    await reply_steps.take_out(house.store, page.id, house.volunteers["anna"])
    await house.release()
    assert [await replies_to(house, one) for one in (mary, tom)] == [[("released", False)], [("void", True)]]


async def test_page_that_is_given_by_hand_joins_the_answer_that_is_forwarded(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    code = await house.code(mary)
    scan = await house.split(Reading(lines=LINES, codes=sure(code), ticks=FORWARD), PageCodes(()))
    assert await house.assemble()
    await forward(house, (await house.row(tables.pages, scan_id=scan, number=1)).id)
    second = await house.row(tables.pages, scan_id=scan, number=2)
    await steps.place_by_hand(house.store, house.office_key, second.id, mary.id, house.volunteers["anna"])
    await house.release()
    assert [len((await transcript(house, one)).pages) for one in (mary, tom)] == [2, 2]


async def test_answer_to_a_forwarded_letter_is_still_its_own(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    await forward(house, await answered(house, mary))
    await house.release()
    await house.split(sure(await house.code(tom)))
    await house.release()
    assert sorted(await replies_to(house, tom)) == [("released", False), ("released", True)]
    assert (await house.state(tom), await replies_to(house, mary)) == ("delivered", [("released", False)])


async def test_ticks_screen_says_how_many_and_forwards_with_one_tap(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary)
    office = await house.office()
    assert "Show this answer to 1 other correspondent " in (await get(office, "/en/ticks")).screen.text
    form = {"page": page, "tick": "forward", "do": "forward"}
    assert [(await post(office, "/en/ticks", form)).status for _ in range(2)] == [303, 409]
    assert await replies_to(house, tom) == [("checked", True)]
    reply = (await house.row(tables.replies, letter_id=mary.id)).id
    assert "1 other correspondent gets it too" in (await get(office, f"/en/replies/{reply}")).screen.text


async def test_ticks_screen_shows_it_to_nobody_else_where_that_is_said(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    page = await answered(house, mary)
    office = await house.office()
    assert (await post(office, "/en/ticks", {"page": page, "tick": "forward", "do": "done"})).status == 303
    assert (await replies_to(house, tom), await house.rows(tables.ticks, settled_at=None)) == ([], [])


async def test_ticks_screen_says_that_nobody_else_writes(house: House) -> None:
    await answered(house, await house.posted())
    screen = (await get(await house.office(), "/en/ticks")).screen
    assert "Nobody else writes to this prisoner." in screen.text
    assert "Show this answer to" not in screen.text


async def test_screen_of_a_held_reply_takes_the_forwarding_back(house: House) -> None:
    mary, tom = await house.posted(name="Mary"), await house.posted(name="Tom")
    await forward(house, await answered(house, mary, whole=False))
    reply = (await house.row(tables.replies, letter_id=mary.id)).id
    office = await house.office()
    path = f"/en/replies/{reply}"
    assert [(await post(office, path, {"do": "keep"})).status for _ in range(2)] == [303, 409]
    assert await replies_to(house, tom) == [("void", True)]
    assert "gets it too" not in (await get(office, path)).screen.text
