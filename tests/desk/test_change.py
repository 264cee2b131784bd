"""A letter that its sender is asked to change: what is shown, and what becomes of it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import io
from typing import Any

import pytest
from PIL import Image

from censor_queue import claims, decisions
from relay.desk import steps
from relay.domain.letters import LetterBody
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.sealing import InboxSecret, SealBrokenError
from relay.store import tables, volunteers
from relay.store.letters import read_body, read_photos
from tests.desk.letters import GIRAFFES, ask, photo, read, strict, translate, with_files
from tests.workplaces import ADDRESS, RUSSIAN, Answer, Client, House, Sent, both_engines, get, post, send_all

NOTE = "Leave out the court."
NEW = "Dear friend, we had snow."
CHANGED = {"text": NEW, "printed_name": "Mary Ann", "reply_sheets": "2"}
BY_YOU = "Changed by you. A volunteer will read it next, before all others."
TOO_LATE = "This letter cannot be changed any more"
RUSSIAN_TEXT = "Здравствуйте! У нас выпал первый снег, и дети лепят снеговика."


@pytest.fixture
async def desk(house: House) -> Client:
    """A sender's browser on the desk; HMP Nowhere has strict rules."""
    strict(house)
    return await house.desk()


@pytest.fixture
async def sent(house: House, desk: Client) -> Sent:
    """A letter that a volunteer wants to be changed."""
    del desk  # its rules have to be there first
    found = await house.queued(address=ADDRESS, text="A giraffe in court", name="Mary")
    await ask(house, found)
    return found


def edit_of(letter: Sent) -> str:
    """Where a letter is changed."""
    return f"{letter.inbox}/letter/{letter.id}/edit"


async def body_of(house: House, letter: Sent) -> LetterBody:
    """What the letter says, opened by the sender."""
    async with house.store.database.reading() as connection:
        return await read_body(connection, letter.id, letter.secret.key)


async def change(house: House, letter: Sent, text: str = NEW, translate_from: str | None = None) -> None:
    """What the desk does with a changed letter."""
    body = LetterBody(text=text, printed_name="Mary", address=None)
    changed = steps.Changed(body, (), reply_sheets=1, card=False, translate_from=translate_from)
    await steps.edit(house.store, letter.secret, letter.id, changed)


async def test_inbox_tells_what_is_asked_and_leads_to_the_form(desk: Client, sent: Sent) -> None:
    screen = (await get(desk, sent.inbox)).screen
    assert "A volunteer asks you to change something. The reason is below." in screen.text
    assert f"The reason: {REVIEW_REASONS[ReviewReason.CASE_DETAILS]} The volunteer writes: {NOTE}" in screen.text
    assert edit_of(sent) in screen.links


async def test_form_holds_the_letter_with_what_was_asked_and_what_is_found(desk: Client, sent: Sent) -> None:
    answer = await get(desk, edit_of(sent))
    screen = answer.screen
    assert (answer.status, screen.heading, screen.wrong) == (200, "A letter to John Sample", [])
    assert f"{REVIEW_REASONS[ReviewReason.CASE_DETAILS]} The volunteer writes: {NOTE}" in screen.text
    assert f"Before you send {GIRAFFES} Line 1: A giraffe in court" in screen.text
    assert screen.fields == {"text": "A giraffe in court", "printed_name": "Mary", "card": "", "photos": ""}


@both_engines
async def test_changed_letter_takes_the_place_of_the_old_one(house: House, desk: Client, sent: Sent) -> None:
    before = await house.row(tables.letters)
    shown = await post(desk, edit_of(sent), CHANGED | {"action": "preview"})
    assert (shown.status, shown.screen.heading, len(shown.screen.images)) == (200, "The pages of your letter", 3)
    assert shown.screen.fields == CHANGED
    assert await house.row(tables.letters) == before, "nothing is stored before it is sent"
    answer = await post(desk, edit_of(sent), shown.screen.fields | {"action": "send", "address": "eve@other.example"})
    assert (answer.status, answer.location) == (303, sent.inbox)
    assert await body_of(house, sent) == LetterBody(text=NEW, printed_name="Mary Ann", address=ADDRESS)
    after = await house.row(tables.letters)
    assert (after.state, after.reason, after.treatment, after.translate_from) == ("queued", None, None, None)
    assert after.created_at == before.created_at
    assert (await house.row(tables.reply_orders)).sheets == 2
    screen = (await get(desk, sent.inbox)).screen
    assert BY_YOU in screen.text
    assert NEW in screen.text
    assert "The volunteer writes" not in screen.text
    assert edit_of(sent) not in screen.links


async def test_finding_that_blocks_stops_a_change_too(house: House, desk: Client, sent: Sent) -> None:
    answer = await post(desk, edit_of(sent), CHANGED | {"text": "A zebra", "action": "send"})
    assert (answer.status, answer.screen.fields["text"]) == (422, "A zebra")
    assert NOTE in answer.screen.text
    assert await house.state(sent) == "changes_requested"


