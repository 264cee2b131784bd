"""The review screen: one letter for one volunteer at a time, the decision about it, and nothing typed is lost."""

from __future__ import annotations

import asyncio
import datetime
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

from censor_queue import claims
from censor_queue.ahead import AHEAD
from censor_queue.claims import HARD_END, LEASE
from print.rendering import RenderingPool
from relay.domain.letter_pages import LetterToPrint
from relay.domain.letters import COVER
from relay.domain.reasons import ABUSE, FOR_CHANGES, FOR_PARTS, FOR_REFUSAL, REVIEW_REASONS, ReviewReason
from relay.domain.reply_code import grouped
from relay.store import tables
from relay.store.letters import read_body
from scanner.codes import PageCodes
from tests.censor_queue.letters import SECOND, with_photos
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, TEXT, Client, House, Screen, both_engines, get, post

NOTHING = "Nothing waits for you. Thank you for looking."
THANKS = "Nothing waits for you. Thank you for this evening."
NOT_YOURS = "The time was over, or it was decided in another window. Nothing was done now."
NO_REASON = "Please choose the reason. The sender is told it."
NO_LANGUAGE = "Please choose the language of the letter."
TOO_LATE = "This cannot be undone any more: it has taken effect, or somebody works on the letter already."
UNDO = '[site]\nname = "Example relay"\n[review]\nundo_minutes = 10\n'

with_undo = pytest.mark.parametrize("config", [UNDO])
NOTE = "Please leave the <street> out.\nThank you"


def shown(screen: Screen) -> str | None:
    """The id of the letter that the screen shows."""
    return screen.fields.get("letter")


async def opened(client: Client) -> Screen:
    """The review screen."""
    answer = await get(client, "/en/review")
    assert answer.status == 200
    return answer.screen


async def decided(client: Client, decision: str, **fields: str) -> None:
    """Decide about the letter on the screen."""
    letter = shown(await opened(client))
    answer = await post(client, "/en/review", {"letter": letter, "decision": decision} | fields)
    assert (answer.status, answer.location) == (303, "/en/review")


# --- what is shown


async def test_letter_is_shown_with_all_that_the_decision_needs(house: House, office_client: Client) -> None:
    sent = await house.queued(address=ADDRESS, name="Mary")
    house.clock.advance(hours=2)
    screen = await opened(office_client)
    text = screen.text.replace("\u202f", " ")
    assert shown(screen) == sent.id
    assert screen.heading == "To John Sample"
    assert "HMP Nowhere (an invented prison) 4 photos allowed to be read by May 7, 2031 has waited for 2 hours" in text
    assert grouped(await house.code(sent)) in text
    assert f"{' '.join(TEXT.split())} Mary" in text
    assert "Yours until 2:45 PM UTC" in text
    assert text.startswith("1 letter waits the oldest for 2 hours your first letter this evening")
    assert screen.images == [f"/en/review/{sent.id}/1.png"]


async def test_languages_that_the_facility_takes_are_named(house: House, office_client: Client) -> None:
    await house.queued(RUSSIAN)
    assert "takes letters in: Russian" in (await opened(office_client)).text


async def test_letter_that_waits_too_long_is_overdue(house: House) -> None:
    await house.queued()
    house.clock.advance(days=4)
    text = (await opened(await house.office())).text
    assert "overdue since May 7, 2031" in text
    assert text.startswith("1 letter waits 1 is overdue the oldest for 4 days")


async def test_findings_stand_beside_the_words_that_they_are_about(house: House, office_client: Client) -> None:
    await house.queued(text="Call +44 20 7946 0000.\nOr <b>+44 20 7946 0001</b>.")
    screen = await opened(office_client)
    # One sentence for the two numbers, and a way from it to each.
    assert screen.html.count("Whoever reads the letter can keep this number.") == 1
    assert [link for link in screen.links if link.startswith("#place")] == ["#place-1", "#place-2"]
    assert [link for link in screen.links if link.startswith("#finding")] == ["#finding-1", "#finding-1"]
    marked = re.findall(r'<span id="place-(\d)"></span><mark class="(\w+)">([^<]+)</mark>', screen.html)
    assert marked == [("1", "info", "+44 20 7946 0000"), ("2", "info", "+44 20 7946 0001")]


