"""What a sender sees of the review: nothing while a decision can be undone, and all that it did to the letter then."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Awaitable, Callable

import pytest

from censor_queue import claims, decisions
from censor_queue.review import Review
from relay.domain.letters import LetterBody, Photo
from relay.domain.lives import SENTENCES, LetterState, Record
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.store import tables
from relay.store.letters import letter_context
from relay.store.sealed import load_key
from relay.store.transitions import move
from tests.desk.letters import ask, read, strict, translate
from tests.workplaces import Client, House, Sent, get, post

QUEUED = SENTENCES[LetterState.QUEUED]
CONFIRMED = [SENTENCES[LetterState.UNCONFIRMED], QUEUED]
BACK = "Back from the translator. A volunteer will read it before it is printed."
RUSSIAN_TEXT = "Здравствуйте! У нас выпал первый снег, и дети лепят снеговика."
NOTE = "Please be careful."


@pytest.fixture
async def desk(house: House) -> Client:
    """A sender's browser on the desk; HMP Nowhere has strict rules."""
    strict(house)
    return await house.desk()


def with_undo(house: House) -> Review:
    """The review with ten minutes for an undo."""
    return dataclasses.replace(house.review, undo=datetime.timedelta(minutes=10))


async def approve(review: Review, letter_id: str, anna: str) -> None:
    await decisions.approve(review, letter_id, anna)


async def approve_in_part(review: Review, letter_id: str, anna: str) -> None:
    await decisions.cover(review, letter_id, anna, [1])
    await decisions.approve(review, letter_id, anna, reason=ReviewReason.OTHER_PEOPLE, note=NOTE)


async def ask_for_changes(review: Review, letter_id: str, anna: str) -> None:
    await decisions.ask_for_changes(review, letter_id, anna, ReviewReason.LANGUAGE, NOTE)


async def refuse(review: Review, letter_id: str, anna: str) -> None:
    await decisions.refuse(review, letter_id, anna, ReviewReason.THREAT, NOTE)


Decide = Callable[[Review, str, str], Awaitable[None]]
DECISIONS = pytest.mark.parametrize("decide", [approve, approve_in_part, ask_for_changes, refuse])


async def shown(desk: Client, sent: Sent) -> str:
    """The inbox without its times."""
    return re.sub(r"<time.*?</time>", "", (await get(desk, sent.inbox)).screen.html)


async def history(desk: Client, sent: Sent) -> list[str]:
    """The steps of the letter, as its sender reads them."""
    return re.findall(r"<li [^>]*><span>(.*?)</span>", (await get(desk, sent.inbox)).screen.html)


@DECISIONS
async def test_decision_is_not_to_be_seen_before_it_settles(house: House, desk: Client, decide: Decide) -> None:
    sent = await house.queued()
    before = await shown(desk, sent)
    await decide(with_undo(house), sent.id, await read(house, sent))
    assert await shown(desk, sent) == before
    house.clock.advance(minutes=10)
    assert await shown(desk, sent) != before
    assert len(await history(desk, sent)) == 3


@DECISIONS
async def test_undone_decision_was_never_seen(house: House, desk: Client, decide: Decide) -> None:
    sent = await house.queued()
    before = await shown(desk, sent)
    anna = await read(house, sent)
    await decide(with_undo(house), sent.id, anna)
    (decision,) = await house.rows(tables.decisions)
    await decisions.undo(with_undo(house), decision.id, anna)
    assert await shown(desk, sent) == before
    await decisions.approve(house.review, sent.id, anna, reason=ReviewReason.OTHER_PEOPLE)
    assert await history(desk, sent) == [*CONFIRMED, SENTENCES[LetterState.APPROVED]]


