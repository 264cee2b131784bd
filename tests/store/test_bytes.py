"""Who carries the disk away: database and blobs, read as bytes, hold no word of a letter and nothing of its sender.

What may stand in clear (the directory) is looked for in the same way and found, so the search can find.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from censor_queue import claims, closeness, decisions, translations
from censor_queue.review import Review
from print import steps as printing
from print.mailings import plan
from print.printing import Printing
from print.rendering import RenderingPool
from relay.config import Mail, Settings
from relay.desk import steps as desk
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.directory import Entry, Facility, Prisoner
from relay.domain.letters import LetterBody, Photo, Wants, Word
from relay.domain.lives import WORKER, Actor, BatchState, Record, Who
from relay.domain.reasons import ReviewReason
from relay.mail.sending import Sender
from relay.sealing import Context, InboxSecret, PrivateKey
from relay.store import directory, leases, volunteers
from relay.store.letters import code_of
from relay.store.sealed import Store, load_key
from relay.store.tables import letters, replies, scans, volunteer_addresses
from relay.store.tables import pages as page_rows
from scanner import reply_steps
from scanner import steps as scanning
from scanner.codes import CodeRead, Method, PageCodes
from scanner.reading import Reading
from tests.conftest import SmtpCatcher
from tests.fakes.screening import FakeScreening
from tests.store.rows import dump
from tests.workplaces import put_on_paper, send_all

IN_CLEAR = ("Примеров", "Лесная")
"""The directory."""
SECRET = {
    "letter": ("фиолетовый", "бегемотик", "Zwergnashorn", "rhinoceros"),
    "name": ("Аглая", "Неизвестнова"),
    "address": ("aglaya", "hidden-sender"),
    "photo": ("photographbytes",),
    "note": ("Бородинское",),
    "translation": ("unfinishedtranslation",),
    "volunteer's own address": ("volunteerhome", "neighbourhood"),
    "name of the file": ("Ответ-Аглае", "otvet-scan"),
    "content of the file": ("handwrittenbytes",),
    "picture": ("cleanedpicture",),
    "untouched picture": ("picture-as-it-came",),
    "other words": ("имясоседа", "somebodyelse"),
    "corrected": ("исправленное", "correctedword"),
    "transcript": ("самокатик", "transcribedword"),
    "reply": ("assembledreply",),
    "batch": ("renderedpages",),
}
OWNER = "worker-test"


def words(what: str) -> str:
    """Some text with the words, several times, so that a page boundary of a file does not cut them all."""
    return " ".join(SECRET[what] * 3)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def forms(word: str) -> set[bytes]:
    """The ways in which a word can stand in a file."""
    spelled = {word, word.lower(), word.upper(), word.title()}
    texts = {each.encode(code) for each in spelled for code in ("utf-8", "utf-16-le", "utf-16-be")}
    texts |= {json.dumps(each)[1:-1].encode() for each in spelled}
    if word.isascii() is False:
        texts |= {each.encode("koi8-r") for each in spelled} | {each.encode("cp1251") for each in spelled}
    encoded = set()
    for each in texts:
        for before, first in enumerate((0, 2, 3)):  # what goes before it in its group of three bytes
            data = bytes(before) + each
            inside = base64.b64encode(data)[first : len(data) * 8 // 6]  # the symbols that the word alone decides
            encoded |= {inside, inside.replace(b"+", b"-").replace(b"/", b"_")}
    return texts | {each.hex().encode() for each in texts} | encoded


def found(word: str, places: dict[str, bytes]) -> list[str]:
    """Where a word stands, in any form."""
    return sorted(name for name, data in places.items() if any(form in data for form in forms(word)))


async def disk(store: Store, url: str, folder: Path) -> dict[str, bytes]:
    """All bytes of the database and of the blobs. A server's files are not ours to read: its rows are taken."""
    places = {f"blob {path.name}": path.read_bytes() for path in (folder / "blobs").rglob("*") if path.is_file()}
    async with store.database.reading() as connection:
        for table, rows in (await dump(connection)).items():
            cells = [cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row]
            places[f"table {table}"] = b"\n".join(cells)
    if url.startswith("sqlite"):
        places |= {path.name: path.read_bytes() for path in folder.glob("relay.sqlite*")}
        assert {"relay.sqlite", "relay.sqlite-wal", "relay.sqlite-shm"} <= set(places)
    return places


