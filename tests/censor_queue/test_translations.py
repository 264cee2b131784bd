"""Translations: who gets which letter, drafts that are never lost, and what is printed in the end."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime

import pypdfium2
import pytest

from censor_queue import claims, decisions, translations
from censor_queue.claims import HARD_END, LEASE, LetterToReview
from censor_queue.review import Review
from censor_queue.translations import CannotPrintError, Draft, DraftChangedError, draft_of, mark
from print.steps import batch_pdf
from relay.domain.letters import Translation
from relay.domain.lives import LetterState
from relay.store import tables
from relay.store.leases import LeaseLostError
from relay.store.letters import read_treatment
from tests.censor_queue.letters import review_of, take, volunteer, with_photos
from tests.fakes.screening import FakeScreening
from tests.workplaces import RUSSIAN, Client, House, Sent, both_engines, get, post

SPANISH = "Querida amiga:\n\nla nieve llegó temprano.\nTuya"
RUSSIAN_TEXT = "Дорогая подруга!\n\nСнег выпал рано.\nТвоя"
PAGES = 12


@pytest.fixture
def review(house: House) -> Review:
    return review_of(house, takes=("ru",))


@pytest.fixture
async def anna(house: House) -> str:
    return await volunteer(house, "anna", "es", "ar")


async def foreign(house: House, language: str = "es", text: str = SPANISH) -> Sent:
    """A letter in a language that the facility does not take."""
    return await with_photos(house, RUSSIAN, photos=0, text=text, translate_from=language)


async def claimed(review: Review, volunteer_id: str) -> LetterToReview:
    """The letter that this volunteer translates; there has to be one."""
    letter = await claims.claim_translation(review, volunteer_id)
    assert letter is not None
    return letter


def draft(text: str, begun_with: str = "") -> Draft:
    """What was typed in a field that first held another text."""
    return Draft(text, mark(begun_with))


async def treatment_draft(house: House, sent: Sent) -> str:
    """The draft as it is stored."""
    async with house.store.database.reading() as connection:
        return draft_of(await read_treatment(connection, sent.id, house.office_key))


# --- claims


@both_engines
async def test_letter_goes_only_to_who_has_its_language(house: House, review: Review, anna: str, boris: str) -> None:
    turkish = await foreign(house, "tr")
    house.clock.advance(seconds=1)
    spanish = await foreign(house, "es")
    assert [await house.state(sent) for sent in (turkish, spanish)] == ["translating", "translating"]
    assert (await claimed(review, anna)).id == spanish.id
    assert await claims.claim_translation(review, boris) is None
    assert (await claimed(review, await volunteer(house, "clara", "es", "tr"))).id == turkish.id


async def test_letter_to_be_translated_is_not_read_meanwhile(house: House, review: Review, anna: str) -> None:
    await foreign(house)
    assert await claims.claim_next(review, anna) is None


async def test_languages_that_wait_are_counted(house: House, review: Review) -> None:
    for language in ("tr", "es", "tr"):
        await foreign(house, language)
    async with house.store.database.reading() as connection:
        assert list((await translations.waiting_languages(connection)).items()) == [("tr", 2), ("es", 1)]
        chosen = await translations.languages_to_choose(connection, {"yi"}, "de")
    assert list(chosen)[:2] == ["tr", "es"]
    assert (chosen["es"], chosen["yi"]) == ("Spanisch", "Jiddisch")
    assert list(chosen)[2:] == sorted(list(chosen)[2:], key=lambda code: chosen[code].casefold())


# --- drafts


@both_engines
async def test_draft_is_kept_sealed_and_found_by_the_next(house: House, review: Review, anna: str, boris: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.save_draft(review, sent.id, anna, draft("Дорогая"))
    assert (await house.row(tables.letters, id=sent.id)).treatment.find("Дорогая".encode()) == -1
    await claims.skip(review, sent.id, anna)
    await volunteer(house, "boris", "es")
    assert (await claimed(review, boris)).treatment.draft == "Дорогая"


async def test_keeping_a_draft_renews_the_lease_up_to_its_end(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    began = house.clock()
    await claimed(review, anna)
    text = ""
    while house.clock() < began + HARD_END - LEASE:
        house.clock.advance(minutes=14)
        until = await translations.save_draft(review, sent.id, anna, draft(text + "x", text))
        assert until == min(house.clock() + LEASE, began + HARD_END)
        text += "x"
    house.clock.now = began + HARD_END + datetime.timedelta(seconds=1)
    with pytest.raises(LeaseLostError):
        await translations.save_draft(review, sent.id, anna, draft(text + "late", text))
    assert await treatment_draft(house, sent) == text


@both_engines
async def test_draft_of_another_window_is_not_overwritten(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.save_draft(review, sent.id, anna, draft("first window"))
    for step in (
        translations.save_draft(review, sent.id, anna, draft("second window")),
        translations.finish(review, sent.id, anna, draft("second window"), PAGES),
    ):
        with pytest.raises(DraftChangedError) as refused:
            await step
        assert refused.value.other == "first window"
    assert (await treatment_draft(house, sent), await house.state(sent)) == ("first window", "translating")
    await translations.save_draft(review, sent.id, anna, draft("first window"))  # the same text is no conflict
    await translations.save_draft(review, sent.id, anna, draft("both", "first window"))
    assert await treatment_draft(house, sent) == "both"


@both_engines
async def test_of_two_windows_that_keep_at_once_one_is_told(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    done = await asyncio.gather(
        *(translations.save_draft(review, sent.id, anna, draft(text)) for text in ("one", "two")),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, DraftChangedError) for one in done) == [False, True]


async def test_draft_without_the_lease_is_not_kept(house: House, review: Review, anna: str, boris: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    with pytest.raises(LeaseLostError):
        await translations.save_draft(review, sent.id, boris, draft("mine"))
    with pytest.raises(LeaseLostError):
        await translations.finish(review, sent.id, boris, draft("mine"), PAGES)
    assert await treatment_draft(house, sent) == ""


# --- finishing


async def test_window_left_open_does_not_take_a_finished_translation_away(
    house: House, review: Review, anna: str
) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.finish(review, sent.id, anna, draft(RUSSIAN_TEXT), PAGES)
    assert (await take(review, anna)).id == sent.id  # now she reads it, and types on in the old window
    more = draft(RUSSIAN_TEXT + "!", begun_with=RUSSIAN_TEXT)
    for again in (
        translations.save_draft(review, sent.id, anna, more),
        translations.finish(review, sent.id, anna, more, PAGES),
        translations.not_needed(review, sent.id, anna),
    ):
        with pytest.raises(LeaseLostError):
            await again
    letter = await claims.held(review, sent.id, anna)
    assert letter.treatment.translation == Translation(text=RUSSIAN_TEXT, with_original=False)
    assert letter.treatment.draft == ""


@pytest.mark.parametrize("typed", ["Снег.", None])
async def test_words_covered_in_a_translation_are_not_covered_elsewhere_once_it_is_gone(
    house: House, review: Review, anna: str, typed: str | None
) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.finish(review, sent.id, anna, draft(RUSSIAN_TEXT), PAGES)
    await take(review, anna)
    await decisions.cover(review, sent.id, anna, [3])
    await decisions.to_be_translated(review, sent.id, anna, "es")
    await claimed(review, anna)
    if typed is None:
        await translations.not_needed(review, sent.id, anna)
        treatment = (await take(review, anna)).treatment
    else:
        await translations.save_draft(review, sent.id, anna, draft(typed, begun_with=RUSSIAN_TEXT))
        treatment = (await claims.held(review, sent.id, anna)).treatment
    assert (treatment.translation, treatment.covered) == (None, ())


@both_engines
async def test_finished_translation_is_read_next(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.finish(review, sent.id, anna, draft(RUSSIAN_TEXT + "  \r\n"), PAGES)
    letter = await take(review, anna)
    assert (letter.id, letter.text, letter.treatment.draft) == (sent.id, SPANISH, "")
    assert letter.treatment.translation == Translation(text=RUSSIAN_TEXT, with_original=False)
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)][-2:] == ["translating", "queued"]


@pytest.mark.parametrize(
    ("text", "pages", "unprintable"), [(" \n ", 0, []), ("Снег \ue000", 0, ["\ue000"]), ("я\n" * 600, 17, [])]
)
async def test_translation_that_cannot_be_printed_stays_a_draft(
    house: House, review: Review, anna: str, text: str, pages: int, unprintable: list[str]
) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    with pytest.raises(CannotPrintError) as refused:
        await translations.finish(review, sent.id, anna, draft(text), PAGES)
    assert (refused.value.pages, [one.character for one in refused.value.unprintable]) == (pages, unprintable)
    assert (await treatment_draft(house, sent), await house.state(sent)) == (text, "translating")


async def test_letter_that_needs_no_translation_is_read_as_it_is(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.save_draft(review, sent.id, anna, draft("begun"))
    await translations.not_needed(review, sent.id, anna)
    letter = await take(review, anna)
    assert (letter.id, draft_of(letter.treatment)) == (sent.id, "")


async def test_undone_translation_is_a_draft_again(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.finish(review, sent.id, anna, draft(RUSSIAN_TEXT), PAGES)
    decision = await house.row(tables.decisions, letter_id=sent.id)
    await decisions.undo(review, decision.id, anna)
    letter = await claimed(review, anna)
    assert (letter.id, draft_of(letter.treatment)) == (sent.id, RUSSIAN_TEXT)


# --- what is printed


def with_original(review: Review) -> Review:
    """The same, at facilities that want to see the original too."""
    rules = dataclasses.replace(FakeScreening().rules, takes=("ru",), print_original=True)
    return dataclasses.replace(review, screening=dataclasses.replace(review.screening, rules=rules))  # type: ignore[type-var]


@pytest.mark.parametrize("original", [False, True])
async def test_translation_is_printed_with_or_without_the_original(
    house: House, review: Review, anna: str, original: bool
) -> None:
    review = dataclasses.replace(with_original(review) if original else review, undo=datetime.timedelta())
    sent = await foreign(house)
    await claimed(review, anna)
    await translations.finish(review, sent.id, anna, draft(RUSSIAN_TEXT), PAGES)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    batch = await house.batch(RUSSIAN)
    assert await house.render()
    pdf = await batch_pdf(house.store, batch, house.office_key)
    with pypdfium2.PdfDocument(pdf) as document:
        printed = " ".join(document[2].get_textpage().get_text_bounded().split())
    shown = [printed.find(text) >= 0 for text in ("Снег выпал рано.", "* * *", "la nieve llegó temprano.")]
    assert shown == [True, original, original]


async def test_original_is_left_out_where_both_do_not_fit(house: House, review: Review, anna: str) -> None:
    sent = await foreign(house, text="nieve\n" * 300)
    await claimed(review, anna)
    await translations.finish(with_original(review), sent.id, anna, draft("снег\n" * 300), PAGES)
    letter = await take(review, anna)
    assert letter.treatment.translation is not None
    assert letter.treatment.translation.with_original is False


# --- the screen


@pytest.fixture
async def translator(house: House, anna: str) -> Client:
    """The browser of somebody who has Spanish and Arabic."""
    return await house.office("anna")


async def test_letter_is_shown_beside_the_field(house: House, translator: Client) -> None:
    sent = await foreign(house)
    house.clock.advance(hours=2)
    translator = await house.office("anna")
    screen = (await get(translator, "/en/translate")).screen
    assert (
        f"To {RUSSIAN.prisoner.name} {RUSSIAN.facility.name} has waited for 2 hours Spanish Querida amiga:"
        in screen.text
    )
    assert '<p class="letter" lang="es" dir="ltr">' in screen.html
    assert "Into Russian: only that passes there." in screen.text
    assert (screen.fields["letter"], screen.fields["text"]) == (sent.id, "")
    assert "Waiting in your languages: Spanish (1)" in screen.text


async def test_letter_from_right_to_left_is_shown_so(house: House, translator: Client) -> None:
    await foreign(house, "ar", "سقط الثلج مبكرا هذا العام")
    html = (await get(translator, "/de/translate")).screen.html
    assert '<p class="letter" lang="ar" dir="rtl">' in html
    assert "Arabisch" in html


async def test_volunteer_without_languages_is_told_where_to_choose(house: House, office_client: Client) -> None:
    await foreign(house)
    screen = (await get(office_client, "/en/translate")).screen
    assert "Choose them on your page" in screen.text
    assert "/en/mine" in screen.links
    assert "Waiting in other languages: Spanish (1)" in screen.text


async def test_draft_done_and_taken_back_without_a_script(house: House, translator: Client) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    answer = await post(translator, "/en/translate", form | {"text": "Снег\r\nвыпал", "do": "draft"})
    assert (answer.status, answer.location) == (303, "/en/translate?kept")
    screen = (await get(translator, answer.location)).screen
    assert "Your draft is kept." in screen.text
    assert screen.fields["text"] == "Снег\nвыпал"
    answer = await post(translator, "/en/translate", screen.fields | {"do": "done"})
    assert (answer.status, await house.state(sent)) == (303, "queued")
    screen = (await get(translator, "/en/translate")).screen
    assert "Nothing is waiting in your languages. Thank you." in screen.text
    assert f"The letter to {RUSSIAN.prisoner.name} went on to be read." in screen.text
    assert (await post(translator, "/en/translate", screen.fields | {"do": "undo"})).status == 303
    assert (await get(translator, "/en/translate")).screen.fields["text"] == "Снег\nвыпал"


async def test_undo_that_comes_too_late_says_so(house: House, translator: Client, boris: str) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    await post(translator, "/en/translate", form | {"do": "not_needed"})
    screen = (await get(translator, "/en/translate")).screen
    assert (await take(house.review, boris)).id == sent.id
    answer = await post(translator, "/en/translate", screen.fields | {"do": "undo"})
    complaint = "This cannot be taken back any more: somebody is reading the letter already."
    assert (answer.status, answer.screen.wrong) == (409, [complaint])


async def test_skipped_letter_is_left_with_its_draft_and_can_come_back(house: House, translator: Client) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    assert (await post(translator, "/en/translate", form | {"text": "half", "do": "skip"})).status == 303
    screen = (await get(translator, "/en/translate")).screen
    assert "Show me again what I left to others (1)" in screen.text
    await post(translator, "/en/translate", {"do": "again"})
    fields = (await get(translator, "/en/translate")).screen.fields
    assert (fields["letter"], fields["text"]) == (sent.id, "half")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (" \r\n", "The translation is empty."),
        ("a\0b", "The character “\ufffd” (U+0000) in line 1, place 2, cannot be printed."),
        ("я\r\n" * 600, "The translation fills 17 pages; 12 are possible. It is kept as a draft."),
    ],
    ids=["empty", "unprintable", "long"],
)
async def test_complaint_about_a_translation_keeps_what_was_typed(
    house: House, translator: Client, text: str, complaint: str
) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    answer = await post(translator, "/en/translate", form | {"text": text, "do": "done"})
    assert answer.status == 422
    assert answer.screen.wrong == [complaint]
    assert await treatment_draft(house, sent) == text.replace("\r\n", "\n")
    assert await house.state(sent) == "translating"


async def test_lost_letter_that_is_free_comes_back_with_what_was_typed(house: House, translator: Client) -> None:
    older = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    house.clock.now += LEASE + datetime.timedelta(seconds=1)
    translator = await house.office("anna")
    for do in ("done", "draft", "skip"):
        answer = await post(translator, "/en/translate", form | {"text": "typed", "do": do})
        assert answer.status == 409
        assert answer.screen.wrong == [
            "The time for this letter was over; it is yours again now. Your text is below, and not kept yet."
        ]
        assert (answer.screen.fields["letter"], answer.screen.fields["text"]) == (older.id, "typed")
        house.clock.now += LEASE + datetime.timedelta(seconds=1)
    assert await treatment_draft(house, older) == ""


async def test_lost_letter_that_somebody_has_leaves_what_was_typed(
    house: House, translator: Client, review: Review
) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    house.clock.now += LEASE + datetime.timedelta(seconds=1)
    clara = await volunteer(house, "clara", "es")
    assert (await claimed(review, clara)).id == sent.id
    other = await foreign(house)
    answer = await post(translator, "/en/translate", form | {"text": "typed\r\ntoo", "do": "done"})
    assert answer.status == 409
    assert answer.screen.wrong == ["This letter is not yours any more: the time was over. Nothing was done with it."]
    assert (answer.screen.fields["letter"], answer.screen.fields["text"]) == (other.id, "")
    assert "What you typed for the letter that is not yours any more typed too" in answer.screen.text
    assert await house.state(sent) == "translating"


async def test_draft_of_somebody_between_is_shown_beside(house: House, translator: Client, review: Review) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    house.clock.now += LEASE + datetime.timedelta(seconds=1)
    clara = await volunteer(house, "clara", "es")
    await claimed(review, clara)
    await translations.save_draft(review, sent.id, clara, draft("hers"))
    await claims.stop(review, clara)
    answer = await post(translator, "/en/translate", form | {"text": "mine", "do": "draft"})
    assert (answer.status, answer.screen.fields["text"]) == (409, "mine")
    assert "The other draft hers" in answer.screen.text
    await post(translator, "/en/translate", answer.screen.fields | {"text": "ours", "do": "draft"})
    assert await treatment_draft(house, sent) == "ours"


async def test_two_windows_show_both_drafts(house: House, translator: Client) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    await post(translator, "/en/translate", form | {"text": "first", "do": "draft"})
    for do in ("draft", "done", "skip"):
        answer = await post(translator, "/en/translate", form | {"text": "second", "do": do})
        assert (answer.status, answer.screen.fields["text"]) == (409, "second")
        assert "The other draft first" in answer.screen.text
    await post(translator, "/en/translate", answer.screen.fields | {"text": "first and second", "do": "draft"})
    assert await treatment_draft(house, sent) == "first and second"


async def test_script_gets_short_answers(house: House, translator: Client) -> None:
    sent = await foreign(house)
    form = (await get(translator, "/en/translate")).screen.fields
    url = "/en/translate/draft"
    answer = await translator.post(url, data=form | {"text": "one"})
    said = await answer.json()
    until = (await house.row(tables.letters, id=sent.id)).lease_until
    assert (answer.status, said) == (200, {"begun_with": mark("one"), "until": until.isoformat()})
    answer = await translator.post(url, data=form | {"text": "two"})
    assert (answer.status, await answer.json()) == (409, {"why": "changed"})
    house.clock.now += LEASE + datetime.timedelta(seconds=1)
    answer = await translator.post(url, data=form | {"text": "three"})
    assert (answer.status, await answer.json()) == (409, {"why": "lost"})
    assert await house.state(sent) == LetterState.TRANSLATING


async def test_markup_in_letter_and_draft_is_text(house: House, translator: Client) -> None:
    text = '</p></textarea><script src="//other.example"></script>{{ 7 * 7 }}'
    await foreign(house, text=text)
    form = (await get(translator, "/en/translate")).screen.fields
    await post(translator, "/en/translate", form | {"text": text, "do": "draft"})
    screen = (await get(translator, "/en/translate")).screen
    assert (screen.fields["text"], text in screen.text) == (text, True)
    assert "other.example" not in screen.html.replace("//other.example&#34;&gt;", "")
