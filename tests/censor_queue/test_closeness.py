"""Volunteers' own letters, people they know, blocked senders: recognised, and written down nowhere."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from censor_queue import claims, closeness, decisions
from censor_queue.review import Review
from relay.domain.letters import normal_address
from relay.domain.reasons import ReviewReason
from relay.store import tables
from tests.censor_queue.letters import UNDO, everything, next_id, take, volunteer, with_photos
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, both_engines

OTHER_ADDRESS = "paul@sender.example"


async def own_address(house: House, volunteer_id: str, address: str) -> None:
    """A volunteer registers an address as an own one."""
    tag = closeness.own_address_tag(house.office_key, volunteer_id, normal_address(address))
    row = {"volunteer_id": volunteer_id, "tag": tag}
    async with house.store.database.writing() as connection:
        await connection.execute(sa.insert(tables.volunteer_addresses).values(row))


async def tell_nothing(house: House, volunteer_id: str, sent: Sent) -> None:
    """No row names the volunteer together with the letter, its conversation, its inbox or its sender."""
    row = await house.row(tables.letters, id=sent.id)
    inbox = (await house.row(tables.conversations, id=row.conversation_id)).inbox_id
    whose = {sent.id, row.conversation_id, inbox, ADDRESS}
    for table, rows in (await everything(house.store)).items():
        for cells in rows:
            text = " ".join(map(str, cells))
            assert not (volunteer_id in text and any(one in text for one in whose)), table


# --- own letters


@both_engines
@pytest.mark.parametrize(
    ("registered", "written_from"),
    [
        ("mary@sender.example", "mary@sender.example"),
        ("Mary@Sender.Example", "mary@sender.example"),
        ("mary@sender.example", "MARY@sender.example"),
        ("mary@sender.example", "mary+prison@sender.example"),
        ("mary+lists@sender.example", "mary+prison@sender.example"),
        ("mary@bücher.example", "mary@xn--bcher-kva.example"),
    ],
)
async def test_own_letter_goes_to_others_alone(
    house: House, review: Review, anna: str, boris: str, registered: str, written_from: str
) -> None:
    await own_address(house, anna, registered)
    own = await house.queued(address=normal_address(written_from))
    house.clock.advance(seconds=1)
    other = await house.queued(address="mary@other.example")
    assert await next_id(review, anna) == other.id
    assert await claims.claim_ahead(review, anna) is None
    assert await next_id(review, boris) == own.id
    await decisions.second_reader(review, own.id, boris)
    await decisions.approve(review, other.id, anna)
    assert await next_id(review, anna) is None
    await tell_nothing(house, anna, own)


async def test_own_letter_is_not_translated_by_oneself(house: House, review: Review) -> None:
    sven, maja = [await volunteer(house, name, "sv") for name in ("sven", "maja")]
    await own_address(house, sven, ADDRESS)
    sent = await with_photos(house, photos=0, address=ADDRESS, translate_from="sv")
    assert await claims.claim_translation(review, sven) is None
    letter = await claims.claim_translation(review, maja)
    assert letter is not None
    assert letter.id == sent.id


async def test_letter_without_address_is_nobodys_own(house: House, review: Review, anna: str) -> None:
    await own_address(house, anna, ADDRESS)
    sent = await house.queued()
    assert await next_id(review, anna) == sent.id


# --- people one knows


@both_engines
async def test_letters_of_a_conversation_with_known_people_go_to_others(
    house: House, review: Review, anna: str, boris: str
) -> None:
    first = await house.queued(RUSSIAN)
    assert await next_id(review, anna) == first.id
    await claims.knows(review, first.id, anna)
    house.clock.advance(seconds=1)
    later = await house.queued(RUSSIAN, phrase=first.phrase)
    house.clock.advance(seconds=1)
    to_somebody_else = await house.queued(ENGLISH, phrase=first.phrase)
    assert await next_id(review, anna) == to_somebody_else.id
    assert await claims.claim_ahead(review, anna) is None
    assert await next_id(review, boris) == first.id
    await decisions.approve(review, first.id, boris)
    assert await next_id(review, boris) == later.id
    await tell_nothing(house, anna, first)
    await tell_nothing(house, anna, later)

    await claims.stop(review, boris)
    await decisions.approve(review, to_somebody_else.id, anna)
    await claims.knows_not(review, first.id, anna)
    assert await next_id(review, anna) == later.id


@both_engines
async def test_known_people_are_recognised_by_the_address_in_a_new_inbox(
    house: House, review: Review, anna: str, boris: str
) -> None:
    first = await house.queued(RUSSIAN, address=ADDRESS)
    await take(review, anna)
    await claims.knows(review, first.id, anna)
    house.clock.advance(seconds=1)
    later = await house.queued(RUSSIAN, address="Mary+again@sender.example")
    house.clock.advance(seconds=1)
    others = [await house.queued(ENGLISH, address=ADDRESS), await house.queued(RUSSIAN, address=OTHER_ADDRESS)]
    for other in others:
        house.clock.advance(seconds=1)
        assert await next_id(review, anna) == other.id
        await decisions.second_reader(review, other.id, anna)
    assert await next_id(review, anna) is None
    await tell_nothing(house, anna, later)
    await claims.knows_not(review, first.id, anna)
    assert await house.rows(tables.acquaintances) == []
    assert await next_id(review, anna) == first.id


async def test_own_address_of_a_volunteer_does_not_show_in_a_block(
    house: House, review: Review, anna: str, boris: str
) -> None:
    for who in (anna, boris):
        await own_address(house, who, ADDRESS)
    carol = await volunteer(house, "carol")
    await blocked(house, review, carol, address=ADDRESS)
    tags = [row.tag for table in (tables.blocks, tables.volunteer_addresses) for row in await house.rows(table)]
    assert len(set(tags)) == len(tags) == 4


@both_engines
async def test_letter_made_ready_is_passed_on_once_its_people_are_known(
    house: House, review: Review, anna: str
) -> None:
    first = await house.queued()
    house.clock.advance(seconds=1)
    await house.queued(phrase=first.phrase)
    await take(review, anna)
    assert await claims.claim_ahead(review, anna) is not None
    await claims.knows(review, first.id, anna)
    assert await next_id(review, anna) is None
    assert [row.lease_owner for row in await house.rows(tables.letters)] == [None, None]


@both_engines
async def test_people_known_twice(house: House, review: Review) -> None:
    sven = await volunteer(house, "sven", "sv")
    written = await with_photos(house, photos=0, translate_from="sv")
    read = await house.queued(phrase=written.phrase)
    assert await claims.claim_translation(review, sven) is not None
    await take(review, sven)
    for sent in (written, read):
        await claims.knows(review, sent.id, sven)
    assert len(await house.rows(tables.acquaintances)) == 1


# --- blocked senders


async def blocked(house: House, review: Review, who: str, address: str | None = None) -> Sent:
    """A letter that was refused, and its sender blocked with it. It has to be the next."""
    sent = await house.queued(address=address)
    assert await next_id(review, who) == sent.id
    await decisions.refuse(review, sent.id, who, ReviewReason.THREAT, "never again", block=True)
    return sent


@both_engines
async def test_letter_of_a_blocked_sender_leaves_the_queue_unseen(
    house: House, review: Review, anna: str, boris: str
) -> None:
    await blocked(house, review, anna, address=ADDRESS)
    house.clock.now += UNDO
    same_address = await house.queued(address="Mary+new@sender.example")
    house.clock.advance(seconds=1)
    other = await house.queued(address=OTHER_ADDRESS)
    assert await next_id(review, boris) == other.id
    row = await house.row(tables.letters, id=same_address.id)
    assert (row.state, row.reason, row.lease_owner, row.settles_at) == ("refused", "blocked", None, None)
    event = (await house.rows(tables.events, record_id=same_address.id))[-1]
    assert (event.actor, event.source, event.target, event.reason) == ("worker", "queued", "refused", "blocked")
    decision = await house.row(tables.decisions, letter_id=same_address.id)
    assert (decision.volunteer_id, decision.decision, decision.reason) == (None, "refuse", "blocked")
    mail = await house.row(tables.outbox, letter_id=same_address.id, kind="refused")
    assert (mail.state, mail.decision_id, mail.next_try_at) == ("waiting", decision.id, None)
    with pytest.raises(decisions.TooLateToUndoError):
        await decisions.undo(review, decision.id, boris)


@both_engines
async def test_sender_without_address_is_blocked_by_the_inbox(house: House, review: Review, anna: str) -> None:
    first = await blocked(house, review, anna)
    house.clock.now += UNDO
    again = await house.queued(RUSSIAN, phrase=first.phrase)
    translated = await house.queued(phrase=first.phrase, address=OTHER_ADDRESS)
    assert await next_id(review, anna) is None
    assert [await house.state(sent) for sent in (again, translated)] == ["refused", "refused"]


@both_engines
async def test_letters_of_a_sender_wait_while_the_block_can_be_undone(
    house: House, review: Review, anna: str, boris: str
) -> None:
    await blocked(house, review, anna, address=ADDRESS)
    again = await house.queued(address=ADDRESS)
    other = await house.queued(address=OTHER_ADDRESS)
    assert await next_id(review, boris) == other.id
    assert (await house.state(again), await claims.claim_ahead(review, boris)) == ("queued", None)

    (decision,) = await house.rows(tables.decisions)
    await decisions.undo(review, decision.id, anna)
    assert await house.rows(tables.blocks) == []
    ahead = await claims.claim_ahead(review, boris)
    assert ahead is not None
    assert ahead.id == again.id


@both_engines
async def test_letter_on_the_screen_is_refused_once_its_sender_is_blocked(
    house: House, review: Review, anna: str, boris: str
) -> None:
    first = await house.queued(address=ADDRESS)
    second = await house.queued(address=ADDRESS)
    mine, theirs = await take(review, anna), await take(review, boris)
    assert {mine.id, theirs.id} == {first.id, second.id}
    await decisions.refuse(review, mine.id, anna, ReviewReason.SPAM, block=True)
    house.clock.now += UNDO
    assert await next_id(review, boris) is None
    assert (await house.row(tables.letters, id=theirs.id)).reason == "blocked"


async def test_block_holds_until_the_last_decision_that_made_it_is_undone(
    house: House, review: Review, anna: str, boris: str
) -> None:
    for _ in range(2):
        await house.queued(address=ADDRESS)
    for letter, who in [(await take(review, who), who) for who in (anna, boris)]:
        await decisions.refuse(review, letter.id, who, ReviewReason.SPAM, block=True)
    tag = closeness.address_tag(house.office_key, ADDRESS)
    for who, left in ((anna, 1), (boris, 0)):
        made = await house.row(tables.decisions, volunteer_id=who)
        await decisions.undo(review, made.id, who)
        assert len(await house.rows(tables.blocks, tag=tag)) == left


async def test_block_keeps_no_address(house: House, review: Review, anna: str) -> None:
    sent = await blocked(house, review, anna, address=ADDRESS)
    row = await house.row(tables.letters, id=sent.id)
    inbox = (await house.row(tables.conversations, id=row.conversation_id)).inbox_id
    tags = {one.tag for one in await house.rows(tables.blocks)}
    assert tags == {closeness.address_tag(house.office_key, ADDRESS), house.office_key.tag("inbox", inbox)}
    assert ADDRESS not in repr(await everything(house.store))


async def test_other_senders_are_not_blocked(house: House, review: Review, anna: str) -> None:
    await blocked(house, review, anna, address=ADDRESS)
    house.clock.now += UNDO
    sent = await house.queued(address="mary@other.example")
    assert await next_id(review, anna) == sent.id


async def test_addresses_that_begin_with_a_plus_sign_are_different_senders(
    house: House, review: Review, anna: str
) -> None:
    await blocked(house, review, anna, address="+46701740605@sender.example")
    house.clock.now += UNDO
    sent = await house.queued(address="+46701740606@sender.example")
    assert await next_id(review, anna) == sent.id
