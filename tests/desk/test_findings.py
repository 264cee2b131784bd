"""What the rules of a prison say before a letter is sent."""

from __future__ import annotations

import pytest

from relay.store import tables
from tests.desk.letters import GIRAFFES, ZEBRAS, strict
from tests.workplaces import ADDRESS, TEXT, Client, House, get, post

TO = "/en/to/john-sample"
GOOD = {"text": TEXT, "printed_name": "Mary", "address": ADDRESS, "wants": "full"}
RUSSIAN = "Здравствуйте! У нас выпал первый снег, и дети лепят снеговика."
LOST_NOTHING = "Something has to be changed before the letter can be sent. Nothing of your text is lost."
BEFORE = "Before you send"


@pytest.fixture
async def desk(house: House) -> Client:
    """A sender's browser on the desk; HMP Nowhere has strict rules."""
    strict(house)
    return await house.desk()


async def test_nothing_is_said_where_nothing_is_found(desk: Client) -> None:
    assert BEFORE not in (await get(desk, TO)).screen.text
    preview = await post(desk, TO, GOOD | {"action": "preview"})
    assert preview.status == 200
    assert BEFORE not in preview.screen.text
    assert "mark" not in preview.screen.tags


@pytest.mark.parametrize("action", ["preview", "send", "edit", "transliterate"])
async def test_finding_that_blocks_brings_the_form_back_with_the_exact_words(
    house: House, desk: Client, action: str
) -> None:
    fields = (await post(desk, TO, GOOD | {"action": "preview"})).screen.fields
    form = fields | {"text": "Dear John,\nI saw two zebras at the zoo.", "action": action}
    answer = await post(desk, TO, form)
    screen = answer.screen
    assert (answer.status, screen.heading, screen.wrong) == (422, "A letter to John Sample", [LOST_NOTHING])
    assert f"{BEFORE} Has to be changed. {ZEBRAS} Line 2: I saw two zebras at the zoo." in screen.text
    assert "I saw two <mark>zebras</mark> at the zoo." in screen.html
    assert screen.html.count('aria-invalid="true" aria-describedby="remarks"') == 1
    assert (screen.fields["text"], screen.fields["phrase"]) == (form["text"], fields["phrase"])
    assert await house.rows(tables.letters) == []


async def test_finding_that_warns_is_shown_beside_the_pages_and_the_letter_goes(house: House, desk: Client) -> None:
    preview = await post(desk, TO, GOOD | {"text": "A giraffe,\r\nand two giraffes.", "action": "preview"})
    assert (preview.status, preview.screen.heading) == (200, "The pages of your letter")
    assert preview.screen.wrong == []
    assert f"{BEFORE} {GIRAFFES} Line 1: A giraffe, Line 2: and two giraffes. Show these words" in preview.screen.text
    assert "A <mark>giraffe</mark>,\nand two <mark>giraffes</mark>." in preview.screen.html
    sent = await post(desk, TO, preview.screen.fields | {"action": "send"})
    assert sent.screen.heading == "One step is left"
    assert (await house.row(tables.letters)).translate_from is None


async def test_finding_is_still_shown_at_the_form_where_it_is_to_be_mended(desk: Client) -> None:
    answer = await post(desk, TO, GOOD | {"text": "A giraffe", "action": "edit"})
    assert (answer.status, answer.screen.wrong) == (200, [])
    assert f"{BEFORE} {GIRAFFES}" in answer.screen.text


async def test_length_is_complained_about_once(desk: Client) -> None:
    answer = await post(desk, TO, GOOD | {"text": "giraffe " * 2000, "action": "preview"})
    assert len(answer.screen.wrong) == 2
    assert BEFORE not in answer.screen.text


async def test_findings_are_asked_for_the_text_as_it_is_stored(desk: Client) -> None:
    answer = await post(desk, TO, GOOD | {"text": "\r\n\r\nHello  \r\n  zebra  \r\n", "action": "preview"})
    assert "Line 2: zebra" in answer.screen.text


async def test_hostile_words_are_quoted_as_text(desk: Client) -> None:
    answer = await post(desk, TO, GOOD | {"text": "<b>zebra</b> <script>x</script>", "action": "preview"})
    assert "script" not in answer.screen.tags
    assert "&lt;b&gt;<mark>zebra</mark>&lt;/b&gt;" in answer.screen.html


async def test_letter_in_another_language_is_taken_and_will_be_translated(house: House, desk: Client) -> None:
    preview = await post(desk, TO, GOOD | {"text": RUSSIAN, "address": "", "action": "preview"})
    assert preview.status == 200
    assert (
        "Your letter is written in: Russian. This prison takes letters only in: English and Swedish. "
        "You can send it all the same: a volunteer will translate it first. That takes some days longer."
    ) in preview.screen.text
    assert BEFORE not in preview.screen.text, "it is said once"
    await post(desk, TO, preview.screen.fields | {"action": "send"})
    letter = await house.row(tables.letters)
    assert (letter.state, letter.translate_from) == ("unconfirmed", "ru")
    await post(desk, "/en/phrase", {"phrase": preview.screen.fields["phrase"]})
    assert (await house.row(tables.letters)).state == "translating"


async def test_language_is_named_in_the_language_of_the_screen(desk: Client) -> None:
    preview = await post(desk, TO.replace("/en/", "/de/"), GOOD | {"text": RUSSIAN, "action": "preview"})
    assert "Russisch" in preview.screen.text
    assert "Englisch und Schwedisch" in preview.screen.text


@pytest.mark.parametrize("to", [TO, "/en/to/sven-exempelsson"])
async def test_letter_in_a_language_that_passes_is_not_translated(house: House, desk: Client, to: str) -> None:
    form = (await post(desk, to, GOOD | {"action": "preview"})).screen.fields
    await post(desk, to, form | {"action": "send"})
    assert (await house.row(tables.letters)).translate_from is None
