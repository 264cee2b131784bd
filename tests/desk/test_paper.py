"""What a sender chooses about the paper: how many reply sheets, and a greeting on a card with those of others."""

from __future__ import annotations

from typing import Any

import pytest

from print.rendering import RenderingPool
from relay.desk import steps
from relay.domain.events import REPRINTED, SET_ASIDE
from relay.domain.letter_pages import Greeting, LetterToPrint
from relay.domain.letters import LetterBody
from relay.domain.lives import Record
from relay.store import tables
from relay.store.transitions import note
from tests.desk.letters import ask, photo, with_files
from tests.workplaces import TEXT, Client, House, Screen, both_engines, get, post

TO = "/en/to/john-sample"
GREETING = {"text": "Happy birthday!", "printed_name": "Mary", "card": "yes"}
NO_PHOTOS = "A card cannot have photos. Please remove them, or send a separate letter."


def rules(house: House, **table: Any) -> None:
    """Give HMP Nowhere a profile with these lines under [print]. Before the first screen is opened."""
    lines = "\n".join(f"{name} = {value}" for name, value in table.items())
    house.relay.installation.profiles.mkdir(exist_ok=True)
    profile = (
        f'title = "For tests"\nextends = "common"\nfacilities = ["hmp-nowhere"]\n[limits]\nphotos = 2\n[print]\n{lines}'
    )
    (house.relay.installation.profiles / "paper.toml").write_text(profile, "utf-8")


@pytest.fixture
def drawn(house: House, monkeypatch: pytest.MonkeyPatch) -> list[LetterToPrint]:
    """The letters whose pages were shown."""
    seen: list[LetterToPrint] = []

    draw = RenderingPool.preview

    async def preview(self: RenderingPool, letter: LetterToPrint) -> list[bytes]:
        seen.append(letter)
        return await draw(self, letter)

    monkeypatch.setattr(RenderingPool, "preview", preview)
    return seen


async def shown(desk: Client, **fields: str) -> Screen:
    """The screen with the pages."""
    answer = await post(desk, TO, {"text": TEXT, "printed_name": "Mary"} | fields | {"action": "preview"})
    assert (answer.status, answer.screen.heading) == (200, "The pages of your letter")
    return answer.screen


def choices(screen: Screen) -> int:
    """How many numbers of sheets can be chosen."""
    return screen.html.count("<option")


# --- reply sheets


@pytest.mark.parametrize(
    ("sheets", "pages", "sentence"),
    [
        ("0", 1, "This page will be printed and posted to John Sample. No sheet for the answer goes along."),
        ("1", 3, "The last two are the front and the back of the sheet for the answer."),
        ("3", 3, "The last two are the front and the back of a sheet for the answer; 3 such sheets go along."),
    ],
)
async def test_sheets_that_were_ordered_are_shown_and_stored(
    house: House, desk: Client, sheets: str, pages: int, sentence: str
) -> None:
    screen = await shown(desk, reply_sheets=sheets)
    assert sentence in screen.text
    assert (len(screen.images), screen.fields["reply_sheets"]) == (pages, sheets)
    await post(desk, TO, screen.fields | {"action": "send"})
    assert (await house.row(tables.reply_orders)).sheets == int(sheets)


@pytest.mark.parametrize(
    ("most", "typed", "stored"), [(2, "9", 2), (0, "1", 0), (5, "-1", 1), (5, "many", 1), (5, "²", 1)]
)
async def test_no_more_sheets_are_ordered_than_the_prison_takes(
    house: House, most: int, typed: str, stored: int
) -> None:
    rules(house, reply_sheets=most)
    desk = await house.desk()
    assert choices((await get(desk, TO)).screen) == (most + 1 if most else 0)
    assert (await shown(desk, reply_sheets=typed)).fields["reply_sheets"] == str(stored)


async def test_sheets_count_in_the_weight(house: House) -> None:
    rules(house)
    desk = await house.desk()
    answers = [(await shown(desk, reply_sheets=sheets)).text for sheets in ("1", "3")]
    assert ["20 g" in text for text in answers] == [False, True]


async def test_form_sent_again_with_more_sheets_is_a_letter_of_its_own(house: House, desk: Client) -> None:
    form = (await shown(desk)).fields | {"action": "send"}
    for sheets in ("1", "1", "2"):
        await post(desk, TO, form | {"reply_sheets": sheets})
    assert (await house.count())["letters"] == 2


async def test_number_is_kept_through_complaints_and_changes(house: House, desk: Client) -> None:
    answer = await post(desk, TO, {"text": "", "printed_name": "Mary", "reply_sheets": "3", "action": "preview"})
    assert '<option value="3" selected>' in answer.screen.html
    sent = await house.queued(sheets=2)
    await ask(house, sent)
    form = await get(desk, f"{sent.inbox}/letter/{sent.id}/edit")
    assert '<option value="2" selected>' in form.screen.html


