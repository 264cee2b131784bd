"""The pages of a batch: the file, and pictures of pages."""

from __future__ import annotations

import base64
import io

import aiohttp
import pytest
from PIL import Image

from tests.print.letters import pages_in
from tests.workplaces import Client, House, get

LIST = "List of the batch"


async def test_pages_are_a_file_with_a_name(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.rendered()
    pdf = await get(office_client, f"/en/print/{batch}.pdf")
    assert (pdf.status, pdf.headers["Content-Type"], pages_in(pdf.body)) == (200, "application/pdf", 6)
    assert pdf.headers["Content-Disposition"] == f'inline; filename="batch-{batch[:8]}.pdf"'
    assert (await office_client.head(f"/en/print/{batch}.pdf")).status == 200


async def test_large_file_arrives_whole(house: House, office_client: Client) -> None:
    await house.approved()
    batch, pages = await house.batch(), bytes(range(256)) * 10_000
    await house.on_paper(batch, pages)
    assert (await get(office_client, f"/en/print/{batch}.pdf")).body == pages


async def test_file_that_ends_early_does_not_look_whole(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.batch()
    await house.on_paper(batch, bytes(3_000_000))
    (blob,) = house.blobs()
    damaged = bytearray(blob.read_bytes())
    damaged[-1] ^= 1
    blob.write_bytes(damaged)
    response = await office_client.get(f"/en/print/{batch}.pdf")
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.read()


async def test_any_page_is_shown(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.approved()
    batch = await house.rendered()
    expected = {
        "": (1, LIST),
        "?number=2": (2, LIST),
        "?number=3": (3, "Envelope 1"),
        "?number=7": (7, "Envelope 2"),
        "?number=10": (10, "Envelope 2"),
        "?envelope=1": (3, "Envelope 1"),
        "?envelope=2": (7, "Envelope 2"),
        "?envelope=3": (1, LIST),
        "?number=0": (1, LIST),
        "?number=11": (10, "Envelope 2"),
        "?number=-3": (1, LIST),
        "?number=%D9%A3": (1, LIST),
        f"?number={'9' * 5000}": (1, LIST),
    }
    for asked, (shown, where) in expected.items():
        screen = (await get(office_client, f"/en/print/{batch}/page{asked}")).screen
        assert (screen.heading, where in screen.text) == (f"Page {shown} of 10", True), asked
        around = {f"?number={shown + step}" for step in (-1, 1) if 1 <= shown + step <= 10}
        assert {link for link in screen.links if link.startswith("?number")} == around, asked


async def test_page_is_shown_as_a_picture_of_a4(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.rendered()
    (source,) = (await get(office_client, f"/en/print/{batch}/page?envelope=1")).screen.images
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert abs(picture.height / picture.width - 297 / 210) < 0.01


async def test_pages_of_an_open_batch_are_not_there(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.batch()
    for path in (".pdf", "/page", "/page?envelope=1"):
        assert (await get(office_client, f"/en/print/{batch}{path}")).status == 404