@pytest.mark.parametrize("undo", [0, 10])
async def test_address_of_the_sender_is_on_no_screen_of_the_office(house: House, undo: int) -> None:
    sent = await house.posted(address=ADDRESS, text="An answered letter")
    await house.replied(sent)
    scan = await house.split(PageCodes())
    queued = await house.queued(address=ADDRESS, text="Call +44 20 7946 0000, and look at https://snow.example.")
    client = await house.office()
    assert shown(await opened(client)) == queued.id
    page = await house.row(tables.pages, scan_id=scan)
    places = ["", "review", f"review/{queued.id}/cover", "print", "scan", f"scan/page/{page.id}?q=john", "directory"]
    screens = [(await get(client, f"/en/{place}")).screen for place in places]
    typed = {"letter": queued.id, "panel": "changes", "note": NOTE}
    screens.append((await post(client, "/en/review", typed | {"decision": "changes"})).screen)
    screens.append((await post(client, "/en/review", typed | {"decision": "renew"})).screen)
    house.clock.now += LEASE + SECOND
    screens.append((await post(client, "/en/review", typed | {"decision": "skip"})).screen)
    assert [ADDRESS in screen.html or "mary@" in screen.html.lower() for screen in screens] == [False] * 10
    # What could have leaked was there: the search found the letter, the findings and the note are shown.
    assert sent.id in screens[5].html
    assert "snow.example" in screens[1].html
    assert screens[9].fields["kept"] == NOTE


async def test_queue_is_read_by_deadline(house: House, office_client: Client) -> None:
    sent = []
    for _ in range(3):
        sent.append(await house.queued())
        house.clock.advance(minutes=1)
    read = []
    for _ in sent:
        read.append(shown(await opened(office_client)))
        await decided(office_client, "approve")
    assert read == [one.id for one in sent]
    assert (await opened(office_client)).text.startswith(f"Review {THANKS} You decided 3 letters.")
    assert {await house.state(one) for one in sent} == {"approved"}


async def test_empty_queue_says_thanks(office_client: Client) -> None:
    assert (await opened(office_client)).text == f"Review {NOTHING} Look again What else waits"


async def test_letters_that_others_have_are_counted(house: House, office_client: Client) -> None:
    await house.queued()
    await opened(office_client)
    boris = await house.office("boris")
    assert "1 letter is with other volunteers, or needs somebody else." in (await opened(boris)).text


@both_engines
async def test_two_volunteers_never_hold_the_same_letter(house: House) -> None:
    sent = [await house.queued() for _ in range(6)]
    anna, boris = await house.office("anna"), await house.office("boris")
    first, second = [
        shown(answer.screen) for answer in await asyncio.gather(*(get(c, "/en/review") for c in (anna, boris)))
    ]
    assert first != second
    assert {first, second} <= {one.id for one in sent}


