"""The demo's mail catcher: a real SMTP server that keeps every mail in a folder, and screens to read and answer it."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final

import aiosmtplib
from aiohttp import BytesPayload, web
from aiosmtpd.smtp import SMTP, Envelope, Session
from markupsafe import Markup, escape

from relay.app import Relay
from relay.web.keys import SETTINGS, STORE
from relay.web.site import fields_of, new_site, path_to, render

ROUTES: Final = web.RouteTableDef()
MAILS: Final = web.AppKey("mails", Path)
LINK: Final = re.compile(r"https?://\S+")


class Catcher:
    """Keeps each mail as a file, on the disk before the sender is told that it was taken."""

    def __init__(self, folder: Path) -> None:
        """Keep mails in this folder."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Called by aiosmtpd for each mail."""
        del server, session
        assert isinstance(envelope.content, bytes)
        await asyncio.to_thread(self._keep, envelope.content)
        return "250 2.0.0 kept"

    def _keep(self, content: bytes) -> None:
        name = f"{len(list(self.folder.glob('*.eml'))) + 1:04d}-{secrets.token_hex(4)}"
        written = self.folder / f"{name}.new"
        with written.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.rename(self.folder / f"{name}.eml")


def caught(folder: Path) -> dict[str, EmailMessage]:
    """The caught mails by name, oldest first."""
    return {
        path.stem: message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))
    }


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


@asynccontextmanager
async def catching(folder: Path, host: str, port: int) -> AsyncIterator[None]:
    """Take mails until the end of the block."""
    catcher = Catcher(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, enable_SMTPUTF8=True, hostname="localhost"), host, port
    )
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def mail_site(relay_: Relay, folder: Path) -> web.Application:
    """The screens of the caught mails."""
    site = new_site(["relay.demo"])
    site[STORE], site[SETTINGS], site[MAILS] = relay_.store, relay_.settings, folder
    site.add_routes(ROUTES)
    return site


@ROUTES.get("/{language}/", name="home")
async def mails(request: web.Request) -> web.Response:
    """All caught mails, newest first."""
    found = await asyncio.to_thread(caught, request.app[MAILS])
    return render(request, "demo/mails.html", mails=list(reversed(found.items())))


def _mail(request: web.Request) -> EmailMessage:
    found = caught(request.app[MAILS]).get(request.match_info["mail"])
    if found is None:
        raise web.HTTPNotFound
    return found


@ROUTES.get("/{language}/mail/{mail}", name="mail")
async def mail(request: web.Request) -> web.Response:
    """One mail."""
    return _shown(request)


def _shown(request: web.Request, *, answered: bool = False) -> web.Response:
    found = _mail(request)
    text = Markup("").join(_linked(text_of(found)))
    names = [part.get_filename() or "" for part in found.iter_attachments()]
    return render(
        request,
        "demo/mail.html",
        mail=found,
        text=text,
        name=request.match_info["mail"],
        attachments=names,
        answered=answered,
    )


@ROUTES.post("/{language}/mail/{mail}")
async def answer(request: web.Request) -> web.Response:
    """Hand an answer to the relay, as the mail server of the sender would."""
    asked, text = _mail(request), (await fields_of(request)).get("text", "").strip()
    if not text or asked["reply-to"] is None:
        raise web.HTTPSeeOther(path_to(request, "mail", mail=request.match_info["mail"]))
    written, now = EmailMessage(), request.app[STORE].database.clock()
    written["From"], written["To"] = str(asked["to"]), str(asked["reply-to"])
    written["Subject"], written["Date"] = f"Re: {asked['subject']}", format_datetime(now)
    written["Message-ID"] = make_msgid(domain="supporter.example")
    written["In-Reply-To"] = written["References"] = str(asked["message-id"])
    written.set_content(text)
    incoming = request.app[SETTINGS].incoming
    await aiosmtplib.send(written, hostname=incoming.host, port=incoming.port, start_tls=False)
    return _shown(request, answered=True)


def _linked(text: str) -> list[Markup]:
    pieces, end = [], 0
    for link in LINK.finditer(text):
        pieces += [escape(text[end : link.start()]), Markup('<a href="{0}">{0}</a>').format(link.group())]
        end = link.end()
    return [*pieces, escape(text[end:])]


@ROUTES.get(r"/{language}/mail/{mail}/{number:\d+}", name="attachment")
async def attachment(request: web.Request) -> web.Response:
    """An attachment."""
    parts = list(_mail(request).iter_attachments())
    number = int(request.match_info["number"])
    if number >= len(parts):
        raise web.HTTPNotFound
    part = parts[number]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes), "the relay attaches no mails to mails"
    body = BytesPayload(content, content_type=part.get_content_type())
    body.set_content_disposition("attachment", filename=part.get_filename() or "")
    return web.Response(body=body)
