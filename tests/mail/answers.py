"""Answers to our mails as the mail programs of senders make them, in four languages. All of it is invented."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

SITE: Final = "Example relay"
OUR: Final = "post@relay.example"
MAILBOX: Final = "letters@relay.example"
OURS: Final = (OUR, MAILBOX, "letters+a", SITE, "https://desk.example")
"""What our mails are known by."""
LINK: Final = "https://desk.example/en/inbox/c2VjcmV0c2VjcmV0c2VjcmV0"

OUR_MAIL: Final = {
    "en": ("You have an answer", "John Sample has answered your letter.", "Your letters and the answers are here:"),
    "de": ("Sie haben eine Antwort", "John Sample hat Ihren Brief beantwortet.", "Ihre Briefe und die Antworten:"),
    "ru": ("Вам ответили", "Пётр Примеров ответил на ваше письмо.", "Ваши письма и ответы здесь:"),
    "sv": ("Du har fått svar", "John Sample har svarat på ditt brev.", "Dina brev och svaren finns här:"),
}
"""Subject and words of ours, by language."""

WRITTEN: Final = {
    "en": "Dear John,\n\nthanks for the drawing, it hangs over my desk.\nThe garden is full of snow again.\n\n"
    "Best, Mary",
    "de": "Lieber John,\n\ndanke für die Zeichnung, sie hängt über dem Tisch.\nDer Garten liegt voll Schnee.\n\n"
    "Viele Grüße\nMaria",
    "ru": "Дорогой Пётр!\n\nСпасибо за рисунок, он висит над столом.\nСад снова весь в снегу.\n\nОбнимаю,\nМария",
    "sv": "Kära John,\n\ntack för teckningen, den hänger över bordet.\nTrädgården är full av snö igen.\n\n"
    "Hälsningar\nMaria",
}
"""What the sender wrote; closings that programs take for signatures belong to a letter."""


@dataclass(frozen=True)
class Answer:
    """A mail, and what its sender wrote."""

    mail: bytes
    written: str


def _head(language: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Mary <mary@supporter.example>"
    message["To"] = f"{SITE} <letters+a{'a' * 26}@relay.example>"
    message["Subject"] = f"Re: {OUR_MAIL[language][0]}"
    message["Message-ID"] = "<one@supporter.example>"
    return message


def plain(language: str, text: str, charset: str = "utf-8", cte: str = "quoted-printable", **parameters: str) -> bytes:
    """A mail of nothing but text."""
    message = _head(language)
    message.set_content(text, charset=charset, cte=cte, params=parameters or None)
    return message.as_bytes()


def html(language: str, body: str, charset: str = "utf-8") -> bytes:
    """A mail of nothing but HTML."""
    message = _head(language)
    message.set_content(f"<html><head><style>p {{margin: 0}}</style></head><body>{body}</body></html>", "html", charset)
    return message.as_bytes()


def both(language: str, text: str, body: str) -> bytes:
    """A mail in both forms."""
    message = _head(language)
    message.set_content(text)
    message.add_alternative(f"<html><body>{body}</body></html>", "html")
    return message.as_bytes()


def ours(language: str, mark: str = "") -> str:
    """Our mail as it is quoted, each line behind a mark."""
    __, first, second = OUR_MAIL[language]
    lines = [first, "", second, "", LINK.replace("/en/", f"/{language}/")]
    return "\n".join(f"{mark}{line}".rstrip() for line in lines)


def divs(text: str) -> str:
    """A text as Gmail and Apple Mail write it in HTML."""
    return "".join(f"<div>{line or '<br>'}</div>" for line in text.split("\n"))


def breaks(text: str) -> str:
    """A text with a tag at the end of each line."""
    return text.replace("\n", "<br>\n")


def normal(text: str) -> str:
    """A text as Word and Outlook write it in HTML."""
    lines = (f"<p class=MsoNormal>{line or '<o:p>&nbsp;</o:p>'}</p>" for line in text.split("\n"))
    return f'<div class="WordSection1">{"".join(lines)}'


def _gmail(language: str, heading: str) -> Answer:
    text = f"{WRITTEN[language]}\n\n{heading}\n\n{ours(language, '> ')}\n"
    attribution = heading.replace("\n", " ").replace("<", "&lt;").replace(">", "&gt;")
    body = (
        f'<div dir="ltr">{divs(WRITTEN[language])}</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">'
        f'{attribution}<br></div><blockquote class="gmail_quote">{breaks(ours(language))}</blockquote></div>'
    )
    return Answer(both(language, text, body), WRITTEN[language])


def _html_quote(language: str, heading: str, before: str = "") -> Answer:
    attribution = heading.replace("<", "&lt;").replace(">", "&gt;")
    quoted = f"<blockquote>{breaks(ours(language))}</blockquote>"
    return Answer(
        html(language, f"{divs(WRITTEN[language])}<div>{before}</div><div>{attribution}</div>{quoted}"),
        WRITTEN[language],
    )


def _quoted(language: str, heading: str, before: str = "", after: str = "", **options: str) -> Answer:
    """The answer above, our mail below behind marks."""
    text = f"{WRITTEN[language]}\n{before}\n{heading}\n{ours(language, '> ')}\n{after}"
    return Answer(plain(language, text, **options), WRITTEN[language])


def _below(language: str, heading: str, before: str = "", **options: str) -> Answer:
    """The answer above, our mail below as it is."""
    text = f"{WRITTEN[language]}\n{before}\n{heading}\n\n{ours(language)}\n"
    return Answer(plain(language, text, **options), WRITTEN[language])


def _fields(*names: str, rule: str = "", when: str = "Monday, May 12, 2031 2:05 PM", subject: str = "Answer") -> str:
    values = (f"{SITE} <{OUR}>", when, "mary@supporter.example", subject)
    return "\n".join([*([rule] if rule else []), *(f"{a}: {b}" for a, b in zip(names, values, strict=True))])


_POEM: Final = "Dear John,\n\n    the fox\n        under the fir\n    waits\n\n- bread\n- salt\n\nMary"
_TRICKY: Final = (
    "Dear John,\n\nOn Sunday mum wrote:\nCome home before the 12th, at 10:30:\nand I went.\n\n"
    "Thanks, I got the parcel.\n\nFrom: the north\nTo: the south\nwind.\n\nBest regards from all of us,\nand more "
    "tomorrow.\n\n/Mary"
)
_BETWEEN: Final = "Yes, we did!\n\nNo, not yet.\n\nMary"
_FLOWED: Final = "Dear John,\n\nthis is one long paragraph that the program has broken into lines itself.\n\nMary"

ANSWERS: Final[dict[str, Answer]] = {
    # English
    "en gmail": _gmail("en", f"On Mon, May 12, 2031 at 2:05\u202fPM {SITE} <{OUR}> wrote:"),
    "en gmail, heading over two lines": _gmail("en", f"On Mon, May 12, 2031 at 2:05 PM {SITE} <{OUR}>\nwrote:"),
    "en iphone": _quoted(
        "en", f"> On May 12, 2031, at 2:05 PM, {SITE} <{OUR}> wrote:\n> ", "\nSent from my iPhone\n", cte="base64"
    ),
    "en apple mail": _html_quote("en", f"On 12 May 2031, at 14:05, {SITE} <{OUR}> wrote:"),
    "en thunderbird": _quoted("en", f"On 5/12/31 2:05 PM, {SITE} wrote:"),
    "en thunderbird, flowed": Answer(
        plain(
            "en",
            "Dear John,\n\nthis is one long paragraph that the program \nhas broken into lines itself.\n\nMary\n\n"
            f"On 5/12/31 14:05, {SITE} wrote:\n{ours('en', '> ')}\n",
            format="flowed",
        ),
        _FLOWED,
    ),
    "en answers between the lines": Answer(
        plain(
            "en",
            f"On 12/05/2031 14:05, {SITE} wrote:\n> John Sample has answered your letter.\n\nYes, we did!\n\n"
            f"> Your letters and the answers are here:\n> {LINK}\n\nNo, not yet.\n\nMary\n",
        ),
        _BETWEEN,
    ),
    "en answer below": Answer(
        plain(
            "en", f"On Mon, May 12, 2031 at 02:05:33PM +0200, {SITE} wrote:\n{ours('en', '> ')}\n\n{WRITTEN['en']}\n"
        ),
        WRITTEN["en"],
    ),
    "en mutt, with a signature": _quoted(
        "en", f"On Mon, May 12, 2031 at 02:05:33PM +0200, {SITE} wrote:", after="\n-- \nMary\nhttps://mary.example\n"
    ),
    "en outlook": _below("en", _fields("From", "Sent", "To", "Subject")),
    "en outlook, HTML": Answer(
        html(
            "en",
            f"{normal(WRITTEN['en'])}<div><div style='border-top:solid #E1E1E1 1.0pt'><p class=MsoNormal><b>From:</b> "
            f"{SITE} &lt;{OUR}&gt; <br><b>Sent:</b> Monday, May 12, 2031 2:05 PM<br><b>To:</b> Mary<br><b>Subject:</b> "
            f"Answer</p></div></div>{normal(ours('en'))}</div></div>",
        ),
        WRITTEN["en"],
    ),
    "en outlook of old": _below(
        "en", _fields("From", "Sent", "To", "Subject", rule="-----Original Message-----"), charset="iso-8859-1"
    ),
    "en outlook on a phone": _below(
        "en",
        _fields("From", "Sent", "To", "Subject", rule="_" * 32),
        "\nGet Outlook for iOS<https://aka.example/ios>\n",
    ),
    "en yahoo": _below("en", f"    On Monday, May 12, 2031 at 02:05:33 PM GMT+2, {SITE} <{OUR}> wrote: \n "),
    "en samsung": _below(
        "en",
        _fields("From", "Date", "To", "Subject", rule="-------- Original message --------"),
        "\n\nSent from my Galaxy\n",
    ),
    "en proton": _quoted(
        "en",
        f"On Monday, May 12th, 2031 at 14:05, {SITE} <{OUR}> wrote:\n",
        "\nSent with Proton Mail secure email.\n\n------- Original Message -------",
    ),
    "en tuta": _quoted("en", f"May 12, 2031, 14:05 by {OUR}:\n"),
    "en roundcube": _quoted("en", f"On 2031-05-12 14:05, {SITE} wrote:"),
    "en nothing quoted": Answer(plain("en", _POEM), _POEM),
    "en what looks quoted and is not": Answer(plain("en", _TRICKY), _TRICKY),
    "en what looks quoted, and then is": Answer(
        plain("en", f"{_TRICKY}\n\nOn 12 May 2031 14:05, {SITE} <{OUR}> wrote:\n{ours('en', '> ')}\n"), _TRICKY
    ),
    # German
    "de gmail": _gmail("de", f"Am Mo., 12. Mai 2031 um 14:05 Uhr schrieb {SITE} <\n{OUR}>:"),
    "de iphone": _quoted(
        "de", f"> Am 12.05.2031 um 14:05 schrieb {SITE} <{OUR}>:\n> ", "\nVon meinem iPhone gesendet\n"
    ),
    "de thunderbird": _quoted("de", f"Am 12.05.31 um 14:05 schrieb {SITE}:", charset="iso-8859-15"),
    "de k-9": _quoted(
        "de",
        f"Am 12. Mai 2031 14:05:33 MESZ schrieb {SITE} <{OUR}>:",
        after="\n-- \nDiese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.\n",
    ),
    "de gmx": Answer(
        html(
            "de",
            f"{divs(WRITTEN['de'])}<div>&nbsp;</div><div name='quote'><div><b>Gesendet:</b>&nbsp;Montag, 12. Mai 2031 "
            f'um 14:05 Uhr<br/><b>Von:</b>&nbsp;"{SITE}" &lt;{OUR}&gt;<br/><b>An:</b>&nbsp;maria@supporter.example<br/>'
            f"<b>Betreff:</b>&nbsp;Antwort</div><div>{breaks(ours('de'))}</div></div>",
        ),
        WRITTEN["de"],
    ),
    "de outlook": _below(
        "de", _fields("Von", "Gesendet", "An", "Betreff", when="Montag, 12. Mai 2031 14:05"), charset="windows-1252"
    ),
    "de outlook of old": _below(
        "de", _fields("Von", "Gesendet", "An", "Betreff", rule="-----Ursprüngliche Nachricht-----")
    ),
    "de outlook on a phone": _below(
        "de", _fields("Von", "Gesendet", "An", "Betreff", rule="_" * 32), "\nOutlook für Android herunterladen\n"
    ),
    "de tuta": _quoted("de", f"12. Mai 2031, 14:05 von {OUR}:\n", "\n-- \nSicher versendet mit Tuta.\n"),
    # Russian
    "ru gmail": _gmail("ru", f"пн, 12 мая 2031\u202fг. в 14:05, {SITE} <{OUR}>:"),
    "ru iphone": _quoted(
        "ru", f"> 12 мая 2031 г., в 14:05, {SITE} <{OUR}> написал(а):\n> ", "\nОтправлено с iPhone\n", cte="base64"
    ),
    "ru yandex": _html_quote("ru", f'12.05.2031, 14:05, "{SITE}" <{OUR}>:'),
    "ru yandex on a phone": _html_quote(
        "ru", f'14:05, 12 мая 2031 г., "{SITE}" <{OUR}>:', "<br>--<br>Отправлено из мобильной Яндекс Почты<br>"
    ),
    "ru mail.ru": _html_quote(
        "ru", f"Понедельник, 12 мая 2031, 14:05 +03:00 от {SITE} <{OUR}>:", "<br>--<br>Мария Петрова<br>"
    ),
    "ru mail.ru on a phone": _quoted(
        "ru",
        f"понедельник, 12 мая 2031г., 14:05 +03:00 от {SITE} <{OUR}>:\n",
        "\nОтправлено из Почты Mail.ru для Android\n",
        charset="koi8-r",
    ),
    "ru thunderbird": _quoted("ru", f"12.05.2031 14:05, {SITE} пишет:", charset="koi8-r"),
    "ru the bat": Answer(
        plain(
            "ru",
            f"{WRITTEN['ru']}\n\nВы писали 12 мая 2031 г., 14:05:33:\n\n{ours('ru', '> ')}\n\n-- \nУважаю,\n Мария\n",
            charset="windows-1251",
            cte="8bit",
        ),
        WRITTEN["ru"],
    ),
    "ru outlook": _below("ru", _fields("От", "Отправлено", "Кому", "Тема"), charset="windows-1251", cte="base64"),
    "ru samsung": _below(
        "ru",
        _fields("От", "Дата", "Кому", "Тема", rule="-------- Исходное сообщение --------"),
        "\n\nОтправлено с моего Galaxy\n",
    ),
    # Swedish
    "sv gmail": _gmail("sv", f"Den mån 12 maj 2031 kl 14:05 skrev {SITE} <\n{OUR}>:"),
    "sv iphone": _quoted(
        "sv", f"> 12 maj 2031 kl. 14:05 skrev {SITE} <{OUR}>:\n> ", "\nSkickat från min iPhone\n", charset="iso-8859-1"
    ),
    "sv thunderbird": _quoted("sv", f"Den 2031-05-12 kl. 14:05, skrev {SITE}:"),
    "sv outlook": _below("sv", _fields("Från", "Skickat", "Till", "Ämne", when="den 12 maj 2031 14:05")),
    "sv outlook on a phone": _below(
        "sv",
        _fields("Från", "Skickat", "Till", "Ämne", rule="_" * 32),
        "\nHämta Outlook för Android<https://aka.example/android>\n",
    ),
    "sv yahoo": _below("sv", f"    Den måndag 12 maj 2031 14:05:33 CEST, skrev {SITE} <{OUR}>: \n "),
}
