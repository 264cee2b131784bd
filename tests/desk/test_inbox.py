"""What the holder of an inbox's secret sees and may do, and what nobody else may."""

from __future__ import annotations

import asyncio
import re
from io import BytesIO

import pikepdf
import pytest

from censor_queue import claims, decisions
from print import steps as print_steps
from relay.desk import steps
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.letters import Word
from relay.domain.lives import BatchState
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.sealing import InboxSecret
from relay.store import tables
from scanner import reply_steps
from scanner.reading import Reading
from tests.desk.inboxes import begun, put_beside
from tests.desk.letters import ask
from tests.workplaces import (
    ENGLISH,
    RUSSIAN,
    TEXT,
    Client,
    House,
    Sent,
    both_engines,
    get,
    picture,
    post,
    sure,
)

NOTHING = "These words open nothing"
NOT_THERE = "There is nothing at this address."
TOO_LATE = "This letter is being printed already and cannot be taken back any more."


async def test_words_and_link_open_the_same_inbox(house: House, desk: Client) -> None:
    sent = await house.queued()
    opened = await post(desk, "/en/inbox", {"phrase": f"  {sent.phrase.upper()} "})
    assert (opened.status, opened.location) == (303, sent.inbox)
    screen = (await get(desk, sent.inbox)).screen
    assert screen.heading == "Your letters"
    assert "John Sample HMP Nowhere" in screen.text
    assert " ".join(TEXT.split()) in screen.text
    assert "Confirmed. A volunteer will read it before it is printed." in screen.text


@pytest.mark.parametrize("phrase", ["", "wrong words", "a" * 10_000, "\0"])
async def test_words_that_open_nothing(house: House, desk: Client, phrase: str) -> None:
    await house.queued()
    answer = await post(desk, "/en/inbox", {"phrase": phrase})
    assert (answer.status, answer.screen.heading) == (404, NOTHING)


@pytest.mark.parametrize("cut", [-1, -2, -10, 5])
async def test_cut_off_link_says_that_it_may_be_cut_off(house: House, desk: Client, cut: int) -> None:
    sent = await house.queued()
    answer = await get(desk, "/en/inbox/" + sent.secret.link[:cut])
    assert (answer.status, answer.screen.heading) == (404, NOTHING)
    assert "it may be cut off: copy it whole" in answer.screen.text


@pytest.mark.parametrize("link", ["x", "%00", "ы", "a" * 3000, "=" * 43, "A" * 43, "%2f"])
async def test_malformed_link_opens_nothing(house: House, desk: Client, link: str) -> None:
    await house.queued()
    assert (await get(desk, f"/en/inbox/{link}")).status == 404
    for place in ("reply/x", "reply/x/reply.pdf", "reply/x/1.jpg"):
        assert (await get(desk, f"/en/inbox/{link}/{place}")).status == 404
    assert (await post(desk, f"/en/inbox/{link}/withdraw/x")).status == 404


async def test_inbox_shows_all_letters_of_its_sender_and_none_of_others(house: House, desk: Client) -> None:
    first = await house.queued(text="The first of mine")
    house.clock.advance(minutes=1)
    await house.queued(RUSSIAN, text="The second of mine", phrase=first.phrase)
    await house.queued(text="Somebody else wrote this")
    text = (await get(desk, first.inbox)).screen.text
    assert text.index("The second of mine") < text.index("The first of mine")
    assert "Somebody else" not in text


async def thread(house: House, desk: Client, sent: Sent, query: str = "") -> list[str]:
    """The headings and links of the newest conversation, as they follow each other."""
    html = (await get(desk, f"{sent.inbox}{query}")).screen.html
    found = re.findall(r'<h3>(.*?)</h3>|class="folded"[^>]*><b>(.*?)</b>|>(Read the .*?)</a>', html)
    return ["whole: " + whole if whole else "folded: " + folded if folded else read for whole, folded, read in found]


