"""The demo's mail catcher: a real exchange, and screens that only show what came."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest
from aiohttp.test_utils import TestClient, TestServer

from relay.demo.mailbox import catching, caught, mail_site, text_of
from relay.store import tables
from tests.workplaces import ADDRESS, Client, House, get, post, send_all

HTML = "<u>under</u> & <script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the catcher keeps its mails; made by it."""
    return tmp_path / "caught" / "mails"


@pytest.fixture
async def port(folder: Path, unused_tcp_port: int) -> AsyncIterator[int]:
    """The port of the running catcher."""
    async with catching(folder, "127.0.0.1", unused_tcp_port):
        yield unused_tcp_port


@pytest.fixture
async def screens(house: House, folder: Path, port: int) -> AsyncIterator[Client]:
    """A browser on the screens of the mails."""
    async with TestClient(TestServer(mail_site(house.relay, folder))) as client:
        yield client


def message(subject: str = "Hello", text: str = "Good day", to: str = ADDRESS) -> EmailMessage:
    """A mail."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "post@relay.example", to, subject
    mail.set_content(text)
    return mail


async def send(port: int, mail: EmailMessage) -> None:
    """Give the catcher a mail."""
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=port, start_tls=False)


# --- what it keeps


def test_empty_folder_has_no_mails(tmp_path: Path) -> None:
    assert caught(tmp_path) == {}


async def test_mails_are_kept_as_they_came_oldest_first(folder: Path, port: int) -> None:
    for number in range(12):
        await send(port, message(f"Письмо {number}", "Одна строка\n.\n..\n\n", to="мария@sender.example"))
    mails = list(caught(folder).values())
    assert [mail["subject"] for mail in mails] == [f"Письмо {number}" for number in range(12)]
    assert {text_of(mail).replace("\r\n", "\n") for mail in mails} == {"Одна строка\n.\n..\n\n"}
    assert {str(mail["to"]) for mail in mails} == {"мария@sender.example"}


async def test_mails_at_once_are_all_kept(folder: Path, port: int) -> None:
    await asyncio.gather(*(send(port, message(str(number))) for number in range(20)))
    assert sorted(int(mail["subject"]) for mail in caught(folder).values()) == list(range(20))
    assert [path.suffix for path in folder.iterdir()] == [".eml"] * 20


async def test_mails_are_still_there_after_a_restart(folder: Path, unused_tcp_port: int) -> None:
    for subject in ("first", "second"):
        async with catching(folder, "127.0.0.1", unused_tcp_port):
            await send(unused_tcp_port, message(subject))
    assert [mail["subject"] for mail in caught(folder).values()] == ["first", "second"]


async def test_catcher_ends_while_somebody_is_connected(folder: Path, unused_tcp_port: int) -> None:
    async with catching(folder, "127.0.0.1", unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        assert (await reader.readline()).startswith(b"220 ")
    writer.close()
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        """The port is free again."""


# --- its screens


async def test_mail_of_the_relay_is_shown_with_a_link_that_confirms(house: House, screens: Client, port: int) -> None:
    sent = await house.submit(address=ADDRESS)
    token = await house.token(sent.id)
    assert await send_all(house.sender(desk=True, port=port)) == 1
    listed = (await get(screens, "/en/")).screen
    assert listed.heading == "Caught mails"
    assert listed.text.endswith(f"Please confirm your letter{ADDRESS}, Sun, 04 May 2031 12:30:15 +0000")
    (shown,) = [link for link in listed.links if "/mail/" in link]
    mail = (await get(screens, shown)).screen
    assert mail.heading == "Please confirm your letter"
    assert "If it was not you, do nothing." in mail.text
    (link,) = [link for link in mail.links if "/confirm/" in link]
    assert link == f"{house.settings.site.desk_url}/en/confirm/{token}"
    answer = await post(await house.desk(), link.removeprefix(house.settings.site.desk_url))
    assert (answer.status, await house.state(sent)) == (200, "queued")


async def test_reply_can_be_read_and_its_pdf_downloaded(house: House, screens: Client, port: int) -> None:
    sent = await house.posted(address=ADDRESS)
    house.clock.advance(days=1)
    await house.replied(sent, "Hello", "friend")
    assert await send_all(house.sender(port=port)) == 3
    # The list begins with the newest.
    shown = next(link for link in (await get(screens, "/en/")).screen.links if "/mail/" in link)
    mail = (await get(screens, shown)).screen
    assert mail.heading == "You have an answer"
    assert "Hello friend?" in mail.text
    (pdf,) = [link for link in mail.links if link.endswith("/0")]
    answer = await get(screens, pdf)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reply.pdf"'
    assert answer.body.startswith(b"%PDF-")
    assert (await house.row(tables.outbox, kind="reply")).state == "sent"


async def test_markup_in_a_mail_is_text(screens: Client, port: int) -> None:
    mail = message(f"Subject {HTML}", f'{HTML}\nhttps://relay.example/"onclick="x"><i>\n')
    mail.replace_header("From", f'"{HTML}" <post@relay.example>')
    mail.add_attachment(HTML.encode(), maintype="text", subtype="html", filename=f"{HTML}.html")
    await send(port, mail)
    listed = (await get(screens, "/en/")).screen
    (shown,) = [link for link in listed.links if "/mail/" in link]
    screen = (await get(screens, shown)).screen
    assert screen.heading == f"Subject {HTML}"
    assert screen.text.count(HTML) == 4
    assert [{"u", "script", "i"} & one.tags for one in (listed, screen)] == [set(), set()]
    assert 'https://relay.example/"onclick="x"><i>' in screen.links
    (attached,) = [link for link in screen.links if link.endswith("/0")]
    answer = await get(screens, attached)
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert (answer.headers["Content-Type"], answer.body) == ("text/html", HTML.encode())


async def test_only_web_addresses_become_links(screens: Client, port: int) -> None:
    await send(port, message(text="javascript:alert(1) http://relay.example/a file:///etc/passwd"))
    (shown,) = [link for link in (await get(screens, "/en/")).screen.links if "/mail/" in link]
    links = (await get(screens, shown)).screen.links
    assert [link for link in links if not link.startswith(("/", "#"))] == ["http://relay.example/a"]


@pytest.mark.parametrize("path", ["mail/unknown", "mail/..%2f..%2frelay.sqlite", "mail/unknown/0", "mail/%00"])
async def test_what_was_not_caught_is_not_there(screens: Client, path: str) -> None:
    assert (await get(screens, f"/en/{path}")).status == 404


async def test_attachment_that_a_mail_lacks_is_not_there(folder: Path, screens: Client, port: int) -> None:
    await send(port, message())
    (name,) = caught(folder)
    assert (await get(screens, f"/en/mail/{name}")).status == 200
    for number in ("0", "1", "99999999999999999999", "-1"):
        assert (await get(screens, f"/en/mail/{name}/{number}")).status == 404


async def test_empty_catcher_says_so(screens: Client) -> None:
    assert "None yet." in (await get(screens, "/en/")).screen.text
