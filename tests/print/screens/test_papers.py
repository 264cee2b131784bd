"""Envelopes, labels, and envelopes for the answers."""

from __future__ import annotations

import pypdfium2
import pytest
import sqlalchemy as sa

from print.envelopes import LABELS
from relay.store import tables
from tests.print.letters import pages_in, text_in
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, get

MM = 72 / 25.4


def size_of(pdf: bytes) -> tuple[int, int]:
    """Width and height of the first page in mm."""
    with pypdfium2.PdfDocument(pdf) as document:
        width, height = document[0].get_size()
    return round(width / MM), round(height / MM)


async def test_one_envelope_for_each_recipient(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.approved()
    batch = await house.rendered()
    answer = await get(office_client, f"/en/print/{batch}/envelopes.pdf")
    assert (answer.headers["Content-Type"], pages_in(answer.body)) == ("application/pdf", 2)
    assert answer.headers["Content-Disposition"] == f'inline; filename="envelopes-{batch[:8]}.pdf"'
    assert size_of(answer.body) == (220, 110)
    said = text_in(answer.body, 0)
    assert ("PO Box 9" in said, ENGLISH.prisoner.name in said) == (True, True)


async def test_envelopes_for_the_answers_go_to_the_group(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.rendered()
    answer = await get(office_client, f"/en/print/{batch}/return-envelopes.pdf")
    assert pages_in(answer.body) == 1
    said = text_in(answer.body, 0)
    assert ("PO Box 9" in said, ENGLISH.prisoner.name in said) == (True, False)


async def test_no_envelopes_for_answers_where_the_facility_takes_none(house: House, office_client: Client) -> None:
    await house.approved(RUSSIAN)
    batch = await house.rendered(RUSSIAN)
    assert (await get(office_client, f"/en/print/{batch}/return-envelopes.pdf")).status == 404
    assert "return-envelopes" not in (await get(office_client, f"/en/print/{batch}")).screen.html


async def test_labels_leave_out_those_that_are_gone(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.approved()
    batch = await house.rendered()
    expected = {"": 1, "?skip=0": 1, f"?skip={LABELS - 2}": 1, f"?skip={LABELS - 1}": 2, "?skip=99": 1, "?skip=x": 1}
    for skip, pages in expected.items():
        answer = await get(office_client, f"/en/print/{batch}/labels.pdf{skip}")
        assert (answer.status, pages_in(answer.body), size_of(answer.body)) == (200, pages, (210, 297)), skip


async def test_address_that_cannot_be_printed_is_named(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.rendered()
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.facilities).values(address="Street \U00012000"))
    answer = await get(office_client, f"/en/print/{batch}/labels.pdf")
    sentence = "A name or an address has a character that cannot be printed: \U00012000"
    assert (answer.status, sentence in answer.screen.text) == (422, True)


@pytest.mark.parametrize("paper", ["envelopes", "labels", "return-envelopes"])
async def test_no_papers_before_the_batch_is_rendered(house: House, office_client: Client, paper: str) -> None:
    await house.approved()
    batch = await house.batch()
    assert (await get(office_client, f"/en/print/{batch}/{paper}.pdf")).status == 404
