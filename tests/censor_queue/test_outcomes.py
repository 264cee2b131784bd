"""What became of letters: outcomes counted against the rules, the figures of the review, blocked senders."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter

import pytest
import sqlalchemy as sa
import structlog

from censor_queue import decisions, outcomes
from censor_queue.jobs import AT_ONCE, PASSED_AFTER, count_passed
from censor_queue.outcomes import Fate, NoSuchLetterError, NotPossibleError, Verdict, possible, verdicts
from censor_queue.review import Review
from print import steps as print_steps
from relay.domain.directory import Entry
from relay.domain.letters import Treatment
from relay.domain.lives import BatchState, LetterState
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.domain.reply_code import ALPHABET, grouped
from relay.domain.review import Outcome
from relay.store import tables
from relay.store.letters import letter_context
from relay.store.sealed import shred
from tests.censor_queue.letters import review_of, take, with_photos
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, Client, House, Sent, both_engines, get, post

HIT, MISS, FALSE_ALARM, SILENT = Verdict
PASSED, BLACKED_OUT, PHOTO_REFUSED, REFUSED = Outcome
RULES = ("snow", "friend", "politics", "weapons")
"""The first two find something in every letter of these tests."""


@pytest.fixture
def review(house: House) -> Review:
    return review_of(house, *RULES, undo=datetime.timedelta())


async def posted(house: House, review: Review, person: Entry = ENGLISH, *, photos: int = 0, **options: str) -> Sent:
    """A letter that was approved and is on its way."""
    sent = await with_photos(house, person, photos=photos, **options)
    anna = house.volunteers["anna"]
    assert (await take(review, anna)).id == sent.id
    await decisions.approve(review, sent.id, anna)
    batch = await house.batch(person)
    await house.on_paper(batch)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, anna)
    return sent


async def counted(house: House) -> dict[str, dict[str, int]]:
    """The counts of all rules that are not 0, by verdict."""
    found: dict[str, dict[str, int]] = {}
    for row in await house.rows(tables.rule_counts):
        if row._mapping["count"]:
            found.setdefault(row.verdict, {})[row.rule] = row._mapping["count"]
    return found


# --- one letter, pure


@pytest.mark.parametrize(
    ("outcome", "named", "expected"),
    [
        (PASSED, (), {"a": FALSE_ALARM, "b": FALSE_ALARM, "c": SILENT, "d": SILENT}),
        (PASSED, ("c",), {"a": FALSE_ALARM, "b": FALSE_ALARM, "c": SILENT, "d": SILENT}),
        (REFUSED, (), {"a": HIT, "b": HIT, "c": SILENT, "d": SILENT}),
        (BLACKED_OUT, ("a",), {"a": HIT, "b": FALSE_ALARM, "c": SILENT, "d": SILENT}),
        (PHOTO_REFUSED, ("c",), {"a": FALSE_ALARM, "b": FALSE_ALARM, "c": MISS, "d": SILENT}),
        (REFUSED, ("a", "d", "new"), {"a": HIT, "b": FALSE_ALARM, "c": SILENT, "d": MISS, "new": MISS}),
    ],
)
def test_verdicts_of_each_kind_of_outcome(
    outcome: Outcome, named: tuple[str, ...], expected: dict[str, Verdict]
) -> None:
    assert verdicts(Treatment(fired=("a", "b"), silent=("c", "d"), named=named), outcome) == expected


def test_outcomes_fit_to_where_a_letter_is() -> None:
    found = {state: possible(state, photos=True) for state in LetterState}
    assert {state: those for state, those in found.items() if those} == {
        LetterState.POSTED: (PASSED, BLACKED_OUT, PHOTO_REFUSED, REFUSED),
        LetterState.DELIVERED: (PASSED, BLACKED_OUT, PHOTO_REFUSED),
        LetterState.RETURNED: (REFUSED,),
    }
    assert possible(LetterState.POSTED, photos=False) == (PASSED, BLACKED_OUT, REFUSED)


# --- recording


@both_engines
async def test_outcome_is_counted_against_the_rules(house: House, review: Review, anna: str) -> None:
    first, second = await posted(house, review), await posted(house, review)
    await outcomes.record_outcome(review, first.id, anna, BLACKED_OUT, ["snow", "weapons"])
    await outcomes.record_outcome(review, second.id, anna, PASSED)
    assert await counted(house) == {
        HIT: {"snow": 1},
        MISS: {"weapons": 1},
        FALSE_ALARM: {"snow": 1, "friend": 2},
        SILENT: {"politics": 2, "weapons": 1},
    }
    assert (await house.row(tables.letters, id=first.id)).outcome == "blacked_out"
    facility = await house.row(tables.facilities, slug=ENGLISH.facility.slug)
    assert {row.facility_id for row in await house.rows(tables.rule_counts)} == {facility.id}


@both_engines
async def test_changed_outcome_takes_the_old_counts_back(house: House, review: Review, anna: str) -> None:
    sent = await posted(house, review)
    await outcomes.record_outcome(review, sent.id, anna, BLACKED_OUT, ["weapons"])
    before = await counted(house)
    for _ in range(2):
        await outcomes.record_outcome(review, sent.id, anna, BLACKED_OUT, ["weapons", "weapons"])
        assert await counted(house) == before
    await outcomes.record_outcome(review, sent.id, anna, BLACKED_OUT)
    assert await counted(house) == {HIT: {"snow": 1, "friend": 1}, SILENT: {"politics": 1, "weapons": 1}}
    await outcomes.record_outcome(review, sent.id, anna, PASSED)
    assert await counted(house) == {FALSE_ALARM: {"snow": 1, "friend": 1}, SILENT: {"politics": 1, "weapons": 1}}


@both_engines
async def test_many_outcomes_at_once_are_all_counted(house: House, review: Review, anna: str) -> None:
    sent = [await posted(house, review) for _ in range(4)]
    named = [["snow", "weapons"], ["weapons", "snow"], [], ["friend"]]
    await asyncio.gather(
        *(
            outcomes.record_outcome(review, letter.id, anna, outcome, those)
            for letter, those in zip(sent, named, strict=True)
            for outcome in (PASSED, BLACKED_OUT)
        )
    )
    found = await counted(house)
    assert sum(count for by_rule in found.values() for count in by_rule.values()) == 4 * len(RULES)
    for row in await house.rows(tables.letters):
        await outcomes.record_outcome(review, row.id, anna, PASSED)
    assert await counted(house) == {FALSE_ALARM: {"snow": 4, "friend": 4}, SILENT: {"politics": 4, "weapons": 4}}


async def test_count_never_falls_below_zero(house: House, review: Review, anna: str) -> None:
    sent = await posted(house, review)
    await outcomes.record_outcome(review, sent.id, anna, PASSED)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.rule_counts).values(count=0))
    await outcomes.record_outcome(review, sent.id, anna, BLACKED_OUT)
    assert {row._mapping["count"] for row in await house.rows(tables.rule_counts)} == {0, 1}


@both_engines
async def test_letter_that_came_back_is_returned_and_its_sender_told_once(
    house: House, review: Review, anna: str
) -> None:
    sent = await posted(house, review, address=ADDRESS)
    for named in ([], ["politics"]):
        await outcomes.record_outcome(review, sent.id, anna, REFUSED, named)
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.reason, row.outcome) == ("returned", "facility", "refused")
    assert len(await house.rows(tables.outbox, kind="returned", letter_id=sent.id)) == 1
    assert await counted(house) == {
        MISS: {"politics": 1},
        FALSE_ALARM: {"snow": 1, "friend": 1},
        SILENT: {"weapons": 1},
    }
    with pytest.raises(NotPossibleError):
        await outcomes.record_outcome(review, sent.id, anna, PASSED)


async def test_answered_letter_cannot_have_been_refused(house: House, review: Review, anna: str) -> None:
    sent = await posted(house, review)
    await house.replied(sent)
    with pytest.raises(NotPossibleError):
        await outcomes.record_outcome(review, sent.id, anna, REFUSED)
    assert (await house.state(sent), await counted(house)) == ("delivered", {})


async def test_photo_can_be_refused_only_where_one_was_sent(house: House, review: Review, anna: str) -> None:
    with_one, without = await posted(house, review, photos=1), await posted(house, review)
    await outcomes.record_outcome(review, with_one.id, anna, PHOTO_REFUSED)
    with pytest.raises(NotPossibleError):
        await outcomes.record_outcome(review, without.id, anna, PHOTO_REFUSED)
    left_out = await with_photos(house, photos=1)
    await take(review, anna)
    await decisions.approve(review, left_out.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    batch = await house.batch()
    await house.on_paper(batch)
    async with house.store.database.reading() as connection:
        (found,) = await outcomes.sent_letters(connection, house.office_key, await house.code(left_out))
    assert found.possible == ()
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await print_steps.mark(house.store, batch, state, anna)
    with pytest.raises(NotPossibleError):
        await outcomes.record_outcome(review, left_out.id, anna, PHOTO_REFUSED)


async def test_letter_that_was_not_printed_has_no_outcome(house: House, review: Review, anna: str) -> None:
    sent = await house.approved()
    for letter in (sent.id, "0" * 32, ""):
        with pytest.raises(NoSuchLetterError):
            await outcomes.record_outcome(review, letter, anna, PASSED)


async def test_rules_that_came_later_are_not_counted_as_silent(house: House, review: Review, anna: str) -> None:
    sent = await posted(house, review)
    later = review_of(house, *RULES, "photo", undo=datetime.timedelta())
    await outcomes.record_outcome(later, sent.id, anna, PASSED)
    assert {row.rule for row in await house.rows(tables.rule_counts)} == set(RULES)


async def test_letter_that_does_not_open_keeps_its_outcome_without_counts(
    house: House, review: Review, anna: str
) -> None:
    sent = await posted(house, review)
    async with house.store.database.writing() as connection:
        await shred(connection, letter_context(sent.id))
    with structlog.testing.capture_logs() as logs:
        await outcomes.record_outcome(review, sent.id, anna, PASSED)
    assert {log["event"] for log in logs} == {"outcome_not_opened"}
    assert ((await house.row(tables.letters, id=sent.id)).outcome, await counted(house)) == ("passed", {})


# --- what nobody complains about


@both_engines
async def test_delivered_letter_counts_as_passed_after_a_while(house: House, review: Review, anna: str) -> None:
    delivered, told = await posted(house, review), await posted(house, review)
    for sent in (delivered, told):
        await house.replied(sent)
    waiting = await posted(house, review)
    await outcomes.record_outcome(review, told.id, anna, BLACKED_OUT)
    house.clock.now += PASSED_AFTER - datetime.timedelta(seconds=1)
    assert await count_passed(house.store, house.office_key) is False
    house.clock.advance(seconds=1)
    assert await count_passed(house.store, house.office_key) is True
    assert await count_passed(house.store, house.office_key) is False
    found = [(await house.row(tables.letters, id=sent.id)).outcome for sent in (delivered, told, waiting)]
    assert found == ["passed", "blacked_out", None]
    assert await counted(house) == {
        HIT: {"snow": 1, "friend": 1},
        FALSE_ALARM: {"snow": 1, "friend": 1},
        SILENT: {"politics": 2, "weapons": 2},
    }


@both_engines
async def test_two_workers_count_a_letter_once(house: House, review: Review) -> None:
    await house.replied(await posted(house, review))
    house.clock.now += PASSED_AFTER
    assert sorted(await asyncio.gather(*(count_passed(house.store, house.office_key) for _ in range(3)))) in (
        [False, False, True],
        [False, True, True],
    )
    assert await counted(house) == {FALSE_ALARM: {"snow": 1, "friend": 1}, SILENT: {"politics": 1, "weapons": 1}}


async def test_letter_that_does_not_open_holds_the_others_not_up(house: House, review: Review) -> None:
    broken, fine = await posted(house, review), await posted(house, review)
    for sent in (broken, fine):
        await house.replied(sent)
    async with house.store.database.writing() as connection:
        await shred(connection, letter_context(broken.id))
    house.clock.now += PASSED_AFTER
    with structlog.testing.capture_logs() as logs:
        assert await count_passed(house.store, house.office_key) is True
        assert await count_passed(house.store, house.office_key) is False
    assert [(log["event"], log["record"]) for log in logs] == [("outcome_not_opened", broken.id)]
    assert {row.outcome for row in await house.rows(tables.letters)} == {"passed"}
    assert (await counted(house))[FALSE_ALARM] == {"snow": 1, "friend": 1}


@both_engines
async def test_index_finds_the_letters_that_nobody_spoke_about(house: House, engine: str) -> None:
    query = sa.select(tables.letters.c.id).where(*outcomes._silent(house.clock())).limit(AT_ONCE)
    compiled = str(query.compile(dialect=house.store.database._writer.dialect, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN"
    async with house.store.database.writing() as connection:
        if engine != "sqlite":
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = [str(row) for row in await connection.exec_driver_sql(f"{explain} {compiled}")]
    assert [line for line in plan if "ix_letters_silent" in line] != []


# --- the figures


@both_engines
async def test_figures_by_facility_and_reason(house: House, review: Review, anna: str) -> None:
    await posted(house, review)
    returned = await posted(house, review)
    await outcomes.record_outcome(review, returned.id, anna, REFUSED)
    for reason in (ReviewReason.SPAM, ReviewReason.SPAM, ReviewReason.THREAT):
        letter = await house.queued(RUSSIAN)
        await take(review, anna)
        await decisions.refuse(review, letter.id, anna, reason)
    letter = await house.queued()
    await take(review, anna)
    await decisions.ask_for_changes(review, letter.id, anna, ReviewReason.TOO_LONG)
    partly = await with_photos(house, photos=1)
    await take(review, anna)
    await decisions.approve(review, partly.id, anna, without_photos=True, reason=ReviewReason.PHOTO)
    async with house.store.database.reading() as connection:
        found = await outcomes.facility_figures(connection, None)
    assert {figures.facility.slug: figures.fates for figures in found if figures.fates} == {
        ENGLISH.facility.slug: {
            Fate.PASSED: Counter({None: 2}),
            Fate.PARTLY: Counter({ReviewReason.PHOTO: 1}),
            Fate.CHANGES: Counter({ReviewReason.TOO_LONG: 1}),
            Fate.RETURNED: Counter({ReviewReason.FACILITY: 1}),
        },
        RUSSIAN.facility.slug: {Fate.REFUSED: Counter({ReviewReason.SPAM: 2, ReviewReason.THREAT: 1})},
    }
    house.clock.advance(days=31)
    async with house.store.database.reading() as connection:
        recent = await outcomes.facility_figures(connection, house.clock() - datetime.timedelta(days=30))
    assert [figures.fates for figures in recent if figures.fates] == []


async def test_decision_that_was_undone_is_in_no_figure(house: House, anna: str) -> None:
    review = review_of(house)
    letter = await house.queued()
    await take(review, anna)
    await decisions.refuse(review, letter.id, anna, ReviewReason.SPAM)
    decision = await house.row(tables.decisions, letter_id=letter.id)
    await decisions.undo(review, decision.id, anna)
    async with house.store.database.reading() as connection:
        assert [figures.fates for figures in await outcomes.facility_figures(connection, None) if figures.fates] == []


async def test_rules_in_the_order_of_the_profile_and_then_the_forgotten(
    house: House, review: Review, anna: str
) -> None:
    sent = await posted(house, review)
    await outcomes.record_outcome(review, sent.id, anna, BLACKED_OUT, ["friend", "old rule"])
    facility = await house.row(tables.facilities, slug=ENGLISH.facility.slug)
    async with house.store.database.reading() as connection:
        found = await outcomes.rule_figures(connection, facility.id, ["new", "snow", "friend"])
    assert [(one.rule, one.hits, one.misses, one.false_alarms, one.silent) for one in found] == [
        ("new", 0, 0, 0, 0),
        ("snow", 0, 0, 1, 0),
        ("friend", 1, 0, 0, 0),
        ("old rule", 0, 1, 0, 0),
        ("politics", 0, 0, 0, 1),
        ("weapons", 0, 0, 0, 1),
    ]


# --- the screens


async def test_figures_are_shown_for_the_chosen_time(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    await decisions.refuse(house.review, sent.id, house.volunteers["anna"], ReviewReason.SPAM)
    screen = (await get(office_client, "/en/figures")).screen
    assert f"Refused by us 1 1 {REVIEW_REASONS[ReviewReason.SPAM]}" in screen.text
    assert ENGLISH.facility.name in screen.text
    house.clock.advance(days=31)
    client = await house.office()
    assert "Nothing was decided in this time." in (await get(client, "/en/figures")).screen.text
    for period in ("year", "all"):
        text = (await get(client, f"/en/figures?period={period}")).screen.text
        assert "Refused by us 1" in text
        assert "Hits" not in text
    one = (await get(client, f"/en/figures?period=year&facility={ENGLISH.facility.slug}")).screen.text
    assert "How its rules did" in one
    for query in ("period=ever", "facility=nowhere"):
        assert (await get(client, f"/en/figures?{query}")).status == 404


async def test_rules_are_shown_with_their_titles_in_the_language_of_the_screen(
    house: House, office_client: Client
) -> None:
    sent = await house.posted()
    titles = house.review.screening.rule_titles(ENGLISH.facility, "de")
    rule = house.review.screening.rule_ids(ENGLISH.facility)[0]
    await outcomes.record_outcome(house.review, sent.id, house.volunteers["anna"], BLACKED_OUT, [rule])
    text = (await get(office_client, f"/de/figures?facility={ENGLISH.facility.slug}")).screen.text
    assert f"{titles[rule]} 0 1 0 0" in text or f"{titles[rule]} 1 0 0 0" in text


async def test_outcome_is_told_by_the_code_and_without_the_text(house: House, office_client: Client) -> None:
    sent = await house.posted(address=ADDRESS, text="A letter about quokkas")
    code = await house.code(sent)
    screen = (await get(office_client, f"/en/outcome?code={code}")).screen
    assert "To John Sample HMP Nowhere (an invented prison) written on May 4, 2031" in screen.text.replace(
        "\u202f", " "
    )
    assert "quokka" not in screen.html
    assert ADDRESS not in screen.html
    assert screen.fields["letter"] == sent.id
    rule = house.review.screening.rule_ids(ENGLISH.facility)[0]
    form = {"code": grouped(code), "letter": sent.id, "outcome": "refused", f"rule.{rule}": "on"}
    answer = await post(office_client, "/en/outcome", form)
    assert answer.status == 303
    again = (await get(office_client, answer.location)).screen
    assert "Recorded. Thank you: this makes the rules better." in again.text
    assert (again.fields["outcome"], f"rule.{rule}" in again.fields) == ("refused", True)
    assert await house.state(sent) == "returned"


@both_engines
async def test_names_that_no_rule_can_have_are_not_counted(house: House) -> None:
    client, sent = await house.office(), await house.posted()
    form = {"code": await house.code(sent), "letter": sent.id, "outcome": "blacked_out"}
    answer = await post(client, "/en/outcome", form | {"rule." + "x" * 65: "on", "rule.<b>": "on"})
    assert answer.status == 303
    assert {row.rule for row in await house.rows(tables.rule_counts)} <= set(
        house.review.screening.rule_ids(ENGLISH.facility)
    )


@pytest.mark.parametrize(("wrong", "status"), [(0, 200), (1, 200), (2, 200), (3, 422)])
async def test_code_is_repaired_like_those_of_scans(
    house: House, office_client: Client, wrong: int, status: int
) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    other = "".join(ALPHABET[(ALPHABET.index(symbol) + 1) % len(ALPHABET)] for symbol in code[:wrong]) + code[wrong:]
    answer = await get(office_client, f"/en/outcome?code={grouped(other).lower()}")
    assert answer.status == status
    assert (answer.screen.fields.get("letter") == sent.id) is (wrong <= 1)
    if wrong == 2:
        assert f"Two symbols do not fit. Did you mean this code? {grouped(code)}" in answer.screen.text
        assert f"/en/outcome?code={code}" in answer.screen.links


async def test_code_of_no_printed_letter(house: House, office_client: Client) -> None:
    sent = await house.approved()
    answer = await get(office_client, f"/en/outcome?code={await house.code(sent)}")
    assert (answer.status, answer.screen.wrong) == (404, ["No printed letter has this code."])
    answer = await get(office_client, "/en/outcome?code=nothing")
    assert answer.screen.wrong == ["This is no reply code. Please compare it with the sheet, symbol by symbol."]


async def test_outcome_that_cannot_be_is_refused_with_the_letter(house: House, office_client: Client) -> None:
    sent = await house.posted()
    form = {"code": await house.code(sent), "letter": sent.id}
    answer = await post(office_client, "/en/outcome", form)
    assert (answer.status, answer.screen.wrong) == (422, ["Please choose what the facility did."])
    assert answer.screen.fields["letter"] == sent.id
    await house.replied(sent)
    answer = await post(office_client, "/en/outcome", form | {"outcome": "refused"})
    complaint = "The letter has changed meanwhile, and this cannot have happened to it. Nothing was recorded."
    assert (answer.status, answer.screen.wrong) == (409, [complaint])


@both_engines
async def test_blocked_senders_are_listed_without_saying_who_they_are(house: House) -> None:
    client = await house.office("boris")
    assert "Nobody is blocked." in (await get(client, "/en/blocks")).screen.text
    sent = await house.queued(address=ADDRESS)
    anna = house.volunteers["anna"]
    await take(house.review, anna)
    await decisions.refuse(house.review, sent.id, anna, ReviewReason.THREAT, block=True)
    assert len(await house.rows(tables.blocks)) == 2
    screen = (await get(client, "/en/blocks")).screen
    assert screen.html.count("Lift") == 1
    text = screen.text.replace("\u202f", " ")
    assert f"May 4, 2031, 12:30 PM UTC anna {REVIEW_REASONS[ReviewReason.THREAT]}" in text
    assert [ADDRESS in screen.html, "John Sample" in screen.html] == [False, False]
    decision = await house.row(tables.decisions, letter_id=sent.id)
    assert (await post(client, "/en/blocks", {"decision": decision.id})).location == "/en/blocks"
    assert await house.rows(tables.blocks) == []
    assert (await post(client, "/en/blocks")).status == 303
