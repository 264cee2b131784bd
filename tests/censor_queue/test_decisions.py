"""Decisions: where each leads, what the sender is told and when, and what of a letter is printed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import pytest

from censor_queue import claims, decisions, evening, translations
from censor_queue.decisions import NOTE_MAX, ReasonMissingError
from censor_queue.review import Review
from print import queue
from print import steps as printing
from relay.desk import steps as desk_steps
from relay.domain.directory import PrisonerState
from relay.domain.letter_pages import LetterToPrint
from relay.domain.letters import COVER, LetterBody, Treatment
from relay.domain.lives import MailState
from relay.domain.printing import USUAL_RULES, Layout
from relay.domain.reasons import ReviewReason
from relay.store import directory, tables
from relay.store.leases import LeaseLostError
from relay.store.letters import letter_context, read_treatment, to_print
from relay.store.sealed import load_key
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
from tests.workplaces import ADDRESS, ENGLISH, TEXT, House, Sent, both_engines, send_all


async def treatment(house: House, sent: Sent) -> Treatment:
    async with house.store.database.reading() as connection:
        return await read_treatment(connection, sent.id, house.office_key)


async def printed(house: House, sent: Sent) -> LetterToPrint:
    """A letter as it will be printed."""
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, sent.person.prisoner.slug)
    assert known is not None
    return await to_print(house.store, sent.id, known, house.office_key, (), USUAL_RULES)


async def note_of(house: House, sent: Sent) -> str | None:
    """The opened note of the only decision about a letter."""
    row = await house.row(tables.decisions, letter_id=sent.id)
    if row.note is None:
        return None
    async with house.store.database.reading() as connection:
        key = await load_key(connection, letter_context(sent.id), house.office_key)
    return key.decrypt(row.note).decode()


async def edited(house: House, sent: Sent, text: str = "Another text") -> None:
    """The sender changes the letter."""
    body = LetterBody(text=text, printed_name="Mary", address=None)
    changed = desk_steps.Changed(body, (), reply_sheets=1, card=False, translate_from=None)
    await desk_steps.edit(house.store, sent.secret, sent.id, changed)


# --- each decision


@dataclass(frozen=True)
class Way:
    """A decision, and what becomes of a queued letter with one photo."""

    step: Callable[[Review, str, str], Awaitable[None]]
    decision: str
    state: str
    reason: str | None = None
    note: str | None = None
    mail: str | None = None
    settles: bool = True


WAYS = {
    "approve": Way(decisions.approve, "approve", "approved"),
    "approve without photos": Way(
        partial(decisions.approve, without_photos=True, reason=ReviewReason.PHOTO, note=" They show the yard. "),
        "approve_in_part",
        "approved",
        "photo",
        "They show the yard.",
        "partly",
    ),
    "changes": Way(
        partial(decisions.ask_for_changes, reason=ReviewReason.CASE_DETAILS, note="The second paragraph."),
        "changes",
        "changes_requested",
        "case_details",
        "The second paragraph.",
        "changes",
    ),
    "refuse": Way(
        partial(decisions.refuse, reason=ReviewReason.SPAM, note="\n"), "refuse", "refused", "spam", None, "refused"
    ),
    "second": Way(decisions.second_reader, "second", "second_reading", settles=False),
    "translate": Way(partial(decisions.to_be_translated, language="sv"), "translate", "translating", settles=False),
}


@both_engines
@pytest.mark.parametrize("way", WAYS)
async def test_decision_with_its_event_and_mail(house: House, review: Review, anna: str, way: str) -> None:
    expected = WAYS[way]
    sent = await with_photos(house, address=ADDRESS)
    before = await house.row(tables.letters, id=sent.id)
    await take(review, anna)
    house.clock.advance(seconds=75)

    await expected.step(review, sent.id, anna)

    settles_at = house.clock() + UNDO if expected.settles else None
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.reason, row.settles_at) == (expected.state, expected.reason, settles_at)
    assert (row.lease_owner, row.lease_until, row.lease_ends, row.due_at) == (None, None, None, before.due_at)
    assert row.translate_from == ("sv" if way == "translate" else None)
    event = (await house.rows(tables.events, record_id=sent.id))[-1]
    told = ("queued", expected.state, expected.reason, f"volunteer:{anna}", house.clock())
    assert (event.source, event.target, event.reason, event.actor, event.at) == told
    noted = await house.row(tables.decisions, letter_id=sent.id)
    assert (noted.decision, noted.source, noted.target, noted.reason, noted.volunteer_id, noted.seconds) == (
        expected.decision,
        "queued",
        expected.state,
        expected.reason,
        anna,
        75,
    )
    assert (noted.at, noted.void_at, await note_of(house, sent)) == (house.clock(), None, expected.note)
    mails = [mail for mail in await house.rows(tables.outbox) if mail.kind not in {"confirm", "queued"}]
    assert [(mail.kind, mail.decision_id, mail.next_try_at) for mail in mails] == (
        [(expected.mail, noted.id, settles_at)] if expected.mail else []
    )


async def test_note_is_sealed_and_has_an_end(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.refuse(review, sent.id, anna, ReviewReason.THREAT, "unkind " * NOTE_MAX)
    assert await note_of(house, sent) == ("unkind " * NOTE_MAX)[:NOTE_MAX]
    assert "unkind" not in repr(await everything(house.store))


@both_engines
async def test_of_two_decisions_at_once_one_counts(house: House, review: Review, anna: str) -> None:
    sent = await house.queued(address=ADDRESS)
    await take(review, anna)
    outcomes = await asyncio.gather(
        decisions.approve(review, sent.id, anna),
        decisions.refuse(review, sent.id, anna, ReviewReason.SPAM),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [LeaseLostError]
    state = await house.state(sent)
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)][2:] == [state]
    assert len(await house.rows(tables.outbox, kind="refused")) == (1 if state == "refused" else 0)
    assert len(await house.rows(tables.decisions)) == 1


# --- in part


@both_engines
async def test_letter_without_its_photos_is_printed_so_and_the_sender_told(
    house: House, review: Review, anna: str
) -> None:
    sent = await with_photos(house, photos=2, address=ADDRESS)
    assert len((await printed(house, sent)).photos) == 2
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    letter = await printed(house, sent)
    assert (letter.photos, letter.text, letter.reply_sheets) == ((), TEXT, 1)
    assert len(house.blobs()) == 2  # what was sent stays


@pytest.mark.parametrize("note", ["", "because"])
async def test_part_is_not_left_out_without_a_reason(house: House, review: Review, anna: str, note: str) -> None:
    sent = await with_photos(house)
    await take(review, anna)
    before = await everything(house.store)
    with pytest.raises(ReasonMissingError):
        await decisions.approve(review, sent.id, anna, without_photos=True, note=note)
    assert await everything(house.store) == before


async def test_letter_that_has_no_photos_is_not_sent_without_them(house: House, review: Review, anna: str) -> None:
    sent = await house.queued(address=ADDRESS)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO, note="None here.")
    row = await house.row(tables.decisions)
    assert (row.decision, row.reason, row.note, (await treatment(house, sent)).without_photos) == (
        "approve",
        None,
        None,
        False,
    )


@both_engines
async def test_covered_words_are_not_printed(house: House, review: Review, anna: str, boris: str) -> None:
    sent = await house.queued(text="Ivan and Olga\nsend their love", address=ADDRESS)
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [2, 0, 0, 99, -1])
    assert (await printed(house, sent)).text == f"{COVER} and {COVER}\nsend their love"
    with pytest.raises(ReasonMissingError):
        await decisions.approve(review, sent.id, anna)
    await claims.stop(review, anna)
    assert (await take(review, boris)).treatment.covered == (await treatment(house, sent)).covered  # for whoever comes
    await decisions.cover(review, sent.id, boris, [0])
    await decisions.approve(review, sent.id, boris, reason=ReviewReason.OTHER_PEOPLE, note="Names")
    assert (await printed(house, sent)).text == f"{COVER} and Olga\nsend their love"
    assert (await house.row(tables.decisions)).decision == "approve_in_part"
    assert len(await house.rows(tables.outbox, kind="partly")) == 1


@both_engines
async def test_words_covered_in_another_window_are_not_printed(house: House, review: Review, anna: str) -> None:
    for _ in range(8):
        sent = await house.queued()
        await take(review, anna)
        done = await asyncio.gather(
            decisions.cover(review, sent.id, anna, [0]),
            decisions.approve(review, sent.id, anna),
            return_exceptions=True,
        )
        covered, approved = (one is None for one in done)
        assert {type(one) for one in done} <= {type(None), LeaseLostError, ReasonMissingError}
        assert covered != approved
        assert (await printed(house, sent)).text.startswith(COVER if covered else "Dear")
        await claims.stop(review, anna)
        await desk_steps.withdraw(house.store, sent.id)


async def test_words_shown_again_leave_nothing_out(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [0])
    await decisions.cover(review, sent.id, anna, [])
    await decisions.approve(review, sent.id, anna)
    assert ((await house.row(tables.decisions)).decision, (await printed(house, sent)).text) == ("approve", TEXT)


async def test_rules_that_fired_and_those_that_did_not_are_kept(house: House, anna: str) -> None:
    review = review_of(house, "snow", "early", "ice")
    sent = await house.queued()
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [5])
    await decisions.approve(review, sent.id, anna, reason=ReviewReason.FORBIDDEN_CONTENT)
    kept = await treatment(house, sent)
    assert (kept.fired, kept.silent) == (("snow",), ("early", "ice"))  # "early" is covered


async def test_findings_point_at_the_text_before_words_are_covered(house: House, anna: str) -> None:
    review = review_of(house, "snow")
    sent = await house.queued()
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [3])
    letter = await claims.held(review, sent.id, anna)
    (found,) = await decisions.findings(review, letter, "de")
    assert (letter.text[found.start : found.end], found.sentence) == ("snow", f"{ENGLISH.facility.slug} de")


# --- two pairs of eyes


@both_engines
async def test_facility_that_wants_two_readers_gets_two(house: House, anna: str, boris: str) -> None:
    review = review_of(house, second_reader=True)
    sent = await house.queued(address=ADDRESS)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.settles_at, await next_id(review, anna)) == ("second_reading", None, None)
    with pytest.raises(printing.NothingToPrintError):
        await house.batch()
    assert await next_id(review, boris) == sent.id
    await decisions.approve(review, sent.id, boris)
    assert await house.state(sent) == "approved"
    decided = {row.volunteer_id: (row.decision, row.target) for row in await house.rows(tables.decisions)}
    assert decided == {anna: ("second", "second_reading"), boris: ("approve", "approved")}


@both_engines
async def test_second_reader_need_not_repeat_what_is_left_out(house: House, anna: str, boris: str) -> None:
    review = review_of(house, second_reader=True)
    sent = await with_photos(house, address=ADDRESS)
    await take(review, anna)
    with pytest.raises(ReasonMissingError):
        await decisions.approve(review, sent.id, anna, without_photos=True)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO, note="A tattoo")
    assert await house.rows(tables.outbox, kind="partly") == []
    await take(review, boris)
    await decisions.approve(review, sent.id, boris)
    last = await house.row(tables.decisions, volunteer_id=boris)
    assert (last.decision, last.reason) == ("approve_in_part", "photo")
    kept = await treatment(house, sent)
    assert (kept.without_photos, kept.reason, kept.note) == (True, "photo", "A tattoo")
    assert (await house.row(tables.outbox, kind="partly")).decision_id == last.id


# --- the sender changes something


@both_engines
async def test_changed_letter_comes_back_first_and_to_everybody(
    house: House, review: Review, anna: str, boris: str
) -> None:
    sent = await with_photos(house, photos=0)
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [0])
    await claims.skip(review, sent.id, anna)
    await take(review, boris)
    await decisions.second_reader(review, sent.id, boris)
    vera = await volunteer(house, "vera")
    await take(review, vera)
    await decisions.ask_for_changes(review, sent.id, vera, ReviewReason.TOO_LONG)
    with pytest.raises(desk_steps.NotToBeChangedError):  # nobody told the sender yet
        await edited(house, sent)
    other = await house.queued()
    house.clock.now += UNDO
    await edited(house, sent, "A shorter text")
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.reason, row.treatment, row.settles_at) == ("queued", None, None, None)
    for reader in (boris, anna):
        letter = await take(review, reader)
        assert (letter.id, letter.text) == (sent.id, "A shorter text")
        await claims.stop(review, reader)
    await decisions.refuse(review, (await take(review, vera)).id, vera, ReviewReason.SPAM)
    assert await next_id(review, vera) == other.id


async def test_changed_letter_that_was_not_shown_yet_is_not_decided(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    await decisions.ask_for_changes(review, sent.id, anna, ReviewReason.CASE_DETAILS)
    house.clock.now += UNDO
    await edited(house, sent)
    assert await claims.claim_ahead(review, anna) is not None
    with pytest.raises(LeaseLostError):  # in the window that still shows what it was before
        await decisions.approve(review, sent.id, anna)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)


# --- what waits until a decision has settled


@both_engines
async def test_mail_and_batch_wait_until_the_decision_has_settled(
    house: House, review: Review, anna: str, smtp_catcher: SmtpCatcher
) -> None:
    sender = house.sender(host=smtp_catcher.host, port=smtp_catcher.port)
    sent = await with_photos(house, address=ADDRESS)
    await send_all(sender)
    smtp_catcher.mails.clear()
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    for wait in (UNDO * 0, UNDO * 0.999):
        house.clock.now += wait
        assert await send_all(sender) == 0
        with pytest.raises(printing.NothingToPrintError):
            await house.batch()
        async with house.store.database.reading() as connection:
            assert await queue.waiting(connection, house.printing.screening, house.clock()) == []
    house.clock.now += UNDO * 0.001
    assert await send_all(sender) == 1
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]
    assert (await house.row(tables.letters, id=sent.id)).batch_id is None
    batch = await house.batch()
    assert (await house.row(tables.letters, id=sent.id)).batch_id == batch


@both_engines
async def test_decision_released_takes_effect_at_once(
    house: House, review: Review, anna: str, boris: str, smtp_catcher: SmtpCatcher
) -> None:
    sender = house.sender(host=smtp_catcher.host, port=smtp_catcher.port)
    sent = await with_photos(house, address=ADDRESS)
    await send_all(sender)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    decision = await house.row(tables.decisions)
    await decisions.release(review, [decision.id], boris)  # it is not his
    assert await send_all(sender) == 0
    house.clock.advance(seconds=1)
    await decisions.release(review, [decision.id, "0" * 32], anna)
    assert (await house.row(tables.letters, id=sent.id)).settles_at == house.clock()
    assert await send_all(sender) == 1
    await house.batch()
    with pytest.raises(decisions.TooLateToUndoError):
        await decisions.undo(review, decision.id, anna)
    before = await everything(house.store)
    await decisions.release(review, [decision.id], anna)
    assert await everything(house.store) == before


async def test_pages_are_counted_as_they_are_printed_for_this_prisoner(house: House, anna: str) -> None:
    large = ENGLISH.prisoner.model_copy(update={"layout": Layout.LARGE})
    async with house.store.database.writing() as connection:
        entry = dataclasses.replace(ENGLISH, prisoner=large)
        await directory.save(connection, [entry], by=house.anna, at=house.clock())
    await house.queued(text="word " * 2000)
    found = await decisions.findings(house.review, await take(house.review, anna), "en")
    assert "pages" in {finding.rule for finding in found}


@both_engines
async def test_letter_that_is_held_after_its_approval_is_decided_anew(
    house: House, review: Review, anna: str, boris: str, smtp_catcher: SmtpCatcher
) -> None:
    sent = await house.queued(address=ADDRESS)
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [0])
    await decisions.approve(review, sent.id, anna, reason=ReviewReason.OTHER_PEOPLE)
    first = await house.row(tables.decisions)
    for state in (PrisonerState.MOVED, PrisonerState.ACTIVE):
        await in_state(house, ENGLISH, state)
    house.clock.advance(seconds=1)
    await take(review, boris)
    await decisions.approve(review, sent.id, boris)
    async with house.store.database.reading() as connection:
        assert await evening.undoable(connection, anna, house.clock()) == []
    await decisions.release(review, [first.id], anna)
    house.clock.now += UNDO - SECOND
    await send_all(house.sender(port=smtp_catcher.port))
    subjects = [mail.message["Subject"] for mail in smtp_catcher.mails]
    assert subjects == ["Your letter is confirmed"]
    house.clock.now += SECOND
    await send_all(house.sender(port=smtp_catcher.port))
    assert [mail.message["Subject"] for mail in smtp_catcher.mails][1:] == ["Your letter was accepted in part"]


async def test_mail_of_a_letter_that_was_taken_back_is_not_sent(house: House, review: Review, anna: str) -> None:
    sent = await with_photos(house, address=ADDRESS)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    await desk_steps.withdraw(house.store, sent.id)
    assert (await house.row(tables.outbox, kind="partly")).state == MailState.DROPPED


# --- translation


async def translating(house: House, text: str = TEXT) -> Sent:
    return await with_photos(house, photos=0, text=text, translate_from="sv", address=ADDRESS)


@both_engines
async def test_letter_in_a_foreign_language_goes_by_way_of_those_who_have_it(
    house: House, review: Review, anna: str
) -> None:
    sent = await translating(house)
    assert (await house.state(sent), await next_id(review, anna)) == ("translating", None)
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)] == [
        "unconfirmed",
        "queued",
        "translating",
    ]
    sven, kurt = await volunteer(house, "sven", "sv", "fi"), await volunteer(house, "kurt", "de")
    assert await claims.claim_translation(review, kurt) is None
    letter = await claims.claim_translation(review, sven)
    assert letter is not None
    assert (letter.id, letter.translate_from) == (sent.id, "sv")
    await translations.finish(review, sent.id, sven, translations.Draft("Hello \r\n", translations.mark("")), 9)
    assert (await house.state(sent), (await printed(house, sent)).text) == ("queued", "Hello")
    noted = await house.row(tables.decisions)
    assert (noted.decision, noted.source, noted.target) == ("translated", "translating", "queued")
    assert (await take(review, anna)).treatment.translation is not None
    await decisions.cover(review, sent.id, anna, [0])
    assert (await printed(house, sent)).text == COVER


@both_engines
async def test_original_is_printed_behind_where_the_profile_says_so(house: House) -> None:
    review = review_of(house, print_original=True)
    sven = await volunteer(house, "sven", "sv")
    sent = await translating(house, "Hej")
    assert await claims.claim_translation(review, sven) is not None
    await translations.finish(review, sent.id, sven, translations.Draft("Hello", translations.mark("")), 9)
    assert (await printed(house, sent)).text == "Hello\n\n* * *\n\nHej"


@both_engines
async def test_letter_whose_language_passes_goes_on_as_it_is(house: House, review: Review, anna: str) -> None:
    sven = await volunteer(house, "sven", "sv")
    sent = await translating(house)
    assert await claims.claim_translation(review, sven) is not None
    await translations.not_needed(review, sent.id, sven)
    assert (await next_id(review, anna), (await printed(house, sent)).text) == (sent.id, TEXT)


@both_engines
async def test_draft_is_sealed_and_there_for_the_next_translator(house: House, review: Review) -> None:
    sven, maja = [await volunteer(house, name, "sv") for name in ("sven", "maja")]
    sent = await translating(house)
    assert await claims.claim_translation(review, sven) is not None
    await translations.save_draft(review, sent.id, sven, translations.Draft("Halfway", translations.mark("")))
    await claims.stop(review, sven)
    letter = await claims.claim_translation(review, maja)
    assert letter is not None
    assert translations.draft_of(letter.treatment) == "Halfway"
    assert "Halfway" not in repr(await everything(house.store))


async def test_translated_letter_is_not_sent_to_the_translators_again(house: House, review: Review, anna: str) -> None:
    sven = await volunteer(house, "sven", "sv")
    sent = await translating(house)
    assert await claims.claim_translation(review, sven) is not None
    await translations.not_needed(review, sent.id, sven)
    await take(review, anna)
    await decisions.ask_for_changes(review, sent.id, anna, ReviewReason.OTHER_PEOPLE)
    house.clock.now += UNDO
    await edited(house, sent)  # now in a language that passes
    assert await house.state(sent) == "queued"
