"""The screens on which replies are looked over, covered and put right, and where ticks are seen to."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from relay.domain.directory import PrisonerState
from relay.domain.reply_code import Side, grouped
from relay.domain.scan_parts import page_untouched
from relay.domain.sheet import Tick
from relay.store import tables
from scanner import replies, reply_steps
from scanner.codes import Method, PageCodes
from scanner.covering import cover
from scanner.replies import CheckedPage
from tests.scanner.replies import LINES, front_only, held, page_of, reading
from tests.workplaces import RUSSIAN, Answer, Client, House, both_engines, get, picture, post, sure

DECIDED = "Somebody decided about this reply meanwhile. Nothing was changed."
CHANGED = "Somebody changed this reply meanwhile. Please look at it again."


def value(answer: Answer, name: str) -> str:
    """What a hidden field holds; the first of this name."""
    found = re.search(f'name="{name}" value="([^"]*)"', answer.screen.html)
    assert found is not None
    return found[1]


async def one(house: House, page: str) -> CheckedPage:
    async with house.store.database.reading() as connection:
        return (await replies.with_page(connection, page, house.office_key))[1]


async def release(client: Client, reply: str) -> Answer:
    """Look at a reply and release it."""
    shown = await get(client, f"/en/replies/{reply}")
    return await post(client, f"/en/replies/{reply}", {"do": "release", "version": value(shown, "version")})


# --- looking over


@both_engines
async def test_reply_is_looked_over_and_reaches_its_sender(house: House, office_client: Client) -> None:
    sent = await house.posted(sheets=2, name="Mary")
    reply = await held(house, await reading(house, sent, method=Method.READABLE))
    page = await page_of(house, reply)
    listed = (await get(office_client, "/en/replies")).screen
    assert f"/en/replies/{reply}" in listed.links
    assert "A code was not read in the surest way." in listed.text
    shown = (await get(office_client, f"/en/replies/{reply}")).screen
    assert shown.heading == "The reply of John Sample"
    for said in (
        "to “Mary”, letter of May 4, 2031",
        "Why you are asked: A code was not read in the surest way.",
        f"Code {grouped(await house.code(sent))} Found by printed symbols",
        "The sender is told so, unless you say that nothing is missing: Reply sheet 1, side B",
        "What a machine read Dear fiend (doubtful) … snow",
    ):
        assert said in shown.text
    assert shown.images == [f"/en/replies/page/{page}.jpg"]
    assert (await get(office_client, shown.images[0])).body == picture(1)
    assert (await get(office_client, f"/en/replies/page/{page}/scanned.jpg")).body == picture(101)
    answer = await release(office_client, reply)
    assert (answer.status, answer.location) == (303, "/en/replies")
    assert await house.assemble()
    row = await house.row(tables.replies, id=reply)
    assert row.state == "released"
    (event,) = await house.rows(tables.events, record="reply", record_id=reply, target="checked")
    assert event.actor == f"volunteer:{house.volunteers['anna']}"
    assert "Read the answer" in (await get(await house.desk(), sent.inbox)).screen.text


async def test_page_that_was_kept_cleaned_only_has_no_link_to_how_it_was_scanned(
    house: House, office_client: Client
) -> None:
    reply = await front_only(house, await house.posted())
    place = f"/en/replies/page/{await page_of(house, reply)}/scanned.jpg"
    assert place in (await get(office_client, f"/en/replies/{reply}")).screen.links
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.blobs).where(tables.blobs.c.part == page_untouched(1)))
    assert place not in (await get(office_client, f"/en/replies/{reply}")).screen.links


async def test_release_goes_on_to_the_next_that_waits(house: House, office_client: Client) -> None:
    first = await front_only(house, await house.posted())
    house.clock.advance(minutes=1)
    second = await front_only(house, await house.posted())
    answer = await release(office_client, first)
    assert answer.location == f"/en/replies/{second}?released=1"
    assert (
        "The reply before this one was released. Here is the next one."
        in (await get(office_client, answer.location)).screen.text
    )
    assert (await release(office_client, second)).location == "/en/replies"


async def test_sides_that_are_empty_are_not_told_as_missing(house: House, office_client: Client) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    assert await house.assemble()
    reply = await house.row(tables.replies)
    path = f"/en/replies/{reply.id}"
    version = (await get(office_client, path)).screen.fields["version"]
    assert (await post(office_client, path, {"do": "complete", "version": version})).status == 303
    assert await house.assemble()
    assert "missing" not in (await get(await house.desk(), f"{sent.inbox}/reply/{reply.id}")).screen.text


async def test_second_release_is_refused_and_said(house: House, office_client: Client) -> None:
    reply = await front_only(house, await house.posted())
    shown = await get(await house.office("boris"), f"/en/replies/{reply}")
    assert (await release(office_client, reply)).status == 303
    form = {"do": "release", "version": value(shown, "version")}
    answer = await post(office_client, f"/en/replies/{reply}", form)
    assert (answer.status, answer.screen.wrong) == (409, [DECIDED])


async def test_reply_that_changed_since_it_was_seen_is_not_released(house: House, office_client: Client) -> None:
    reply = await front_only(house, await house.posted())
    version = value(await get(office_client, f"/en/replies/{reply}"), "version")
    page = await page_of(house, reply)
    boris = house.volunteers["boris"]
    await reply_steps.cover(house.store, house.office_key, page, [(0.1, 0.1, 0.2, 0.2)], boris)
    answer = await post(office_client, f"/en/replies/{reply}", {"do": "release", "version": version})
    assert (answer.status, answer.screen.wrong) == (409, [CHANGED])
    assert (await house.row(tables.replies)).state == "held"


async def test_page_that_does_not_belong_is_taken_out(house: House, office_client: Client) -> None:
    sent = await house.posted()
    pages = [await reading(house, sent, side=side, method=Method.READABLE) for side in Side]
    reply = await held(house, *pages)
    ids = [row.id for row in sorted(await house.rows(tables.pages), key=lambda row: row.number)]
    answer = await post(office_client, f"/en/replies/{reply}", {"out": ids[1]})
    assert answer.location == f"/en/replies/{reply}"
    row = await house.row(tables.pages, id=ids[1])
    assert (row.state, row.doubt, row.reply_id) == ("held", "taken_out", None)
    # With its last page the reply is gone, and there is no other that waits.
    assert (await post(office_client, f"/en/replies/{reply}", {"out": ids[0]})).location == "/en/replies"
    assert (await house.row(tables.replies)).state == "void"


async def test_page_of_another_reply_cannot_be_taken_out(house: House, office_client: Client) -> None:
    mine, other = await front_only(house, await house.posted()), await front_only(house, await house.posted(RUSSIAN))
    page = await page_of(house, other)
    assert (await post(office_client, f"/en/replies/{mine}", {"out": page})).status == 404
    assert (await house.row(tables.pages, id=page)).state == "placed"


@pytest.mark.parametrize(("said", "state"), [("yes", (True, True)), ("no", (False, True))])
async def test_unclear_tick_is_decided_beside_its_picture(
    house: House, office_client: Client, said: str, state: tuple[bool, bool]
) -> None:
    sent = await house.posted()
    reply = await held(house, await reading(house, sent, ticks={Tick.WRITE_AGAIN: None}))
    page = await page_of(house, reply)
    shown = (await get(office_client, f"/en/replies/{reply}")).screen
    assert "Is this box ticked? Please write again" in shown.text
    assert f'<image href="/en/replies/page/{page}.jpg"' in shown.html
    form = {"page": page, "tick": "write_again", "ticked": said}
    assert (await post(office_client, f"/en/replies/{reply}", form)).status == 303
    row = await house.row(tables.ticks)
    assert (row.clear, row.settled_at is not None) == state
    assert (await post(office_client, f"/en/replies/{reply}", form)).status == 409


@pytest.mark.parametrize("form", [{}, {"do": "x"}, {"out": "0" * 32}, {"page": "x", "tick": "x"}], ids=str)
async def test_decision_that_is_none(house: House, office_client: Client, form: dict[str, str]) -> None:
    reply = await front_only(house, await house.posted())
    assert (await post(office_client, f"/en/replies/{reply}", form)).status == 404


@pytest.mark.parametrize("which", ["0" * 32, "x", "%00"])
async def test_reply_and_page_that_are_not_there(house: House, office_client: Client, which: str) -> None:
    assert (await get(office_client, f"/en/replies/{which}")).status in {303, 404}
    for place in (".jpg", "/scanned.jpg", "/cover", "/transcript"):
        assert (await get(office_client, f"/en/replies/page/{which}{place}")).status == 404


async def test_page_that_waits_is_in_no_reply(house: House, office_client: Client) -> None:
    await house.split(PageCodes())
    page = (await house.row(tables.pages)).id
    assert (await get(office_client, f"/en/replies/page/{page}.jpg")).status == 404


# --- covering


@pytest.fixture
async def page(house: House) -> str:
    """The page of a reply that waits for a look."""
    return await page_of(house, await front_only(house, await house.posted()))


async def test_place_is_covered_by_two_presses_without_a_script(house: House, office_client: Client, page: str) -> None:
    place = f"/en/replies/page/{page}/cover"
    assert (await get(office_client, place)).status == 200
    first = await post(office_client, place, {"c320.x": "160", "c320.y": "222"})
    assert "Now press on the opposite corner." in first.screen.text
    assert (await one(house, page)).page.covered == ()
    # The picture is 101 pixels wide and 140 high, so 320 wide and 444 high on the screen.
    form = {"first": value(first, "first"), "c640.x": "64", "c640.y": "88"}
    assert (await post(office_client, place, form)).location == place
    (box,) = (await one(house, page)).page.covered
    assert box == pytest.approx((0.1, 88 / (640 * 1.4 / 1.01), 0.5, 222 / (320 * 1.4 / 1.01)), abs=0.001)
    shown = await get(office_client, f"/en/replies/page/{page}.jpg")
    assert shown.body == cover(picture(1), [box])


async def test_place_is_uncovered_by_itself(house: House, office_client: Client, page: str) -> None:
    place = f"/en/replies/page/{page}/cover"
    for left in ("10", "50"):
        form = {"left": left, "top": "10", "right": "60,5", "lower": "20"}
        assert (await post(office_client, place, form)).status == 303
    assert [box[0] for box in (await one(house, page)).page.covered] == [0.1, 0.5]
    form = {"remove": "10.000 10.000 60.500 20.000"}
    for _ in range(2):  # pressing twice takes no other one away
        assert (await post(office_client, place, form)).status == 303
    assert (await one(house, page)).page.covered == ((0.5, 0.1, 0.605, 0.2),)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"left": "10", "top": "10", "right": "20"},
        {"left": "10", "top": "10", "right": "10.1", "lower": "20"},
        {"left": "10", "top": "10", "right": "101", "lower": "20"},
        {"left": "nan", "top": "10", "right": "20", "lower": "20"},
        {"left": "-5", "top": "10", "right": "20", "lower": "20"},
        {"left": "10", "top": "10", "right": "1e1", "lower": "20"},
        {"c320.x": "x", "c320.y": "5"},
        {"first": "x", "left": "٣", "top": "10", "right": "20", "lower": "20"},
    ],
    ids=str,
)
async def test_place_that_is_none_covers_nothing(
    house: House, office_client: Client, page: str, form: dict[str, str]
) -> None:
    answer = await post(office_client, f"/en/replies/page/{page}/cover", form)
    assert (answer.status, answer.screen.wrong) == (422, ["This is no place on the page. Please mark it once more."])
    assert (await one(house, page)).page.covered == ()


async def test_press_beyond_the_picture_counts_as_its_edge(house: House, office_client: Client, page: str) -> None:
    form = {"first": "50 50", "c320.x": "9999", "c320.y": "9999"}
    assert (await post(office_client, f"/en/replies/page/{page}/cover", form)).status == 303
    assert (await one(house, page)).page.covered == ((0.5, 0.5, 1.0, 1.0),)


async def test_nothing_is_covered_once_the_reply_is_released(house: House, office_client: Client) -> None:
    page = await page_of(house, await house.replied(await house.posted()))
    form = {"left": "10", "top": "10", "right": "60", "lower": "20"}
    answer = await post(office_client, f"/en/replies/page/{page}/cover", form)
    assert (answer.status, answer.screen.wrong) == (409, [DECIDED])


async def test_what_is_covered_reaches_no_sender(house: House, office_client: Client) -> None:
    sent = await house.posted()
    reply = await front_only(house, sent)
    page = await page_of(house, reply)
    form = {"left": "29", "top": "29", "right": "39", "lower": "34"}
    assert (await post(office_client, f"/en/replies/page/{page}/cover", form)).status == 303
    assert (await release(office_client, reply)).status == 303
    assert await house.assemble()
    desk, place = await house.desk(), f"{sent.inbox}/reply/{reply}"
    assert "fiend" not in (await get(desk, place)).screen.text
    assert (await get(desk, f"{place}/1-scanned.jpg")).status == 404
    assert (await get(desk, f"{place}/1.jpg")).body == cover(picture(1), [(0.29, 0.29, 0.39, 0.34)])


# --- transcripts


def texts(found: CheckedPage) -> list[list[str]]:
    return [[f"{word.text}?" if word.doubtful else word.text for word in line] for line in found.page.reading.lines]


@both_engines
async def test_transcript_is_put_right_word_by_word(house: House, office_client: Client, page: str) -> None:
    place = f"/en/replies/page/{page}/transcript"
    shown = await get(office_client, place)
    fields = {name: text for name, text in shown.screen.fields.items() if name.startswith("w.")}
    assert fields == {"w.0.0.0.0": "Dear", "w.0.1.0.1": "fiend", "w.1.0.1.0": "…", "w.1.1.1.1": "snow"}
    form = {
        "version": value(shown, "version"),
        "w.0.0.0.0": "Dear",
        "w.0.1.0.1": "friend,",
        "w.1.0.1.0": "first white",
        "w.1.1.1.1": "",
        "w.2.0": " Yours  Пётр ",
    }
    answer = await post(office_client, place, form)
    reply = await house.row(tables.replies)
    assert (answer.status, answer.location) == (303, f"/en/replies/{reply.id}#page-{page}")
    found = await one(house, page)
    assert found.page.reading.by_person
    assert texts(found) == [["Dear", "friend,"], ["first", "white"], ["Yours", "Пётр"]]
    boxes = [
        [word.box and tuple(round(share, 6) for share in word.box) for word in line]
        for line in found.page.reading.lines
    ]
    assert boxes == [[word.box for word in LINES[0]], [(0.1, 0.4, 0.15, 0.43), (0.15, 0.4, 0.2, 0.43)], [None, None]]
    text = (await get(office_client, place)).screen.text
    assert "fiend? … snow friend, first white Yours Пётр" in text
    assert "What a volunteer read" in (await get(office_client, f"/en/replies/{reply.id}")).screen.text


@pytest.mark.parametrize(
    ("more", "word"), [({}, "fiend?"), ({"s.0.1.0.1": "1"}, "fiend"), ({"all": "1"}, "fiend")], ids=str
)
async def test_word_left_as_it_was_stays_doubtful_unless_confirmed(
    house: House, office_client: Client, page: str, more: dict[str, str], word: str
) -> None:
    place = f"/en/replies/page/{page}/transcript"
    shown = await get(office_client, place)
    assert (await post(office_client, place, shown.screen.fields | more)).status == 303
    assert texts(await one(house, page)) == [["Dear", word], ["…", "snow"]]


async def test_line_is_added_without_losing_what_was_typed(house: House, office_client: Client, page: str) -> None:
    place = f"/en/replies/page/{page}/transcript"
    fields = (await get(office_client, place)).screen.fields
    answer = await post(office_client, place, fields | {"w.0.1.0.1": "friend", "add": "1"})
    again = {name: text for name, text in answer.screen.fields.items() if name.startswith("w.")}
    assert again == {
        "w.0.0.0.0": "Dear",
        "w.0.1.0.1": "friend",
        "w.1.0": "",
        "w.2.0.1.0": "…",
        "w.2.1.1.1": "snow",
    }
    form = answer.screen.fields | {"w.1.0": "the first"}
    assert (await post(office_client, place, form)).status == 303
    assert texts(await one(house, page)) == [["Dear", "friend"], ["the", "first"], ["…", "snow"]]


async def test_page_that_no_machine_could_read_is_written_down(house: House, office_client: Client) -> None:
    page = await page_of(house, await held(house, await reading(house, await house.posted(), lines=())))
    place = f"/en/replies/page/{page}/transcript"
    shown = await get(office_client, place)
    assert shown.screen.fields["w.0.0"] == ""
    assert (await post(office_client, place, shown.screen.fields | {"w.0.0": "Dear Mary"})).status == 303
    assert texts(await one(house, page)) == [["Dear", "Mary"]]


async def test_correction_of_what_somebody_else_changed_is_kept_and_not_stored(
    house: House, office_client: Client, page: str
) -> None:
    place = f"/en/replies/page/{page}/transcript"
    mine = (await get(office_client, place)).screen.fields
    lines = LINES[:1]
    await reply_steps.correct(house.store, house.office_key, page, lines, house.volunteers["boris"])
    answer = await post(office_client, place, mine | {"w.1.1.1.1": "snowfall"})
    assert answer.status == 409
    assert answer.screen.wrong == ["Somebody else changed this transcript meanwhile. What you typed is kept below."]
    assert "Dear fiend … snowfall" in answer.screen.text
    assert (await one(house, page)).page.reading.lines == lines


async def test_way_back_brings_what_stood_there_before(house: House, office_client: Client, page: str) -> None:
    place = f"/en/replies/page/{page}/transcript"
    fields = (await get(office_client, place)).screen.fields
    await post(office_client, place, fields | {"w.0.1.0.1": "friend"})
    assert (await post(office_client, place, {"back": await past(house)})).status == 303
    assert (await one(house, page)).page.reading.lines == LINES
    assert (await post(office_client, place, {"back": "0" * 32})).status == 404


async def past(house: House) -> str:
    """The id of the only correction."""
    return str((await house.row(tables.corrections)).id)


async def test_what_is_covered_is_not_shown_to_be_put_right(house: House, office_client: Client, page: str) -> None:
    boxes = [(0.29, 0.29, 0.4, 0.34)]
    await reply_steps.cover(house.store, house.office_key, page, boxes, house.volunteers["anna"])
    place = f"/en/replies/page/{page}/transcript"
    shown = (await get(office_client, place)).screen
    assert "fiend" not in shown.html
    assert (await post(office_client, place, shown.fields)).status == 303
    assert texts(await one(house, page))[0] == ["Dear", "██████"]


@pytest.mark.parametrize("name", ["w.7.0.99.99", "w.9999.9999", "w.x", "w.0.0.0", "w.00000.0"])
async def test_fields_that_no_form_has_do_no_harm(house: House, office_client: Client, page: str, name: str) -> None:
    place = f"/en/replies/page/{page}/transcript"
    fields = (await get(office_client, place)).screen.fields
    assert (await post(office_client, place, fields | {name: ""})).status == 303
    assert texts(await one(house, page)) == [["Dear", "fiend?"], ["…", "snow"]]


async def test_sender_gets_the_words_that_were_put_right_after_the_release(house: House, office_client: Client) -> None:
    sent = await house.posted()
    reply = await house.replied(sent, "Hello", "fiend")
    place = f"/en/replies/page/{await page_of(house, reply)}/transcript"
    fields = (await get(office_client, place)).screen.fields
    assert (await post(office_client, place, fields | {"w.0.1.0.1": "friend"})).status == 303
    assert await house.assemble()
    text = (await get(await house.desk(), f"{sent.inbox}/reply/{reply}")).screen.text
    assert "What a volunteer read, page 1" in text
    assert "Hello friend" in text


# --- ticks


async def ticked(house: House, **ticks: bool | None) -> str:
    """The page of a reply on which this is ticked."""
    sent = await house.posted()
    found = {Tick(name): is_ticked for name, is_ticked in ticks.items()}
    return await page_of(house, await held(house, await reading(house, sent, ticks=found)))


def answer_to(page: str, tick: Tick, do: str) -> dict[str, str]:
    return {"page": page, "tick": tick, "do": do}


async def test_letter_whose_pages_are_missing_is_printed_again(house: House, office_client: Client) -> None:
    page = await ticked(house, pages_missing=True)
    shown = (await get(office_client, "/en/ticks")).screen
    assert "Pages of the letter are missing" in shown.text
    form = answer_to(page, Tick.PAGES_MISSING, "reprint")
    assert (await post(office_client, "/en/ticks", form)).location == "/en/ticks"
    assert len(await house.rows(tables.reprints)) == 1
    assert "Nothing waits." in (await get(office_client, "/en/ticks")).screen.text
    answer = await post(office_client, "/en/ticks", form)
    assert answer.status == 409
    assert answer.screen.wrong == ["Somebody has dealt with this meanwhile. Nothing was changed."]
    assert len(await house.rows(tables.reprints)) == 1


@pytest.mark.parametrize(("do", "state"), [("write_again", PrisonerState.ACTIVE), ("done", PrisonerState.DO_NOT_WRITE)])
@both_engines
async def test_letters_stop_until_a_person_decides(
    house: House, office_client: Client, do: str, state: PrisonerState
) -> None:
    page = await ticked(house, please_stop=True)
    prisoners = sa.select(tables.prisoners.c.state).where(tables.prisoners.c.slug == "john-sample")
    async with house.store.database.reading() as connection:
        assert await connection.scalar(prisoners) == PrisonerState.DO_NOT_WRITE
    assert (await post(office_client, "/en/ticks", answer_to(page, Tick.PLEASE_STOP, do))).status == 303
    async with house.store.database.reading() as connection:
        assert await connection.scalar(prisoners) == state


async def test_address_of_who_is_moved_is_one_press_away(house: House, office_client: Client) -> None:
    page = await ticked(house, being_moved=True)
    shown = (await get(office_client, "/en/ticks")).screen
    (link,) = [link for link in shown.links if "slug=" in link]
    assert (await get(office_client, link)).screen.fields["name"] == "John Sample"
    assert (await post(office_client, "/en/ticks", answer_to(page, Tick.BEING_MOVED, "done"))).status == 303
    assert (await house.row(tables.ticks)).settled_at is not None


async def test_unclear_tick_asks_for_more_once_it_is_clear(house: House, office_client: Client) -> None:
    page = await ticked(house, need_paper=None)
    shown = (await get(office_client, "/en/ticks")).screen
    assert "Is this box ticked?" in shown.text
    assert (await post(office_client, "/en/ticks", answer_to(page, Tick.NEED_PAPER, "ticked"))).status == 303
    assert "Talk to whoever sends parcels." in (await get(office_client, "/en/ticks")).screen.text
    assert (await post(office_client, "/en/ticks", answer_to(page, Tick.NEED_PAPER, "done"))).status == 303
    assert "Nothing waits." in (await get(office_client, "/en/ticks")).screen.text


@pytest.mark.parametrize("do", ["done", "reprint", "write_again"])
async def test_unclear_tick_is_not_settled_as_if_it_were_clear(house: House, office_client: Client, do: str) -> None:
    page = await ticked(house, please_stop=None)
    assert (await post(office_client, "/en/ticks", answer_to(page, Tick.PLEASE_STOP, do))).status == 409
    assert (await house.row(tables.ticks)).settled_at is None


@pytest.mark.parametrize("form", [{}, {"do": "burn"}], ids=str)
async def test_answer_to_a_tick_that_is_none(office_client: Client, form: dict[str, str]) -> None:
    assert (await post(office_client, "/en/ticks", form)).status == 404
