"""The screens of the scanning: upload, the heap, and decisions about pages."""

from __future__ import annotations

from io import BytesIO

import aiohttp
import pytest

from relay.domain.reasons import PAGE_DOUBTS, PageDoubt
from relay.sealing import Context
from relay.store import tables
from relay.store.sealed import load_key, open_part
from scanner import screens, steps
from scanner.codes import PageCodes
from tests.workplaces import RUSSIAN, Client, House, both_engines, get, picture, post, sure

NO_FILE = "No file was chosen."
DECIDED = "This page was decided about already, or this letter cannot have an answer."


def files(*content: tuple[str, bytes], field: str = "files") -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    for name, data in content:
        form.add_field(field, BytesIO(data), filename=name, content_type="application/pdf")
    return form


async def names(house: House, office: Client) -> list[str]:
    screen = (await get(office, "/en/scan")).screen
    return [row for row in ("a.pdf", "b.pdf", "c.pdf") if row in screen.text]


@both_engines
async def test_several_files_are_taken_at_once(house: House, office_client: Client) -> None:
    answer = await post(office_client, "/en/scan", files(("a.pdf", b"a"), ("b.pdf", b"b" * 3_000_000), ("c.pdf", b"c")))
    assert (answer.status, answer.location) == (303, "/en/scan")
    assert await names(house, office_client) == ["a.pdf", "b.pdf", "c.pdf"]
    sizes = []
    for row in await house.rows(tables.scans):
        part = await open_part(house.store, Context("scan", row.id), steps.ORIGINAL, house.office_key)
        sizes.append(len(part))
    assert sorted(sizes) == [1, 1, 3_000_000]
    events = await house.rows(tables.events, record="scan")
    assert {row.actor for row in events} == {f"volunteer:{house.volunteers['anna']}"}


async def test_file_that_came_before_is_not_taken_twice(house: House, office_client: Client) -> None:
    for _ in range(2):
        assert (await post(office_client, "/en/scan", files(("a.pdf", b"same")))).status == 303
    assert len(await house.rows(tables.scans)) == 1


@pytest.mark.parametrize(
    "form",
    [files(("", b"")), aiohttp.FormData([("files", "text")], default_to_multipart=True)],
    ids=["nothing chosen", "no file"],
)
async def test_form_without_a_file_says_so(house: House, office_client: Client, form: aiohttp.FormData) -> None:
    answer = await post(office_client, "/en/scan", form)
    assert (answer.status, answer.screen.wrong) == (422, [NO_FILE])
    assert await house.rows(tables.scans) == []


async def test_upload_that_is_no_form_with_files(office_client: Client) -> None:
    assert (await post(office_client, "/en/scan", {"files": "a.pdf"})).status == 404


@pytest.mark.parametrize("config", ["[scan]\nmax_megabytes = 1\n"])
async def test_file_larger_than_a_scan_may_be_is_refused_by_name(house: House, office_client: Client) -> None:
    form = files(("a.pdf", b"a" * 1_000_000), ("b.pdf", b"b" * 1_000_001), ("c.pdf", b"c"))
    answer = await post(office_client, "/en/scan", form)
    assert answer.status == 413
    assert answer.screen.wrong == ["b.pdf: This file is larger than 1 MB. Scan fewer pages at once."]
    # What came before it is taken; of it nothing is kept, also no blob.
    assert await names(house, office_client) == ["a.pdf"]
    assert len(house.blobs()) == 1


