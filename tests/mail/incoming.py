"""Mails as they come in, all of them invented: what is no bounce though it looks like one, and what is one."""

from __future__ import annotations

from typing import Final

MAILBOX: Final = "letters@relay.example"
ID: Final = "0123456789abcdef0123456789abcdef"
RETURN_PATH: Final = f"letters+b{ID}@relay.example"
TOKEN: Final = "abcdefghijklmnopqrstuvwxyz"
ANSWER: Final = f"letters+a{TOKEN}@relay.example"


def mail(head: str, body: str) -> bytes:
    """A mail of these headers and this text, with the line ends of the network."""
    return f"{head.strip()}\n\n{body.strip()}\n".replace("\n", "\r\n").encode()


def by(
    sender: str = "Maria Beispiel <maria@supporter.example>",
    *headers: str,
    subject: str = "Re: A reply from Pyotr",
    text: str = "Dear Pyotr,\n\nthank you for your letter.\n\nMaria",
    to: str = ANSWER,
) -> bytes:
    """A mail from somebody, with more headers."""
    head = "\n".join(
        (
            *headers,
            f"From: {sender}",
            f"To: {to}",
            f"Subject: {subject}",
            "Date: Thu, 01 May 2031 10:00:00 +0000",
            "Message-ID: <m1@supporter.example>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        )
    )
    return mail(head, text)


def report(
    kind: str,
    machine: str,
    text: str = "About your mail.",
    *headers: str,
    subject: str = "Report",
    sender: str = "postmaster@supporter.example",
) -> bytes:
    """A multipart/report with this part for machines; `kind` is its type and ends in status, report or notification."""
    report_type = {"message/delivery-status": "delivery-status", "message/feedback-report": "feedback-report"}.get(
        kind, "disposition-notification"
    )
    head = "\n".join(
        (
            *headers,
            f"From: {sender}",
            f"To: {RETURN_PATH}",
            f"Subject: {subject}",
            "MIME-Version: 1.0",
            f'Content-Type: multipart/report; report-type={report_type}; boundary="b1"',
        )
    )
    returned = f"Message-ID: <{ID}@relay.example>\nTo: maria@supporter.example\nSubject: A reply from Pyotr\n"
    body = "\n".join(
        (
            *("--b1", "Content-Type: text/plain; charset=utf-8", "", text, ""),
            *("--b1", f"Content-Type: {kind}", "", machine, ""),
            *("--b1", "Content-Type: text/rfc822-headers", "", returned, "--b1--"),
        )
    )
    return mail(head, body)


def delivery(action: str, status: str, diagnostic: str = "", *headers: str) -> bytes:
    """A report about a delivery (RFC 3464)."""
    said = f"\nDiagnostic-Code: smtp; {diagnostic}" if diagnostic else ""
    machine = (
        "Reporting-MTA: dns; mx.supporter.example\n\n"
        f"Final-Recipient: rfc822; maria@supporter.example\nAction: {action}\nStatus: {status}{said}"
    )
    return report("message/delivery-status", machine, "About your mail.", *headers)


_BOUNCE_TEXT: Final = """\
This is the mail system at host mx.supporter.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

<olga@supporter.example>: host mx.supporter.example[192.0.2.7] said: 550 5.1.1
    <olga@supporter.example>: Recipient address rejected: User unknown (in reply to RCPT TO command)
"""
_QUOTED_HEAD: Final = """\
Return-Path: <maria@supporter.example>
Received: from home.example by mx.supporter.example; Thu, 01 May 2031 09:00:00 +0000
Message-ID: <m0@supporter.example>
From: maria@supporter.example
To: olga@supporter.example
Subject: Hello
"""

ORDINARY: Final[dict[str, bytes]] = {
    "a letter": by(),
    "a letter that quotes a bounce": by(text=f"Olga's address is dead, look:\n\n{_BOUNCE_TEXT}\nWhat now?\nMaria"),
    "a letter that quotes a bounce and the returned mail": by(text=f"Look:\n\n{_BOUNCE_TEXT}\n{_QUOTED_HEAD}\nHello"),
    "a forwarded bounce": by(
        subject="Fwd: Undelivered Mail Returned to Sender",
        text=f"---------- Forwarded message ---------\nFrom: MAILER-DAEMON@x.example\n\n{_BOUNCE_TEXT}\n{_QUOTED_HEAD}",
    ),
    "an answer to a bounce": by(
        "postmaster@small.example",
        "In-Reply-To: <m0@supporter.example>",
        subject="Re: Mail delivery failed: returning message to sender",
        text=f"> {_BOUNCE_TEXT}\n\nWe have put it right.",
    ),
    "a letter that mentions 550 5.1.1": by(text="It said 550 5.1.1 user unknown, and my mail was returned to sender."),
    "a bounce's subject by a person": by(subject="Mail delivery failed", text="Did my last letter reach him? Mary"),
    "a letter about posting": by(
        text="My parcel was undeliverable and returned to sender: address unknown, it said.\nThe box is full of snow."
    ),
    "a letter from an administrator": by(
        "Postmaster Pete <postmaster@small.example>", text="Dear friend,\n\nI run a small mail server.\nPete"
    ),
    "a letter in Russian": by(
        subject="Re: Ответ", text="Дорогой Пётр,\n\nпрошлое письмо не доставлено, оно вернулось. Пишу снова.\nМария"
    ),
    "a newsletter": by(
        "News <news@shop.example>",
        "Return-Path: <bounce-77@shop.example>",
        "List-Id: <news.shop.example>",
        "List-Unsubscribe: <https://shop.example/u>",
        "Precedence: bulk",
        subject="Delivery failed? 5 tips against returned mail",
        text="Why is your mail returned to sender? Error 550 5.7.1 explained.",
    ),
    "out of office": by(
        "Maria Beispiel <maria@supporter.example>",
        "Return-Path: <>",
        "Auto-Submitted: auto-replied",
        subject="Automatic reply: A reply from Pyotr",
        text="I am away until 9 May and cannot be reached. In urgent cases: olga@supporter.example",
    ),
    "out of office without any header": by(
        "Maria Beispiel <maria@supporter.example>",
        "Return-Path: <>",
        subject="Abwesenheit: A reply from Pyotr",
        text="Ich bin im Urlaub.",
    ),
    "out of office that quotes our mail": by(
        "Maria Beispiel <maria@supporter.example>",
        "Return-Path: <>",
        "Auto-Submitted: auto-generated",
        subject="Automatic reply: A reply from Pyotr",
        text=f"I cannot be reached.\n\n-----Original Message-----\n{_QUOTED_HEAD}",
    ),
    "a bounce that a person pastes": by(
        "Maria Beispiel <maria@supporter.example>",
        "User-Agent: Mozilla Thunderbird",
        subject="Undelivered mail",
        text=f"{_BOUNCE_TEXT}\n{_QUOTED_HEAD}",
    ),
    "a postmaster's parcel": by(
        "Postmaster Pete <postmaster@small.example>",
        subject="My parcel",
        text="It was returned to sender. Room 550: unknown.",
    ),
    "an automatic answer that looks like a bounce": by(
        "postmaster@supporter.example",
        "Return-Path: <>",
        "Auto-Submitted: auto-replied",
        subject="email bounce notification",
        text=f"Your message was rejected.\nreject reason: Mailbox full\n\nbounced E-Mail:\n\n{_QUOTED_HEAD}",
        to="bounces@elsewhere.example",
    ),
    "delivered": delivery("delivered", "2.0.0"),
    "relayed": delivery("relayed", "2.0.0", "250 2.0.0 Ok"),
    "expanded": delivery("expanded", "2.1.5"),
    "read": report(
        "message/disposition-notification",
        "Final-Recipient: rfc822; maria@supporter.example\nDisposition: manual-action/MDN-sent-manually; displayed",
        "Your message was read.",
        subject="Read: A reply from Pyotr",
    ),
    "deleted unread": report(
        "message/disposition-notification",
        "Final-Recipient: rfc822; maria@supporter.example\nDisposition: manual-action/MDN-sent-manually; deleted",
        "Your message was deleted without being read. It could not be delivered to a person.",
        subject="Not read: A reply from Pyotr",
    ),
    "praise": report("message/feedback-report", "Feedback-Type: not-spam\nUser-Agent: Sample/1.0\nVersion: 1"),
    "a report on DMARC": report("message/feedback-report", "Feedback-Type: auth-failure\nVersion: 1"),
    "a ticket": by(
        "Help Desk <help@office.example>",
        "Auto-Submitted: auto-generated",
        subject="[#1234] We got your request",
        text="Your message was received. Do not reply.",
    ),
    "only a null sender": by("Sample <sample@supporter.example>", "Return-Path: <>", text="Hello, here I am."),
}
"""Mails none of which is a bounce."""
