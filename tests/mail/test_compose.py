"""The mails as messages."""

from __future__ import annotations

import dataclasses
import datetime
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage
from html.parser import HTMLParser

import pytest

from relay.domain.languages import LANGUAGES
from relay.domain.letters import Transcript, Wants, Word
from relay.domain.lives import MailKind
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.domain.sheet import Tick
from relay.domain.ticks import FOR_SENDER, TICK_WORDS
from relay.locale import catalogue
from relay.mail.compose import AddressNotWritableError, Envelope, Own, Why, answer, confirmation, notice, reply

AT = datetime.datetime(2031, 5, 4, 12, 30, 15, 250, tzinfo=datetime.UTC)
LINK = "https://relay.example/en/inbox/AbC-123_x"
NAME = "Примеров Пётр Вымыслович"
PDF = b"%PDF-1.7 invented"
GUESS = (
    "This is what a machine read from the handwriting. It is a guess, often wrong; words followed by a question mark "
    "are doubtful. What counts is the picture."
)
UNREAD = "A machine could not read the handwriting. Please look at the picture."
READ = Transcript(
    pages=(
        ((Word(text="Привет,", doubtful=False), Word(text="дрyг", doubtful=True)), (Word(text="Hej", doubtful=True),)),
        ((Word(text="Пётр", doubtful=False),),),
    )
)


def envelope(language: str = "en", name: str = "Example relay", address: str = "mary@sender.example") -> Envelope:
    """What every mail has."""
    return Envelope(
        sender_name=name,
        sender="post@relay.example",
        address=address,
        language=language,
        message_id="0123456789abcdef",
        written_at=AT,
    )


def arrived(message: EmailMessage, cte_type: str = "8bit") -> EmailMessage:
    """The mail as its receiver parses it."""
    data = message.as_bytes(policy=policy.SMTP.clone(cte_type=cte_type))
    assert max(len(line) for line in data.split(b"\r\n")) <= 998, "the longest line that SMTP carries"
    return message_from_bytes(data, policy=policy.default)


