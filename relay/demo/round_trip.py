"""One letter all the way round without a browser: over HTTP as a sender and as a volunteer, and by paper in between.

A round that was stopped at any point, also by SIGKILL, is taken up again in the same folder and ends in the same
result: each step first looks at what is done already. What the sender has in the browser (the form, with the claim
phrase) is kept in a file, as a browser keeps its tab.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import aiohttp
import pypdfium2
import sqlalchemy as sa
from reportlab.lib.units import mm

from relay.demo.mailbox import caught, text_of
from relay.demo.paper import hand_written
from relay.demo.people import DIRECTORY, VOLUNTEERS
from relay.demo.setting import ANY_PORTS, Setting, playing
from relay.domain.lives import BatchState, LetterState, ReplyState, ScanState
from relay.domain.reply_code import NotAReplyCodeError, read_code
from relay.domain.sheet import PAGE, READABLE
from relay.installing import write
from relay.sealing import InboxSecret
from relay.store.tables import batches, conversations, inboxes, letters, replies, scans

SAMPLES: Final = Path(__file__).parents[3] / "shared/samples/handwriting/ru/pages"
"""Pages of real handwriting, where a checkout has them beside it."""
PATIENCE: Final = 180
"""Seconds after which a step that waits for the worker has failed."""
LOOK_EVERY: Final = 0.1

PRISONER: Final = DIRECTORY[0].prisoner
ADDRESS: Final = "sender@supporter.example"
TEXT: Final = """Здравствуйте, Пётр!

Меня зовут Мария, мы не знакомы. Я прочла о вас и решила написать. У нас уже выпал первый снег, и весь двор \
вышел лепить снеговика: получился выше забора, с ведром вместо шляпы.

Как вы себя чувствуете? Что сейчас читаете? Если хотите, я перепишу для вас стихи или кроссворд. К письму \
приложен бланк для ответа: просто напишите на нём, и ответ дойдёт до меня.

Берегите себя."""


class RoundFailedError(Exception):
    """A step did not come to its end; the message says which."""


@dataclass(frozen=True, slots=True)
class Step:
    """A finished step."""

    name: str
    result: str
    seconds: float


class _Fields(HTMLParser):
    """The hidden fields of a screen's forms."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one field."""
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden" and (name := found.get("name")):
            self.values[name] = found.get("value") or ""


def _fields(screen: str) -> dict[str, str]:
    parser = _Fields()
    parser.feed(screen)
    return parser.values


