"""The screens of the scanning: upload, the heap, and decisions about pages."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from relay.app import office_site
from relay.domain.reasons import PAGE_DOUBTS, PageDoubt
from relay.domain.reply_code import Side, grouped
from relay.domain.scan_parts import ORIGINAL
from relay.sealing import Context
from relay.store import tables, volunteers
from relay.store.sealed import load_key, open_part
from relay.web.sessions import COOKIE
from scanner import steps
from scanner.codes import Method, PageCodes
from scanner.ladder import Tried
from scanner.reading import Reading
from scanner.screens import one_scan, overview
from scanner.screens.overview import FOLDER
from scanner.suggesting import WHYS, Suggestion, Why
from scanner.watched_folder import LEFT, Left
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, both_engines, get, picture, post, sure

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
    assert (answer.status, answer.location) == (303, "/en/scan?watch")
    assert await names(house, office_client) == ["a.pdf", "b.pdf", "c.pdf"]
    sizes = []
    for row in await house.rows(tables.scans):
        part = await open_part(house.store, Context("scan", row.id), ORIGINAL, house.office_key)
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


async def test_known_file_is_told_with_a_link_to_the_scan_that_is_there(house: House, office_client: Client) -> None:
    scan = await house.received(b"same", "first.pdf")
    answer = await post(office_client, "/en/scan", files(("again.pdf", b"same"), ("new.pdf", b"new")))
    assert answer.location == f"/en/scan?watch&known={scan}"
    screen = (await get(office_client, answer.location)).screen
    assert "This file had come before. It was not taken twice: first.pdf May 4, 2031" in screen.text
    assert screen.links.count(f"/en/scan/{scan}") == 2


async def test_script_is_told_what_became_of_its_file(house: House, office_client: Client) -> None:
    scan = await house.received(b"same")
    wants = {"Accept": "application/json"}
    told = []
    for form in (files(("a.pdf", b"new")), files(("b.pdf", b"same")), files(("", b""))):
        answer = await post(office_client, "/en/scan", form, headers=wants)
        told.append((answer.status, json.loads(answer.body)))
    assert told == [
        (200, {"known": [], "complaint": None}),
        (200, {"known": [f"/en/scan/{scan}"], "complaint": None}),
        (422, {"known": [], "complaint": NO_FILE}),
    ]


async def test_files_are_from_the_facility_that_was_chosen(house: House, office_client: Client) -> None:
    facility = await house.row(tables.facilities, slug=RUSSIAN.facility.slug)
    for chosen, status in ((facility.id, 303), ("", 303), ("x" * 32, 400)):
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("facility", chosen)
        form.add_field("files", BytesIO(chosen.encode() + b"!"), filename="a.pdf")
        assert (await post(office_client, "/en/scan", form)).status == status
    assert {row.facility_id for row in await house.rows(tables.scans)} == {facility.id, None}
    assert RUSSIAN.facility.name in (await get(office_client, "/en/scan")).screen.text


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
    monkeypatch.setattr(overview, "FILES_AT_ONCE", 2)
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


async def waiting(house: House, *codes: PageCodes | Reading) -> list[str]:
    """The addresses of the screens of pages that wait."""
    scan = await house.split(*codes)
    rows = sorted(await house.rows(tables.pages, scan_id=scan), key=lambda row: row.number)
    return [f"/en/scan/page/{row.id}" for row in rows if row.state in {"unmatched", "held"}]


async def test_page_is_shown_with_its_doubt_and_picture(house: House, office_client: Client) -> None:
    (place,) = await waiting(house, PageCodes())
    assert place in (await get(office_client, "/en/scan")).screen.links
    screen = (await get(office_client, place)).screen
    assert PAGE_DOUBTS[PageDoubt.NO_CODE] in screen.text
    assert screen.images == [f"{place}/picture.jpg", f"{place}/small.jpg"]
    shown = await get(office_client, screen.images[0])
    assert (shown.status, shown.headers["Content-Type"], shown.body) == (200, "image/jpeg", picture(1))


@both_engines
async def test_page_is_found_its_letter_by_name_and_reaches_the_sender(house: House, office_client: Client) -> None:
    sent = await house.posted(RUSSIAN)
    (place,) = await waiting(house, PageCodes())
    found = await get(office_client, place, params={"q": "пётр"})
    assert found.screen.fields["q"] == "пётр"
    assert f'name="letter" value="{sent.id}"' in found.screen.html
    answer = await post(office_client, place, {"letter": sent.id})
    assert answer.status == 303
    told = (await get(office_client, answer.location)).screen.text
    assert "None. Every page found its letter." in told
    assert f"Page 1 is now in the reply of {RUSSIAN.prisoner.name}. Look at this reply" in told
    await house.release()
    assert "Read the answer of May 4, 2031" in (await get(await house.desk(), sent.inbox)).screen.text


async def test_page_put_away_leaves_the_heap(house: House, office_client: Client) -> None:
    (place,) = await waiting(house, PageCodes())
    assert (await post(office_client, place, {"decision": "void"})).status == 303
    assert (await house.row(tables.pages)).state == "void"
    assert (await get(office_client, place)).location == "/en/scan"


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


async def test_placed_page_is_seen_small_until_its_answer_is_released(house: House, office_client: Client) -> None:
    """Its answer belongs to the sender: what can be read of it is on the screens of the answers only."""
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    page = (await house.row(tables.pages)).id
    assert (await get(office_client, f"/en/scan/page/{page}/picture.jpg")).status == 404
    assert (await get(office_client, f"/en/scan/page/{page}")).location == "/en/scan"
    assert (await get(office_client, f"/en/scan/page/{page}/small.jpg")).status == 200
    await house.release()
    assert (await get(office_client, f"/en/scan/page/{page}/small.jpg")).status == 404


async def test_small_picture_is_too_small_to_read(house: House, office_client: Client) -> None:
    (place,) = await waiting(house, PageCodes())
    key = await house.row(tables.blobs, part="page-1.jpg")
    async with house.store.database.reading() as connection:
        opened = await load_key(connection, Context("scan", key.record_id), house.office_key)
    file = BytesIO()
    Image.new("RGB", (1654, 2339), "white").save(file, "JPEG")
    large = await house.store.blobs.put_bytes(file.getvalue(), opened)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.blobs).where(tables.blobs.c.id == key.id).values(id=large))
    small = await get(office_client, f"{place}/small.jpg")
    with Image.open(BytesIO(small.body)) as picture:
        assert (picture.size, picture.mode) == ((240, 339), "L")


async def test_page_says_how_its_code_was_looked_for(house: House, office_client: Client) -> None:
    tried = (Tried(method=Method.MATRIX, outcome="nothing"), Tried(method=Method.READABLE, outcome="doubtful"))
    foreign = PageCodes(foreign=("https://example.org/<b>",))
    (place,) = await waiting(house, Reading(lines=(), codes=foreign, tried=tried))
    screen = (await get(office_client, place)).screen
    text = screen.text
    assert "square code: nothing was found" in text
    assert "printed symbols: not sure enough" in text
    assert "1 square code that is not ours" in text
    assert "example.org" not in screen.html  # what others printed is nothing to be followed


async def test_suggestion_names_sender_prisoner_and_reason(house: House, office_client: Client) -> None:
    sent = await house.posted(name="Mary")
    code = await house.code(sent)
    (place,) = await waiting(house, Reading(lines=(), suggested=(Suggestion(code=code, why=Why.BACK),)))
    screen = (await get(office_client, place)).screen
    assert "This is the reply of John Sample to Mary" in screen.text
    assert f"{ENGLISH.facility.name}; letter of May 4, 2031 {grouped(code)}" in screen.text
    assert WHYS[Why.BACK] in screen.text
    assert f'name="letter" value="{sent.id}" data-key="1"' in screen.html


async def test_answer_to_a_card_is_said_to_go_to_all_on_it(house: House, office_client: Client) -> None:
    sent = [await house.approved(card=True, name=name) for name in ("Mary", "Tom")]
    batch = await house.batch()
    await house.on_paper(batch)
    (place,) = await waiting(house, PageCodes())
    found = await get(office_client, place, params={"q": await house.code(sent[0])})
    assert found.screen.html.count('name="letter"') == 1
    names = [name for _, name in sorted(zip((one.id for one in sent), ("Mary", "Tom"), strict=True))]
    said = f"This is the reply of John Sample to all who wrote on one card: {', '.join(names)}"
    assert said in found.screen.text
    assert (await post(office_client, place, {"letter": sent[0].id})).status == 303
    assert {row.letter_id for row in await house.rows(tables.replies)} == {one.id for one in sent}


async def test_after_a_decision_comes_the_next_page_and_the_way_back(house: House, office_client: Client) -> None:
    first, second = await waiting(house, PageCodes(), PageCodes())
    page = first.rpartition("/")[2]
    answer = await post(office_client, first, {"decision": "void"})
    assert answer.location == f"{second}?decided={page}"
    screen = (await get(office_client, answer.location)).screen
    assert "Page 1 was put away." in screen.text
    scan = (await house.row(tables.scans)).id
    assert f"/en/scan/{scan}" in screen.forms
    back = await post(office_client, f"/en/scan/{scan}", {"back": page})
    assert (back.status, back.location) == (303, first)
    assert (await house.row(tables.pages, id=page)).state == "unmatched"
    assert (await get(office_client, first)).status == 200


# --- one scan


async def test_scan_shows_what_became_of_each_page(house: House, office_client: Client) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    scan = await house.split(sure(code), PageCodes(), Reading(lines=(), blank=True), sure(code, side=Side.B))
    assert f"/en/scan/{scan}" in (await get(office_client, "/en/scan")).screen.links
    screen = (await get(office_client, f"/en/scan/{scan}")).screen
    assert screen.heading == "scan.pdf"
    assert "2 pages placed 1 page waits 1 page empty or put away" in screen.text
    pages = {row.number: row.id for row in await house.rows(tables.pages)}
    assert screen.images == [f"/en/scan/page/{pages[number]}/small.jpg" for number in (1, 2, 3, 4)]
    assert screen.text.count("in the reply of John Sample") == 2
    assert f"{grouped(code)} sheet 1, side B square code" in screen.text
    assert PAGE_DOUBTS[PageDoubt.NO_CODE] in screen.text
    assert PAGE_DOUBTS[PageDoubt.BLANK] in screen.text


async def test_scan_with_many_pages_is_shown_in_parts(
    house: House, office_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_scan, "AT_ONCE", 2)
    scan = await house.split(PageCodes(), PageCodes(), PageCodes())
    pages = {row.number: row.id for row in await house.rows(tables.pages)}
    shown = {}
    for first in ("1", "3", "0", "x", "99999", "²"):
        screen = (await get(office_client, f"/en/scan/{scan}", params={"from": first})).screen
        shown[first] = [number for number, page in pages.items() if f"/en/scan/page/{page}/small.jpg" in screen.images]
    assert shown == {"1": [1, 2], "3": [3], "0": [1, 2], "x": [1, 2], "99999": [1, 2], "²": [1, 2]}


async def test_page_that_was_not_put_away_cannot_be_taken_back(house: House, office_client: Client) -> None:
    scan = await house.split(PageCodes())
    page = (await house.row(tables.pages)).id
    for back in (page, "x", ""):
        answer = await post(office_client, f"/en/scan/{scan}", {"back": back})
        sentence = "This page was not put away, or somebody took it back already."
        assert (answer.status, answer.screen.wrong) == (409, [sentence])


@pytest.mark.parametrize("scan", ["0" * 32, "x", "%00"])
async def test_scan_that_is_not_there(office_client: Client, scan: str) -> None:
    assert (await get(office_client, f"/en/scan/{scan}")).status == 404
    assert (await post(office_client, f"/en/scan/{scan}", {"back": "x"})).status == 404


async def test_screen_reloads_while_a_file_is_read_and_no_longer(house: House, office_client: Client) -> None:
    scan = await house.received()
    await steps.note_count(house.store, scan, 500)
    watched = await get(office_client, "/en/scan?watch")
    assert watched.headers["Refresh"] == "3"
    assert "0 of 500 pages read" in watched.screen.text
    assert "Refresh" not in (await get(office_client, "/en/scan")).headers
    assert (await get(office_client, f"/en/scan/{scan}")).headers["Refresh"] == "3"
    assert "Refresh" not in (await get(office_client, f"/en/scan/{scan}?still")).headers
    await house.split_into(scan, PageCodes())
    assert "Refresh" not in (await get(office_client, "/en/scan?watch")).headers
    assert "Refresh" not in (await get(office_client, f"/en/scan/{scan}")).headers


# --- the folder of scans


async def test_troubles_of_the_watched_folder_are_told(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    (folder / "in a <folder>").mkdir(parents=True)
    site = office_site(house.relay, house.pages)
    site[FOLDER] = folder
    async with TestClient(TestServer(site)) as client:
        async with house.store.database.writing() as connection:
            token = await volunteers.start_session(connection, house.volunteers["anna"], house.clock())
        client.session.cookie_jar.update_cookies({COOKIE: token}, client.make_url("/"))
        screen = (await get(client, "/en/scan")).screen
    assert f"in a <folder> : {LEFT[Left.NO_FILE]}" in screen.text.replace("folder>:", "folder> :")


async def test_page_that_came_again_leads_to_the_one_that_came_before(house: House, office_client: Client) -> None:
    code = await house.code(await house.posted())
    await house.split(sure(code), sure(code, side=Side.B), PageCodes())
    again = await house.split(sure(code))
    row = await house.row(tables.pages, scan_id=again)
    assert row.doubt == PageDoubt.DUPLICATE
    before = await house.row(tables.pages, side="A", state="placed")
    screen = (await get(office_client, f"/en/scan/page/{row.id}")).screen
    assert f"/en/replies/{before.reply_id}#page-{before.id}" in screen.links
    other = await house.row(tables.pages, doubt=PageDoubt.NO_CODE)
    links = (await get(office_client, f"/en/scan/page/{other.id}")).screen.links
    assert [link for link in links if "/replies/" in link] == []
