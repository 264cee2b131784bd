"""The workplaces as they run: both sites over HTTP, and letters that went through the real steps."""

from __future__ import annotations

import asyncio
import io
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from censor_queue import claims, decisions
from censor_queue.review import Review
from print import jobs as print_jobs
from print import steps as print_steps
from print.batch_pages import RenderedMailing
from print.mailings import Planned, opened, plan
from print.printing import Printing
from print.rendering import Rendering, RenderingPool
from relay.app import Relay, desk_site, office_site
from relay.config import Installation, Settings
from relay.demo.people import DIRECTORY
from relay.desk import steps as desk_steps
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.directory import Entry
from relay.domain.letters import LetterBody, Wants, Word
from relay.domain.lives import WORKER, Actor, BatchState, Record, Who
from relay.domain.reply_code import ReplyCode, Side
from relay.installing import install
from relay.mail.compose import Confirmation
from relay.mail.sending import Sender
from relay.opened import private_folder
from relay.sealing import Context, InboxSecret, PrivateKey
from relay.store import directory, leases, tables, volunteers
from relay.store.database import Database
from relay.store.letters import code_of
from relay.store.schema import migrate
from relay.store.sealed import Store, load_key
from relay.web.sessions import COOKIE
from relay.web.site import HEADERS
from scanner import jobs as scanner_jobs
from scanner import reply_steps
from scanner import steps as scanner_steps
from scanner.codes import CodeRead, Method, PageCodes
from scanner.reading import Reading
from tests.fakes.clock import FakeClock

PASSWORD: Final = "a long invented password"
WORKER_NAME: Final = "worker-test"
TEXT: Final = "Dear friend,\n\nthe snow came early this year.\nYours"
ADDRESS: Final = "mary@sender.example"

PEOPLE: Final = {entry.prisoner.slug: entry for entry in DIRECTORY}
RUSSIAN: Final = PEOPLE["pyotr-primerov"]
ENGLISH: Final = PEOPLE["john-sample"]

both_engines = pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
"""For tests of what could differ: everything else runs on SQLite."""


# --- screens, as a browser takes them apart