async def test_passing_on_that_was_undone_is_not_shown(house: House, desk: Client) -> None:
    sent = await house.queued()
    anna = await read(house, sent)
    await decisions.second_reader(house.review, sent.id, anna)
    assert await history(desk, sent) == [*CONFIRMED, SENTENCES[LetterState.SECOND_READING]]
    (decision,) = await house.rows(tables.decisions)
    await decisions.undo(house.review, decision.id, anna)
    assert await history(desk, sent) == CONFIRMED


@DECISIONS
async def test_letter_can_be_taken_back_while_its_decision_can_be_undone(
    house: House, desk: Client, decide: Decide
) -> None:
    sent = await house.queued()
    anna = await read(house, sent)
    await decide(with_undo(house), sent.id, anna)
    (form,) = (await get(desk, sent.inbox)).screen.forms
    assert (await post(desk, form)).status == 303
    assert await house.state(sent) == "withdrawn"
    (decision,) = await house.rows(tables.decisions)
    with pytest.raises(decisions.TooLateToUndoError):
        await decisions.undo(with_undo(house), decision.id, anna)


async def test_refused_letter_cannot_be_taken_back(house: House, desk: Client) -> None:
    sent = await house.queued()
    await refuse(house.review, sent.id, await read(house, sent))
    assert (await get(desk, sent.inbox)).screen.forms == []
    assert (await post(desk, f"{sent.inbox}/withdraw/{sent.id}")).status == 409
    assert await house.state(sent) == "refused"


async def test_refusal_tells_reason_and_note(house: House, desk: Client) -> None:
    sent = await house.queued()
    await refuse(house.review, sent.id, await read(house, sent))
    text = (await get(desk, sent.inbox)).screen.text
    assert f"The reason: {REVIEW_REASONS[ReviewReason.THREAT]} The volunteer writes: {NOTE}" in text


async def test_hostile_note_is_text(house: House, desk: Client) -> None:
    sent = await house.queued()
    await ask(house, sent, note="<script>alert(1)</script>")
    screen = (await get(desk, sent.inbox)).screen
    assert "script" not in screen.tags
    assert "The volunteer writes: <script>alert(1)</script>" in screen.text


async def test_earlier_decision_says_nothing_about_a_later_state(house: House, desk: Client) -> None:
    sent = await house.queued()
    await ask(house, sent, note="an older note")
    await post(
        desk, f"{sent.inbox}/letter/{sent.id}/edit", {"text": "Hi there", "printed_name": "Mary", "action": "send"}
    )
    house.clock.advance(hours=1)
    assert "an older note" not in (await get(desk, sent.inbox)).screen.text
    await refuse(house.review, sent.id, await read(house, sent))
    text = (await get(desk, sent.inbox)).screen.text
    assert (NOTE in text, "an older note" in text) == (True, False)


async def test_covered_words_are_struck_through_and_counted(house: House, desk: Client) -> None:
    sent = await house.queued(text="My friend Eve\nsends love")
    anna = await read(house, sent)
    await decisions.cover(house.review, sent.id, anna, [1, 2])
    assert "<del>" not in (await get(desk, sent.inbox)).screen.html, "the review is still at it"
    await decisions.approve(house.review, sent.id, anna, reason=ReviewReason.OTHER_PEOPLE, note=NOTE)
    for state in (LetterState.APPROVED, LetterState.PRINTED, LetterState.POSTED):
        if state is not LetterState.APPROVED:
            async with house.store.database.writing() as connection:
                await move(connection, Record.LETTER, sent.id, state, by=house.anna, at=house.clock())
        screen = (await get(desk, sent.inbox)).screen
        assert "My <del>friend</del> <del>Eve</del>\nsends love" in screen.html
        assert (
            "2 words of your letter are covered in print. Below they are struck through. "
            f"The reason: {REVIEW_REASONS[ReviewReason.OTHER_PEOPLE]} The volunteer writes: {NOTE}"
        ) in screen.text