@both_engines
@pytest.mark.parametrize(("sheets", "stored"), [(1, 2), (3, 3)])
async def test_code_that_others_have_too_gets_no_fewer_sheets(house: House, sheets: int, stored: int) -> None:
    """Their answer may stand on any of them."""
    other = await house.queued(sheets=2)
    sent = await house.queued(text="Come back")
    async with house.store.database.writing() as connection:
        code = await house.code(other)
        of = tables.reply_order_letters
        await connection.execute(of.update().where(of.c.letter_id == sent.id).values(code=code))
        ordered = tables.letters.update().where(tables.letters.c.id == sent.id)
        await connection.execute(ordered.values(state="changes_requested"))
    body = LetterBody(text="Changed", printed_name="Mary", address=None)
    await steps.edit(
        house.store, sent.secret, sent.id, steps.Changed(body, (), sheets, card=False, translate_from=None)
    )
    assert (await house.row(tables.reply_orders, code=code)).sheets == stored


# --- cards


async def test_greeting_is_shown_on_a_card_and_stored_as_one(
    house: House, desk: Client, drawn: list[LetterToPrint]
) -> None:
    form = await get(desk, TO)
    assert "All of them can see each other’s printed names and greetings" in form.screen.text
    screen = await shown(desk, **GREETING)
    assert "Other people’s greetings will stand on the same card" in screen.text
    (letter,) = drawn
    assert (letter.greetings, letter.text, letter.printed_name) == ((Greeting("Mary", "Happy birthday!"),), "", "")
    await post(desk, TO, screen.fields | {"action": "send"})
    assert (await house.row(tables.letters)).card is True


async def test_inbox_says_that_it_is_a_card_and_how_many_sheets_go_along(house: House, desk: Client) -> None:
    sent = await house.queued(card=True, sheets=3)
    text = (await get(desk, sent.inbox)).screen.text
    assert "A short greeting: it goes on a card with those of others, and an answer goes to all of you." in text
    assert "With 3 sheets for the answer." in text
    other = await house.queued(sheets=0)
    text = (await get(desk, other.inbox)).screen.text
    assert "A short greeting" not in text
    assert "Without a sheet for the answer." in text


@pytest.mark.parametrize(
    ("text", "counts"), [("a" * 601, "601 in 1"), ("a\n" * 12 + "b", "25 in 13"), ("a\r\n" * 13, "25 in 13")]
)
async def test_greeting_too_long_for_a_card_is_kept(house: House, desk: Client, text: str, counts: str) -> None:
    answer = await post(desk, TO, GREETING | {"text": text, "action": "send"})
    assert (answer.status, len(answer.screen.wrong)) == (422, 2)
    sentence = "A greeting on a card has at most 600 characters in 12 lines; this one has {}. Please shorten it,"
    assert answer.screen.wrong[1].startswith(sentence.format(counts))
    assert (answer.screen.fields["text"], answer.screen.fields["card"]) == (text.replace("\r\n", "\n"), "yes")
    assert (await house.count())["letters"] == 0
    answer = await post(desk, TO, GREETING | {"text": text, "card": "", "action": "preview"})
    assert answer.status == 200


@pytest.mark.parametrize("text", ["a" * 600, "a\n" * 12])
async def test_longest_greeting_is_taken(desk: Client, text: str) -> None:
    await shown(desk, **GREETING | {"text": text})


async def test_photos_do_not_go_on_a_card_and_are_kept(house: House) -> None:
    rules(house)
    desk = await house.desk()
    form = with_files(GREETING | {"action": "preview"}, ("a.jpg", photo()))
    answer = await post(desk, TO, form)
    assert (answer.status, answer.screen.wrong[1:]) == (422, [NO_PHOTOS])
    fields = answer.screen.fields
    assert {name: fields[name] for name in GREETING} == GREETING
    again = await post(desk, TO, with_files(fields | {"card": "", "action": "preview"}))
    assert (again.status, len(again.screen.images)) == (200, 4)


async def test_card_is_not_offered_where_the_prison_takes_none(house: House) -> None:
    rules(house, cards="false")
    desk = await house.desk()
    assert "card" not in (await get(desk, TO)).screen.fields
    fields = (await shown(desk, **GREETING)).fields
    assert "card" not in fields
    await post(desk, TO, fields | {"card": "yes", "action": "send"})
    assert (await house.row(tables.letters)).card is False


async def test_greeting_that_is_changed_can_become_a_letter(house: House, desk: Client) -> None:
    sent = await house.queued(card=True)
    await ask(house, sent)
    edit = f"{sent.inbox}/letter/{sent.id}/edit"
    fields = (await get(desk, edit)).screen.fields
    assert fields["card"] == "yes"
    pages = await post(desk, edit, fields | {"card": "", "action": "preview"})
    await post(desk, edit, pages.screen.fields | {"action": "send"})
    assert (await house.row(tables.letters)).card is False


# --- windows


async def test_window_shows_no_more_of_the_address_than_the_form(house: House, drawn: list[LetterToPrint]) -> None:
    rules(house, window='"DIN5008-B"')
    await shown(await house.desk())
    (letter,) = drawn
    assert letter.address == ("John Sample", "HMP Nowhere (an invented prison)")


async def test_sender_sees_a_copy_and_not_what_was_set_aside(house: House, desk: Client) -> None:
    sent = await house.posted()
    async with house.store.database.writing() as connection:
        for reason in (SET_ASIDE, REPRINTED):
            await note(connection, Record.LETTER, sent.id, by=house.anna, at=house.clock(), reason=reason)
    text = (await get(desk, sent.inbox)).screen.text
    assert text.count("Printed once more, as a copy.") == 1
    assert text.count("On its way to the prison.") == 1