class Screen(HTMLParser):
    """What stands on a screen. Text is read as a browser shows it, so an escaped tag is text again."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.language = ""
        self.heading = ""
        self.tags: set[str] = set()
        self.fields: dict[str, str] = {}
        """Values of inputs and text areas, of radio buttons the checked one."""
        self.wrong: list[str] = []
        """The texts of what is marked as wrong."""
        self.links: list[str] = []
        self.forms: list[str] = []
        """Where the forms that change something go to."""
        self.images: list[str] = []
        self.text = ""
        """The words of the main part, separated by single spaces."""
        self._open: list[tuple[str, list[str]]] = []
        self.feed(html.replace("\r\n", "\n"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        match tag:
            case "html":
                self.language = found["lang"]
            case "input" if found.get("type") != "radio" or "checked" in found:
                self.fields[found["name"]] = found.get("value", "")
            case "textarea":
                self._open.append((f"field {found['name']}", []))
            case "a":
                self.links.append(found["href"])
            case "form" if found.get("method") == "post":
                self.forms.append(found.get("action", ""))
            case "img":
                self.images.append(found["src"])
            case "h1" | "main":
                self._open.append((tag, []))
            case "p" | "span":
                self._open.append(("wrong" if found.get("class") == "wrong" else tag, []))

    def handle_data(self, data: str) -> None:
        for _, pieces in self._open:
            pieces.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"h1", "main", "p", "span", "textarea"}:
            self.handle_data("" if tag in {"a", "b", "mark"} else " ")
            return
        kind, pieces = self._open.pop()
        self.handle_data("" if tag == "span" else " ")
        text = " ".join("".join(pieces).split())
        if kind == "wrong":
            self.wrong.append(text)
        elif kind == "h1":
            self.heading = text
        elif kind == "main":
            self.text = text
        elif kind.startswith("field "):
            self.fields[kind.removeprefix("field ")] = "".join(pieces).removeprefix("\n")


@dataclass(frozen=True)
class Answer:
    """What a site answered; redirects are not followed."""

    status: int
    headers: Any
    body: bytes

    @property
    def screen(self) -> Screen:
        return Screen(self.body.decode())

    @property
    def location(self) -> str:
        return str(self.headers["Location"])


Client = TestClient[web.Request, web.Application]


async def get(client: Client, path: str, **options: Any) -> Answer:
    """Open an address."""
    return await _answer(await client.get(path, allow_redirects=False, **options))


async def post(client: Client, path: str, form: Any = None, **options: Any) -> Answer:
    """Send a form."""
    return await _answer(await client.post(path, data=form or {}, allow_redirects=False, **options))


async def _answer(response: ClientResponse) -> Answer:
    answer = Answer(response.status, response.headers, await response.read())
    assert HEADERS.items() <= dict(answer.headers).items(), "every answer has the headers that protect"
    return answer


# --- the house


@dataclass
class Sent:
    """A letter, and what its sender knows."""

    id: str
    phrase: str
    person: Entry

    @property
    def secret(self) -> InboxSecret:
        return InboxSecret.from_phrase(self.phrase)

    @property
    def inbox(self) -> str:
        return f"/en/inbox/{self.secret.link}"


@dataclass
class House:
    """One installation with the people of the demo, and what happens in it."""

    relay: Relay
    clock: FakeClock
    pages: RenderingPool
    volunteers: dict[str, str]
    """Ids by login."""
    _stack: AsyncExitStack
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def store(self) -> Store:
        return self.relay.store

    @property
    def settings(self) -> Settings:
        return self.relay.settings

    @property
    def office_key(self) -> PrivateKey:
        return self.relay.office_key

    @property
    def review(self) -> Review:
        return self.relay.review(self.pages)

    @property
    def printing(self) -> Printing:
        return self.relay.printing(self.pages)

    # the sites

    async def desk(self) -> Client:
        """A sender's browser."""
        return await self._client(desk_site(self.relay, self.pages))

    async def office(self, login: str | None = "anna") -> Client:
        """The browser of a volunteer who is logged in; None for somebody who is not."""
        client = await self._client(office_site(self.relay, self.pages))
        if login is not None:
            async with self.store.database.writing() as connection:
                token = await volunteers.start_session(connection, self.volunteers[login], self.clock())
            client.session.cookie_jar.update_cookies({COOKIE: token}, client.make_url("/"))
        return client

    async def _client(self, site: web.Application) -> Client:
        return await self._stack.enter_async_context(TestClient(TestServer(site)))

    # the life of a letter

    async def submit(
        self,
        person: Entry = ENGLISH,
        *,
        address: str | None = None,
        wants: Wants = Wants.FULL,
        text: str = TEXT,
        name: str = "Mary",
        language: str = "en",
        phrase: str | None = None,
        nonce: str | None = None,
        sheets: int = 1,
        card: bool = False,
    ) -> Sent:
        """A letter that waits for its confirmation."""
        phrase = phrase or new_claim_phrase(language)
        async with self.store.database.reading() as connection:
            known = await directory.by_slug(connection, person.prisoner.slug)
        assert known is not None
        submission = desk_steps.Submission(
            nonce=nonce or f"form {next(self._numbers)}",
            phrase=phrase,
            prisoner_id=known.prisoner_id,
            language=language,
            wants=wants if address else Wants.NOTHING,
            body=LetterBody(text=text, printed_name=name, address=address),
            reply_sheets=sheets,
            card=card,
        )
        letter_id = await desk_steps.submit(self.store, self.relay.private_key("desk").public, submission)
        return Sent(letter_id, phrase, person)

    async def queued(self, person: Entry = ENGLISH, **options: Any) -> Sent:
        """A confirmed letter, as if from a sender without an address or by the link in the mail."""
        sent = await self.submit(person, **options)
        if options.get("address"):
            await desk_steps.confirm(self.store, await self.token(sent.id))
        else:
            await desk_steps.confirm_by_phrase(self.store, sent.phrase, per_hour=1000)
        return sent

    async def token(self, letter_id: str) -> str:
        """The token in the confirmation mail, which the desk has sealed to itself."""
        row = await self.row(tables.outbox, letter_id=letter_id, kind="confirm")
        async with self.store.database.reading() as connection:
            key = await load_key(connection, Context("mail", row.id), self.relay.private_key("desk"))
        found: str = Confirmation.model_validate_json(key.decrypt(row.body)).token
        return found

    async def approved(self, person: Entry = ENGLISH, **options: Any) -> Sent:
        """A letter that a volunteer accepted. It has to be the only one in the queue."""
        sent = await self.queued(person, **options)
        held = await claims.claim_next(self.review, self.volunteers["anna"])
        assert held is not None
        assert held.id == sent.id
        await decisions.approve(self.review, sent.id, self.volunteers["anna"])
        return sent

    async def batch(self, person: Entry = ENGLISH) -> str:
        """The id of a new batch of what waits for the person's facility."""
        facility = await self.row(tables.facilities, slug=person.facility.slug)
        (batch,) = await print_steps.make_batches(self.store, self.anna, facility.id)
        return batch

    async def planned(self, batch: str) -> list[Planned]:
        """The envelopes of a batch."""
        async with self.store.database.reading() as connection:
            return await plan(connection, batch, self.printing)

    async def on_paper(self, batch: str, pages: bytes = b"pages", planned: Sequence[Planned] | None = None) -> None:
        """Store these pages for a batch, as the worker does that has drawn two sheets for each envelope."""
        await put_on_paper(self.printing, batch, pages, await self.planned(batch) if planned is None else planned)

    async def render(self) -> bool:
        """What the worker does for the printing."""
        return await print_jobs.render_next(self.printing, WORKER_NAME)

    async def rendered(self, person: Entry = ENGLISH) -> str:
        """The id of a new batch whose pages are there."""
        batch = await self.batch(person)
        assert await self.render()
        return batch

    async def posted(self, person: Entry = ENGLISH, **options: Any) -> Sent:
        """A letter that is on its way. Its batch is not rendered: use this where the pages do not matter."""
        sent = await self.approved(person, **options)
        batch = await self.batch(person)
        await self.on_paper(batch)
        for state in (BatchState.PRINTED, BatchState.POSTED):
            await print_steps.mark(self.store, batch, state, self.volunteers["anna"])
        return sent

    async def code(self, sent: Sent) -> ReplyCode:
        """The reply code of a letter."""
        async with self.store.database.reading() as connection:
            return (await code_of(connection, sent.id))[0]

    @property
    def anna(self) -> Actor:
        return Actor(Who.VOLUNTEER, self.volunteers["anna"])

    # the way of an answer

    async def split(self, *pages: PageCodes | Reading, words: Sequence[str] = ("Привет", "friend")) -> str:
        """The id of a file that was split into pages with these codes."""
        scan = await self.received()
        await self.split_into(scan, *pages, words=words)
        return scan

    async def received(self, data: bytes | None = None, name: str = "scan.pdf") -> str:
        """The id of a file that was taken in."""
        content = f"file {next(self._numbers)}".encode() if data is None else data
        return (await scanner_steps.take_in(self.store, pieces(content), name, self.anna)).scan_id

    async def split_into(
        self, scan: str, *pages: PageCodes | Reading, words: Sequence[str] = ("Привет", "friend")
    ) -> None:
        """Split a received file, as the worker does once it has read these codes, or this, from its pages."""
        async with self.store.database.writing() as connection:
            ours = tables.scans.c.id == scan
            order = tables.scans.c.created_at
            now = self.clock()
            await leases.claim(connection, tables.scans, ours, owner=WORKER_NAME, now=now, order_by=order)
            key = await load_key(connection, Context(Record.SCAN, scan), self.office_key)
        line = tuple(
            Word(text=word, doubtful=number > 0, box=(0.1 + number / 10, 0.3, 0.19 + number / 10, 0.33))
            for number, word in enumerate(words)
        )
        readings = {
            number: page if isinstance(page, Reading) else Reading(lines=(line,) if line else (), codes=page)
            for number, page in enumerate(pages, start=1)
        }
        await scanner_steps.note_count(self.store, scan, len(readings))
        for number, reading in readings.items():
            cleaned, untouched = [
                await self.store.blobs.put_bytes(data, key) for data in (picture(number), picture(number + 100))
            ]
            page = scanner_steps.ReadPage(number, reading, cleaned, untouched)
            await scanner_steps.keep_page(self.store, scan, WORKER_NAME, key, page)
        await scanner_steps.place(self.store, scan, WORKER_NAME, key, readings)

    async def assemble(self) -> bool:
        """What the worker does next for the replies: one is looked over, or assembled and released."""
        screening = self.relay.screener
        return await scanner_jobs.assemble_next(self.store, WORKER_NAME, self.office_key, screening)

    async def release(self) -> None:
        """Every open reply is looked over, checked by Anna where it waits for a person, and released."""
        while await self.assemble():
            pass
        for row in await self.rows(tables.replies, state="held", pages_of=None):
            await reply_steps.check(self.store, row.id, self.volunteers["anna"])
        while await self.assemble():
            pass

    async def replied(self, sent: Sent, *words: str) -> str:
        """The id of a released reply to a letter that was sent."""
        scan = await self.split(sure(await self.code(sent)), words=words or ("Привет", "friend"))
        await self.release()
        reply = await self.row(tables.replies, scan_id=scan)
        assert reply.state == "released"
        return str(reply.id)

    # the mail

    def sender(self, *, desk: bool = False, **mail: Any) -> Sender:
        """What sends the mails, the desk's or the office's; `mail` are settings of the mail server."""
        key = self.relay.private_key("desk") if desk else self.office_key
        return Sender(self.store, self.mail_settings(**mail), WORKER_NAME, key, desk=desk)

    def mail_settings(self, **mail: Any) -> Settings:
        """The settings with these ones of the mail server."""
        return self.settings.model_copy(update={"mail": self.settings.mail.model_copy(update=mail)})

    # looking

    async def row(self, table: sa.Table, **values: Any) -> sa.Row[Any]:
        """The one row with these values."""
        (found,) = await self.rows(table, **values)
        return found

    async def rows(self, table: sa.Table, **values: Any) -> Sequence[sa.Row[Any]]:
        """All rows with these values."""
        query = sa.select(table).where(*(table.c[name] == value for name, value in values.items()))
        async with self.store.database.reading() as connection:
            return (await connection.execute(query)).all()

    async def count(self) -> dict[str, int]:
        """How many rows each table has, but those of the sessions."""
        async with self.store.database.reading() as connection:
            return {
                table.name: (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
                for table in tables.metadata.sorted_tables
                if table is not tables.sessions
            }

    async def state(self, sent: Sent) -> str:
        """Where a letter is."""
        found: str = (await self.row(tables.letters, id=sent.id)).state
        return found

    def blobs(self) -> list[Path]:
        """The files of the blobs."""
        return sorted(path for path in Path(self.relay.installation.blobs).rglob("*") if path.is_file())


async def put_on_paper(printing: Printing, batch: str, pages: bytes, planned: Sequence[Planned]) -> None:
    """Store these pages for a batch with these envelopes, each with two sheets."""
    async with printing.store.database.reading() as connection:
        copy = (await connection.scalars(sa.select(tables.batches.c.copy).where(tables.batches.c.id == batch))).one()
    envelopes = [(await opened(printing, one, copy=copy))[1] for one in planned]
    drawn = tuple(RenderedMailing(place, 2) for place, one in enumerate(envelopes) if one.pieces)
    with private_folder() as folder:
        pdf = folder / "batch.pdf"
        pdf.write_bytes(pages)
        await print_steps.rendered(printing, batch, planned, envelopes, Rendering(drawn, ()), pdf)


async def send_all(sender: Sender) -> int:
    """Send until nothing is due any more; how many mails were tried."""
    count = 0
    while tried := await sender.send_next():
        count += tried
    return count


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """The bytes as a stream."""
    yield data


def sure(code: ReplyCode, sheet: int | None = 1, side: Side | None = Side.A) -> PageCodes:
    """What a page with one well readable matrix code says."""
    return PageCodes((CodeRead(code, sheet, side, Method.MATRIX),))


@cache
def picture(number: int) -> bytes:
    """A small picture of a page, different for each number."""
    file = io.BytesIO()
    Image.new("L", (100 + number, 140), 255).save(file, "JPEG", dpi=(100, 100))
    return file.getvalue()


@cache
def _password_hash() -> str:
    return volunteers.hash_password(PASSWORD)


# --- fixtures


@pytest.fixture(scope="session")
def rendering_pool() -> Iterator[RenderingPool]:
    """The printer's processes; they start with the first letter."""
    pool = RenderingPool()
    yield pool
    asyncio.run(pool.close())


@pytest.fixture
def engine() -> str:
    """The database of `house`; see `both_engines`."""
    return "sqlite"


@pytest.fixture
def config() -> str:
    """The config of `house`, but for the database."""
    site = '[site]\nname = "Example relay"\nreturn_address = ["PO Box 9", "00000 Nowhere"]\n'
    return f"{site}[review]\nundo_minutes = 0\n"


async def _fill(database: Database) -> None:
    """Put the demo's people and the volunteers anna and boris in."""
    async with database.writing() as connection:
        await directory.save(connection, DIRECTORY, by=WORKER, at=FakeClock().now)
        for login in ("anna", "boris"):
            await volunteers.add(connection, login, _password_hash())


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all that `house` begins with; the migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("filled") / "relay.sqlite"

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await migrate(database)
        await _fill(database)
        await database.forget()
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
async def house(
    engine: str,
    config: str,
    tmp_path: Path,
    clock: FakeClock,
    office: PrivateKey,
    rendering_pool: RenderingPool,
    filled_file: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[House]:
    """An installation with the demo's people and the volunteers anna and boris."""
    url: str = request.getfixturevalue("sqlite_url" if engine == "sqlite" else "postgres_url")
    folder = tmp_path / "relay"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "office.key").write_text(office.text)
    installation: Installation = install(folder, f'{config}\n[store]\ndatabase = "{url}"\n')
    if engine == "sqlite":
        shutil.copy(filled_file, url.removeprefix("sqlite+aiosqlite:///"))
    async with AsyncExitStack() as stack:
        relay_ = Relay(installation)
        stack.push_async_callback(relay_.close)
        if engine != "sqlite":
            await migrate(relay_.store.database)
            await _fill(relay_.store.database)
        relay_.store.database.clock = clock
        async with relay_.store.database.reading() as connection:
            ids = {volunteer.login: volunteer.id for volunteer in await volunteers.everybody(connection)}
        yield House(relay_, clock, rendering_pool, ids, stack)


@pytest.fixture
async def desk(house: House) -> Client:
    """A sender's browser on the desk."""
    return await house.desk()


@pytest.fixture
async def office_client(house: House) -> Client:
    """Anna's browser in the office."""
    return await house.office()
