"""What is taken for a bounce: real mails of many systems, invented ones, and what only looks like one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.mail.addresses import return_path
from relay.mail.bounces import Bounce, recognise
from relay.mail.explaining import explain
from tests.mail.incoming import ID, MAILBOX, ORDINARY, RETURN_PATH, by, delivery, mail, report

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def samples(folder: str) -> dict[str, bytes]:
    """Real mails by their names."""
    path = SAMPLES / folder
    if not path.is_dir():
        pytest.skip(f"the samples are not there: {path}")
    return {file.stem: file.read_bytes() for file in sorted(path.glob("*.eml"))}


def stated(raw: bytes) -> bool | None:
    """What the status of a report says, read without any of our code: whether it is for good."""
    found = re.search(rb"^Status:\s*([45])\.\d+\.\d+", raw, re.IGNORECASE | re.MULTILINE)
    return found and found[1] == b"5"


def told(raw: bytes) -> Bounce:
    """The bounce in a mail that is one."""
    found = recognise(raw, MAILBOX)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_mail_is_no_bounce(name: str) -> None:
    assert recognise(ORDINARY[name], MAILBOX) is None


def test_real_bounces_are_recognised() -> None:
    found = {name: recognise(raw) for name, raw in samples("bounces").items()}
    missed = [name for name, bounce in found.items() if bounce is None]
    # The one says that a mail was delivered, the other that a list got it twice.
    assert missed == ["lhost-amazonses-12", "lhost-fml-03"]


LOOKED_AT = {
    *("activehunter", "amavis", "amazonses", "amazonworkmail", "arf", "dragonfly", "exchange2003", "ezweb", "fml"),
    *("imailserver", "kddi", "mcafee", "mfilter", "mimecast", "mxlogic", "notes", "surfcontrol", "verizon", "x2", "x6"),
}
"""Systems of which a mail was read whole by those who chose the words; of others only senders and subjects."""


def test_real_bounces_of_systems_that_nobody_had_read_are_recognised() -> None:
    unread = {
        name: raw
        for name, raw in samples("bounces").items()
        if name.removeprefix("lhost-").rpartition("-")[0] not in LOOKED_AT
    }
    missed = [name for name, raw in unread.items() if recognise(raw) is None]
    assert (len(unread), missed) == (122, [])


def test_real_bounces_are_for_good_or_not_as_their_status_says() -> None:
    mails = samples("bounces")
    says = {name: said for name, raw in mails.items() if (said := stated(raw)) is not None}
    found = {name: told(mails[name]).permanent for name in says}
    assert len(says) == 82
    assert found == says


def test_real_mails_that_are_no_bounces_are_none() -> None:
    assert [recognise(raw) for raw in samples("not-bounces").values()] == [None] * 3


def test_real_mails_to_a_return_path_are_about_that_mail() -> None:
    own = return_path(MAILBOX, ID)
    found = [explain(raw, MAILBOX, [own]) for raw in samples("bounces").values()]
    assert [one.message_id for one in found] == [ID] * 160


def test_report_is_read() -> None:
    found = told(delivery("failed", "5.1.1", "550 5.1.1 no such user"))
    assert found == Bounce(
        "maria@supporter.example",
        "5.1.1",
        True,
        f"{ID}@relay.example",
        ("It is a report about a delivery: failed, 5.1.1.",),
        dead=True,
    )


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "expected"),
    [
        ("failed", "5.0.0", "550 5.1.1 unknown", ("5.1.1", True, False, False, True)),
        ("failed", "5.0.0", "", ("5.0.0", True, False, False, True)),
        ("failed", "5.2.2", "552 5.2.2 over quota", ("5.2.2", True, False, False, False)),
        ("failed", "5.7.1", "550 5.7.1 blocked, see a list", ("5.7.1", True, False, True, False)),
        ("failed", "5.0.0", "554 message looks like spam", ("5.0.0", True, False, True, False)),
        ("failed", "5.1.8", "553 5.1.8 sender's domain unknown", ("5.1.8", True, False, True, False)),
        ("failed", "4.4.7", "", ("4.4.7", False, False, False, False)),
        ("delayed", "4.4.1", "", ("4.4.1", False, True, False, False)),
        ("Failed (mailbox)", "5.1.1 (bad)", "", ("5.1.1", True, False, False, True)),
    ],
)
def test_report_is_for_good_or_not(
    action: str, status: str, diagnostic: str, expected: tuple[str, bool, bool, bool, bool]
) -> None:
    found = told(delivery(action, status, diagnostic))
    assert (found.status, found.permanent, found.delayed, found.refused, found.dead) == expected


def test_report_of_several_recipients_tells_of_the_one_that_failed() -> None:
    machine = (
        "Reporting-MTA: dns; mx.supporter.example\n\n"
        "Final-Recipient: rfc822; olga@supporter.example\nAction: delivered\nStatus: 2.0.0\n\n"
        "Final-Recipient: rfc822; maria@supporter.example\nAction: failed\nStatus: 5.1.1"
    )
    found = told(report("message/delivery-status", machine))
    assert (found.address, found.status) == ("maria@supporter.example", "5.1.1")


def test_complaint_is_told() -> None:
    machine = "Feedback-Type: abuse\nUser-Agent: Sample/1.0\nVersion: 1\nOriginal-Rcpt-To: maria@supporter.example"
    found = told(report("message/feedback-report", machine))
    assert (found.complaint, found.permanent, found.address) == (True, None, "maria@supporter.example")
    assert found.message_id == f"{ID}@relay.example"


WILD = {
    "German": ("Mail nicht zustellbar", "Die Mail an <maria@supporter.example> konnte nicht zugestellt werden.", None),
    "Russian": ("Недоставленное сообщение", "Письмо для maria@supporter.example: нет такого пользователя", True),
    "Swedish": ("Meddelandet kunde inte levereras", "maria@supporter.example: 550 Adressen finns inte", True),
    "French": ("Message non remis", "<maria@supporter.example>: 450 4.2.1 réessayez plus tard", False),
    "Japanese": ("配信不能", "maria@supporter.example 550 5.1.1 存在しません", True),
    "English": ("Undeliverable", "maria@supporter.example\n  mailbox is full", False),
}


@pytest.mark.parametrize("language", WILD)
def test_wild_bounce_is_recognised(language: str) -> None:
    subject, text, permanent = WILD[language]
    found = told(by("MAILER-DAEMON@mx.supporter.example", subject=subject, text=text, to=RETURN_PATH))
    assert (found.address, found.permanent) == ("maria@supporter.example", permanent)


def test_warning_says_that_the_other_side_still_tries() -> None:
    raw = by(
        "Mail Delivery System <mailer-daemon@mx.supporter.example>",
        subject="Warning: message 1x delayed 24 hours",
        text="A message to maria@supporter.example has not yet been delivered. No action is required on your part.",
    )
    found = told(raw)
    assert (found.permanent, found.delayed) == (False, True)


def test_bounce_of_an_unknown_sender_needs_every_mark() -> None:
    text = (
        "Your mail could not be delivered.\n\nSent >>> RCPT TO: <maria@supporter.example>\n"
        "Received <<< 550 5.1.1 unknown\n\nReceived: from a by b\nMessage-ID: <m1@relay.example>\nFrom: a@x.example\n"
    )
    found = told(by("Gatekeeper <gate@supporter.example>", subject="Mail could not be delivered", text=text))
    assert (found.address, found.status) == ("maria@supporter.example", "5.1.1")
    assert recognise(by("Gatekeeper <gate@supporter.example>", subject="Your mail", text=text), MAILBOX) is None


def test_own_address_is_not_the_one_that_failed() -> None:
    text = f"Your mail from {RETURN_PATH} could not be delivered:\nmaria@supporter.example: user unknown"
    raw = by("MAILER-DAEMON@mx.supporter.example", subject="failure notice", text=text, to=RETURN_PATH)
    assert told(raw).address == "maria@supporter.example"


def test_automatic_answer_at_a_return_path_that_is_clearly_a_bounce_is_one() -> None:
    raw = ORDINARY["an automatic answer that looks like a bounce"]
    assert recognise(raw, MAILBOX) is None
    found = recognise(raw, MAILBOX, [RETURN_PATH])
    assert (found and found.permanent) is False


def test_notification_of_a_mail_service_is_read() -> None:
    told_json = (
        '{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":'
        '[{"emailAddress":"maria@supporter.example","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 unknown"}]},'
        f'"mail":{{"commonHeaders":{{"messageId":"<{ID}@relay.example>"}}}}}}'
    )
    found = told(by("AWS <no-reply@sns.amazonaws.com>", subject="Notification", text=told_json))
    assert (found.address, found.status, found.message_id) == (
        "maria@supporter.example",
        "5.1.1",
        f"{ID}@relay.example",
    )
    assert recognise(by("Maria <maria@supporter.example>", text=told_json)) is None


HEAD = "Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nSubject: failure notice"
HOSTILE = {
    "nothing": b"",
    "no mail": bytes(range(256)) * 4000,
    "one long line": mail(HEAD, "a" * 1_000_000),
    "words without end": mail(HEAD, "delivery failed fail could not mail message user recipient " * 20_000),
    "empty lines": mail(HEAD, "x" + "\n" * 500_000 + "x"),
    "headers without end": mail(HEAD, "To: a\n" * 150_000),
    "fields without end": mail(HEAD, "Final-Recipient: rfc822; \n \n \n" * 30_000),
    "a thousand headers": b"X: y\r\n" * 200_000 + mail(HEAD, "x"),
    "parameters": mail(f"{HEAD}\nContent-Type: text/plain;{' a=b;' * 100_000}", "x"),
    "folded parameters": (HEAD + "\nContent-Type: text/plain;\r" + " a=b;\r" * 100_000 + "\n\nx").encode(),
    "parts in parts": mail(
        f"{HEAD}\nContent-Type: multipart/mixed; boundary=a",
        "".join(f"--a\nContent-Type: multipart/mixed; boundary=a{number}\n\n" for number in range(500)),
    ),
    "mails in mails": mail(f"{HEAD}\nContent-Type: message/rfc822", "Content-Type: message/rfc822\n\n" * 20_000),
    "open tags": mail(f"{HEAD}\nContent-Type: text/html", "<style <!-- <a " * 60_000),
    "an unknown charset": mail(f'{HEAD}\nContent-Type: text/plain; charset="a\0b"', "x"),
    "a charset that is none": mail(f"{HEAD}\nContent-Type: text/plain; charset=undefined", "x"),
    "encoded words": mail(f"{HEAD} {'=?utf-8?q?a?= ' * 50_000}", "x"),
    "objects in objects": mail("From: a@sns.amazonaws.com", '{"a":' * 100_000),
    "a notification of nonsense": mail("From: a@sns.amazonaws.com", '{"notificationType":"Bounce","bounce":[1]}'),
    "a list instead of an object": mail("From: a@sns.amazonaws.com", '{"Message":"[1]"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_read_or_left(name: str) -> None:
    found = recognise(HOSTILE[name], MAILBOX, [RETURN_PATH])
    assert (found is None) == (name != "words without end")