class Round:
    """The steps of one round in a folder."""

    def __init__(self, setting: Setting, web: aiohttp.ClientSession, folder: Path, handwriting: Path | None) -> None:
        """Go round with a running demo."""
        self._setting, self._web, self._folder, self._handwriting = setting, web, folder, handwriting
        self._database = setting.relay.store.database

    async def send(self) -> str:
        """Write through the form and send."""
        kept = self._folder / "sender.json"
        address = f"{self._setting.desk}/ru/to/{PRISONER.slug}"
        if not kept.exists():
            form = {"text": TEXT, "printed_name": "Мария", "address": ADDRESS, "wants": "full"}
            preview = await self._post(address, form | {"action": "preview"})
            fields = _fields(preview)
            if preview.count("data:image/png;base64,") < 3:
                raise RoundFailedError("the preview does not show the pages")
            write(kept, json.dumps(fields), mode=0o600)
        form = json.loads(kept.read_text("utf-8"))
        sent = await self._post(address, form | {"action": "send"})
        if form["phrase"] not in unescape(re.sub(r"<[^>]+>", "", sent)):
            raise RoundFailedError("the letter was not taken")
        return f"{len(TEXT)} characters to {PRISONER.name}"

    @property
    def _secret(self) -> InboxSecret:
        form = json.loads((self._folder / "sender.json").read_text("utf-8"))
        return InboxSecret.from_phrase(form["phrase"])

    async def _letter(self) -> sa.Row[*tuple[object, ...]]:
        query = (
            sa.select(letters)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .where(inboxes.c.lookup_hash == self._secret.lookup_hash)
        )
        return await self._row(query)

    async def _row(self, query: sa.Select[*tuple[object, ...]]) -> sa.Row[*tuple[object, ...]]:
        async with self._database.reading() as connection:
            return (await connection.execute(query)).one()

    async def confirm(self) -> str:
        """Open the link in the confirmation mail and press the button."""
        if (await self._letter()).state != LetterState.UNCONFIRMED:
            return "it was confirmed already"
        link = await self._link("/confirm/")
        await self._get(link)
        if (await self._letter()).state != LetterState.UNCONFIRMED:
            raise RoundFailedError("opening the link confirmed the letter; only the button may")
        await self._post(link, {})
        return "GET showed the button, POST confirmed"

    async def _link(self, part: str) -> str:
        """The newest link with this part in the caught mails, on today's port."""
        pattern = re.compile(rf"https?://[^/\s]+(/\S*{re.escape(part)}\S*)")

        async def look() -> str | None:
            found = [
                match for mail in caught(self._setting.mail_folder).values() for match in pattern.findall(text_of(mail))
            ]
            return found[-1] if found else None

        return self._setting.desk + await self._wait("a mail with the link", look)

    async def review(self) -> str:
        """Log in as a volunteer, claim the letter and approve it."""
        if (await self._letter()).state != LetterState.QUEUED:
            return "it was decided already"
        await self._log_in()
        address = f"{self._setting.office}/en/review"
        screen = await self._get(address)
        if "Здравствуйте, Пётр!" not in screen or ADDRESS in screen:
            raise RoundFailedError("the review does not show the letter, or shows the sender's address")
        await self._post(address, _fields(screen) | {"decision": "approve"})
        return f"{VOLUNTEERS[0]} approved it"

    async def _log_in(self) -> None:
        login = VOLUNTEERS[0]
        password = self._setting.passwords[login]
        await self._post(f"{self._setting.office}/en/log-in", {"login": login, "password": password})

    async def render(self) -> str:
        """Make a batch for the facility and fetch its pages."""
        await self._log_in()
        letter = await self._letter()
        if letter.batch_id is None:
            screen = await self._get(f"{self._setting.office}/en/print")
            await self._post(f"{self._setting.office}/en/print", _fields(screen))

        async def look() -> str | None:
            batch = await self._row(sa.select(batches).where(batches.c.id == (await self._letter()).batch_id))
            return None if batch.state == BatchState.OPEN else str(batch.id)

        batch_id = await self._wait("the pages of the batch", look)
        pdf = await self._download(f"{self._setting.office}/en/print/{batch_id}.pdf")
        (self._folder / "letter.pdf").write_bytes(pdf)
        with pypdfium2.PdfDocument(pdf) as document:
            return f"{len(document)} pages, {len(pdf) // 1000} kB: letter.pdf"

    async def print_and_post(self) -> str:
        """Mark the batch as printed, then as posted."""
        await self._log_in()
        batch_id = (await self._letter()).batch_id
        for state in (BatchState.PRINTED, BatchState.POSTED):
            await self._post(f"{self._setting.office}/en/print/{batch_id}", {"state": state})
        batch = await self._row(sa.select(batches).where(batches.c.id == batch_id))
        if batch.state != BatchState.POSTED:
            raise RoundFailedError("the batch could not be marked as posted")
        return "marked as printed and posted"

    async def answer(self) -> str:
        """Put handwriting on side A of the reply sheet and scan it."""
        scan = self._folder / "scan.jpg"
        source = self._handwriting or next(iter(sorted(SAMPLES.glob("*.jpg"))), None)
        if not scan.exists():
            pdf = (self._folder / "letter.pdf").read_bytes()
            with pypdfium2.PdfDocument(pdf) as document:
                side_a = next(number for number, page in enumerate(document) if _is_reply_sheet(page))
            try:
                picture = await asyncio.to_thread(hand_written, pdf, side_a, source)
            except OSError as error:
                raise RoundFailedError(f"{source} cannot be read as a picture: {error}") from error
            unfinished = scan.with_suffix(".new")
            unfinished.write_bytes(picture)
            unfinished.rename(scan)
        return f"{source.name if source else 'a handwriting font'}: scan.jpg, {scan.stat().st_size // 1000} kB"

    async def take_in(self) -> str:
        """Upload the scan in the office."""
        async with self._database.reading() as connection:
            if (await connection.execute(self._scan)).one_or_none():
                return "it was stored already"
        await self._log_in()
        form = aiohttp.FormData()
        form.add_field(
            "files", (self._folder / "scan.jpg").read_bytes(), filename="scan.jpg", content_type="image/jpeg"
        )
        await self._post(f"{self._setting.office}/en/scan", form)
        return "uploaded and stored"

    @property
    def _scan(self) -> sa.Select[*tuple[Any, ...]]:
        digest = hashlib.sha256((self._folder / "scan.jpg").read_bytes()).hexdigest()
        return sa.select(scans).where(scans.c.sha256 == digest)

    async def read(self) -> str:
        """Wait until the worker has read the scan."""

        async def look() -> str | None:
            scan = await self._row(self._scan)
            return None if scan.state == ScanState.RECEIVED else str(scan.state)

        state = await self._wait("the scan to be read", look)
        if state != ScanState.SPLIT:
            raise RoundFailedError(f"the scan was {state}")
        return "its code was read"

    async def look_at(self) -> str:
        """Look at the reply as a volunteer and let it go: only one side of the sheet was scanned."""
        await self._log_in()

        async def look() -> str | None:
            reply = await self._reply()
            return None if reply.state == ReplyState.OPEN else str(reply.state)

        if await self._wait("the reply to be looked over", look) != ReplyState.HELD:
            return "somebody has looked at it already"
        address = f"{self._setting.office}/en/replies/{(await self._reply()).id}"
        version = re.search(r'name="version" value="([0-9a-f]+)"', await self._get(address))
        if version is None:
            raise RoundFailedError("the reply cannot be released")
        await self._post(address, {"do": "release", "version": version.group(1)})
        return "looked at and let go"

    async def release(self) -> str:
        """Wait until the reply is released."""

        async def look() -> str | None:
            return "released" if (await self._reply()).state == ReplyState.RELEASED else None

        return await self._wait("the reply to be released", look)

    async def _reply(self) -> sa.Row[*tuple[Any, ...]]:
        letter_id = (await self._letter()).id
        return await self._row(sa.select(replies).where(replies.c.letter_id == letter_id))

    async def mail(self) -> str:
        """Wait for the mail with the reply and keep it."""

        async def look() -> str | None:
            for name, mail in caught(self._setting.mail_folder).items():
                if any(part.get_content_type() == "application/pdf" for part in mail.walk()):
                    return name
            return None

        name = await self._wait("the mail with the reply", look)
        data = (self._setting.mail_folder / f"{name}.eml").read_bytes()
        (self._folder / "reply.eml").write_bytes(data)
        return f"{len(data) // 1000} kB: reply.eml"

    async def inbox(self) -> str:
        """Open the inbox by the link in the mail and fetch the PDF."""
        inbox = await self._get(await self._link("/inbox/"))
        found = re.search(r'href="(/[^"]+/reply/[0-9a-f]+)"', inbox)
        if found is None:
            raise RoundFailedError("the inbox does not show the reply")
        address = self._setting.desk + found.group(1)
        screen = await self._get(address)
        pdf = await self._download(f"{address}/reply.pdf")
        (self._folder / "reply.pdf").write_bytes(pdf)
        return f"{screen.count('<figure')} page, {len(pdf) // 1000} kB: reply.pdf"

    async def _wait(self, what: str, look: Callable[[], Awaitable[str | None]]) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if (found := await look()) is not None:
                return found
            await asyncio.sleep(LOOK_EVERY)
        raise RoundFailedError(f"waited {PATIENCE} seconds for {what}")

    async def _get(self, address: str) -> str:
        async with self._web.get(address) as response:
            return await self._good(response)

    async def _post(self, address: str, form: dict[str, str] | aiohttp.FormData) -> str:
        async with self._web.post(address, data=form) as response:
            return await self._good(response)

    async def _good(self, response: aiohttp.ClientResponse) -> str:
        text = await response.text()
        if response.status != 200:
            raise RoundFailedError(f"{response.method} {response.url.path} was answered with {response.status}")
        return text

    async def _download(self, address: str) -> bytes:
        async with self._web.get(address) as response:
            if response.status != 200:
                raise RoundFailedError(f"the download was answered with {response.status}")
            return await response.read()