async def test_letters_and_answers_stand_in_their_order_and_the_older_letters_are_folded(
    house: House, desk: Client
) -> None:
    first = await house.posted()
    for _ in range(2):
        house.clock.advance(days=1)
        last = await house.posted(phrase=first.phrase)
    house.clock.advance(days=1)
    await house.replied(first)
    house.clock.advance(days=1)
    await house.queued(phrase=first.phrase)
    assert await thread(house, desk, first) == [
        "whole: Your letter of May 8, 2031",
        "Read the answer of May 7, 2031",
        "whole: Your letter of May 6, 2031",
        "folded: Your letter of May 5, 2031",
        "folded: Your letter of May 4, 2031",
    ]
    one, everything = f"?letter={first.id}", "?letter=all"
    assert (await thread(house, desk, first, one))[-1] == "whole: Your letter of May 4, 2031"
    assert not any(line.startswith("folded") for line in await thread(house, desk, first, everything))
    screen = (await get(desk, first.inbox)).screen
    assert f"{first.inbox}{one}#{first.id}" in screen.links
    assert any(link.startswith(f"{first.inbox}{everything}#") for link in screen.links)
    assert last.id not in "".join(screen.links), "there is nothing to be done about a letter on its way"


async def test_folded_letter_says_where_it_is(house: House, desk: Client) -> None:
    first = await house.posted()
    for _ in range(2):
        house.clock.advance(minutes=1)
        await house.queued(phrase=first.phrase)
    screen = (await get(desk, first.inbox)).screen
    assert "Your letter of May 4, 2031 On its way to the prison." in screen.text
    assert re.findall(r'aria-label="(Step .*?)"', screen.html) == ["Step 1 of 5", "Step 1 of 5", "Step 4 of 5"]


async def test_letter_that_waits_for_its_sender_is_never_folded(house: House, desk: Client) -> None:
    first = await house.queued()
    await ask(house, first)
    for _ in range(3):
        house.clock.advance(days=1)
        await house.queued(phrase=first.phrase)
    assert (await thread(house, desk, first))[-1] == "whole: Your letter of May 4, 2031"


async def test_way_of_a_letter_that_was_stopped(house: House, desk: Client) -> None:
    sent = await house.approved()
    await steps.withdraw(house.store, sent.id)
    html = (await get(desk, sent.inbox)).screen.html
    assert html.count('class="way stopped"') == 1
    assert 'aria-label="Step 2 of 5"' in html


async def test_each_prisoner_has_a_conversation(house: House, desk: Client) -> None:
    first = await house.queued(text="To John")
    house.clock.advance(days=1)
    await house.queued(RUSSIAN, phrase=first.phrase, text="To Pyotr")
    house.clock.advance(days=1)
    await house.queued(phrase=first.phrase, text="To John again")
    text = (await get(desk, first.inbox)).screen.text
    places = [text.index(words) for words in ("To John again", "To John ", "To Pyotr")]
    assert places == sorted(places)
    assert f"John Sample {RUSSIAN.prisoner.name} John Sample HMP Nowhere" in text, "and a way to each of them"


async def test_letter_from_prison_begins_a_conversation(house: House, desk: Client) -> None:
    letter = await house.posted(RUSSIAN)
    reply = await house.replied(letter)
    house.clock.advance(minutes=1)
    beginning = await begun(house, phrase=letter.phrase)
    await put_beside(house, reply, beginning)
    screen = (await get(desk, letter.inbox)).screen
    assert "This conversation began with a letter from prison. May 4, 2031" in screen.text
    assert "Read the letter of May 4, 2031" in screen.text
    assert "Answers your letter" not in screen.text
    shown = (await get(desk, f"{letter.inbox}/reply/{reply}")).screen
    assert shown.heading == "A letter from John Sample"


async def test_answer_to_another_correspondent_is_named_as_such(house: House, desk: Client) -> None:
    letter = await house.posted()
    reply = await house.replied(letter)
    await put_beside(house, reply, letter, forwarded=True)
    words = "John Sample asked us to show you this answer to another correspondent."
    for place in (letter.inbox, f"{letter.inbox}/reply/{reply}"):
        text = (await get(desk, place)).screen.text
        assert (words in text, "Answers your letter" in text) == (True, False)


async def test_reply_whose_time_is_over_leaves_its_day(house: House, desk: Client) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    async with house.store.database.writing() as connection:
        await connection.execute(tables.replies.update().values(destroyed_at=house.clock()))
    screen = (await get(desk, sent.inbox)).screen
    assert "Here was the answer of May 4, 2031. Its time is over, and it was destroyed." in screen.text
    assert not any("/reply/" in link for link in screen.links)
    for part in ("", "/reply.pdf", "/1.jpg"):
        assert (await get(desk, f"{sent.inbox}/reply/{reply}{part}")).status == 404


async def test_refused_letter_shows_the_reason(house: House, desk: Client) -> None:
    sent = await house.queued()
    await claims.claim_next(house.review, house.volunteers["anna"])
    await decisions.refuse(house.review, sent.id, house.volunteers["anna"], ReviewReason.SPAM)
    assert f"The reason: {REVIEW_REASONS[ReviewReason.SPAM]}" in (await get(desk, sent.inbox)).screen.text


