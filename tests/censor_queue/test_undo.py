"""Undo: a decision is as if it had not been, but for the history; and it never comes too late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import sqlalchemy as sa

from censor_queue import claims, decisions, evening, translations
from censor_queue.claims import HARD_END, LEASE
from censor_queue.decisions import TooLateToUndoError
from censor_queue.evening import Decided
from censor_queue.review import Review
from print import steps as printing
from relay.desk import steps as desk_steps
from relay.desk.steps import TooLateToWithdrawError
from relay.domain.directory import PrisonerState
from relay.domain.lives import READING, LetterState
from relay.domain.reasons import ReviewReason
from relay.domain.review import Decision
from relay.store import tables
from relay.store.audit import verify
from relay.store.letters import read_treatment
from relay.store.tables import letters
from tests.censor_queue.letters import (
    SECOND,
    UNDO,
    everything,
    in_state,
    next_id,
    review_of,
    take,
    volunteer,
    with_photos,
)
from tests.conftest import SmtpCatcher
from tests.store.rows import add_row
from tests.workplaces import ADDRESS, ENGLISH, House, Sent, both_engines, send_all

Step = Callable[[Review, str, str], Awaitable[None]]
HEJ = translations.Draft("Hello", translations.mark(""))
STEPS: dict[str, tuple[str, Step]] = {
    "approve": ("queued", decisions.approve),
    "approve without photos": (
        "queued",
        partial(decisions.approve, without_photos=True, reason=ReviewReason.PHOTO, note="A note"),
    ),
    "changes": ("queued", partial(decisions.ask_for_changes, reason=ReviewReason.TOO_LONG)),
    "refuse": ("queued", partial(decisions.refuse, reason=ReviewReason.SPAM)),
    "refuse and block": ("queued", partial(decisions.refuse, reason=ReviewReason.SPAM, block=True)),
    "second": ("queued", decisions.second_reader),
    "translate": ("queued", partial(decisions.to_be_translated, language="fi")),
    "second approves": ("second_reading", decisions.approve),
    "second refuses": ("second_reading", partial(decisions.refuse, reason=ReviewReason.SPAM)),
    "second asks": ("second_reading", partial(decisions.ask_for_changes, reason=ReviewReason.TOO_LONG)),
    "translated": ("translating", partial(translations.finish, draft=HEJ, max_pages=9)),
    "not needed": ("translating", translations.not_needed),
    "translator asks": ("translating", partial(decisions.ask_for_changes, reason=ReviewReason.UNREADABLE)),
    "translator refuses": ("translating", partial(decisions.refuse, reason=ReviewReason.THREAT)),
}
BUT_TEXT = {"body", "submission_hash", "confirmation_hash"}


async def claimed(house: House, review: Review, state: str) -> tuple[Sent, str]:
    """A letter in one of the states of the review, and who holds it."""
    anna, boris = house.volunteers["anna"], house.volunteers["boris"]
    sent = await with_photos(house, address=ADDRESS, translate_from="sv" if state == "translating" else None)
    if state == "translating":
        await volunteer(house, "anna", "sv")
        assert await claims.claim_translation(review, anna) is not None
        return sent, anna
    if state == "second_reading":
        await take(review, boris)
        await decisions.second_reader(review, sent.id, boris)
    await take(review, anna)
    return sent, anna


async def last(house: House, sent: Sent) -> str:
    """The id of the newest decision about a letter."""
    rows = await house.rows(tables.decisions, letter_id=sent.id)
    return str(max(rows, key=lambda row: row.at).id)


# --- what it brings back


@both_engines
@pytest.mark.parametrize("kind", STEPS)
async def test_undone_decision_leaves_the_letter_as_it_was(house: House, review: Review, kind: str) -> None:
    state, step = STEPS[kind]
    sent, who = await claimed(house, review, state)
    house.clock.advance(seconds=30)
    before = (await house.row(letters, id=sent.id))._mapping
    events = len(await house.rows(tables.events))
    async with house.store.database.reading() as connection:
        treatment = await read_treatment(connection, sent.id, house.office_key)
    await step(review, sent.id, who)
    await house.queued()
    decision = await last(house, sent)
    house.clock.now += UNDO - SECOND

    await decisions.undo(review, decision, who)

    now = house.clock()
    after = (await house.row(letters, id=sent.id))._mapping
    changed = {"state_since": now, "lease_until": now + LEASE, "lease_ends": now + HARD_END}
    assert {**after, "treatment": None} == {**before, **changed, "treatment": None}
    async with house.store.database.reading() as connection:
        again = await read_treatment(connection, sent.id, house.office_key)
        assert (await verify(connection)).faults == []
    assert again.model_copy(update={"draft": ""}) == treatment
    assert again.draft == ("Hello" if kind == "translated" else "")  # what was typed is not lost
    rows = await house.rows(tables.events, record_id=sent.id)
    assert [(row.source, row.reason) for row in rows[-1:]] == [(rows[-2].target, "undone")]
    assert (rows[-1].target, rows[-2].source, rows[-1].actor) == (state, state, f"volunteer:{who}")
    assert len(await house.rows(tables.events)) == events + 4  # two of it, two of the other letter
    noted = await house.row(tables.decisions, id=decision)
    assert (noted.void_at, noted.volunteer_id) == (now, who)
    assert {mail.state for mail in await house.rows(tables.outbox, decision_id=decision)} <= {"dropped"}
    assert await house.rows(tables.blocks) == []
    claim = claims.claim_translation if state == "translating" else claims.claim_next
    shown = await claim(review, who)
    assert shown is not None
    assert shown.id == sent.id


@both_engines
async def test_undone_letter_can_be_decided_again_in_any_way(house: House, review: Review, anna: str) -> None:
    sent = await with_photos(house, address=ADDRESS)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    await decisions.undo(review, await last(house, sent), anna)
    house.clock.advance(seconds=1)
    await decisions.approve(review, sent.id, anna)
    made = await house.rows(tables.decisions, letter_id=sent.id)
    assert {row.decision: row.void_at is None for row in made} == {"approve_in_part": False, "approve": True}
    mails = await house.rows(tables.outbox, kind="partly")
    assert [mail.state for mail in mails] == ["dropped"]
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)][1:] == [
        "queued",
        "approved",
        "queued",
        "approved",
    ]


@both_engines
async def test_what_the_first_reader_left_out_is_in_again(house: House, anna: str, boris: str) -> None:
    review = review_of(house, second_reader=True)
    sent = await with_photos(house)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    await decisions.undo(review, await last(house, sent), anna)
    await decisions.approve(review, sent.id, anna)
    letter = await take(review, boris)
    assert (letter.treatment.without_photos, letter.treatment.reason) == (False, None)


@both_engines
async def test_letter_passed_on_by_mistake_can_come_back_to_the_same_volunteer(
    house: House, review: Review, anna: str
) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.second_reader(review, sent.id, anna)
    assert await next_id(review, anna) is None
    await decisions.undo(review, await last(house, sent), anna)
    await claims.stop(review, anna)
    assert await next_id(review, anna) == sent.id


@both_engines
async def test_undone_letter_comes_before_what_is_on_the_screen(house: House, review: Review, anna: str) -> None:
    first = await house.queued()
    await take(review, anna)
    await decisions.approve(review, first.id, anna)
    async with house.store.database.writing() as connection:  # the other one has waited longer
        earlier = letters.c.due_at == (await house.row(letters, id=first.id)).due_at
        await connection.execute(sa.update(letters).where(earlier).values(due_at=house.clock() + 9 * UNDO))
    second = await house.queued()
    async with house.store.database.writing() as connection:
        ours = letters.c.id == second.id
        await connection.execute(sa.update(letters).where(ours).values(due_at=house.clock()))
    assert await next_id(review, anna) == second.id
    ends = (await house.row(letters, id=second.id)).lease_ends
    house.clock.advance(seconds=1)
    await decisions.undo(review, await last(house, first), anna)
    assert await next_id(review, anna) == first.id
    await decisions.approve(review, first.id, anna)
    shown = await take(review, anna)
    assert (shown.id, shown.hard_end) == (second.id, ends)


@both_engines
@pytest.mark.parametrize("kind", ["refuse", "changes"])
async def test_undone_letter_to_somebody_who_left_is_held(house: House, review: Review, anna: str, kind: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await STEPS[kind][1](review, sent.id, anna)
    await in_state(house, ENGLISH, PrisonerState.RELEASED)
    assert await decisions.undo(review, await last(house, sent), anna) == "held"
    row = await house.row(letters, id=sent.id)
    assert (row.state, row.reason, row.lease_owner, await next_id(review, anna)) == ("held", None, None, None)
    await in_state(house, ENGLISH, PrisonerState.ACTIVE)
    assert await next_id(review, anna) == sent.id


@both_engines
async def test_mail_of_an_undone_decision_never_goes(
    house: House, review: Review, anna: str, smtp_catcher: SmtpCatcher
) -> None:
    sender = house.sender(host=smtp_catcher.host, port=smtp_catcher.port)
    sent = await with_photos(house, address=ADDRESS)
    await send_all(sender)
    await take(review, anna)
    await decisions.refuse(review, sent.id, anna, ReviewReason.SPAM)
    await decisions.undo(review, await last(house, sent), anna)
    house.clock.now += 2 * UNDO
    assert await send_all(sender) == 0


# --- too late


@both_engines
@pytest.mark.parametrize("kind", [kind for kind in STEPS if kind not in {"second", "translate"}])
async def test_settled_decision_stays(house: House, review: Review, kind: str) -> None:
    state, step = STEPS[kind]
    sent, who = await claimed(house, review, state)
    await step(review, sent.id, who)
    house.clock.now += UNDO
    if kind in {"translated", "not needed"}:  # it went on to somebody else, who reads it
        await take(review, house.volunteers["boris"])
    before = await everything(house.store)
    with pytest.raises(TooLateToUndoError):
        await decisions.undo(review, await last(house, sent), who)
    assert await everything(house.store) == before


async def late_undone_twice(house: House, review: Review, sent: Sent) -> None:
    await decisions.undo(review, await last(house, sent), house.volunteers["anna"])


async def late_withdrawn(house: House, review: Review, sent: Sent) -> None:
    await desk_steps.withdraw(house.store, sent.id)


async def late_held(house: House, review: Review, sent: Sent) -> None:
    await in_state(house, ENGLISH, PrisonerState.MOVED)


async def late_held_and_back(house: House, review: Review, sent: Sent) -> None:
    for state in (PrisonerState.MOVED, PrisonerState.ACTIVE):
        await in_state(house, ENGLISH, state)


async def late_decided_by_another(house: House, review: Review, sent: Sent) -> None:
    await late_held_and_back(house, review, sent)
    house.clock.advance(seconds=1)
    boris = house.volunteers["boris"]
    assert await next_id(review, boris) == sent.id
    await decisions.approve(review, sent.id, boris)


async def late_batched(house: House, review: Review, sent: Sent) -> None:
    """The time is over on another machine, whose clock goes a little faster."""
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(letters).values(batch_id=await add_row(connection, tables.batches)))


@both_engines
@pytest.mark.parametrize(
    "meanwhile",
    [late_undone_twice, late_withdrawn, late_held, late_held_and_back, late_decided_by_another, late_batched],
)
async def test_undo_after_something_else_happened_changes_nothing(
    house: House, review: Review, anna: str, meanwhile: Callable[[House, Review, Sent], Awaitable[None]]
) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    decision = await last(house, sent)
    await meanwhile(house, review, sent)
    before = await everything(house.store)
    with pytest.raises(TooLateToUndoError):
        await decisions.undo(review, decision, anna)
    assert await everything(house.store) == before


@both_engines
@pytest.mark.parametrize("kind", ["second", "translate"])
async def test_letter_that_somebody_else_reads_or_decided_does_not_come_back(
    house: House, review: Review, anna: str, kind: str
) -> None:
    vera = await volunteer(house, "vera", "fi")
    sent = await house.queued()
    await take(review, anna)
    await STEPS[kind][1](review, sent.id, anna)
    decision = await last(house, sent)
    claim = claims.claim_next if kind == "second" else claims.claim_translation
    assert await claim(review, vera) is not None
    with pytest.raises(TooLateToUndoError):
        await decisions.undo(review, decision, anna)
    house.clock.now += LEASE + SECOND
    async with house.store.database.reading() as connection:
        assert [one.id for one in await evening.undoable(connection, anna, house.clock())] == [decision]
    assert await claim(review, vera) is not None
    await decisions.refuse(review, sent.id, vera, ReviewReason.SPAM)
    with pytest.raises(TooLateToUndoError):
        await decisions.undo(review, decision, anna)
    await decisions.undo(review, await last(house, sent), vera)
    await claims.stop(review, vera)
    await decisions.undo(review, decision, anna)  # nobody has it, and nobody decided anything that counts
    assert await house.state(sent) == "queued"


@both_engines
async def test_only_who_decided_can_undo(house: House, review: Review, anna: str, boris: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    before = await everything(house.store)
    for decision in (await last(house, sent), "0" * 32, ""):
        with pytest.raises(TooLateToUndoError):
            await decisions.undo(review, decision, boris)
    assert await everything(house.store) == before


async def test_skipped_letter_is_not_undone_but_taken_back(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await claims.skip(review, sent.id, anna)
    with pytest.raises(TooLateToUndoError):
        await decisions.undo(review, await last(house, sent), anna)


@both_engines
async def test_mail_that_is_being_sent_makes_it_too_late(house: House, review: Review, anna: str) -> None:
    sent = await house.queued(address=ADDRESS)
    await take(review, anna)
    await decisions.refuse(review, sent.id, anna, ReviewReason.SPAM)
    mail = tables.outbox.c.kind == "refused"
    for values in ({"lease_owner": "worker", "lease_until": house.clock() + SECOND}, {"state": "sent"}):
        async with house.store.database.writing() as connection:
            await connection.execute(sa.update(tables.outbox).where(mail).values(**values))
        with pytest.raises(TooLateToUndoError):
            await decisions.undo(review, await last(house, sent), anna)
        house.clock.now += 2 * SECOND
    assert await house.state(sent) == "refused"


# --- what is shown of it


@both_engines
async def test_decisions_that_can_be_undone_are_listed(house: House, review: Review, anna: str, boris: str) -> None:
    async def listed(volunteer_id: str) -> list[Decided]:
        async with house.store.database.reading() as connection:
            return await evening.undoable(connection, volunteer_id, house.clock())

    name = ENGLISH.prisoner.name
    made: list[Decided] = []
    for decision, step in ((Decision.APPROVE, "approve"), (Decision.REFUSE, "refuse"), (Decision.SECOND, "second")):
        sent = await house.queued()
        await take(review, anna)
        await STEPS[step][1](review, sent.id, anna)
        settles_at = None if step == "second" else house.clock() + UNDO
        made.insert(0, Decided(await last(house, sent), name, decision, house.clock(), settles_at))
        house.clock.advance(minutes=1)
    assert await listed(anna) == made
    assert await listed(boris) == []
    await decisions.undo(review, made[1].id, anna)
    assert await listed(anna) == [made[0], made[2]]
    await take(review, boris)
    assert await listed(anna) == [made[2]]
    house.clock.now += UNDO
    assert await listed(anna) == []


@both_engines
async def test_evening_counts_what_was_decided_and_how_long_it_took(
    house: House, review: Review, anna: str, boris: str
) -> None:
    for step, seconds in (("approve", 40), ("refuse", 20), ("second", 5)):
        sent = await house.queued()
        await take(review, anna)
        house.clock.advance(seconds=seconds)
        await STEPS[step][1](review, sent.id, anna)
    house.clock.advance(seconds=1)
    await claims.skip(review, (await take(review, boris)).id, boris)
    async with house.store.database.reading() as connection:
        found = [await evening.my_evening(connection, who, house.clock()) for who in (anna, boris)]
    assert found == [evening.Evening(3, 65), evening.Evening(0, 0)]
    second = await house.row(tables.decisions, decision="second")
    await decisions.undo(review, second.id, anna)
    async with house.store.database.reading() as connection:
        assert await evening.my_evening(connection, anna, house.clock()) == evening.Evening(2, 60)
        house.clock.now += evening.EVENING
        assert await evening.my_evening(connection, anna, house.clock()) == evening.Evening(0, 0)


# --- at the same moment


@pytest.mark.parametrize("engine", ["postgresql"])  # SQLite has one writer
async def test_undo_that_waited_until_the_decision_settled_is_too_late(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    house.clock.now += UNDO - SECOND
    async with house.store.database.writing() as connection:
        await connection.execute(sa.select(letters).where(letters.c.id == sent.id).with_for_update())
        undoing = asyncio.create_task(decisions.undo(review, await last(house, sent), anna))
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not await connection.scalar(waiting):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.01)
        house.clock.now += SECOND
        printed = asyncio.create_task(house.batch())
    with pytest.raises(TooLateToUndoError):
        await undoing
    batch = await printed
    row = await house.row(letters, id=sent.id)
    assert (row.state, row.batch_id) == ("approved", batch)


@both_engines
async def test_undo_batch_withdrawal_and_claim_at_once_agree(house: House, review: Review, anna: str) -> None:
    chance = random.Random(3)
    outcomes = set()
    for _ in range(12):
        sent = await house.queued()
        await take(review, anna)
        await decisions.approve(review, sent.id, anna)
        decision = await last(house, sent)
        house.clock.now += UNDO - SECOND / 2

        async def undo(decision: str = decision) -> None:
            with suppress(TooLateToUndoError):
                await decisions.undo(review, decision, anna)

        async def tick() -> None:
            house.clock.now += SECOND

        async def print_it() -> None:
            with suppress(printing.NothingToPrintError):
                await house.batch()

        async def withdraw(letter_id: str = sent.id) -> None:
            with suppress(TooLateToWithdrawError):
                await desk_steps.withdraw(house.store, letter_id)

        together: list[Callable[[], Awaitable[None]]] = [undo, tick, print_it, withdraw]
        chance.shuffle(together)
        await asyncio.gather(*(one() for one in together[: chance.randint(2, 4)]))
        row = await house.row(letters, id=sent.id)
        outcomes.add(row.state)
        undone = (await house.row(tables.decisions, id=decision)).void_at is not None
        if row.state == LetterState.APPROVED:
            assert not undone
        else:
            assert (row.batch_id, row.state) in {(None, "queued"), (None, "withdrawn")}
        assert (row.lease_owner is not None) == (row.state in READING)
        if row.lease_owner:
            await decisions.refuse(review, sent.id, anna, ReviewReason.SPAM)
    assert outcomes >= {"withdrawn", "queued"}
    async with house.store.database.reading() as connection:
        assert (await verify(connection)).faults == []