STEPS: Final[Mapping[str, Callable[[Round], Awaitable[str]]]] = {
    "write and send": Round.send,
    "confirm by the link in the mail": Round.confirm,
    "review": Round.review,
    "make a batch and render it": Round.render,
    "print and post": Round.print_and_post,
    "answer by hand, scan": Round.answer,
    "take the scan in": Round.take_in,
    "read and place the page": Round.read,
    "look at the reply": Round.look_at,
    "release the reply": Round.release,
    "mail with the reply": Round.mail,
    "read the reply in the inbox": Round.inbox,
}
"""The round, step by step; each says what happened."""


@asynccontextmanager
async def going(folder: Path, handwriting: Path | None) -> AsyncIterator[Round]:
    """A round in this folder, begun or taken up again."""
    folder.mkdir(parents=True, exist_ok=True)
    # The sites are on IP addresses, for which aiohttp keeps no cookies unless told.
    cookies = aiohttp.CookieJar(unsafe=True)
    async with playing(folder / "relay", ANY_PORTS) as setting, aiohttp.ClientSession(cookie_jar=cookies) as web:
        yield Round(setting, web, folder, handwriting)


async def run(folder: Path, handwriting: Path | None) -> list[Step]:
    """Go all the way round. Raises RoundFailedError."""
    began = time.perf_counter()
    done: list[Step] = []
    async with going(folder, handwriting) as round_:
        done.append(Step("install and start", "keys, people, three volunteers", time.perf_counter() - began))
        for name, step in STEPS.items():
            began = time.perf_counter()
            result = await step(round_)
            done.append(Step(name, result, time.perf_counter() - began))
    return done


def _is_reply_sheet(page: pypdfium2.PdfPage) -> bool:
    """Whether a reply code stands where only reply sheets have one."""
    place = READABLE[0]
    bottom, top = ((PAGE.height - edge) * mm for edge in (place.bottom, place.y))
    try:
        read_code(page.get_textpage().get_text_bounded(place.x * mm, bottom, place.right * mm, top))
    except NotAReplyCodeError:
        return False
    return True
