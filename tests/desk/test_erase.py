"""Erasing a conversation from the inbox: what is said before, and what is there after."""

from __future__ import annotations

import pytest

from relay.store import tables
from tests.workplaces import ADDRESS, RUSSIAN, Client, House, Sent, get, post, sure


async def path(house: House, sent: Sent) -> str:
    letter = await house.row(tables.letters, id=sent.id)
    return f"{sent.inbox}/erase/{letter.conversation_id}"


async def test_inbox_leads_to_erasing(house: House, desk: Client) -> None:
    sent = await house.queued()
    assert await path(house, sent) in (await get(desk, sent.inbox)).screen.links


async def test_opening_says_what_happens_and_does_nothing(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    text = (await get(desk, await path(house, sent))).screen.text
    assert "1 letter to John Sample, 1 answer." in text
    assert "1 letter is printed, or is being printed now: it cannot be called back." in text
    assert "They are kept for 30 days" in text
    assert "Nothing else is in your inbox." in text
    assert await house.state(sent) == "delivered"


async def test_letter_that_is_not_printed_is_said_not_to_be_sent(house: House, desk: Client) -> None:
    sent = await house.approved()
    text = (await get(desk, await path(house, sent))).screen.text
    assert "Letters that are not printed yet are not sent." in text
    assert "cannot be called back" not in text
    await house.on_paper(await house.batch())
    assert "cannot be called back" in (await get(desk, await path(house, sent))).screen.text


async def test_last_conversation_takes_the_inbox_with_it(house: House, desk: Client) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    erasing = await path(house, sent)
    answer = await post(desk, erasing)
    assert (answer.status, answer.screen.heading) == (200, "Erased")
    for gone in (sent.inbox, f"{sent.inbox}/reply/{reply}", f"{sent.inbox}/reply/{reply}/reply.pdf", erasing):
        assert (await get(desk, gone)).status == 404
    assert (await post(desk, erasing)).status == 404
    assert (await post(desk, "/en/inbox", {"phrase": sent.phrase})).status == 404


async def test_one_of_two_conversations_is_erased(house: House, desk: Client) -> None:
    first = await house.queued()
    second = await house.queued(RUSSIAN, phrase=first.phrase)
    page = await path(house, first)
    assert "Nothing else is in your inbox." not in (await get(desk, page)).screen.text
    answer = await post(desk, page)
    assert (answer.status, answer.location) == (303, first.inbox)
    text = (await get(desk, first.inbox)).screen.text
    assert "John Sample" not in text
    assert second.person.prisoner.name in text


async def test_confirmation_of_an_erased_letter_leads_nowhere(house: House, desk: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    token = await house.token(sent.id)
    await post(desk, await path(house, sent))
    assert (await post(desk, f"/en/confirm/{token}")).status == 404


async def test_same_words_can_be_used_again(house: House, desk: Client) -> None:
    sent = await house.queued()
    await post(desk, await path(house, sent))
    again = await house.queued(phrase=sent.phrase, text="A new beginning")
    text = (await get(desk, again.inbox)).screen.text
    assert "A new beginning" in text


async def test_answer_that_comes_later_is_shown_to_nobody(house: House, desk: Client) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    await post(desk, await path(house, sent))
    await house.split(sure(code))
    await house.release()
    assert await house.rows(tables.replies) == []
    page = await house.row(tables.pages)
    assert (page.state, page.doubt, page.reply_id) == ("held", "erased", None)


@pytest.mark.parametrize("conversation", ["x", "%00", "0" * 32])
async def test_unknown_conversation_is_not_there(house: House, desk: Client, conversation: str) -> None:
    sent = await house.queued()
    for answer in (
        await get(desk, f"{sent.inbox}/erase/{conversation}"),
        await post(desk, f"{sent.inbox}/erase/{conversation}"),
    ):
        assert answer.status == 404


async def test_conversation_of_another_inbox_cannot_be_erased(house: House, desk: Client) -> None:
    mine, other = await house.queued(), await house.queued()
    letter = await house.row(tables.letters, id=other.id)
    assert (await post(desk, f"{mine.inbox}/erase/{letter.conversation_id}")).status == 404
    assert await house.state(other) == "queued"


async def test_form_of_another_site_erases_nothing(house: House, desk: Client) -> None:
    sent = await house.queued()
    answer = await post(desk, await path(house, sent), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert await house.state(sent) == "queued"
