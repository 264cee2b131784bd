"""What a sender wrote anew in an answer: without what is quoted of our mail, and without what programs add.

The patterns of mail programs are those of mail-parser-reply, with Russian and some others added. Its own reading is
not used: it takes everything behind a line like "Thanks, …" for a signature, and takes the indentation from poems.
Here a line goes only where it is surely not part of the letter: too much is seen and taken out by a person, too
little would be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import regex
from mailparser_reply.constants import MAIL_LANGUAGES
from mailparser_reply.parser import EmailMessage

from relay.domain.letters import normal_text

SECONDS: Final = 2.0
"""How long the patterns may take: some texts could keep them busy for hours."""
LONGEST: Final = 400
"""Characters of a line in which a pattern is looked for."""
SIGNATURE_LINES: Final = 10
"""What follows two dashes and is longer than this is no signature."""

_QUOTES: Final = r"(?:> ?)*"
_HEADER: Final = r"((?:(?:^|\n|\n" + _QUOTES + r")[* ]*(?:{names})[* ]*:[ *]*(?:\s{{,2}}).*){{2,}}(?:\n.*){{,1}})"
_DAY: Final = r"[^\n]{0,80}\d[^\n]{0,120}"

MAIL_LANGUAGES |= {
    "ru": {
        "wrote_header": rf"^({_QUOTES}{_DAY}\n?[^\n]{{0,200}}(?:пишет|писала?|написала?|(?:на)?писал\(а\)):)$",
        "from_header": _HEADER.format(names="От(?: кого)?|Кому|Отправлено|Дата|Тема|Копия|From|To|Date|Sent|Subject"),
    },
    "sv, too": {"from_header": _HEADER.format(names="Från|Skickat|Skickades|Till|Ämne|Datum|Kopia|Kopia till")},
    "de, too": {"from_header": _HEADER.format(names="Von|Gesendet|An|Betreff|Datum|Cc|Kopie")},
    # A day, an address and a colon, whatever the words between them; over up to three lines.
    "any": {
        "wrote_header": rf"^({_QUOTES}{_DAY}(?:\n[^\n]{{0,200}})?[^\s<>@]{{1,100}}@[^\s<>@]{{1,100}}>?"
        r"(?:[^\n]{0,100}\n)?[^\n]{0,60}:)$",
        # A day and a time. Letters have such lines too; it only counts where a quote follows, or we are named.
        "from_header": rf"^({_QUOTES}{_DAY}\d[.:]\d\d[^\n]{{0,100}}:)$",
    },
}

_HEADERS: Final = regex.compile(
    EmailMessage("", languages=list(MAIL_LANGUAGES)).HEADER_REGEX.pattern, regex.MULTILINE | regex.IGNORECASE
)
_QUOTED: Final = re.compile(r"\s{0,3}>")
_RULE: Final = re.compile(
    r"[-_=*]{3,}|-{3,} ?.{0,40}\b(?:message|nachricht|meddelande|сообщение|письмо)\b.{0,40} ?-{3,}", re.IGNORECASE
)
"""A line that sets the quoted mail apart, with or without words in it."""
_SENT_FROM: Final = re.compile(
    r"(?=.{0,200}\b(?:i(?:phone|pad)|android|samsung|galaxy|huawei|xiaomi|redmi|outlook|thunderbird|k-9|"
    r"mail|почт[аыуе]|почтой|yahoo|gmx|web\.de|proton|tuta|phone|handy|smartphone|mobil\w*|telefon|telefonen|"
    r"телефона|смартфона|app|приложения)\b)"
    r"(?:(?:sent|get|von meinem|gesendet|versendet|diese nachricht wurde|hol|skickat|hämta|från min|"
    r"отправлено|послано|скачать|обзавестись)\b.*|.*\b(?:gesendet|verschickt|beziehen|herunterladen)\.?)",
    re.IGNORECASE,
)
"""What programs on phones write under a mail."""


def own_text(text: str, ours: Sequence[str]) -> str:
    """What was written anew in the text of an answer.

    `ours` are names and addresses of ours, as they stand in our mails: what comes behind a heading that names one of
    them, and is not marked by `>`, is our mail.
    """
    lines = normal_text(text.replace("\N{NO-BREAK SPACE}", " ")).split("\n")
    names = [name.casefold() for name in ours if name]
    headings: set[int] = set()
    end = len(lines)
    for first, last in _headings(lines):
        following = next((line for line in lines[last + 1 :] if line.strip()), "")
        said = " ".join(" ".join(lines[first : last + 1]).casefold().split())
        if _QUOTED.match(following):
            headings.update(range(first, last + 1))
        elif any(name in said for name in names):
            end = first
            break
    kept: list[str] = []
    left_out = False
    for at, line in enumerate(lines[:end]):
        if at in headings or _QUOTED.match(line):
            left_out = True
        elif left_out and kept and line.strip():
            kept = [*_without_rests(kept), "", line]
            left_out = False
        elif not left_out or line.strip():
            kept.append(line)
    return normal_text("\n".join(_without_signature(_without_rests(kept))))


def _headings(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First and last lines of what looks like the heading of a quoted mail."""
    short = [line if len(line) <= LONGEST else line[: LONGEST // 2] + line[-LONGEST // 2 :] for line in lines]
    shortened = "\n".join(line.strip() for line in short)
    try:
        for found in _HEADERS.finditer(shortened, timeout=SECONDS, concurrent=True):
            start = found.start() + len(found.group()) - len(found.group().lstrip())
            first = shortened.count("\n", 0, start)
            yield first, first + found.group().strip().count("\n")
    except TimeoutError:
        return


def _without_rests(lines: list[str]) -> list[str]:
    """Without what programs leave at the end: empty lines, rules, where it was sent from."""
    end = len(lines)
    while end and any(at_end.fullmatch(lines[end - 1].strip()) for at_end in (_RULE, _SENT_FROM, _EMPTY)):
        end -= 1
    return lines[:end]


_EMPTY: Final = re.compile(r"[\s>\u200b\ufeff]*")


def _without_signature(lines: list[str]) -> list[str]:
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].strip() in {"--", "— ", "-- "}:
            if sum(bool(line.strip()) for line in lines[at:]) <= SIGNATURE_LINES + 1:
                return _without_rests(lines[:at])
            break
    return lines


def unflowed(text: str, *, delete_space: bool = False) -> str:
    """The paragraphs of a text whose lines are joined by spaces at their ends (RFC 3676)."""
    joined: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        soft = content.endswith(" ") and content != "-- "
        piece = content[:-1] if soft and delete_space else content
        if depth == open_depth and content != "-- ":
            joined[-1] += piece
        else:
            joined.append(f"{'>' * depth}{' ' if depth else ''}{piece}")
        open_depth = depth if soft else -1
    return "\n".join(joined)