def paragraphs(mail: EmailMessage) -> list[str]:
    """The text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return "\n".join(str(body.get_content()).splitlines()).split("\n\n")


def words(language: str, sentence: str, **parts: str | int) -> str:
    """A sentence in a language; that none lacks its translation is tested with the catalogues."""
    return catalogue(language).gettext(sentence).format(**parts)


def ending(language: str) -> list[str]:
    """How each mail about a letter ends."""
    return [
        words(language, "Your letters and the answers are here:"),
        LINK,
        words(language, "Who has this link can read them: do not pass it on."),
    ]


# --- what they say


@pytest.mark.parametrize("language", LANGUAGES)
def test_confirmation_asks_in_the_language_of_the_sender(language: str) -> None:
    mail = arrived(confirmation(envelope(language), LINK, days=7))
    assert mail["subject"] == words(language, "Please confirm your letter")
    text = words(
        language,
        "You wrote a letter on our site. Please confirm it:\n\n"
        "{link}\n\n"
        "The link opens a page with a button. Without it the letter is not sent, and it is deleted after {days} days.\n"
        "If it was not you, do nothing.",
        link=LINK,
        days="7",
    )
    assert paragraphs(mail) == text.split("\n\n")
    assert LINK in paragraphs(mail), "the link stands alone, so that no point after it gets into it"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("kind", "subject", "sentence"),
    [
        (
            MailKind.QUEUED,
            "Your letter is confirmed",
            "Your letter to {prisoner} is confirmed. A volunteer will read it before it is printed.",
        ),
        (MailKind.POSTED, "Your letter is on its way", "Your letter to {prisoner} is printed and posted."),
    ],
)
def test_notice_tells_the_step_in_the_language_of_the_sender(
    language: str, kind: MailKind, subject: str, sentence: str
) -> None:
    mail = arrived(notice(envelope(language), kind, NAME, LINK))
    assert mail["subject"] == words(language, subject)
    assert mail["content-language"] == language
    assert paragraphs(mail) == [words(language, sentence, prisoner=NAME), *ending(language)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", ReviewReason)
def test_refusal_tells_the_reason_in_the_language_of_the_sender(language: str, reason: ReviewReason) -> None:
    mail = arrived(notice(envelope(language), MailKind.REFUSED, NAME, LINK, Why(reason)))
    assert mail["subject"] == words(language, "Your letter was not accepted")
    assert paragraphs(mail) == [
        words(language, "A volunteer could not accept your letter to {prisoner}.", prisoner=NAME),
        words(language, "The reason: {reason}", reason=words(language, REVIEW_REASONS[reason])),
        *ending(language),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("kind", "subject", "sentence"),
    [
        (
            MailKind.CHANGES,
            "Please change something in your letter",
            "Your letter to {prisoner} can go as soon as you have changed something in it.",
        ),
        (
            MailKind.REFUSED,
            "Your letter was not accepted",
            "A volunteer could not accept your letter to {prisoner}.",
        ),
        (
            MailKind.PARTLY,
            "Your letter was accepted in part",
            "Your letter to {prisoner} will be printed, but a part of it was left out.",
        ),
        (MailKind.RETURNED, "Your letter came back", "Your letter to {prisoner} came back to us."),
    ],
)
def test_decision_tells_reason_and_note_in_the_language_of_the_sender(
    language: str, kind: MailKind, subject: str, sentence: str
) -> None:
    note = "Please leave out the second page.\nAll else is fine."
    mail = arrived(notice(envelope(language), kind, NAME, LINK, Why(ReviewReason.PHOTO, note)))
    assert mail["subject"] == words(language, subject)
    assert mail["content-language"] == language
    assert paragraphs(mail) == [
        words(language, sentence, prisoner=NAME),
        words(language, "The reason: {reason}", reason=words(language, REVIEW_REASONS[ReviewReason.PHOTO])),
        words(language, "The volunteer writes: {note}", note=note),
        *ending(language),
    ]


@pytest.mark.parametrize("kind", [MailKind.CHANGES, MailKind.PARTLY, MailKind.RETURNED])
def test_decision_without_a_reason_tells_what_happened(kind: MailKind) -> None:
    assert paragraphs(arrived(notice(envelope(), kind, NAME, LINK)))[1:] == ending("en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_reply_brings_the_picture_the_marked_guess_and_the_link(language: str) -> None:
    mail = arrived(reply(envelope(language), Wants.FULL, NAME, LINK, READ, PDF))
    assert mail["subject"] == words(language, "You have an answer")
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]
    assert [part["content-language"] for part in mail.walk()] == [None, language, None, None, None]
    assert paragraphs(mail) == [
        words(language, "{prisoner} has answered your letter.", prisoner=NAME),
        words(language, "The answer is attached as it was written by hand."),
        words(language, GUESS),
        "Привет, дрyг?\nHej?",
        "Пётр",
        *ending(language),
    ]
    (attached,) = mail.iter_attachments()
    assert (attached.get_content(), attached.get_filename()) == (PDF, "reply.pdf")


@pytest.mark.parametrize("language", LANGUAGES)
def test_reply_tells_what_is_missing_and_what_was_ticked(language: str) -> None:
    told = READ.model_copy(update={"missing": ((1, "B"), (2, "A")), "ticks": ("pages_missing", "write_again")})
    mail = arrived(reply(envelope(language), Wants.FULL, NAME, LINK, told, PDF))
    pages = [
        words(language, "Reply sheet {sheet}, side {side}", sheet=n, side=side) for n, side in ((1, "B"), (2, "A"))
    ]
    missing = words(language, "These pages did not come with it. If they come later, you get them too:")
    ticked = words(language, "What {prisoner} ticked on the reply sheet:", prisoner=NAME)
    printed_again = words(language, FOR_SENDER[Tick.PAGES_MISSING])
    assert paragraphs(mail)[2:4] == [
        "\n".join([missing, *pages]),
        "\n".join(
            [
                ticked,
                f"– {words(language, TICK_WORDS[Tick.PAGES_MISSING])}. {printed_again}",
                f"– {words(language, TICK_WORDS[Tick.WRITE_AGAIN])}",
            ]
        ),
    ]


@pytest.mark.parametrize(
    ("by_person", "who"),
    [((1, 2), "This is what a volunteer read"), ((2,), "This is what a volunteer and a machine read")],
)
def test_reply_tells_who_read_it(by_person: tuple[int, ...], who: str) -> None:
    read = READ.model_copy(update={"by_person": by_person})
    said = paragraphs(arrived(reply(envelope(), Wants.FULL, NAME, LINK, read, PDF)))[2]
    assert said.partition(" from the handwriting.")[0] == who


@pytest.mark.parametrize("pages", [(), ((),), ((), ())], ids=str)
@pytest.mark.parametrize("language", LANGUAGES)
def test_reply_that_could_not_be_read_says_so(language: str, pages: tuple[tuple[()], ...]) -> None:
    mail = arrived(reply(envelope(language), Wants.FULL, NAME, LINK, Transcript(pages=pages), PDF))
    assert paragraphs(mail)[2:] == [words(language, UNREAD), *ending(language)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_notice_of_a_reply_carries_nothing_of_it(language: str) -> None:
    mail = arrived(reply(envelope(language), Wants.NOTICE, NAME, LINK, READ, PDF))
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert paragraphs(mail) == [
        words(language, "{prisoner} has answered your letter.", prisoner=NAME),
        *ending(language),
    ]


def test_braces_in_a_name_or_a_note_are_no_placeholders() -> None:
    name = "{link} {0} %(name)s"
    mail = arrived(notice(envelope(), MailKind.REFUSED, name, LINK, Why(ReviewReason.SPAM, "{note} {0}")))
    assert paragraphs(mail)[:3] == [
        f"A volunteer could not accept your letter to {name}.",
        f"The reason: {REVIEW_REASONS[ReviewReason.SPAM]}",
        "The volunteer writes: {note} {0}",
    ]


def test_lines_of_a_note_stay_in_the_body() -> None:
    note = "Bcc: eve@other.example\n.\nFrom eve"
    mail = arrived(notice(envelope(), MailKind.CHANGES, NAME, LINK, Why(ReviewReason.SPAM, note)))
    assert paragraphs(mail)[2] == f"The volunteer writes: {note}"
    assert mail["bcc"] is None


# --- how they travel


def test_headers_say_that_a_machine_wrote_and_which_mail_it_is() -> None:
    mail = arrived(notice(envelope("de"), MailKind.QUEUED, NAME, LINK))
    assert {name: str(value) for name, value in mail.items()} == {
        "From": "Example relay <post@relay.example>",
        "To": "mary@sender.example",
        "Subject": "Ihr Brief ist bestätigt",
        "Date": "Sun, 04 May 2031 12:30:15 +0000",
        "Message-ID": "<0123456789abcdef@relay.example>",
        "Auto-Submitted": "auto-generated",
        "Content-Language": "de",
        "Content-Type": mail["Content-Type"],
        "MIME-Version": "1.0",
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_server_that_takes_seven_bits_gets_the_same_text(language: str) -> None:
    message = reply(envelope(language), Wants.FULL, NAME, LINK, READ, PDF)
    assert message.as_bytes(policy=policy.SMTP.clone(cte_type="7bit")).isascii()
    assert paragraphs(arrived(message, cte_type="7bit")) == paragraphs(arrived(message, cte_type="8bit"))


def test_long_line_of_a_transcript_is_not_cut() -> None:
    line = tuple(Word(text="длинная", doubtful=False) for _ in range(1000))
    mail = arrived(reply(envelope(), Wants.FULL, NAME, LINK, Transcript(pages=((line,),)), PDF))
    assert paragraphs(mail)[3] == " ".join(["длинная"] * 1000)


def test_lines_of_a_transcript_stay_in_the_body() -> None:
    lines = tuple((Word(text=text, doubtful=False),) for text in ("Bcc: eve@other.example", ".", "From eve"))
    mail = arrived(reply(envelope(), Wants.FULL, NAME, LINK, Transcript(pages=(lines,)), PDF))
    assert paragraphs(mail)[3] == "Bcc: eve@other.example\n.\nFrom eve"
    assert mail["bcc"] is None


@pytest.mark.parametrize(
    "name",
    [
        "Письма",
        "Brevkören Påhittad",
        "A, B; c: d",
        'The "best" <eve@other.example>',
        "Письма; друзьям: a, b",
        'Письма, "друзьям" <eve@other.example>, (x) \\ y',
        "Очень " * 40 + "длинное, имя <eve@other.example>",
        "",
    ],
)
def test_name_of_the_group_is_only_a_name(name: str) -> None:
    message = confirmation(envelope(name=name), LINK, days=7)
    data = message.as_bytes(policy=policy.SMTP)
    assert data.isascii()
    mail = message_from_bytes(data, policy=policy.default)
    assert [address.addr_spec for address in mail["from"].addresses] == ["post@relay.example"]
    # Read by the older parser: the newer one of some Pythons puts spaces between encoded words that belong together.
    old = message_from_bytes(data, policy=policy.compat32)["from"]
    shown = "".join(
        part.decode(charset or "ascii") if isinstance(part, bytes) else part for part, charset in decode_header(old)
    )
    quoted = shown.rpartition("<")[0].strip().removeprefix('"').removesuffix('"').replace('\\"', '"')
    assert " ".join(quoted.split()) == " ".join(name.split())


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?eve=40other.example=3e?=@sender.example",
        "=?utf-8?q?a=0d=0aBcc=3A_eve=40other.example?=@sender.example",
        "=?x?q??=@sender.example",
        "mary@sender.example, eve@other.example",
        "mary@sender.example\r\nBcc: eve@other.example",
        "",
    ],
)
def test_address_that_a_header_would_change_gets_no_mail(address: str) -> None:
    with pytest.raises(AddressNotWritableError, match=r"^the address cannot be written into the head of a mail$"):
        confirmation(envelope(address=address), LINK, days=7)


@pytest.mark.parametrize(
    "address", ["o'neil/a{b}%c+tag@sender.example", "пётр@sender.example", "a@xn--80a1acny.example"]
)
def test_unusual_address_is_written_as_it_is(address: str) -> None:
    message = confirmation(envelope(address=address), LINK, days=7)
    mail = message_from_bytes(message.as_bytes(policy=policy.SMTPUTF8), policy=policy.SMTPUTF8)
    assert str(mail["to"]) == address


# --- what answers the sender


def test_mail_that_was_taken_shows_what_will_be_printed() -> None:
    own = Own(subject="Re: <b>", sentences=("Your signature was left out.",), text="Dear Pyotr,\n\nit snows.")
    mail = arrived(answer(envelope(), MailKind.TAKEN, NAME, LINK, own, days=30))
    assert paragraphs(mail) == [
        f"Your mail was taken as your next letter to {NAME}.",
        "Subject of your mail: Re: <b>",
        "Your signature was left out.",
        "A volunteer will read this before it is printed:",
        "Dear Pyotr,",
        "it snows.",
        "As long as it is not printed, you can take it back there:",
        *ending("en")[1:],
    ]


def test_mail_that_was_not_taken_says_why_and_how_long_it_is_kept() -> None:
    own = Own(sentences=("It is too long.",), text="Dear Pyotr")
    mail = arrived(answer(envelope(), MailKind.NOT_TAKEN, NAME, LINK, own, days=30))
    assert paragraphs(mail)[:3] == [
        f"Your mail could not be taken as a letter to {NAME}. Nothing of it is sent.",
        "It is too long.",
        "We keep your mail for 30 days; a volunteer can look at it.",
    ]


def test_offer_of_a_new_link_names_nobody() -> None:
    mail = arrived(answer(envelope(), MailKind.LINK_OFFER, NAME, LINK, Own(token="t"), days=30))
    assert paragraphs(mail)[1] == LINK
    assert [NAME in part.get_content() for part in mail.iter_parts()] == [False, False]


def test_new_link_comes_with_its_words() -> None:
    mail = arrived(answer(envelope(), MailKind.LINK, NAME, LINK, Own(words="apple river stone"), days=30))
    assert "apple river stone" in paragraphs(mail)
    assert LINK in paragraphs(mail)


@pytest.mark.parametrize("kind", [MailKind.OVERDUE, MailKind.BEGUN])
@pytest.mark.parametrize("language", LANGUAGES)
def test_news_name_the_prisoner_and_bring_the_link(kind: MailKind, language: str) -> None:
    found = paragraphs(arrived(notice(envelope(language), kind, NAME, LINK)))
    assert NAME in found[0]
    assert found[-2:] == ending(language)[1:]


@pytest.mark.parametrize(
    ("options", "forwarded", "sentence"),
    [
        ({}, False, "{} has answered your letter."),
        ({"begun": True}, False, "{} has written to you."),
        ({}, True, "{} has answered another letter, and asks that you get the answer too."),
    ],
)
def test_reply_says_what_it_answers(options: dict[str, bool], forwarded: bool, sentence: str) -> None:
    read = READ.model_copy(update={"forwarded": forwarded})
    for wants in (Wants.FULL, Wants.NOTICE):
        mail = arrived(reply(envelope(), wants, NAME, LINK, read, PDF, **options))
        assert paragraphs(mail)[0] == sentence.format(NAME)


# --- the HTML part


def html_of(mail: EmailMessage) -> str:
    """The HTML part."""
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


class Words(HTMLParser):
    """The text of an HTML part, and what it would load or open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.marked: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"br", "meta"}:
            self._inside.append(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            elif name in {"src", "srcset", "background", "action"} or "url(" in (value or ""):
                self.loads.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"head", "a"} & set(self._inside):
            return
        self.pieces += data.split()
        if "mark" in self._inside:
            self.marked.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_parts_of_a_reply_say_the_same(language: str) -> None:
    told = READ.model_copy(update={"missing": ((1, "B"),), "ticks": ("pages_missing",)})
    mail = arrived(reply(envelope(language), Wants.FULL, NAME, LINK, told, PDF))
    found = Words(html_of(mail))
    assert found.pieces == [word for part in paragraphs(mail) if part != LINK for word in part.split()]
    assert (found.links, found.loads) == ([LINK], [])
    assert found.marked == ["дрyг?", "Hej?"]


