"""That the servers of the tests are what the other tests take them for."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import MailServer, OutsideContactError, SmtpCatcher


async def test_database_empty_for_each_test(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE letter (text VARCHAR)"))
        await connection.execute(text("INSERT INTO letter VALUES ('Привет')"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT text FROM letter"))).scalars().all() == ["Привет"]
    await engine.dispose()


test_database_empty_for_each_test_again = test_database_empty_for_each_test


def test_mail_caught(smtp_catcher: SmtpCatcher) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "desk@relay.example", "anna@sender.example", "Ответ пришёл"
    mail.set_content("Здравствуйте")
    with smtplib.SMTP(smtp_catcher.host, smtp_catcher.port, local_hostname="localhost") as client:
        client.send_message(mail)
        smtp_catcher.refuse_with = "451 4.7.1 try again later"
        with pytest.raises(smtplib.SMTPDataError, match="try again later"):
            client.send_message(mail)
    [caught] = smtp_catcher.mails
    assert (caught.sender, caught.recipients) == ("desk@relay.example", ["anna@sender.example"])
    assert (caught.message["Subject"], caught.message.get_content()) == ("Ответ пришёл", "Здравствуйте\n")


def test_mail_server_delivers_and_refuses(mail_server: MailServer) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "desk@relay.example", "anna@sender.example", "Ответ пришёл"
    mail.set_content("Здравствуйте")
    with smtplib.SMTP(mail_server.host, mail_server.port, local_hostname="localhost") as client:
        client.send_message(mail)
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="Relay access denied"):
            client.send_message(mail, to_addrs=["anna@elsewhere.example"])
    [arrived] = mail_server.mails(1)
    assert (arrived["Delivered-To"], arrived.get_content()) == ("anna@sender.example", "Здравствуйте\n")


def test_contact_outside_refused(loopback_only: list[str]) -> None:
    with socket.socket() as outside, pytest.raises(OutsideContactError):
        outside.connect(("192.0.2.1", 25))
    with pytest.raises(OutsideContactError):
        socket.getaddrinfo("mail.example", 25)
    assert loopback_only == ["socket.connect 192.0.2.1", "socket.getaddrinfo mail.example"]
    loopback_only.clear()


def test_contact_on_loopback_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