async def test_changed_letter_is_read_before_all_others(house: House, sent: Sent) -> None:
    house.clock.advance(days=1)
    await house.queued(text="An older one")
    house.clock.advance(days=300)
    await house.queued()
    await change(house, sent)
    assert (await house.row(tables.letters, id=sent.id)).due_at == house.clock() - datetime.timedelta(days=3650)
    await read(house, sent)


async def test_mail_that_asked_is_not_sent_any_more(house: House, sent: Sent) -> None:
    await change(house, sent)
    assert (await house.row(tables.outbox, kind="changes")).state == "dropped"


async def test_changed_letter_comes_to_those_who_passed_the_old_one_on(house: House, desk: Client) -> None:
    sent = await house.queued()
    anna, boris = house.volunteers["anna"], house.volunteers["boris"]
    async with house.store.database.writing() as connection:
        await volunteers.add(connection, "clara", "no password")
        clara = await volunteers.find(connection, "clara")
    assert clara is not None
    await read(house, sent)
    await claims.skip(house.review, sent.id, anna)
    assert await claims.claim_next(house.review, boris) is not None
    await decisions.second_reader(house.review, sent.id, boris)
    assert await claims.claim_next(house.review, anna) is None
    assert await claims.claim_next(house.review, clara.id) is not None
    await decisions.ask_for_changes(house.review, sent.id, clara.id, ReviewReason.PHOTO)
    house.clock.advance(hours=1)
    await change(house, sent)
    rows = {row.decision: row.void_at for row in await house.rows(tables.decisions)}
    assert rows == {"skip": house.clock(), "second": house.clock(), "changes": None}
    await read(house, sent)
    await claims.stop(house.review, anna)
    assert await claims.claim_next(house.review, boris) is not None


async def test_changed_letter_goes_to_the_translators_again(house: House, desk: Client) -> None:
    sent = await house.queued(text=RUSSIAN_TEXT)
    anna = await read(house, sent)
    await decisions.to_be_translated(house.review, sent.id, anna, "ru")
    await translate(house, sent, "Hello")
    await ask(house, sent)
    shown = await post(desk, edit_of(sent), CHANGED | {"text": RUSSIAN_TEXT + " Пока!", "action": "preview"})
    assert "Your letter is written in: Russian." in shown.screen.text
    await post(desk, edit_of(sent), shown.screen.fields | {"action": "send"})
    letter = await house.row(tables.letters)
    assert (letter.state, letter.translate_from, letter.treatment) == ("translating", "ru", None)


async def test_letter_changed_into_a_language_that_does_not_pass_goes_to_translators(house: House, sent: Sent) -> None:
    await change(house, sent, translate_from="ru")
    assert await house.state(sent) == "translating"
    assert await claims.claim_next(house.review, house.volunteers["anna"]) is None


async def test_letter_to_somebody_who_was_moved_meanwhile_is_held(house: House, desk: Client, sent: Sent) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(tables.prisoners.update().values(state="moved"))
    answer = await post(desk, edit_of(sent), CHANGED | {"action": "send"})
    assert (answer.status, await house.state(sent)) == (303, "held")


@both_engines
async def test_form_sent_twice_is_one_change(house: House, desk: Client, sent: Sent) -> None:
    form = CHANGED | {"action": "send"}
    answers = await asyncio.gather(*(post(desk, edit_of(sent), form) for _ in range(4)))
    answers.append(await post(desk, edit_of(sent), form))
    assert [(answer.status, answer.location) for answer in answers] == [(303, sent.inbox)] * 5
    events = await house.rows(tables.events, record_id=sent.id)
    assert [event.target for event in events] == ["unconfirmed", "queued", "changes_requested", "queued"]


async def withdrawn(house: House, sent: Sent) -> None:
    await steps.withdraw(house.store, sent.id)


async def changed_otherwise(house: House, sent: Sent) -> None:
    await change(house, sent, "Something else")


@pytest.mark.parametrize("meanwhile", [withdrawn, changed_otherwise])
@pytest.mark.parametrize("action", ["send", "preview", "edit"])
async def test_letter_that_cannot_be_changed_any_more_loses_no_text(
    house: House, desk: Client, sent: Sent, meanwhile: Any, action: str
) -> None:
    await meanwhile(house, sent)
    before = await house.row(tables.letters)
    answer = await post(desk, edit_of(sent), CHANGED | {"action": action})
    assert (answer.status, answer.screen.heading) == (409, TOO_LATE)
    assert NEW in answer.screen.text
    assert await house.row(tables.letters) == before
    back = await get(desk, edit_of(sent))
    assert (back.status, back.location) == (303, sent.inbox)


async def test_letter_of_somebody_else_cannot_be_changed(house: House, desk: Client, sent: Sent) -> None:
    other = await house.queued()
    unknown = InboxSecret(bytes(32)).link
    for path in (
        f"{other.inbox}/letter/{sent.id}/edit",
        f"/en/inbox/{unknown}/letter/{sent.id}/edit",
        f"{sent.inbox}/letter/{'0' * 32}/edit",
        f"/en/inbox/x/letter/{sent.id}/edit",
    ):
        assert (await get(desk, path)).status == 404
        assert (await post(desk, path, CHANGED | {"action": "send"})).status == 404
    with pytest.raises(SealBrokenError):
        await change(house, dataclasses.replace(other, id=sent.id))
    assert await house.state(sent) == "changes_requested"


