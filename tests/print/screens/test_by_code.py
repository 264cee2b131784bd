"""An envelope in the hand, found by its code."""

from __future__ import annotations

import asyncio

import pytest

from relay.domain.reply_code import MatrixCode, ReplyCode, Side, grouped
from relay.store import tables
from tests.workplaces import ENGLISH, RUSSIAN, Answer, Client, House, both_engines, get, post

PATH = "/en/print/code"


async def ask(client: Client, typed: str) -> Answer:
    return await get(client, PATH, params={"code": typed})


def focused(answer: Answer) -> str:
    """The name of the field in which one types at once."""
    (tag,) = (tag for tag in answer.screen.html.split("<") if "autofocus" in tag)
    return tag.partition('name="')[2].partition('"')[0]


async def prisoner(house: House) -> str:
    return str((await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state)


async def test_code_shows_whose_envelope_it_is(house: House, office_client: Client) -> None:
    code = await house.code(await house.posted())
    answer = await ask(office_client, code)
    said = " ".join(answer.screen.text.replace("·", "").split())
    expected = f"To John Sample {ENGLISH.facility.name} {grouped(code)} 1 letter on its way posted on May 4, 2031"
    assert (answer.status, expected in said, focused(answer)) == (200, True, "reason")


@pytest.mark.parametrize("how", ["{0}", " {1} ", "{2}", "{3}"])
async def test_code_is_read_however_it_is_typed_or_scanned(house: House, office_client: Client, how: str) -> None:
    code = await house.code(await house.posted())
    typed = how.format(code, grouped(code), code.lower(), MatrixCode(code, 3, Side.B))
    screen = (await ask(office_client, typed)).screen
    assert (f"To {ENGLISH.prisoner.name}" in screen.text, screen.fields["code"]) == (True, code)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("xyz", "This is not one of our codes. Compare it with the paper, symbol by symbol."),
        ('"><script>', "This is not one of our codes. Compare it with the paper, symbol by symbol."),
        ("2222 2222 2222", "No printed letter has this code."),
        ("2222 2222 2223", "A symbol of this code is wrong. Compare it with the paper, symbol by symbol."),
    ],
)
async def test_wrong_code_is_kept_and_explained(office_client: Client, typed: str, sentence: str) -> None:
    answer = await ask(office_client, typed)
    assert (answer.status, answer.screen.wrong, answer.screen.fields["code"]) == (404, [sentence], typed)
    assert focused(answer) == "code"


async def test_wrong_scan_leaves_the_field_empty_for_the_next_one(office_client: Client) -> None:
    answer = await ask(office_client, str(MatrixCode(ReplyCode("222222222222"), 1, Side.A)))
    assert (answer.status, answer.screen.fields["code"]) == (404, "")


async def test_code_of_a_letter_that_is_not_printed(house: House, office_client: Client) -> None:
    code = await house.code(await house.approved())
    answer = await ask(office_client, code)
    assert (answer.status, answer.screen.wrong) == (404, ["No printed letter has this code."])


async def test_letter_whose_batch_is_not_marked(house: House, office_client: Client) -> None:
    code = await house.code(await house.approved())
    batch = await house.rendered()
    screen = (await ask(office_client, code)).screen
    assert "This letter is not marked as printed." in screen.text
    assert f"/en/print/{batch}" in screen.links
    answer = await post(office_client, PATH, {"code": code, "reason": "moved"})
    assert (answer.status, await prisoner(house)) == (409, "active")