async def test_letter_whose_content_was_destroyed_keeps_its_history(house: House, desk: Client) -> None:
    sent = await house.queued()
    async with house.store.database.writing() as connection:
        await connection.execute(tables.content_keys.delete().where(tables.content_keys.c.record_id == sent.id))
    screen = (await get(desk, sent.inbox)).screen
    assert "Confirmed. A volunteer will read it before it is printed." in screen.text
    assert "The text of this letter is destroyed. Only the dates are kept." in screen.text
    assert "What you wrote" not in screen.text


# --- taking back


async def in_open_batch(house: House) -> Sent:
    sent = await house.approved()
    await house.batch()
    return sent


async def in_rendered_batch(house: House) -> Sent:
    sent = await house.approved()
    await house.on_paper(await house.batch())
    return sent


@pytest.mark.parametrize("stage", [House.submit, House.queued, House.approved, in_open_batch])
@both_engines
async def test_letter_can_be_taken_back_before_it_is_rendered(house: House, desk: Client, stage: object) -> None:
    assert callable(stage)
    sent: Sent = await stage(house)
    (form,) = (await get(desk, sent.inbox)).screen.forms
    for _ in range(2):  # pressing twice is harmless
        answer = await post(desk, form)
        assert (answer.status, answer.location) == (303, sent.inbox)
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.batch_id) == ("withdrawn", None)
    screen = (await get(desk, sent.inbox)).screen
    assert screen.forms == []
    assert "You took this letter back. It will not be sent." in screen.text


@pytest.mark.parametrize(
    ("stage", "state"), [(in_rendered_batch, "approved"), (House.posted, "posted")], ids=["rendered", "posted"]
)
async def test_letter_cannot_be_taken_back_later(house: House, desk: Client, stage: object, state: str) -> None:
    assert callable(stage)
    sent: Sent = await stage(house)
    assert (await get(desk, sent.inbox)).screen.forms == []
    answer = await post(desk, f"{sent.inbox}/withdraw/{sent.id}")
    assert (answer.status, answer.screen.wrong) == (409, [TOO_LATE])
    assert await house.state(sent) == state


async def test_letter_of_somebody_else_cannot_be_taken_back(house: House, desk: Client) -> None:
    mine, other = await house.queued(), await house.queued()
    unknown = InboxSecret.from_phrase(new_claim_phrase("en")).link
    for path in (
        f"{mine.inbox}/withdraw/{other.id}",
        f"/en/inbox/{unknown}/withdraw/{other.id}",
        f"{mine.inbox}/withdraw/{'0' * 32}",
        f"{mine.inbox}/withdraw/%00",
    ):
        answer = await post(desk, path)
        assert (answer.status, answer.screen.text.split(".")[0]) == (404, f"That did not work {NOT_THERE[:-1]}")
    assert await house.state(other) == "queued"


@both_engines
async def test_letter_taken_back_while_its_pages_are_stored_is_in_one_state_only(house: House) -> None:
    """Either it is in the rendered batch and stays, or it is out of it and was taken back."""
    sent = await house.approved()
    batch = await house.batch()
    planned = await house.planned(batch)
    withdrawn, stored = await asyncio.gather(
        steps.withdraw(house.store, sent.id),
        house.on_paper(batch, planned=planned),
        return_exceptions=True,
    )
    letter, batch_row = await house.row(tables.letters, id=sent.id), await house.row(tables.batches, id=batch)
    seen = (letter.state, letter.batch_id, batch_row.state, type(withdrawn), type(stored))
    assert seen in {
        ("approved", batch, "rendered", steps.TooLateToWithdrawError, type(None)),
        ("withdrawn", None, "open", type(None), print_steps.BatchChangedError),
    }