async def test_letter_cannot_be_changed_before_the_decision_has_settled(house: House, desk: Client) -> None:
    sent = await house.queued()
    review = dataclasses.replace(house.review, undo=datetime.timedelta(minutes=10))
    await decisions.ask_for_changes(review, sent.id, await read(house, sent), ReviewReason.SPAM)
    assert (await get(desk, edit_of(sent))).status == 303
    assert (await post(desk, edit_of(sent), CHANGED | {"action": "send"})).status == 409
    house.clock.advance(minutes=10)
    assert (await get(desk, edit_of(sent))).status == 200
    assert (await post(desk, edit_of(sent), CHANGED | {"action": "send"})).status == 303


# --- photos


async def with_photos(house: House, desk: Client) -> Sent:
    """A letter with a red and a blue photo that is to be changed."""
    form = {"text": "Hello", "printed_name": "Mary", "action": "preview"}
    files = ("a.jpg", photo("red")), ("b.jpg", photo("blue"))
    shown = await post(desk, "/en/to/john-sample", with_files(form, *files))
    await post(desk, "/en/to/john-sample", shown.screen.fields | {"action": "send"})
    phrase = shown.screen.fields["phrase"]
    await steps.confirm_by_phrase(house.store, phrase, per_hour=10)
    found = Sent((await house.row(tables.letters)).id, phrase, RUSSIAN)
    await ask(house, found, ReviewReason.PHOTO)
    return found


async def photos_of(house: House, sent: Sent) -> list[str]:
    """The main colours of what is stored."""
    kept = await read_photos(house.store, sent.id, await body_of(house, sent), sent.secret.key)
    pixels = [Image.open(io.BytesIO(jpeg)).getpixel((40, 40)) for jpeg in kept]
    return ["red" if isinstance(pixel, tuple) and pixel[0] > 128 else "other" for pixel in pixels]


async def sends(desk: Client, sent: Sent, screen: Answer, *files: tuple[str, bytes]) -> Answer:
    """Look at the pages, and send them."""
    shown = await post(desk, edit_of(sent), with_files(screen.screen.fields | {"action": "preview"}, *files))
    assert shown.status == 200
    return await post(desk, edit_of(sent), with_files(shown.screen.fields | {"action": "send"}))


@both_engines
async def test_photos_are_kept_removed_and_added(house: House, desk: Client) -> None:
    sent = await with_photos(house, desk)
    old = house.blobs()
    form = await get(desk, edit_of(sent))
    assert len(form.screen.images) == 2
    removed = await post(desk, edit_of(sent), with_files(form.screen.fields | {"action": "remove photo-2"}))
    assert (removed.status, house.blobs()) == (200, old)
    assert (await sends(desk, sent, removed)).status == 303
    assert await photos_of(house, sent) == ["red"]
    assert len(house.blobs()) == 1
    assert set(house.blobs()).isdisjoint(old)
    assert [row.part for row in await house.rows(tables.blobs)] == ["photo-1"]
    await ask(house, sent, ReviewReason.PHOTO)
    form = await get(desk, edit_of(sent))
    assert (await sends(desk, sent, form, ("c.jpg", photo("lime")))).status == 303
    assert await photos_of(house, sent) == ["red", "other"]
    assert len(house.blobs()) == 2


async def test_change_sent_twice_leaves_no_photos_behind(house: House, desk: Client) -> None:
    sent = await with_photos(house, desk)
    form = await get(desk, edit_of(sent))
    for _ in range(2):
        assert (await sends_again(desk, sent, form)).status == 303
    assert len(house.blobs()) == 2
    assert await photos_of(house, sent) == ["red", "other"]


async def sends_again(desk: Client, sent: Sent, screen: Answer) -> Answer:
    """Press "Send" with what stands in the form."""
    return await post(desk, edit_of(sent), with_files(screen.screen.fields | {"action": "send"}))


async def test_change_that_came_too_late_leaves_no_photos_behind(house: House, desk: Client) -> None:
    sent = await with_photos(house, desk)
    form = await get(desk, edit_of(sent))
    await withdrawn(house, sent)
    old = house.blobs()
    form.screen.fields.pop("photo-2")
    answer = await post(desk, edit_of(sent), with_files(form.screen.fields | CHANGED | {"action": "send"}))
    assert (answer.status, house.blobs()) == (409, old)


async def test_changed_letter_is_announced_to_nobody(house: House, smtp_catcher: Any, sent: Sent) -> None:
    await send_all(house.sender(port=smtp_catcher.port))
    before = len(smtp_catcher.mails)
    await change(house, sent)
    await send_all(house.sender(port=smtp_catcher.port))
    assert len(smtp_catcher.mails) == before