def test_no_markup_of_anybody_gets_into_the_html() -> None:
    evil = '<img src="https://eve.example/x"><script>1</script>{{ 7 * 7 }}'
    lines = tuple((Word(text=word, doubtful=doubtful),) for word in (evil, "&amp;") for doubtful in (True, False))
    mails = [
        notice(envelope(), MailKind.CHANGES, evil, LINK, Why(ReviewReason.SPAM, evil)),
        reply(envelope(), Wants.FULL, evil, LINK, Transcript(pages=(lines,)), PDF),
        answer(envelope(), MailKind.TAKEN, evil, LINK, Own(subject=evil, sentences=(evil,), text=evil), days=1),
    ]
    for mail in map(arrived, mails):
        found = Words(html_of(mail))
        assert (found.links, found.loads) == ([LINK], [])
        assert found.pieces == [word for part in paragraphs(mail) if part != LINK for word in part.split()]


# --- the headers of a conversation


def test_mail_of_a_conversation_can_be_answered_and_declined() -> None:
    head = dataclasses.replace(
        envelope(),
        reply_to="letters+atoken@relay.example",
        thread="thread",
        choice="https://relay.example/en/inbox/AbC/mails",
    )
    mail = arrived(notice(head, MailKind.QUEUED, NAME, LINK))
    found = {name: str(mail[name]) for name in ("Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe-Post")}
    assert found == {
        "Reply-To": "letters+atoken@relay.example",
        "References": "<thread@relay.example>",
        "List-Unsubscribe": "<https://relay.example/en/inbox/AbC/mails>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_reply_says_that_it_can_be_answered_only_where_it_can() -> None:
    answerable = dataclasses.replace(envelope(), reply_to="letters+atoken@relay.example")
    said = "You can write back by answering this mail."
    for wants, pdf in ((Wants.NOTICE, None), (Wants.FULL, b"%PDF-")):
        found = [
            said in html_of(arrived(reply(head, wants, NAME, LINK, Transcript(pages=()), pdf)))
            for head in (envelope(), answerable)
        ]
        assert found == [False, True]


def test_long_links_in_headers_stay_links() -> None:
    choice = f"https://briefe.{'sehr-langer-name.' * 3}example/de/inbox/{'A' * 43}/mails"
    head = dataclasses.replace(envelope(), choice=choice, thread="0" * 60)
    lines = notice(head, MailKind.QUEUED, NAME, LINK).as_bytes(policy=policy.SMTP).decode("ascii", "replace")
    assert f"List-Unsubscribe: <{choice}>" in lines.splitlines()
    assert f"References: <{'0' * 60}@relay.example>" in lines.splitlines()


def test_one_click_is_offered_only_over_https() -> None:
    head = dataclasses.replace(envelope(), choice="http://127.0.0.1:8080/en/inbox/AbC/mails")
    mail = arrived(notice(head, MailKind.QUEUED, NAME, LINK))
    assert mail["List-Unsubscribe"] == "<http://127.0.0.1:8080/en/inbox/AbC/mails>"
    assert mail["List-Unsubscribe-Post"] is None
