"""Letters in the queue that could be printed when they were sent, and cannot any more: an upgrade changed the fonts."""

from __future__ import annotations

import pytest

from censor_queue import decisions
from relay.domain.review import Decision
from tests.desk.letters import read
from tests.workplaces import House, get, post

CANNOT = "This letter cannot be approved as it is: it has characters that cannot be printed."
SIGN = "The character “\U00012000” (CUNEIFORM SIGN A) in line 2, place 5, cannot be printed."
NAME = "This has characters that cannot be printed: “\U00012000” (CUNEIFORM SIGN A)."


async def test_reviewer_is_told_instead_of_seeing_pages(house: House) -> None:
    await house.queued(text="Hello,\nthe \U00012000 sign", name="Mary \U00012000")
    screen = (await get(await house.office(), "/en/review")).screen
    assert f"{CANNOT} {SIGN} {NAME}" in screen.text
    assert screen.images == []
    assert 'value="approve"' not in screen.html


@pytest.mark.parametrize("decision", [{"decision": "approve"}, {"decision": "approve", "panel": "part"}])
async def test_letter_that_cannot_be_printed_is_not_approved(house: House, decision: dict[str, str]) -> None:
    sent = await house.queued(text="A \U00012000")
    office = await house.office()
    await get(office, "/en/review")
    answer = await post(office, "/en/review", {"letter": sent.id, "reason": "case_details"} | decision)
    assert (answer.status, answer.screen.wrong) == (422, [CANNOT])
    assert await house.state(sent) == "queued"


async def test_letter_can_be_approved_once_the_words_are_covered(house: House) -> None:
    sent = await house.queued(text="A \U00012000 sign")
    office = await house.office()
    anna = await read(house, sent)
    await decisions.cover(house.review, sent.id, anna, [1])
    screen = (await get(office, "/en/review")).screen
    assert CANNOT not in screen.text
    assert len(screen.images) == 1


async def test_letter_that_cannot_be_printed_can_be_given_back(house: House) -> None:
    sent = await house.queued(text="A \U00012000")
    office = await house.office()
    await get(office, "/en/review")
    fields = {"letter": sent.id, "decision": Decision.CHANGES, "panel": "changes", "reason": "unreadable"}
    answer = await post(office, "/en/review", fields)
    assert answer.status == 303
    assert await house.state(sent) == "changes_requested"