async def test_more_files_than_one_form_may_have(
    house: House, office_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "FILES_AT_ONCE", 2)
    answer = await post(office_client, "/en/scan", files(("a.pdf", b"a"), ("b.pdf", b"b"), ("c.pdf", b"c")))
    assert answer.status == 413
    assert answer.screen.wrong == ["At most 2 files at once; the first 2 were taken."]
    assert await names(house, office_client) == ["a.pdf", "b.pdf"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("../../../etc/passwd", "../../../etc/passwd"),
        ("ответ.pdf", "ответ.pdf"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
    ids=["path", "cyrillic", "long"],
)
async def test_name_of_a_file_is_a_label_and_never_a_path(
    house: House, office_client: Client, name: str, label: str
) -> None:
    before = {path for path in house.relay.installation.folder.parent.rglob("*") if "blobs" not in path.parts}
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nscan\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await post(office_client, "/en/scan", head.encode(), headers=kind)
    assert answer.status == 303
    row = await house.row(tables.scans)
    async with house.store.database.reading() as connection:
        key = await load_key(connection, Context("scan", row.id), house.office_key)
    assert key.decrypt(row.name, "name").decode() == label
    after = {path for path in house.relay.installation.folder.parent.rglob("*") if "blobs" not in path.parts}
    assert after == before
    assert all(len(path.name) == 32 for path in house.blobs())


# --- the heap


async def waiting(house: House, *codes: PageCodes) -> list[str]:
    """The addresses of the screens of pages that wait."""
    scan = await house.split(*codes)
    rows = sorted(await house.rows(tables.pages, scan_id=scan), key=lambda row: row.number)
    return [f"/en/scan/page/{row.id}" for row in rows if row.state in {"unmatched", "held"}]


async def test_page_is_shown_with_its_doubt_and_picture(house: House, office_client: Client) -> None:
    (place,) = await waiting(house, PageCodes())
    assert place in (await get(office_client, "/en/scan")).screen.links
    screen = (await get(office_client, place)).screen
    assert PAGE_DOUBTS[PageDoubt.NO_CODE] in screen.text
    assert screen.images == [f"{place}/picture.jpg"]
    shown = await get(office_client, screen.images[0])
    assert (shown.status, shown.headers["Content-Type"], shown.body) == (200, "image/jpeg", picture(1))


@both_engines
async def test_page_is_found_its_letter_by_name_and_reaches_the_sender(house: House, office_client: Client) -> None:
    sent = await house.posted(RUSSIAN)
    (place,) = await waiting(house, PageCodes())
    found = await get(office_client, place, params={"q": "пётр"})
    assert found.screen.fields == {"q": "пётр"}
    assert f'name="letter" value="{sent.id}"' in found.screen.html
    answer = await post(office_client, place, {"letter": sent.id})
    assert (answer.status, answer.location) == (303, "/en/scan")
    assert "None. Every page found its letter." in (await get(office_client, "/en/scan")).screen.text
    assert await house.assemble()
    assert "Read the answer of May 4, 2031" in (await get(await house.desk(), sent.inbox)).screen.text


async def test_page_put_away_leaves_the_heap(house: House, office_client: Client) -> None:
    (place,) = await waiting(house, PageCodes())
    assert (await post(office_client, place, {"decision": "void"})).status == 303
    assert (await house.row(tables.pages)).state == "void"
    assert (await get(office_client, f"{place}/picture.jpg")).status == 404


@pytest.mark.parametrize("form", [{}, {"letter": ""}, {"decision": "later"}], ids=str)
async def test_decision_without_a_letter_decides_nothing(
    house: House, office_client: Client, form: dict[str, str]
) -> None:
    (place,) = await waiting(house, PageCodes())
    answer = await post(office_client, place, form)
    assert (answer.status, answer.screen.wrong) == (422, ["Please choose a letter."])
    assert (await house.row(tables.pages)).state == "unmatched"


async def test_second_decision_is_refused_and_said(house: House, office_client: Client) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    (place,) = await waiting(house, PageCodes())
    boris = await house.office("boris")
    assert (await post(boris, place, {"letter": mine.id})).status == 303
    for form in ({"letter": other.id}, {"letter": mine.id}, {"decision": "void"}):
        answer = await post(office_client, place, form)
        assert (answer.status, answer.screen.wrong) == (409, [DECIDED])
    reply = await house.row(tables.replies)
    assert reply.letter_id == mine.id
    assert (await get(office_client, place)).location == "/en/scan"


async def test_letter_that_was_not_sent_cannot_be_chosen(house: House, office_client: Client) -> None:
    queued = await house.queued()
    (place,) = await waiting(house, PageCodes())
    for letter in (queued.id, "0" * 32, "x"):
        answer = await post(office_client, place, {"letter": letter})
        assert (answer.status, answer.screen.wrong) == (409, [DECIDED])
    assert (await house.row(tables.pages)).state == "unmatched"


@pytest.mark.parametrize("page", ["0" * 32, "x", "%00", "..%2f"])
async def test_page_that_is_not_there(house: House, office_client: Client, page: str) -> None:
    assert (await get(office_client, f"/en/scan/page/{page}/picture.jpg")).status == 404
    assert (await get(office_client, f"/en/scan/page/{page}")).status in {303, 404}
    assert (await post(office_client, f"/en/scan/page/{page}", {"decision": "void"})).status in {404, 409}


async def test_placed_page_cannot_be_looked_at(house: House, office_client: Client) -> None:
    """Its answer belongs to the sender: the office shows only what waits for it."""
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    page = (await house.row(tables.pages)).id
    assert (await get(office_client, f"/en/scan/page/{page}/picture.jpg")).status == 404
    assert (await get(office_client, f"/en/scan/page/{page}")).location == "/en/scan"