async def test_photo_that_was_left_out_is_told(house: House, desk: Client) -> None:
    sent = await house.queued()
    body = LetterBody(text="Hello", printed_name="Mary", address=None, photos=(Photo(width=1, height=1, size=1),))
    async with house.store.database.writing() as connection:
        key = await load_key(connection, letter_context(sent.id), house.office_key)
        await connection.execute(tables.letters.update().values(body=key.encrypt(body.model_dump_json().encode())))
    await decisions.approve(
        house.review, sent.id, await read(house, sent), without_photos=True, reason=ReviewReason.PHOTO
    )
    text = (await get(desk, sent.inbox)).screen.text
    assert f"Your letter goes without its photo. The reason: {REVIEW_REASONS[ReviewReason.PHOTO]}" in text


async def in_translation(house: House) -> Sent:
    """A letter in Russian that waits for a translator."""
    sent = await house.queued(text=RUSSIAN_TEXT)
    await decisions.to_be_translated(house.review, sent.id, await read(house, sent), "ru")
    return sent


async def test_translation_can_be_read_once_it_is_done(house: House, desk: Client) -> None:
    sent = await in_translation(house)
    assert await history(desk, sent) == [*CONFIRMED, SENTENCES[LetterState.TRANSLATING]]
    await translate(house, sent, "Hello! We had the first snow.")
    screen = (await get(desk, sent.inbox)).screen
    assert (await history(desk, sent))[-1] == BACK
    assert "The translation that is printed Hello! We had the first snow." in screen.text
    assert RUSSIAN_TEXT in screen.text


async def test_covered_words_of_translation_and_original_are_shown_where_they_stand(house: House, desk: Client) -> None:
    sent = await in_translation(house)
    await translate(house, sent, "Hello! We had the first snow.")
    anna = await read(house, sent)
    await decisions.cover(house.review, sent.id, anna, [5, 9])  # 6 words, a rule of three, and the original
    await decisions.approve(house.review, sent.id, anna, reason=ReviewReason.OTHER_PEOPLE)
    html = (await get(desk, sent.inbox)).screen.html
    assert re.findall(r"<del>(.*?)</del>", html) == ["Здравствуйте!", "snow."]


async def test_letter_that_came_back_tells_why(house: House, desk: Client) -> None:
    sent = await house.queued()
    anna = await read(house, sent)
    await approve_in_part(house.review, sent.id, anna)
    batch = await house.batch()
    await house.on_paper(batch)
    async with house.store.database.writing() as connection:
        for state, reason in (
            (LetterState.PRINTED, None),
            (LetterState.POSTED, None),
            (LetterState.RETURNED, ReviewReason.FACILITY),
        ):
            await move(connection, Record.LETTER, sent.id, state, by=house.anna, at=house.clock(), reason=reason)
    text = (await get(desk, sent.inbox)).screen.text
    assert f"The reason: {REVIEW_REASONS[ReviewReason.FACILITY]}" in text
    assert REVIEW_REASONS[ReviewReason.OTHER_PEOPLE] not in text


async def test_letter_of_a_blocked_sender_is_refused_with_its_reason(house: House, desk: Client) -> None:
    first = await house.queued()
    await decisions.refuse(house.review, first.id, await read(house, first), ReviewReason.SPAM, block=True)
    again = await house.queued(phrase=first.phrase)
    assert await claims.claim_next(house.review, house.volunteers["boris"]) is None
    assert f"The reason: {REVIEW_REASONS[ReviewReason.BLOCKED]}" in (await get(desk, again.inbox)).screen.text


async def test_reason_of_a_letter_refused_before_decisions_were_kept(house: House, desk: Client) -> None:
    sent = await house.queued()
    reason, refused = ReviewReason.CASE_DETAILS, LetterState.REFUSED
    async with house.store.database.writing() as connection:
        await move(connection, Record.LETTER, sent.id, refused, by=house.anna, at=house.clock(), reason=reason)
    assert REVIEW_REASONS[reason] in (await get(desk, sent.inbox)).screen.text