def link_in(mail: EmailMessage) -> str:
    """The last part of the link that stands alone on a line of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    (line,) = [line for line in body.get_content().splitlines() if line.startswith("http")]
    return str(line.rpartition("/")[2])


async def test_disk_tells_nothing(
    store: Store,
    office: PrivateKey,
    database_url: str,
    tmp_path: Path,
    smtp_catcher: SmtpCatcher,
    capfd: pytest.CaptureFixture[str],
) -> None:
    desk_key, phrase, now = PrivateKey.new(), new_claim_phrase("ru"), store.database.clock()
    settings = Settings(mail=Mail(host=smtp_catcher.host, port=smtp_catcher.port))
    password = volunteers.new_password()
    entry = Entry(
        Prisoner(slug="pyotr-primerov", name="Пётр Примеров", birth_year=1980, language="ru"),
        Facility(slug="ik-99", name="ИК-99", country="RU", address="ул. Лесная, 1\n123456 Энск"),
    )
    async with store.database.writing() as connection:
        await directory.save(connection, [entry], by=WORKER, at=now)
        known = await directory.by_slug(connection, "pyotr-primerov")
        await volunteers.add(connection, "anna", volunteers.hash_password(password))
        anna = await volunteers.find(connection, "anna")
        assert known is not None
        assert anna is not None
        session = await volunteers.start_session(connection, anna.id, now)

    # the letter, from the form to the post
    address = f"{SECRET['address'][0]}@{SECRET['address'][1]}.example"
    photo = words("photo").encode()
    body = LetterBody(
        text=words("letter"),
        printed_name=" ".join(SECRET["name"]),
        address=address,
        photos=(Photo(width=1, height=1, size=len(photo)),),
    )
    submission = desk.Submission("form", phrase, known.prisoner_id, "ru", Wants.FULL, body, photos=(photo,))
    letter_id = await desk.submit(store, desk_key.public, submission)
    waiting = await disk(store, database_url, tmp_path)  # here the confirmation is on the disk, for the desk
    await Sender(store, settings, OWNER, desk_key, desk=True).send_next()
    token = link_in(smtp_catcher.mails[0].message)
    await desk.confirm(store, token)
    pages = RenderingPool()
    review = Review(store, office, FakeScreening(), pages, (), datetime.timedelta(0))
    own = closeness.own_address_tag(office, anna.id, "@".join(SECRET["volunteer's own address"]))
    async with store.database.writing() as connection:
        await connection.execute(sa.insert(volunteer_addresses).values(volunteer_id=anna.id, tag=own))
    assert await claims.claim_next(review, anna.id) is not None
    await decisions.to_be_translated(review, letter_id, anna.id, "ru")
    async with store.database.writing() as connection:
        await volunteers.set_languages(connection, anna.id, ["ru"])
    assert await claims.claim_translation(review, anna.id) is not None
    draft = translations.Draft(words("translation"), translations.mark(""))
    await translations.save_draft(review, letter_id, anna.id, draft)
    typed = translations.Draft(draft.text, translations.mark(draft.text))
    await translations.finish(review, letter_id, anna.id, typed, max_pages=12)
    assert await claims.claim_next(review, anna.id) is not None
    await decisions.cover(review, letter_id, anna.id, [0])
    await decisions.approve(
        review, letter_id, anna.id, without_photos=True, reason=ReviewReason.PHOTO, note=words("note")
    )
    prints = Printing(store, office, review.screening, pages, Settings())
    (batch_id,) = await printing.make_batches(store, Actor(Who.VOLUNTEER, anna.id), known.facility_id)
    async with store.database.reading() as connection:
        planned = await plan(connection, batch_id, prints)
    await put_on_paper(prints, batch_id, words("batch").encode(), planned)
    for state in (BatchState.PRINTED, BatchState.POSTED):
        await printing.mark(store, batch_id, state, anna.id)
    await pages.close()

    # the answer, from the file to the mail
    taken = await scanning.take_in(
        store, stream(words("content of the file").encode()), f"{words('name of the file')}.pdf", WORKER
    )
    async with store.database.writing() as connection:
        await leases.claim(connection, scans, owner=OWNER, now=now, order_by=scans.c.created_at)
        scan_key = await load_key(connection, Context(Record.SCAN, taken.scan_id), office)
        code, _ = await code_of(connection, letter_id)
    line = tuple(Word(text=word, doubtful=True) for word in words("transcript").split())
    picture = await store.blobs.put_bytes(words("picture").encode(), scan_key)
    untouched = await store.blobs.put_bytes(words("untouched picture").encode(), scan_key)
    codes = PageCodes((CodeRead(code, 1, None, Method.MATRIX),))
    reading = Reading(lines=(line,), codes=codes, words=tuple(words("other words").split()))
    page = scanning.ReadPage(1, reading, picture, untouched)
    await scanning.keep_page(store, taken.scan_id, OWNER, scan_key, page)
    await scanning.place(store, taken.scan_id, OWNER, scan_key, {1: reading})
    async with store.database.reading() as connection:
        (reply_row,) = await connection.execute(sa.select(replies))
        page_id = (await connection.execute(sa.select(page_rows.c.id))).scalar_one()
    await reply_steps.look_over(store, office, reply_row.id, release_unseen=False)
    await reply_steps.cover(store, office, page_id, [(0.1, 0.1, 0.2, 0.2)], anna.id)
    await reply_steps.correct(store, office, page_id, (line, (Word(text=words("corrected"), doubtful=False),)), anna.id)
    await reply_steps.check(store, reply_row.id, anna.id)
    async with store.database.reading() as connection:
        reply = await reply_steps.to_assemble(connection, reply_row.id, office)
    sent = reply_steps.SentPage(words("picture").encode(), None, reply.pages[0].reading.lines)
    await reply_steps.release(store, office, reply, words("reply").encode(), [sent])
    await send_all(Sender(store, settings, OWNER, office, desk=False))

    # it did go round: the sender has it all
    assert [mail.recipients for mail in smtp_catcher.mails] == [[address]] * len(smtp_catcher.mails)
    parts = [
        part.get_content() for mail in smtp_catcher.mails for part in mail.message.walk() if not part.is_multipart()
    ]
    assert words("reply").encode() in parts
    for told in ("transcript", "note"):
        assert any(SECRET[told][0] in part for part in parts if isinstance(part, str))
    async with store.database.reading() as connection:
        (state,) = (await connection.execute(sa.select(letters.c.state))).scalars()
    assert state == "delivered"

    secret = InboxSecret.from_phrase(phrase)
    unseen = {word for group in SECRET.values() for word in group} | set(phrase.split())
    unseen |= {secret.link, secret.secret.hex(), secret.key.seed.hex(), token, session, password}
    unseen -= {word for word in unseen if len(word) < 6}  # a short word of the phrase may stand anywhere by chance
    for places in (waiting, await disk(store, database_url, tmp_path)):
        assert {word: where for word in unseen if (where := found(word, places))} == {}
        for word in IN_CLEAR:
            assert found(word, places) != []
    out, err = capfd.readouterr()
    assert {word for word in unseen if found(word, {"log": (out + err).encode()})} == set()

    # and the search finds each form, were it there
    for word in unseen:
        for form in forms(word):
            assert found(word, {"a": b"x" + form, "b": b"x"}) == ["a"]