@both_engines
@pytest.mark.parametrize(
    ("reason", "letter", "state"),
    [
        ("moved", "held", "moved"),
        ("not_found", "held", "moved"),
        ("released", "returned", "released"),
        ("not_accepted", "returned", "active"),
    ],
)
async def test_return_is_recorded_and_the_next_code_can_be_typed(
    house: House, office_client: Client, reason: str, letter: str, state: str
) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    form = (await ask(office_client, code)).screen.fields
    answer = await post(office_client, PATH, form | {"reason": reason})
    assert (answer.status, answer.location) == (303, f"{PATH}?done={code}")
    assert (await house.state(sent), await prisoner(house)) == (letter, state)
    shown = await get(office_client, answer.location)
    assert (focused(shown), shown.screen.fields["code"]) == ("code", "")
    assert f"Recorded: John Sample, {grouped(code)}," in shown.screen.text
    address = f"/en/directory/prisoner?slug={ENGLISH.prisoner.slug}"
    assert (address in shown.screen.links) == (letter == "held")


async def test_return_recorded_twice_does_nothing_more(house: House, office_client: Client) -> None:
    sent = await house.posted(address="mary@sender.example")
    form = {"code": await house.code(sent), "reason": "moved"}
    answers = await asyncio.gather(*(post(office_client, PATH, form) for _ in range(3)))
    assert {answer.status for answer in answers} <= {303, 409}
    late = await post(office_client, PATH, form)
    sentence = "This was recorded already, or the letter is not on its way. Nothing was changed."
    assert (late.status, late.screen.wrong) == (409, [sentence])
    assert len(await house.rows(tables.outbox, kind="returned")) == 1
    assert "Why did it come back?" not in late.screen.text


@pytest.mark.parametrize("form", [{}, {"reason": ""}, {"reason": "burnt"}])
async def test_return_needs_a_reason(house: House, office_client: Client, form: dict[str, str]) -> None:
    sent = await house.posted()
    answer = await post(office_client, PATH, {"code": await house.code(sent)} | form)
    assert (answer.status, answer.screen.wrong) == (422, ["Please choose why it came back."])
    assert await house.state(sent) == "posted"


async def test_return_of_an_unknown_code(office_client: Client) -> None:
    answer = await post(office_client, PATH, {"code": "2222 2222 2222", "reason": "moved"})
    assert (answer.status, answer.screen.fields["code"]) == (404, "2222 2222 2222")


async def test_hand_over_is_recorded(house: House, office_client: Client) -> None:
    sent = await house.posted(RUSSIAN)
    code = await house.code(sent)
    for _ in range(2):
        answer = await post(office_client, PATH, {"code": code, "do": "handed_over"})
        assert (answer.status, answer.location) == (303, f"{PATH}?done={code}")
    assert await house.state(sent) == "delivered"
    assert "arrived" in (await get(office_client, answer.location)).screen.text


async def test_envelope_is_printed_again(house: House, office_client: Client) -> None:
    code = await house.code(await house.posted())
    answers = [await post(office_client, PATH, {"code": code, "do": "copy"}) for _ in range(2)]
    copy = await house.row(tables.batches, copy=True)
    assert [answer.location for answer in answers] == [f"/en/print/{copy.id}"] * 2


async def test_letter_that_waits_for_an_address_is_not_printed_again(house: House, office_client: Client) -> None:
    code = await house.code(await house.posted())
    await post(office_client, PATH, {"code": code, "reason": "moved"})
    assert "Print again" not in (await ask(office_client, code)).screen.text
    assert (await post(office_client, PATH, {"code": code, "do": "copy"})).status == 409
    assert await house.rows(tables.batches, copy=True) == []


async def test_tracking_number_is_shown(house: House, office_client: Client) -> None:
    code = await house.code(await house.posted())
    envelope = await house.row(tables.envelopes)
    form = {f"tracking.{envelope.id}": "RR123456785DE"}
    await post(office_client, f"/en/print/{envelope.batch_id}/tracking", form)
    assert "tracking number RR123456785DE" in (await ask(office_client, code)).screen.text


async def test_unknown_code_was_not_recorded(office_client: Client) -> None:
    for done in ("2222 2222 2222", "x", ""):
        assert (await get(office_client, PATH, params={"done": done})).status == 404