async def test_letter_stays_on_the_screen_while_its_time_lasts(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.queued()
    first = shown(await opened(office_client))
    house.clock.now += LEASE
    assert shown(await opened(office_client)) == first
    # It is the same claim: looking again does not prolong it.
    assert (await house.row(tables.letters, id=first)).lease_until == house.clock()


async def test_letter_of_somebody_who_left_goes_to_the_next(house: House, office_client: Client) -> None:
    sent = await house.queued()
    assert shown(await opened(office_client)) == sent.id
    boris = await house.office("boris")
    assert shown(await opened(boris)) is None
    house.clock.now += LEASE + SECOND
    assert shown(await opened(boris)) == sent.id


# --- the pictures, made ready ahead


class CountingPool(RenderingPool):
    """The printer, which counts what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[LetterToPrint] = []
        self.broken = False

    async def preview(self, letter: LetterToPrint) -> list[bytes]:
        """The pages of a letter, unless it is broken."""
        self.shown.append(letter)
        if self.broken:
            raise OSError("no paper")
        return await super().preview(letter)


@pytest.fixture
async def pool(house: House) -> AsyncIterator[CountingPool]:
    house.pages = CountingPool()
    yield house.pages
    await house.pages.close()


async def ready(client: Client) -> None:
    """Wait until nothing is being made ready."""
    assert client.app is not None
    while client.app[AHEAD]._running:
        await asyncio.gather(*client.app[AHEAD]._running, return_exceptions=True)


async def test_next_letter_is_claimed_and_rendered_ahead(house: House, pool: CountingPool) -> None:
    texts = ("one", "two", "three")
    sent = [await house.queued(text=text) for text in texts]
    client = await house.office()
    for number, letter in enumerate(sent):
        assert shown(await opened(client)) == letter.id
        await ready(client)
        assert [one.text for one in pool.shown] == list(texts[: number + 2])
        picture = await get(client, f"/en/review/{letter.id}/1.png")
        assert (picture.status, picture.body[:4], picture.headers["Content-Type"]) == (200, b"\x89PNG", "image/png")
        assert picture.headers["Cache-Control"] == "no-store"
        assert [one.text for one in pool.shown] == list(texts[: number + 2])
        await decided(client, "approve")
    assert all(one.reply_sheets == 0 for one in pool.shown)


async def test_pictures_are_only_for_who_holds_the_letter(house: House, office_client: Client) -> None:
    sent = await house.queued()
    boris = await house.office("boris")
    path = f"/en/review/{sent.id}/1.png"
    assert (await get(office_client, path)).status == 404
    await opened(office_client)
    assert [(await get(client, path)).status for client in (office_client, boris)] == [200, 404]
    assert [(await get(office_client, f"/en/review/{sent.id}/{n}.png")).status for n in (0, 2, 999)] == [404] * 3
    house.clock.now += LEASE + SECOND
    assert (await get(office_client, path)).status == 404


async def test_pictures_are_forgotten_with_the_decision_and_with_the_time(house: House, pool: CountingPool) -> None:
    sent = [await house.queued(text=str(number)) for number in range(3)]
    client = await house.office()
    assert client.app is not None
    ahead = client.app[AHEAD]
    await opened(client)
    await ready(client)
    assert list(ahead._kept) == [sent[0].id, sent[1].id]
    # The timer would fire when the lease ends.
    left = ahead._kept[sent[0].id].end.when() - asyncio.get_running_loop().time()
    assert LEASE.total_seconds() - 60 < left <= LEASE.total_seconds()
    answer = await post(client, "/en/review", {"letter": sent[0].id, "decision": "approve"})
    assert (answer.status, list(ahead._kept)) == (303, [sent[1].id])
    await opened(client)
    await post(client, "/en/review/evening", {"action": "stop"})
    assert [(await house.row(tables.letters, id=one.id)).lease_owner for one in sent] == [None] * 3


async def test_pictures_that_fail_are_logged_and_tried_again(
    house: House, pool: CountingPool, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = await house.queued()
    client = await house.office()
    pool.broken = True
    assert shown(await opened(client)) == sent.id
    await ready(client)
    printed = capsys.readouterr().out
    assert "review_not_made_ready" in printed
    assert "no paper" not in printed
    assert (await get(client, f"/en/review/{sent.id}/1.png")).status == 500
    pool.broken = False
    assert (await get(client, f"/en/review/{sent.id}/1.png")).status == 200


async def test_no_more_pictures_are_kept_than_fit(
    house: House, pool: CountingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("censor_queue.ahead.BYTES_KEPT", 1)
    await house.queued()
    client = await house.office()
    assert client.app is not None
    await opened(client)
    await ready(client)
    assert list(client.app[AHEAD]._kept) == []


async def test_site_stops_while_a_letter_is_made_ready(house: House, pool: CountingPool) -> None:
    await house.queued()
    client = await house.office()
    assert client.app is not None
    await opened(client)
    running = list(client.app[AHEAD]._running)
    await client.close()
    assert [task.done() for task in running] == [True] * len(running)


# --- the decisions


@pytest.mark.parametrize("reason", FOR_REFUSAL)
async def test_refusal_is_told_to_the_sender_with_its_reason(
    house: House, office_client: Client, reason: ReviewReason
) -> None:
    sent = await house.queued(address=ADDRESS)
    await decided(office_client, "refuse", reason=reason)
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.reason) == ("refused", reason)
    assert (await house.row(tables.outbox, kind="refused")).letter_id == sent.id
    assert f"The reason: {REVIEW_REASONS[reason]}" in (await get(await house.desk(), sent.inbox)).screen.text


@pytest.mark.parametrize("reason", FOR_CHANGES)
async def test_changes_are_asked_for_with_a_reason(house: House, office_client: Client, reason: ReviewReason) -> None:
    sent = await house.queued(address=ADDRESS)
    await decided(office_client, "changes", reason=reason, note=NOTE)
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.reason) == ("changes_requested", reason)
    assert NOTE.encode() not in (await house.row(tables.decisions)).note


WRONG = [
    ("refuse", "", NO_REASON),
    ("refuse", "because", NO_REASON),
    ("refuse", "photo", NO_REASON),
    ("refuse", "blocked", NO_REASON),
    ("changes", "spam", NO_REASON),
    ("approve", "spam", NO_REASON),
    ("translate", "", NO_LANGUAGE),
]


@pytest.mark.parametrize(("decision", "reason", "complaint"), WRONG)
async def test_decision_that_lacks_something_keeps_what_was_typed(
    house: House, office_client: Client, decision: str, reason: str, complaint: str
) -> None:
    sent = await with_photos(house)
    await opened(office_client)
    panel = {"approve": "part"}.get(decision, decision)
    form = {"letter": sent.id, "decision": decision, "panel": panel, "reason": reason, "note": NOTE, "spoken": "xx"}
    answer = await post(office_client, "/en/review", form)
    assert (answer.status, answer.screen.wrong, shown(answer.screen)) == (422, [complaint], sent.id)
    assert re.findall(r'id="(\w+)" name="panel"[^>]* open', answer.screen.html) == [panel]
    notes = re.findall(r'<textarea id="note-(\w+)"[^>]*>\n([^<]*)</textarea>', answer.screen.html)
    kept = {name: text for name, text in notes if text}
    assert kept == ({} if decision == "translate" else {panel: "Please leave the &lt;street&gt; out.\nThank you"})
    assert await house.state(sent) == "queued"


@pytest.mark.parametrize("decision", ["maybe", "", "APPROVE"])
async def test_decision_that_does_not_exist(house: House, office_client: Client, decision: str) -> None:
    sent = await house.queued()
    await opened(office_client)
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": decision})
    assert (answer.status, await house.state(sent)) == (404, "queued")
    assert (await post(office_client, "/en/review/evening", {"action": decision})).status == 404


async def test_sender_is_blocked_only_for_abuse(house: House, office_client: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    await opened(office_client)
    form = {"letter": sent.id, "decision": "refuse", "panel": "refuse", "block": "on"}
    refused = await post(office_client, "/en/review", form | {"reason": "too_long"})
    assert (refused.status, await house.rows(tables.blocks)) == (422, [])
    assert refused.screen.wrong == [
        "A sender is blocked only for threats, insults or spam. Choose such a reason, or do not block."
    ]
    await decided(office_client, "refuse", reason=ABUSE[0], block="on")
    again = await house.queued(address=ADDRESS)
    assert shown(await opened(office_client)) is None
    assert (await house.row(tables.letters, id=again.id)).reason == "blocked"


async def test_photo_is_left_out_with_a_reason(house: House, office_client: Client) -> None:
    sent = await with_photos(house, photos=2, address=ADDRESS)
    screen = await opened(office_client)
    assert screen.images == [f"/en/review/{sent.id}/{number}.png" for number in (1, 2, 3)]
    assert [(await get(office_client, image)).status for image in screen.images] == [200] * 3
    assert "Without the photos…" in screen.text
    await decided(office_client, "approve", panel="part", without_photos="on", reason="photo", note=NOTE)
    assert (await house.row(tables.decisions)).decision == "approve_in_part"
    assert (await house.row(tables.outbox, kind="partly")).letter_id == sent.id


async def test_letter_with_its_photos_is_approved_by_one_button(house: House, office_client: Client) -> None:
    await with_photos(house)
    await decided(office_client, "approve")
    assert (await house.row(tables.decisions)).decision == "approve"


async def test_letter_is_passed_to_the_translators(house: House, office_client: Client) -> None:
    sent = await house.queued(
        RUSSIAN, text="Liebe Freundin, bei uns ist der erste Schnee gefallen und alle freuen sich."
    )
    screen = await opened(office_client)
    assert re.findall(r'<option value="(\w+)" selected', screen.html) == ["de"]
    await decided(office_client, "translate", spoken="de")
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.translate_from) == ("translating", "de")


async def test_letter_goes_to_a_second_reader_and_no_further(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await decided(office_client, "second")
    assert shown(await opened(office_client)) is None
    boris = await house.office("boris")
    screen = await opened(boris)
    assert "This is the second reading: another volunteer has read this letter, and now you decide." in screen.text
    assert "Translate…" not in screen.text
    for decision in ("second", "translate"):
        form = {"letter": sent.id, "decision": decision, "spoken": "de"}
        assert (await post(boris, "/en/review", form)).status == 404
    await decided(boris, "approve")
    assert await house.state(sent) == "approved"


async def test_facility_that_wants_two_readers_says_so(house: House, tmp_path: Path) -> None:
    folder = house.relay.installation.profiles
    folder.mkdir()
    profile = (
        f'extends = "united-kingdom"\ntitle = "Two"\nfacilities = ["{ENGLISH.facility.slug}"]\nsecond_reader = true\n'
    )
    (folder / "two.toml").write_text(profile)
    sent = await house.queued()
    anna, boris = await house.office("anna"), await house.office("boris")
    assert "a second reader follows" in (await opened(anna)).text
    await decided(anna, "approve")
    assert await house.state(sent) == "second_reading"
    assert "a second reader follows" not in (await opened(boris)).text
    await decided(boris, "approve")
    assert await house.state(sent) == "approved"


async def test_who_knows_somebody_gets_no_letters_of_theirs(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "knows"})
    assert answer.location == f"/en/review?known={sent.id}"
    screen = (await get(office_client, answer.location)).screen
    assert (shown(screen), screen.fields["known"]) == (None, sent.id)
    assert "You will get no letters of these two people again. That was a mistake" in screen.text
    for known in ("0" * 32, sent.id):
        back = await post(office_client, "/en/review/evening", {"action": "knows_not", "known": known})
        assert (back.status, back.location) == (303, "/en/review")
    assert shown(await opened(office_client)) == sent.id


async def test_skipped_letters_come_again_on_demand(house: House, office_client: Client) -> None:
    sent = [await house.queued() for _ in range(2)]
    await decided(office_client, "skip")
    await decided(office_client, "skip")
    screen = await opened(office_client)
    assert (shown(screen), "2 letters that you passed over still wait." in screen.text) == (None, True)
    await post(office_client, "/en/review/evening", {"action": "take_back_skipped"})
    assert shown(await opened(office_client)) == sent[0].id


# --- time


async def test_more_time_keeps_what_was_typed(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    house.clock.advance(minutes=10)
    form = {"letter": sent.id, "decision": "renew", "panel": "changes", "reason": "too_long", "note": NOTE}
    screen = (await post(office_client, "/en/review", form)).screen
    assert screen.fields["reason"] == "too_long"
    assert "Yours until 12:55 PM UTC" in screen.text.replace("\u202f", " ")
    assert (await house.row(tables.letters, id=sent.id)).lease_until == house.clock() + LEASE


async def test_script_prolongs_the_time_up_to_its_end(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    path = f"/en/review/{sent.id}/renew"
    seen = []
    while (answer := await office_client.post(path)).status == 200:
        seen.append(await answer.json())
        house.clock.advance(minutes=14)
    assert answer.status == 409
    assert seen == [{"left": min(900, 3600 - at), "most": 3600 - at} for at in range(0, 3600, 840)]


async def test_who_stops_gives_back_all(house: House, office_client: Client) -> None:
    for _ in range(3):
        await house.queued()
    await opened(office_client)
    await ready(office_client)
    assert [row.lease_owner is None for row in await house.rows(tables.letters)].count(False) == 2
    answer = await post(office_client, "/en/review/evening", {"action": "stop"})
    assert (answer.status, answer.location) == (303, "/en/")
    assert {row.lease_owner for row in await house.rows(tables.letters)} == {None}


# --- the claim is lost, and nothing of what was typed

DECISIONS = [
    {"decision": "approve"},
    {"decision": "refuse", "reason": "spam", "block": "on"},
    {"decision": "changes", "reason": "too_long", "note": NOTE},
    {"decision": "translate", "spoken": "de"},
    {"decision": "second"},
    {"decision": "skip"},
    {"decision": "knows"},
    {"decision": "renew", "note": NOTE},
]


@pytest.mark.parametrize("form", DECISIONS, ids=lambda form: str(form["decision"]))
async def test_decision_without_the_claim_changes_nothing(
    house: House, office_client: Client, form: dict[str, str]
) -> None:
    sent = await house.queued()
    boris = await house.office("boris")
    assert shown(await opened(boris)) == sent.id
    before = await house.count()
    for letter in (sent.id, "0" * 32, ""):
        answer = await post(office_client, "/en/review", {"letter": letter} | form)
        assert (answer.status, answer.screen.wrong) == (409, [NOT_YOURS])
        assert (answer.screen.forms[1:], answer.screen.fields.get("kept")) == ([], form.get("note"))
    assert await house.state(sent) == "queued"
    assert await house.count() == before
    assert shown(await opened(boris)) == sent.id


@both_engines
@pytest.mark.parametrize("late", [LEASE, HARD_END])
async def test_letter_that_is_free_is_taken_back_with_what_was_typed(
    house: House, office_client: Client, late: datetime.timedelta
) -> None:
    sent = await house.queued()
    other = await house.queued()
    await opened(office_client)
    house.clock.now += late + SECOND
    typed = {"panel": "changes", "reason": "too_long", "note": NOTE, "spoken": ""}
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "changes"} | typed)
    assert (answer.status, await house.state(sent)) == (409, "queued")
    assert f"What you had written {REVIEW_REASONS[ReviewReason.TOO_LONG]}" in answer.screen.text
    assert answer.screen.fields == typed | {"letter": sent.id, "kept": NOTE}
    # Meanwhile the next letter came on the screen; the one taken back goes before.
    assert shown(await opened(office_client)) in {sent.id, other.id}
    house.clock.now += SECOND
    back = (await post(office_client, "/en/review", answer.screen.fields | {"decision": "again"})).screen
    assert (shown(back), back.fields["reason"]) == (sent.id, "too_long")
    assert NOTE.replace("<", "&lt;").replace(">", "&gt;") in back.html
    done = await post(office_client, "/en/review", {"letter": sent.id, "decision": "changes"} | typed)
    assert (done.status, await house.state(sent)) == (303, "changes_requested")


async def test_letter_that_somebody_took_meanwhile_is_not_taken_back(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    house.clock.now += LEASE + SECOND
    lost = await post(office_client, "/en/review", {"letter": sent.id, "decision": "refuse", "note": NOTE})
    boris = await house.office("boris")
    assert shown(await opened(boris)) == sent.id
    answer = await post(office_client, "/en/review", lost.screen.fields | {"decision": "again"})
    assert (answer.status, answer.screen.fields["kept"]) == (409, NOTE)
    assert "Somebody else reads it now, or it has been decided." in answer.screen.text


@pytest.mark.parametrize("decision", ["refuse", "changes", "translate"])
async def test_words_typed_for_a_lost_letter_never_stand_under_another(
    house: House, office_client: Client, decision: str
) -> None:
    sent, other = await house.queued(), await house.queued()
    await opened(office_client)
    house.clock.now += LEASE + SECOND
    boris = await house.office("boris")
    assert shown(await opened(boris)) == sent.id
    form = {"letter": sent.id, "decision": decision, "panel": decision, "note": NOTE}  # and no reason
    answer = await post(office_client, "/en/review", form)
    assert (answer.status, answer.screen.fields["kept"], other.id in answer.screen.html) == (409, NOTE, False)


@both_engines
async def test_decision_counts_once(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    form = {"letter": sent.id, "decision": "approve"}
    answers = await asyncio.gather(*(post(office_client, "/en/review", form) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [303, 409, 409]
    events = await house.rows(tables.events, record_id=sent.id)
    assert [row.target for row in events] == ["unconfirmed", "queued", "approved"]
    assert events[-1].actor == f"volunteer:{house.volunteers['anna']}"


async def test_two_windows_show_one_letter_and_the_second_decision_is_refused(
    house: House, office_client: Client
) -> None:
    first, second = await house.queued(), await house.queued()
    assert [shown(await opened(office_client)) for _ in range(2)] == [first.id, first.id]
    await decided(office_client, "approve")
    late = {"letter": first.id, "decision": "refuse", "reason": "spam", "note": NOTE}
    answer = await post(office_client, "/en/review", late)
    assert (answer.status, answer.screen.fields["kept"]) == (409, NOTE)
    assert (await house.state(first), shown(await opened(office_client))) == ("approved", second.id)


async def test_letter_taken_back_by_its_sender_cannot_be_approved(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await opened(office_client)
    assert (await post(await house.desk(), f"{sent.inbox}/withdraw/{sent.id}")).status == 303
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "approve"})
    assert (answer.status, answer.screen.wrong, await house.state(sent)) == (409, [NOT_YOURS], "withdrawn")


async def test_letter_that_changed_in_another_window_is_read_again_before_it_is_decided(
    house: House, office_client: Client
) -> None:
    sent = await house.queued(text="one two three")
    old = (await opened(office_client)).fields
    path = f"/en/review/{sent.id}/cover"
    version = (await get(office_client, path)).screen.fields["version"]
    assert (await post(office_client, path, {"version": version, "w1": "on"})).status == 303
    answer = await post(office_client, "/en/review", old | {"decision": "skip", "note": "typed"})
    assert (answer.status, answer.screen.wrong, await house.state(sent)) == (
        409,
        ["The letter has changed since you opened it. Nothing was decided: please read it again."],
        "queued",
    )
    again = answer.screen.fields | {"decision": "approve", "panel": "part", "reason": "case_details"}
    assert (await post(office_client, "/en/review", again)).status == 303
    assert await house.state(sent) == "approved"


async def test_unconfirmed_letter_is_not_read(house: House, office_client: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    assert shown(await opened(office_client)) is None
    assert await claims.claim_again(house.review, sent.id, house.volunteers["anna"]) is None


# --- undo


@with_undo
async def test_decision_is_undone_and_the_letter_on_the_screen_again(house: House, office_client: Client) -> None:
    sent = [await house.queued() for _ in range(2)]
    await decided(office_client, "refuse", reason="spam")
    house.clock.advance(minutes=1)
    screen = await opened(office_client)
    assert shown(screen) == sent[1].id
    assert "Refused To John Sample takes effect in 9 minutes Undo" in screen.text
    undo = {"action": "undo", "decided": screen.fields["decided"]}
    answer = await post(office_client, "/en/review/evening", undo)
    assert (answer.status, answer.location, await house.state(sent[0])) == (303, "/en/review", "queued")
    screen = await opened(office_client)
    assert (shown(screen), "decided" in screen.fields) == (sent[0].id, False)
    # Pressed twice, in two windows: it is said, and nothing changes.
    again = await post(office_client, "/en/review/evening", undo)
    assert (again.status, again.screen.wrong, shown(again.screen)) == (409, [TOO_LATE], sent[0].id)
    await decided(office_client, "approve")
    assert shown(await opened(office_client)) == sent[1].id


@with_undo
async def test_decision_that_took_effect_is_not_undone(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await decided(office_client, "approve")
    undo = {"action": "undo", "decided": (await opened(office_client)).fields["decided"]}
    house.clock.advance(minutes=10)
    assert "Undo" not in (await opened(office_client)).text
    answer = await post(office_client, "/en/review/evening", undo)
    assert (answer.status, answer.screen.wrong, await house.state(sent)) == (409, [TOO_LATE], "approved")


@with_undo
async def test_decision_of_somebody_else_is_not_undone(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await decided(office_client, "approve")
    decision = (await house.row(tables.decisions)).id
    boris = await house.office("boris")
    assert "decided" not in (await opened(boris)).fields
    answer = await post(boris, "/en/review/evening", {"action": "undo", "decided": decision})
    assert (answer.status, await house.state(sent)) == (409, "approved")


@with_undo
async def test_decisions_are_released_one_by_one_or_all(house: House, office_client: Client) -> None:
    for _ in range(3):
        await house.queued()
    for _ in range(3):
        await decided(office_client, "approve")
        house.clock.advance(seconds=1)
    screen = await opened(office_client)
    assert "You can still undo 2 more" in screen.text
    for action in ("release", "release_all"):
        answer = await post(
            office_client, "/en/review/evening", {"action": action, "decided": screen.fields["decided"]}
        )
        assert answer.location == "/en/review"
        screen = await opened(office_client)
        settled = [row.settles_at <= house.clock() for row in await house.rows(tables.letters)]
        assert settled.count(True) == {"release": 1, "release_all": 3}[action]
    assert "Undo" not in screen.text


# --- covered words

SECRET = "Жёлтыйфонарь"
OTHER = "Schlüsselwort"


async def covering(client: Client, letter: str, *words: int) -> None:
    """Cover these words of a letter."""
    path = f"/en/review/{letter}/cover"
    version = (await get(client, path)).screen.fields["version"]
    answer = await post(client, path, {"version": version} | {f"w{word}": "on" for word in words})
    assert (answer.status, answer.location) == (303, "/en/review")


async def test_covered_words_are_nowhere_in_what_is_printed(house: House, office_client: Client) -> None:
    text = f"Dear friend,\n\nthe {SECRET} shines,\nand {OTHER}. Yours"
    sent = await house.queued(text=text, address=ADDRESS)
    screen = await opened(office_client)
    before = (await get(office_client, screen.images[0])).body
    cover = (await get(office_client, f"/en/review/{sent.id}/cover")).screen
    assert " ".join(text.split()) in cover.text
    assert [name for name in cover.fields if name.startswith("w")] == [f"w{number}" for number in range(8)]
    await covering(office_client, sent.id, 3, 6)
    screen = await opened(office_client)
    assert f"the {COVER} shines, and {COVER} Yours" in screen.text
    assert [word in screen.html for word in (SECRET, OTHER)] == [False, False]
    assert (await get(office_client, screen.images[0])).body != before
    # Nothing is left out unsaid: it needs a reason.
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "approve"})
    assert (answer.status, answer.screen.wrong) == (422, [NO_REASON])
    await decided(office_client, "approve", panel="part", reason="other_people")

    batch = await house.rendered()
    printed = (await get(office_client, f"/en/print/{batch}.pdf")).body
    with pypdfium2.PdfDocument(printed) as document:
        words = " ".join(page.get_textpage().get_text_range() for page in document)
    assert ("shines" in words, "the" in words) == (True, True)
    with pikepdf.open(io.BytesIO(printed)) as pdf:
        streams = [
            one.read_bytes() if isinstance(one, pikepdf.Stream) else one.unparse(resolved=True) for one in pdf.objects
        ]
    for secret in (SECRET, OTHER):
        assert secret not in words
        for encoding in ("utf-8", "utf-16-be", "utf-16-le", "cp1251" if secret == SECRET else "latin-1"):
            found = [stream for stream in streams if secret.encode(encoding) in stream]
            assert found == [], encoding
    async with house.store.database.reading() as connection:
        assert (await read_body(connection, sent.id, house.office_key)).text == text


async def test_covered_words_are_shown_again(house: House, office_client: Client) -> None:
    sent = await house.queued(text="one two three")
    await opened(office_client)
    await covering(office_client, sent.id, 1)
    cover = (await get(office_client, f"/en/review/{sent.id}/cover")).screen
    assert re.findall(r'name="(w\d)" checked', cover.html) == ["w1"]
    await covering(office_client, sent.id)
    assert "one two three" in (await opened(office_client)).text
    await decided(office_client, "approve")
    assert (await house.row(tables.decisions)).decision == "approve"


async def test_finding_on_covered_words_is_settled(house: House, office_client: Client) -> None:
    sent = await house.queued(text="Call +44 20 7946 0000 today")
    assert "What the rules found Nothing." not in (await opened(office_client)).text
    await covering(office_client, sent.id, 1, 2, 3, 4)
    screen = await opened(office_client)
    assert ("What the rules found Nothing." in screen.text, "mark" in screen.tags) == (True, False)


async def test_cover_screen_is_only_for_who_holds_the_letter(house: House, office_client: Client) -> None:
    sent = await house.queued()
    for letter in (sent.id, "0" * 32):
        answer = await get(office_client, f"/en/review/{letter}/cover")
        assert (answer.status, answer.location) == (303, "/en/review")


async def test_chosen_words_come_back_with_the_letter(house: House, office_client: Client) -> None:
    sent = await house.queued(text="one two three")
    await opened(office_client)
    path = f"/en/review/{sent.id}/cover"
    version = (await get(office_client, path)).screen.fields["version"]
    house.clock.now += LEASE + SECOND
    lost = await post(office_client, path, {"version": version, "w0": "on", "w2": "on"})
    assert (lost.status, lost.screen.wrong) == (409, [NOT_YOURS])
    assert lost.screen.forms[1:] == [path]
    back = await post(office_client, path, lost.screen.fields | {"decision": "again"})
    assert (back.status, re.findall(r'name="(w\d)" checked', back.screen.html)) == (200, ["w0", "w2"])
    saved = await post(office_client, path, {"version": back.screen.fields["version"], "w0": "on", "w2": "on"})
    assert saved.status == 303
    assert f"{COVER} two {COVER}" in (await opened(office_client)).text


async def test_words_of_another_text_are_not_covered(house: House, office_client: Client) -> None:
    sent = await house.queued(text="one two three")
    await opened(office_client)
    path = f"/en/review/{sent.id}/cover"
    answer = await post(office_client, path, {"version": "of yesterday", "w1": "on"})
    assert (answer.status, answer.screen.wrong) == (
        409,
        ["The letter has changed since you opened it. Please choose the words again."],
    )
    assert (await house.row(tables.letters, id=sent.id)).treatment is None


async def test_all_words_of_a_long_letter_are_covered(house: House, office_client: Client) -> None:
    words = 1500
    sent = await house.queued(text="a " * words)
    await opened(office_client)
    await covering(office_client, sent.id, *range(words))
    cover = (await get(office_client, f"/en/review/{sent.id}/cover")).screen
    assert len(re.findall(r'name="w\d+" checked', cover.html)) == words


@pytest.mark.parametrize("name", ["w3", "w999999", "w9999999", "w-1", "wx", "w", "W1", "w1.5"])
async def test_words_that_do_not_exist_are_not_covered(house: House, office_client: Client, name: str) -> None:
    sent = await house.queued(text="one two three")
    await opened(office_client)
    path = f"/en/review/{sent.id}/cover"
    version = (await get(office_client, path)).screen.fields["version"]
    assert (await post(office_client, path, {"version": version, name: "on"})).status == 303
    assert "one two three" in (await opened(office_client)).text


async def test_reasons_of_parts_name_the_photo_only_where_there_is_one(house: House, office_client: Client) -> None:
    sent = await house.queued(text="one two three")
    await opened(office_client)
    await covering(office_client, sent.id, 1)
    part = (await opened(office_client)).html.partition('id="part"')[2].partition("</form>")[0]
    assert re.findall(r'name="reason" value="(\w+)"', part) == [reason for reason in FOR_PARTS if reason != "photo"]