@both_engines
async def test_taking_back_waits_for_who_stores_the_pages(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    async with house.store.database.writing() as connection:
        await connection.execute(tables.letters.select().where(tables.letters.c.id == sent.id).with_for_update())
        taking_back = asyncio.create_task(steps.withdraw(house.store, sent.id))
        await asyncio.wait([taking_back], timeout=0.2)
        await connection.execute(
            tables.batches.update().where(tables.batches.c.id == batch).values(state=BatchState.RENDERED)
        )
    with pytest.raises(steps.TooLateToWithdrawError):
        await taking_back
    assert await house.state(sent) == "approved"


# --- the answer


async def test_reply_is_shown_only_after_its_release(house: House, desk: Client) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    reply = await house.row(tables.replies)
    places = [f"{sent.inbox}/reply/{reply.id}{part}" for part in ("", "/reply.pdf", "/1.jpg")]
    assert [(await get(desk, place)).status for place in places] == [404, 404, 404]
    assert not any("/reply/" in link for link in (await get(desk, sent.inbox)).screen.links)
    await house.release()
    assert [(await get(desk, place)).status for place in places] == [200, 200, 200]
    assert places[0] in (await get(desk, sent.inbox)).screen.links


async def test_reply_shows_picture_and_guess(house: House, desk: Client) -> None:
    sent = await house.posted()
    reply = await house.replied(sent, "Hello", "fiend")
    place = f"{sent.inbox}/reply/{reply}"
    screen = (await get(desk, place)).screen
    assert screen.heading == "The answer of John Sample"
    assert screen.images == [f"{place}/1.jpg"]
    assert (
        "A guess, often wrong. Doubtful words are marked. What counts is the picture. Hello fiend (doubtful)"
        in screen.text
    )
    assert screen.html.count("<mark") == 1
    shown = await get(desk, f"{place}/1.jpg")
    assert (shown.headers["Content-Type"], shown.body) == ("image/jpeg", picture(1))
    pdf = await get(desk, f"{place}/reply.pdf")
    assert pdf.headers["Content-Type"] == "application/pdf"
    with pikepdf.open(BytesIO(pdf.body)) as document:
        assert len(document.pages) == 2, "the picture, and what is missing"


@pytest.mark.parametrize(
    ("asked", "shown"), [("", 1), ("2", 2), ("3", 1), ("0", 1), ("x", 1), ("²", 1), ("9" * 5000, 1)]
)
async def test_reply_is_shown_page_by_page(house: House, desk: Client, asked: str, shown: int) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    scan = await house.split(sure(code), sure(code, side=Side.B))
    await house.release()
    place = f"{sent.inbox}/reply/{(await house.row(tables.replies, scan_id=scan)).id}"
    screen = (await get(desk, place, params={"page": asked})).screen
    assert screen.images == [f"{place}/{shown}.jpg"]
    assert f"Page {shown} of 2" in screen.text
    turning = [link for link in screen.links if "page=" in link and link.startswith(place)]
    assert turning == [f"{place}?page={3 - shown}#page"] * 2


async def test_from_one_reply_to_the_next(house: House, desk: Client) -> None:
    sent = await house.posted(sheets=2)
    first = await house.replied(sent)
    house.clock.advance(days=3)
    await house.split(sure(await house.code(sent), sheet=2))
    await house.release()
    second = next(row.id for row in await house.rows(tables.replies) if row.id != first)
    elsewhere = await house.posted(RUSSIAN, phrase=sent.phrase)
    await house.replied(elsewhere)
    for reply, other in ((first, second), (second, first)):
        links = (await get(desk, f"{sent.inbox}/reply/{reply}")).screen.links
        assert [link for link in links if "/reply/" in link and link.startswith("/en/")][-1].endswith(f"/reply/{other}")


async def test_page_is_there_as_it_was_scanned_too(house: House, desk: Client) -> None:
    sent = await house.posted()
    place = f"{sent.inbox}/reply/{await house.replied(sent)}"
    assert f"{place}/1-scanned.jpg" in (await get(desk, place)).screen.links
    shown = await get(desk, f"{place}/1-scanned.jpg")
    assert (shown.headers["Content-Type"], shown.body) == ("image/jpeg", picture(101))


async def released(house: House, sent: Sent, ticks: dict[Tick, bool | None]) -> str:
    """Where the reply stands that came back with the first side of the second sheet, with this ticked."""
    codes = sure(await house.code(sent), sheet=2)
    scan = await house.split(Reading(lines=(), codes=codes, ticks=ticks))
    await house.release()
    return f"{sent.inbox}/reply/{(await house.row(tables.replies, scan_id=scan)).id}"


async def test_pages_that_did_not_come_are_named(house: House, desk: Client) -> None:
    sent = await house.posted(sheets=2)
    text = (await get(desk, await released(house, sent, {}))).screen.text
    assert (
        "These pages did not come with it. If they come later, you get them too: "
        "Reply sheet 1, side A Reply sheet 1, side B Reply sheet 2, side B"
    ) in text


async def test_what_was_ticked_is_told_with_what_follows(house: House, desk: Client) -> None:
    sent = await house.posted(sheets=2)
    ticks: dict[Tick, bool | None] = {
        Tick.ALL_PAGES: True,
        Tick.NEED_PAPER: True,
        Tick.WRITE_AGAIN: False,
        Tick.PLEASE_STOP: None,
    }
    text = (await get(desk, await released(house, sent, ticks))).screen.text
    assert (
        "Ticked on the reply sheet ☒ I have all pages of the letter ☒ I need paper, envelopes, stamps"
        "The volunteers know of it too. Please ask them before you send something. Write back Save as PDF"
    ) in text


async def test_page_that_a_person_read_is_marked_as_such(house: House, desk: Client) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)), sure(await house.code(sent), side=Side.B))
    pages = {row.number: row.id for row in await house.rows(tables.pages, scan_id=scan)}
    lines = ((Word(text="Dear", doubtful=False), Word(text="fiend", doubtful=True)),)
    await reply_steps.correct(house.store, house.office_key, pages[2], lines, house.volunteers["anna"])
    await house.release()
    reply = (await house.row(tables.replies)).id
    place = f"{sent.inbox}/reply/{reply}"
    first, text = [(await get(desk, place, params={"page": page})).screen.text for page in ("1", "2")]
    assert "What a machine read, page 1 A guess, often wrong." in first
    assert (
        "What a volunteer read, page 2 Read by a person. Words that are still doubtful are marked. "
        "What counts is the picture. Dear fiend (doubtful)"
    ) in text


