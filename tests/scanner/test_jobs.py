"""The worker of the scanning, with the real reading of real pages, and what does not stop it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageDraw

from relay.config import Settings
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick, tick_box
from relay.store import leases, tables
from scanner import jobs, kraken
from scanner.answers import ChildFailedError
from scanner.limits import REASONS, Reason
from scanner.recognition import Engine, Failure, Recognised
from scanner.tesseract import read_page
from tests.print.letters import pages_in
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, WORKER_NAME, House, Sent, both_engines, get, post, sure


async def printed(house: House, *people: tuple[Sent, str]) -> list[Image.Image]:
    """The reply sheets (side A, side B, of each letter) as the printer made them, at 200 dpi."""
    sheets = []
    for sent, batch in people:
        pdf = (await get(await house.office(), f"/en/print/{batch}.pdf")).body
        slip = 2 if sent.person is RUSSIAN else 0
        assert pages_in(pdf) == 2 + 4 + slip, sent  # the manifest, the letter and its sheet, a slip for the censor
        with pypdfium2.PdfDocument(pdf) as document:
            sheets += [document[page].render(scale=200 / 72).to_pil().convert("L") for page in (4, 5)]
    return sheets


def as_pdf(*pictures: Image.Image) -> bytes:
    file = BytesIO()
    pictures[0].save(file, "PDF", save_all=True, append_images=pictures[1:], resolution=200)
    return file.getvalue()


async def split(house: House, engine: Engine = read_page) -> bool:
    return await jobs.split_next(house.store, house.settings, engine, WORKER_NAME, house.office_key)


async def test_printed_sheets_of_two_letters_in_one_file_go_each_to_its_sender(house: House) -> None:
    mine = await house.approved(ENGLISH, address=ADDRESS)
    mine_batch = await house.rendered(ENGLISH)
    other = await house.approved(RUSSIAN)
    other_batch = await house.rendered(RUSSIAN)
    sheets = await printed(house, (mine, mine_batch), (other, other_batch))
    blank = Image.new("L", sheets[0].size, 255)
    upside_down = sheets[1].rotate(180)
    scan = await house.received(as_pdf(sheets[3], blank, upside_down, sheets[0], sheets[2]))
    assert await split(house)
    rows = sorted(await house.rows(tables.pages, scan_id=scan), key=lambda row: row.number)
    codes = {sent.id: await house.code(sent) for sent in (mine, other)}
    assert [(row.state, row.code, row.sheet, row.side, row.doubt) for row in rows] == [
        ("void", codes[other.id], 1, "B", "blank"),
        ("void", None, None, None, "blank"),
        ("void", codes[mine.id], 1, "B", "blank"),
        ("placed", codes[mine.id], 1, "A", None),
        ("placed", codes[other.id], 1, "A", None),
    ]
    assert [await house.assemble() for _ in range(5)] == [True, True, True, True, False]  # nobody has to look at them
    assert (await house.row(tables.scans)).page_count == 5
    desk = await house.desk()
    for sent in (mine, other):
        reply = await house.row(tables.replies, letter_id=sent.id)
        screen = (await get(desk, f"{sent.inbox}/reply/{reply.id}")).screen
        assert len(screen.images) == 1
        pdf = (await get(desk, f"{sent.inbox}/reply/{reply.id}/reply.pdf")).body
        with pypdfium2.PdfDocument(pdf) as document:
            # What is printed on the sheet is not read: nothing was written on it.
            assert [page.get_textpage().get_text_bounded() for page in document] == [""]
        assert await house.state(sent) == "delivered"


async def test_preview_that_comes_back_as_a_scan_goes_to_a_person(house: House) -> None:
    desk = await house.desk()
    form = {"text": "Hello", "printed_name": "Mary", "action": "preview"}
    response = await desk.post("/en/to/john-sample", data=form)
    html = await response.text()
    pictures = [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r'base64,([^"]+)"', html)]
    large = pictures[1].resize((pictures[1].width * 2, pictures[1].height * 2))
    await house.received(as_pdf(large))
    assert await split(house)
    row = await house.row(tables.pages)
    assert (row.state, row.doubt, row.reply_id) == ("unmatched", "unknown_code", None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.NOT_A_SCAN),
        (b"MZ a program", Reason.NOT_A_SCAN),
        (b"%PDF-1.7\nbroken", Reason.DAMAGED),
        (b"\xff\xd8\xff\xe0 broken", Reason.DAMAGED),
    ],
    ids=["empty", "program", "pdf", "jpeg"],
)
async def test_file_that_is_no_scan_is_refused_and_kept(house: House, data: bytes, reason: Reason) -> None:
    scan = await house.received(data)
    assert await split(house)
    row = await house.row(tables.scans, id=scan)
    assert (row.state, row.reason, row.attempts) == ("rejected", reason, 0)
    assert len(house.blobs()) == 1
    office = await house.office()
    assert (await get(office, "/en/scan")).screen.wrong == [REASONS[reason]]
    assert not await split(house)


async def test_password_is_said(house: House) -> None:
    file = BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(file, encryption=pikepdf.Encryption(owner="a", user="b"))
    await house.received(file.getvalue())
    assert await split(house)
    assert (await house.row(tables.scans)).reason == "password"


@both_engines
async def test_file_that_cannot_be_worked_on_is_set_aside_and_stops_no_other(house: House) -> None:
    poison = await house.received(b"poison")
    house.clock.advance(minutes=1)
    fine = await house.received(b"no scan")
    (blob,) = [row.id for row in await house.rows(tables.blobs, record_id=poison)]
    (path,) = [path for path in house.blobs() if path.name == blob]
    path.unlink()
    assert [await split(house), await split(house), await split(house)] == [True, True, False]
    assert (await house.row(tables.scans, id=fine)).state == "rejected"
    for _ in range(leases.ATTEMPTS - 1):
        house.clock.advance(hours=7)
        assert await split(house)
    house.clock.advance(days=30)
    assert not await split(house)
    row = await house.row(tables.scans, id=poison)
    assert (row.state, row.last_error, row.attempts) == ("received", "BlobMissingError", leases.ATTEMPTS)
    office, aside = await house.office(), "It failed several times and was set aside."
    screen = (await get(office, "/en/scan")).screen
    assert aside in screen.wrong
    assert f"{aside} (BlobMissingError)" in screen.text
    answer = await post(office, f"/en/scan/{poison}/again")
    assert (answer.status, answer.location) == (303, "/en/scan")
    assert aside not in (await get(office, "/en/scan")).screen.wrong
    assert await split(house)
    assert (await post(office, "/en/scan/nothing/again")).status == 404


async def test_reader_that_cannot_start_is_no_fault_of_the_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> None:
        raise ChildFailedError

    monkeypatch.setattr("scanner.intake._start", failing)
    await house.received(b"%PDF-1.7")
    assert await split(house)
    row = await house.row(tables.scans)
    assert (row.state, row.attempts, row.last_error) == ("received", 1, "ChildFailedError")


async def test_named_file_is_split_before_older_ones(house: House) -> None:
    first, second = await house.received(b"a"), await house.received(b"b")
    assert await jobs.split_next(house.store, house.settings, read_page, WORKER_NAME, house.office_key, second)
    states = {row.id: row.state for row in await house.rows(tables.scans)}
    assert states == {first: "received", second: "rejected"}


@both_engines
async def test_reply_that_cannot_be_assembled_is_set_aside_and_stops_no_other(house: House) -> None:
    mine, other = await house.posted(address=ADDRESS), await house.posted(RUSSIAN)
    poison = await house.split(*[sure(await house.code(mine), 1, side) for side in Side])
    (row,) = await house.rows(tables.blobs, record_id=poison, part="page-1.jpg")
    (path,) = [path for path in house.blobs() if path.name == row.id]
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    house.clock.advance(minutes=1)
    await house.split(*[sure(await house.code(other), 1, side) for side in Side])
    assert [await house.assemble() for _ in range(5)] == [True, True, True, True, False]
    assert [await house.state(sent) for sent in (mine, other)] == ["posted", "delivered"]
    for _ in range(leases.ATTEMPTS - 1):
        house.clock.advance(hours=7)
        assert await house.assemble()
    house.clock.advance(days=30)
    assert not await house.assemble()
    reply = await house.row(tables.replies, letter_id=mine.id)
    assert (reply.state, reply.last_error, reply.attempts) == ("checked", "SealBrokenError", leases.ATTEMPTS)
    office = await house.office()
    assert (await get(office, "/en/scan")).screen.wrong == ["It failed several times and was set aside."]
    assert "1 replies being put together the oldest for 1 month" in (await get(office, "/en/")).screen.text
    await post(office, f"/en/scan/{poison}/again")
    assert (await get(office, "/en/scan")).screen.wrong == []
    assert await house.assemble()


async def test_sealed_scan_of_another_key_is_no_reply(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent), 1, Side.A))
    async with house.store.database.writing() as connection:
        await connection.execute(tables.content_keys.delete().where(tables.content_keys.c.record == "scan"))
    assert await house.assemble()
    assert (await house.row(tables.replies)).last_error == "SealBrokenError"


async def test_pages_are_read_in_the_languages_of_the_conversation(house: House) -> None:
    asked = []

    async def reading(pgm: Path, languages: Sequence[str], dpi: int) -> Recognised:
        asked.append(tuple(languages))
        return await read_page(pgm, languages, dpi)

    sent = await house.approved(RUSSIAN, language="de")
    sheets = await printed(house, (sent, await house.rendered(RUSSIAN)))
    await house.received(as_pdf(sheets[0], Image.new("L", (400, 600), 255)))
    assert await split(house, reading)
    assert sorted(asked) == [("ru", "de", "en"), ("ru", "en")]


def test_limits_come_from_the_settings(house: House) -> None:
    scan = house.settings.scan.model_copy(update={"max_megabytes": 1, "max_pages": 2, "max_megapixels": 3})
    settings: Settings = house.settings.model_copy(update={"scan": scan})
    limits = jobs.limits(settings)
    assert (limits.megabytes, limits.pages, limits.megapixels) == (1, 2, 3)


@pytest.mark.parametrize("config", ['[scan]\nengine = "kraken"\nmodel = "hand.mlmodel"'], ids=["kraken"])
async def test_engine_comes_from_the_settings(house: House) -> None:
    engine = jobs.engine(house.relay.installation)
    assert isinstance(engine, partial)
    assert (engine.func, engine.keywords) == (
        kraken.read_page,
        {"model": house.relay.installation.folder / "hand.mlmodel"},
    )


async def test_pages_read_before_a_failure_are_kept_and_not_read_again(house: House) -> None:
    """A page that fails late must not cost the hours of the others; and nothing of it stays in the clear."""
    asked: list[str] = []

    async def reading(pgm: Path, languages: Sequence[str], dpi: int) -> Recognised:
        asked.append(pgm.name)
        if pgm.name == "0003.pgm" and len(await house.rows(tables.pages)) < 3:
            while len(await house.rows(tables.pages)) < 2:  # noqa: ASYNC110 - the two pages before it
                await asyncio.sleep(0.01)
            raise ConnectionError
        return Recognised()

    scan = await house.received(as_pdf(*[Image.new("L", (400, 600), 255 - number) for number in range(3)]))
    assert await split(house, reading)
    row = await house.row(tables.scans)
    assert (row.state, row.last_error, row.page_count) == ("received", "ConnectionError", 3)
    assert [page.state for page in await house.rows(tables.pages)] == ["waiting"] * 2
    assert len(house.blobs()) == 1 + 2 * 2
    office = await house.office()
    assert (await get(office, f"/en/scan/{scan}")).status == 200
    house.clock.advance(hours=1)
    first = list(asked)
    assert await split(house)
    assert sorted(first) == ["0001.pgm", "0002.pgm", "0003.pgm"]
    assert [page.doubt for page in await house.rows(tables.pages)] == ["blank"] * 3
    assert len(house.blobs()) == 1 + 2 * 3


async def test_recognition_that_fails_holds_no_reply_back(house: House) -> None:
    async def failing(pgm: Path, languages: Sequence[str], dpi: int) -> Recognised:
        return Recognised(failure=Failure.TOOK_TOO_LONG)

    sent = await house.approved(ENGLISH)
    sheets = await printed(house, (sent, await house.rendered(ENGLISH)))
    await house.received(as_pdf(*sheets))
    assert await split(house, failing)
    await house.release()
    assert (await house.row(tables.replies)).state == "released"


async def test_ticks_of_a_printed_sheet_are_read(house: House) -> None:
    sent = await house.approved(ENGLISH)
    sheets = await printed(house, (sent, await house.rendered(ENGLISH)))
    draw = ImageDraw.Draw(sheets[0])
    for tick in (Tick.NEED_PAPER, Tick.WRITE_AGAIN):
        box = tick_box(tick)
        left, top, right, bottom = (round(edge / 25.4 * 200) for edge in (box.x, box.y, box.right, box.bottom))
        draw.line((left, top, right, bottom), 0, 5)
        draw.line((left, bottom, right, top), 0, 5)
    await house.received(as_pdf(*sheets))
    assert await split(house)
    assert {row.tick: row.clear for row in await house.rows(tables.ticks)} == {"need_paper": True, "write_again": True}
