"""Confirming a letter: by the link in the mail, or without an address by the words."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from relay.desk.steps import NothingToConfirmError, confirm, withdraw
from relay.domain.directory import Entry, PrisonerState
from relay.domain.lives import WORKER
from relay.store import directory, tables
from relay.worker import office_jobs
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, WORKER_NAME, Client, House, both_engines, get, post

NO_LETTER = "There is no letter to confirm"
DO_NOT_FIT = "These words do not fit. Please compare them one by one; their order counts."
TOO_MANY = "Too many letters without a mail address came in this hour. Yours is kept: try again in an hour."


async def expire(house: House) -> None:
    """What the worker does for letters that nobody confirmed."""
    for job in office_jobs(house.store, house.relay.installation, house.office_key, house.printing):
        await job(WORKER_NAME)


# --- by the link


async def test_opening_the_link_changes_nothing(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    before = await house.count()
    link = f"/en/confirm/{await house.token(sent.id)}"
    for answer in (await get(desk, link), await get(desk, link)):
        assert (answer.status, answer.screen.heading) == (200, "Confirm your letter")
        assert answer.screen.forms == [""]
    assert (await desk.head(link)).status == 200
    assert await house.state(sent) == "unconfirmed"
    assert await house.count() == before


@both_engines
async def test_button_confirms_and_pressing_it_again_is_harmless(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    link = f"/en/confirm/{await house.token(sent.id)}"
    answers = await asyncio.gather(*(post(desk, link) for _ in range(4)))
    assert [(answer.status, answer.screen.heading) for answer in answers] == [(200, "Your letter is confirmed")] * 4
    assert await house.state(sent) == "queued"
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)] == ["unconfirmed", "queued"]
    again = await get(desk, link)
    assert (again.status, again.screen.heading, again.screen.forms) == (200, "Your letter is confirmed", [])
    assert sorted(row.kind for row in await house.rows(tables.outbox)) == ["confirm", "queued"]


async def test_confirmation_that_was_not_sent_yet_is_dropped_and_erased(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    await post(desk, f"/en/confirm/{await house.token(sent.id)}")
    mail = await house.row(tables.outbox, kind="confirm")
    assert (mail.state, mail.body) == ("dropped", None)
    assert await house.rows(tables.content_keys, record="mail") == []


@pytest.mark.parametrize("token", ["unknown", "a" * 32, "%00", "%2e%2e%2f", "<script>"])
async def test_unknown_link_confirms_nothing(house: House, desk: Client, token: str) -> None:
    sent = await house.submit(address=ADDRESS)
    for answer in (await get(desk, f"/en/confirm/{token}"), await post(desk, f"/en/confirm/{token}")):
        assert answer.status == 404
    assert await house.state(sent) == "unconfirmed"


async def test_letter_without_address_has_no_link_that_could_be_guessed(house: House) -> None:
    sent = await house.submit()
    assert (await house.row(tables.letters, id=sent.id)).confirmation_hash is None
    for token in ("", "None"):
        with pytest.raises(NothingToConfirmError):
            await confirm(house.store, token)


@both_engines
async def test_link_is_over_when_the_letter_expired(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    link = f"/en/confirm/{await house.token(sent.id)}"
    house.clock.advance(days=7)
    await expire(house)
    assert await house.state(sent) == "unconfirmed"
    house.clock.advance(seconds=1)
    await expire(house)
    assert await house.state(sent) == "expired"
    answer = await post(desk, link)
    assert (answer.status, answer.screen.heading) == (404, NO_LETTER)
    assert (await get(desk, link)).screen.heading == NO_LETTER
    assert await house.rows(tables.content_keys, record="letter") == []
    history = (await get(desk, sent.inbox)).screen
    assert "This letter was never confirmed and has been deleted." in history.text
    assert "What you wrote" not in history.text


async def test_link_of_a_withdrawn_letter_confirms_nothing(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    link = f"/en/confirm/{await house.token(sent.id)}"
    assert (await post(desk, f"{sent.inbox}/withdraw/{sent.id}")).status == 303
    answer = await post(desk, link)
    assert (answer.status, answer.screen.heading) == (404, NO_LETTER)
    assert await house.state(sent) == "withdrawn"


# --- by the words


@both_engines
async def test_words_confirm_a_letter_without_address_and_open_its_inbox(house: House, desk: Client) -> None:
    sent = await house.submit()
    answers = await asyncio.gather(*(post(desk, "/en/phrase", {"phrase": sent.phrase}) for _ in range(4)))
    assert [(answer.status, answer.location) for answer in answers] == [(303, sent.inbox)] * 4
    assert await house.state(sent) == "queued"
    # Only the letter that was queued counts against the cap, not how often the button was pressed.
    assert (await house.row(tables.hourly_counts))._mapping["count"] == 1


@pytest.mark.parametrize(
    "typed",
    [
        lambda phrase: phrase.upper(),
        lambda phrase: "  " + phrase.replace(" ", " \r\n  ") + "\n",
        lambda phrase: phrase.replace(" ", "-"),
        lambda phrase: phrase.replace(" ", "\u00a0"),
        lambda phrase: phrase.replace("е", "ё"),
    ],
)
async def test_words_may_be_typed_in_any_case_and_spacing(house: House, desk: Client, typed: object) -> None:
    assert callable(typed)
    sent = await house.submit(
        RUSSIAN, language="ru", phrase="ёлка небо абзац ежедневный осень ребро весна тело берег ель веер день"
    )
    answer = await post(desk, "/ru/phrase", {"phrase": typed(sent.phrase)})
    assert (answer.status, answer.location) == (303, sent.inbox.replace("/en/", "/ru/"))
    assert await house.state(sent) == "queued"


@pytest.mark.parametrize("wrong", [lambda words: words[:-1], lambda words: words[::-1], lambda words: []])
async def test_wrong_words_confirm_nothing(house: House, desk: Client, wrong: object) -> None:
    assert callable(wrong)
    sent = await house.submit()
    answer = await post(desk, "/en/phrase", {"phrase": " ".join(wrong(sent.phrase.split()))})
    assert (answer.status, answer.screen.wrong) == (422, [DO_NOT_FIT])
    assert (await post(desk, "/en/phrase")).status == 422
    assert await house.state(sent) == "unconfirmed"


async def test_words_do_not_confirm_a_letter_that_waits_for_its_mail(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    answer = await post(desk, "/en/phrase", {"phrase": sent.phrase})
    assert (answer.status, answer.screen.wrong) == (422, [DO_NOT_FIT])
    assert await house.state(sent) == "unconfirmed"


@pytest.mark.parametrize("config", ["[letter]\nconfirmations_without_mail_per_hour = 2\n"])
@both_engines
async def test_cap_of_the_hour_keeps_the_letter_for_the_next(house: House, desk: Client) -> None:
    # Half past twelve; the hours of the cap are those of the clock.
    sent = [await house.submit() for _ in range(3)]
    answers = [await post(desk, "/en/phrase", {"phrase": one.phrase}) for one in sent]
    assert [answer.status for answer in answers] == [303, 303, 429]
    assert answers[2].screen.wrong == [TOO_MANY]
    assert await house.state(sent[2]) == "unconfirmed"
    # Who was confirmed before gets to the inbox all the same.
    assert (await post(desk, "/en/phrase", {"phrase": sent[0].phrase})).status == 303
    house.clock.now += datetime.timedelta(minutes=29)
    assert (await post(desk, "/en/phrase", {"phrase": sent[2].phrase})).status == 429
    house.clock.now += datetime.timedelta(minutes=1)
    assert (await post(desk, "/en/phrase", {"phrase": sent[2].phrase})).status == 303
    assert await house.state(sent[2]) == "queued"
    assert [row._mapping["count"] for row in await house.rows(tables.hourly_counts)] == [2, 1]


@pytest.mark.parametrize("config", ["[letter]\nconfirmations_without_mail_per_hour = 1\n"])
async def test_letters_with_an_address_do_not_count_against_the_cap(house: House, desk: Client) -> None:
    for _ in range(2):
        sent = await house.submit(address=ADDRESS)
        assert (await post(desk, f"/en/confirm/{await house.token(sent.id)}")).status == 200
    assert await house.rows(tables.hourly_counts) == []


async def test_words_confirm_all_letters_that_wait_in_their_inbox(house: House, desk: Client) -> None:
    first = await house.submit()
    second = await house.submit(RUSSIAN, phrase=first.phrase)
    await post(desk, "/en/phrase", {"phrase": first.phrase})
    assert [await house.state(first), await house.state(second)] == ["queued", "queued"]
    assert (await house.row(tables.hourly_counts))._mapping["count"] == 2


@both_engines
async def test_letter_to_somebody_who_was_moved_meanwhile_is_held(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    async with house.store.database.writing() as connection:
        known = await directory.by_slug(connection, ENGLISH.prisoner.slug)
        assert known is not None
        moved = known.prisoner.model_copy(update={"state": PrisonerState.MOVED})
        await directory.save(connection, [Entry(moved, known.facility)], by=WORKER, at=house.clock())
    assert (await post(desk, f"/en/confirm/{await house.token(sent.id)}")).status == 200
    assert await house.state(sent) == "held"


async def test_letter_taken_back_and_sent_again_is_a_new_one(house: House) -> None:
    first = await house.submit(nonce="the same form")
    await withdraw(house.store, first.id)
    second = await house.submit(nonce="the same form", phrase=first.phrase)
    assert (await house.state(first), await house.state(second)) == ("withdrawn", "unconfirmed")
