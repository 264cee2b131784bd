"""No screen of the office breaks on what was erased or destroyed, and none offers it as if it were there."""

from __future__ import annotations

import itertools
import re

import pytest

from print import steps as print_steps
from relay.app import office_site
from relay.domain.lives import BatchState
from relay.store import tables
from scanner import steps as scanner_steps
from scanner.codes import PageCodes
from tests.retention.test_clocks import DAYS, after
from tests.retention.test_erasing import erase
from tests.workplaces import ADDRESS, House, get, post, sure

BY_NAME = {
    "batch": "batches",
    "envelope": "envelopes",
    "letter": "letters",
    "page": "pages",
    "reply": "replies",
    "scan": "scans",
}
"""The table that a part of an address names a row of."""


async def opened(house: House) -> dict[str, int]:
    """Every screen of the office for every row that there is, by its status."""
    client, statuses = await house.office(), {}
    values: dict[str, list[str]] = {
        part: [row.id for row in await house.rows(tables.metadata.tables[table])] for part, table in BY_NAME.items()
    }
    values["slug"] = values["prisoner"] = [row.slug for row in await house.rows(tables.prisoners)]
    values["code"] = [row.code for row in await house.rows(tables.reply_orders)]
    values["tick"] = [row.tick for row in await house.rows(tables.ticks)]
    values["language"] = ["en"]
    for resource in office_site(house.relay, house.pages).router.resources():
        formatter = resource.get_info().get("formatter")
        # The pages of a batch are no PDF here.
        if formatter is None or resource.name == "batch_page" or "GET" not in {route.method for route in resource}:
            continue
        parts = re.findall(r"{(\w+)}", formatter)
        for found in itertools.product(*(values.get(part, ["1"]) for part in parts)):
            path = formatter.format(**dict(zip(parts, found, strict=True)))
            statuses[path] = (await get(client, path)).status
    return statuses


async def everything_erased(house: House) -> None:
    """Letters in each state, a reply that was released and one that was not; then all are erased."""
    in_batch = await house.approved()
    await house.on_paper(await house.batch())
    held, released = await house.posted(address=ADDRESS), await house.posted()
    await house.replied(released)
    await house.split(sure(await house.code(held)), sure(await house.code(released), 2))
    aside = await house.approved()
    await house.batch()
    for sent in (in_batch, held, released, aside, await house.queued(), await house.submit(address=ADDRESS)):
        await erase(house, sent)
    await house.split(sure(await house.code(held)), PageCodes())


async def test_screens_with_erased_letters(house: House) -> None:
    await everything_erased(house)
    statuses = await opened(house)
    assert [path for path, status in statuses.items() if status >= 500] == []
    assert len(statuses) > 100


async def test_screens_with_destroyed_letters(house: House) -> None:
    for _ in range(2):
        sent = await house.posted(address=ADDRESS)
        await house.replied(sent)
    await house.posted(address=ADDRESS)
    await after(house, DAYS.replies - 1)
    await house.split(sure(await house.code(sent), 2), PageCodes())  # destroyed, but for the address
    statuses = await opened(house)
    assert [path for path, status in statuses.items() if status >= 500] == []
    await after(house, 2)
    assert [path for path, status in (await opened(house)).items() if status >= 500] == []


async def test_erased_letter_is_offered_for_no_page(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    await erase(house, sent)
    scan = await house.split(sure(code), PageCodes())
    erased, unknown = sorted(await house.rows(tables.pages, scan_id=scan), key=lambda row: row.number)
    office = await house.office()
    for page in (erased, unknown):
        screen = (await get(office, f"/en/scan/page/{page.id}?q={code}")).screen
        assert "This is the reply of" not in screen.text
    with pytest.raises(scanner_steps.PageNotOpenError):
        await scanner_steps.place_by_hand(house.store, house.office_key, unknown.id, sent.id, house.volunteers["anna"])


async def test_page_of_an_erased_letter_is_given_to_nobody_else(house: House) -> None:
    erased, other = await house.posted(), await house.posted()
    code = await house.code(erased)
    await erase(house, erased)
    await house.split(sure(code))
    page = await house.row(tables.pages)
    screen = (await get(await house.office(), f"/en/scan/page/{page.id}")).screen
    assert "Its sender has erased the conversation." in screen.text
    with pytest.raises(scanner_steps.PageNotOpenError):
        await scanner_steps.place_by_hand(house.store, house.office_key, page.id, other.id, house.volunteers["anna"])


async def test_page_given_by_hand_to_a_letter_that_is_erased_can_be_given_to_another(house: House) -> None:
    erased, other = await house.posted(), await house.posted()
    await house.split(PageCodes())
    page = await house.row(tables.pages)
    by = house.volunteers["anna"]
    await scanner_steps.place_by_hand(house.store, house.office_key, page.id, erased.id, by)
    await erase(house, erased)
    assert (await house.row(tables.pages)).doubt == "erased"
    await scanner_steps.place_by_hand(house.store, house.office_key, page.id, other.id, by)
    await house.release()
    assert (await house.row(tables.replies, letter_id=other.id)).state == "released"


async def test_letter_is_erased_while_a_volunteer_reads_it(house: House) -> None:
    sent = await house.queued()
    office = await house.office()
    assert (await get(office, "/en/review")).status == 200
    await erase(house, sent)
    for decision in ("approve", "refuse", "changes"):
        answer = await post(office, f"/en/review/{sent.id}", {"decision": decision, "reason": "spam", "note": "no"})
        assert answer.status < 500
    assert await house.state(sent) == "erased"


async def test_copy_of_a_destroyed_letter_is_set_aside(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await after(house, DAYS.letters + 1)
    (batch,) = await print_steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    await house.on_paper(batch)
    with pytest.raises(print_steps.NotRenderedError):
        await print_steps.batch_pdf(house.store, batch, house.office_key)
    await print_steps.mark(house.store, batch, BatchState.PRINTED, house.volunteers["anna"])