async def test_words_that_were_covered_are_told(house: House, desk: Client) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)), words=("Dear", "Somebody"))
    page = (await house.row(tables.pages, scan_id=scan)).id
    while await house.assemble():
        pass
    boxes = [(0.19, 0.29, 0.31, 0.34)]
    await reply_steps.cover(house.store, house.office_key, page, boxes, house.volunteers["anna"])
    await house.release()
    reply = (await house.row(tables.replies)).id
    screen = (await get(desk, f"{sent.inbox}/reply/{reply}")).screen
    assert "A volunteer covered words on this page that could harm others." in screen.text
    assert "Somebody" not in screen.html
    assert not any("-scanned" in link for link in screen.links)


async def test_unreadable_reply_says_so(house: House, desk: Client) -> None:
    sent = await house.posted()
    scan = await house.split(sure(await house.code(sent)), words=())
    await house.release()
    reply = await house.row(tables.replies, scan_id=scan)
    text = (await get(desk, f"{sent.inbox}/reply/{reply.id}")).screen.text
    assert "A machine could not read this handwriting. Please look at the picture." in text


@pytest.mark.parametrize(
    "part", ["2.jpg", "0.jpg", "01.jpg", "9999.jpg", "9" * 5000 + ".jpg", "-1.jpg", "x.jpg", "original"]
)
async def test_page_that_a_reply_does_not_have(house: House, desk: Client, part: str) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    assert (await get(desk, f"{sent.inbox}/reply/{reply}/{part}")).status == 404


async def test_reply_of_another_inbox_is_not_there(house: House, desk: Client) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    reply = await house.replied(other)
    assert not any("/reply/" in link for link in (await get(desk, mine.inbox)).screen.links)
    for part in ("", "/reply.pdf", "/1.jpg"):
        answer = await get(desk, f"{mine.inbox}/reply/{reply}{part}")
        assert (answer.status, NOT_THERE in answer.screen.text) == (404, True)
        assert (await get(desk, f"{other.inbox}/reply/{reply}{part}")).status == 200


async def test_second_reply_stands_beside_the_first(house: House, desk: Client) -> None:
    sent = await house.posted(sheets=2)
    first = await house.replied(sent)
    house.clock.advance(days=3)
    await house.split(sure(await house.code(sent), sheet=2))
    await house.release()
    second = next(row.id for row in await house.rows(tables.replies) if row.id != first)
    links = [link for link in (await get(desk, sent.inbox)).screen.links if "/reply/" in link]
    assert links == [f"{sent.inbox}/reply/{second}", f"{sent.inbox}/reply/{first}"]


async def test_letter_to_somebody_who_moved_is_still_followed(house: House, desk: Client) -> None:
    sent = await house.posted(ENGLISH)
    async with house.store.database.writing() as connection:
        await connection.execute(tables.prisoners.update().values(state="moved"))
    assert "On its way to the prison." in (await get(desk, sent.inbox)).screen.text
