"""What no person wrote, and what a mail that came in is taken for."""

from __future__ import annotations

import pytest

from relay.mail.addresses import answer_address
from relay.mail.automatic import seems_automatic, why_automatic
from relay.mail.explaining import Kind, explain, recipients_of
from relay.mail.parsing import parsed
from tests.mail.incoming import ANSWER, ID, MAILBOX, ORDINARY, RETURN_PATH, TOKEN, by, delivery, mail, report

AUTOMATIC = {
    "RFC 3834": (by("a@x.example", "Auto-Submitted: auto-replied"), "Its header Auto-Submitted says auto-replied."),
    "with a comment": (
        by("a@x.example", "Auto-Submitted: auto-generated (vacation)"),
        "Its header Auto-Submitted says auto-generated.",
    ),
    "vacation of old": (by("a@x.example", "Precedence: bulk"), "Its header Precedence says bulk."),
    "a program's own header": (
        by("a@x.example", "X-Autoreply: yes"),
        "It has the header X-Autoreply of programs that answer.",
    ),
    "a list": (by("a@x.example", "List-Id: <l.x.example>"), "It went over a list: it has the header List-Id."),
    "nobody can answer it": (by("no-reply@x.example"), "Its sender takes no answers."),
    "nobody sent it": (by("a@x.example", "Return-Path: <>"), "A mail system sent it."),
    "a circle": (
        by("a@x.example", *["Received: from a by b"] * 31),
        "It went through so many servers that it is going round in circles.",
    ),
    "marked against circles": (
        by("a@x.example", "X-Loop: a@x.example"),
        "It was sent by a program that marks its mails against circles.",
    ),
    "from ourselves": (by(f"Relay <{RETURN_PATH}>"), "It comes from our own address."),
    "from our mailbox": (by(MAILBOX), "It comes from our own address."),
    "a receipt": (
        report("message/disposition-notification", "Disposition: automatic-action/MDN-sent-automatically; displayed"),
        "It is a report of a program.",
    ),
}
SUBJECTS = ("Automatic reply: A reply from Pyotr", "Автоответ: В отпуске", "Abwesenheitsnotiz", "Autosvar: Semester")
PERSONAL = {
    "a letter": by(),
    "says no": by("a@x.example", "Auto-Submitted: no"),
    "about vacation": by(subject="Re: Out of office, at last"),
    "from somebody with a plus": by("Mary <mary+relay@supporter.example>"),
    "asks not to be answered by programs": by("a@x.example", "X-Auto-Response-Suppress: All"),
    "from one whose name begins so": by("Nora Reply <nore@supporter.example>"),
    "with a normal precedence": by("a@x.example", "Precedence: normal"),
}


@pytest.mark.parametrize("name", AUTOMATIC)
def test_program_is_recognised(name: str) -> None:
    raw, why = AUTOMATIC[name]
    message = parsed(raw)
    assert message is not None
    assert why_automatic(message, MAILBOX) == why


@pytest.mark.parametrize("name", PERSONAL)
def test_person_is_taken_for_one(name: str) -> None:
    message = parsed(PERSONAL[name])
    assert message is not None
    assert why_automatic(message, MAILBOX) is None
    assert not seems_automatic(message)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subject_alone_makes_a_mail_automatic_without_certainty(subject: str) -> None:
    explained = explain(by(subject=subject), MAILBOX, [])
    assert (explained.kind, explained.certain) == (Kind.AUTOMATIC, False)
    assert explained.why == ("Its subject is that of an automatic answer.",)


def test_letter_is_explained() -> None:
    found = explain(by(), MAILBOX, [ANSWER])
    assert (found.kind, found.token, found.message_id, found.severity) == (Kind.LETTER, TOKEN, None, None)
    assert found.why == ("It came to the address of a conversation.", "Nothing says that a program wrote it.")


def test_bounce_is_about_the_mail_of_its_return_path() -> None:
    found = explain(delivery("failed", "5.1.1"), MAILBOX, [RETURN_PATH])
    assert (found.kind, found.message_id, found.severity) == (Kind.BOUNCE, ID, "permanent")


def test_bounce_that_came_elsewhere_is_about_the_mail_that_it_returns() -> None:
    found = explain(delivery("delayed", "4.4.1"), MAILBOX, [MAILBOX])
    assert (found.kind, found.message_id, found.severity) == (Kind.BOUNCE, f"{ID}@relay.example", "temporary")


def test_complaint_is_a_class_of_bounces() -> None:
    raw = report("message/feedback-report", "Feedback-Type: abuse\nVersion: 1")
    assert explain(raw, MAILBOX, [RETURN_PATH]).severity == "complaint"


def test_what_cannot_be_read_at_a_return_path_is_kept_with_its_mail() -> None:
    found = explain(by(), MAILBOX, [RETURN_PATH])
    assert (found.kind, found.message_id) == (Kind.UNKNOWN, ID)


def test_automatic_answer_at_a_return_path_is_automatic() -> None:
    found = explain(ORDINARY["out of office"], MAILBOX, [RETURN_PATH])
    assert (found.kind, found.message_id) == (Kind.AUTOMATIC, ID)


@pytest.mark.parametrize("name", [name for name, raw in ORDINARY.items() if b"Auto-Submitted" in raw])
def test_automatic_answer_is_no_letter(name: str) -> None:
    assert explain(ORDINARY[name], MAILBOX, [ANSWER]).kind is Kind.AUTOMATIC


def test_mail_to_nobody_known_is_unknown() -> None:
    assert explain(by(), MAILBOX, ["hello@relay.example"]).kind is Kind.UNKNOWN


def test_no_mail_is_unknown() -> None:
    assert explain(b"\0\1\2", MAILBOX, [ANSWER]).kind is Kind.UNKNOWN


def test_address_whose_case_a_server_changed_is_known() -> None:
    assert explain(by(), MAILBOX, [answer_address(MAILBOX, TOKEN).upper()]).token == TOKEN


def test_recipients_are_read_from_headers() -> None:
    raw = mail(f"Delivered-To: {ANSWER}\nX-Original-To: a@x.example\nTo: Relay <b@x.example>, c@x.example", "x")
    assert recipients_of(raw) == [ANSWER, "a@x.example", "b@x.example", "c@x.example"]


def test_without_an_installation_an_address_may_be_that_of_a_conversation() -> None:
    found = explain(by(), "", [ANSWER])
    assert (found.kind, found.token) == (Kind.LETTER, TOKEN)
    assert found.why[0] == "Which addresses are ours is not known without an installation."
