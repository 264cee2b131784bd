"""The screen on which a volunteer puts the transcript of a page right, word by word, beside its picture."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter

from relay.domain.letters import Word
from relay.domain.lives import ReplyState
from relay.domain.scan_parts import page_picture
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import replies, reply_steps
from scanner.reading import Box
from scanner.screens.replies import GONE, page_in_reply, read_picture, size_of
from scanner.transcript import GAP, Lines

ROUTES: Final = web.RouteTableDef()
WORD_MAX: Final = 200
"""Characters of one field; the words of a whole line fit."""
WORDS_MAX: Final = 3000
"""Words of one page; a page written as small as can be has some 800."""
_FIELD: Final = re.compile(r"w\.(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})\.(\d{1,4}))?", re.ASCII)
_LINES: Final = TypeAdapter(Lines)
_MARGIN: Final = 0.006
"""Share of the height of the page that is shown above and below the words of a line."""


def _(sentence: str) -> str:
    return sentence


_CHANGED: Final = _("Somebody else changed this transcript meanwhile. What you typed is kept below.")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form: what is typed in it, and the word that was there before."""

    text: str
    origin: tuple[int, int] | None = None
    """Line and place of the word that it shows; None for a new one."""
    sure: bool = False
    """A volunteer has confirmed the word as it is."""


FieldLines = Sequence[Sequence[Field]]


@ROUTES.get("/{language}/replies/page/{page}/transcript", name="transcript")
async def show(request: web.Request) -> web.Response:
    """The words of a page in fields, beside its picture."""
    return await _screen(request)


@ROUTES.post("/{language}/replies/page/{page}/transcript", name="transcript")
async def correct(request: web.Request) -> web.Response:
    """Store what was put right, go back to what was before, or only add a line to the form."""
    store, office, volunteer = request.config_dict[STORE], request.config_dict[OFFICE_KEY], request[VOLUNTEER].id
    reply, one = await page_in_reply(request)
    data = await fields_of(request)
    typed, by_person = typed_lines(data), True
    if (again := data.get("back")) is not None:
        async with store.database.reading() as connection:
            history = await replies.history(connection, one.page, reply.key)
        before = next((past.before for past in history if past.id == again), None)
        if before is None:
            raise web.HTTPNotFound
        lines, by_person = before.lines, before.by_person
    elif data.get("version") != version_of(one.shown):
        return await _screen(request, 409, complaint=_CHANGED, lost=typed)
    elif re.fullmatch(r"\d{1,4}", added := data.get("add", ""), re.ASCII):
        at = min(int(added), len(typed))
        return await _screen(request, fields=[*typed[:at], (Field(""),), *typed[at:]])
    else:
        lines = corrected(one.shown, typed, all_sure="all" in data)
    try:
        await reply_steps.correct(store, office, one.page.id, lines, volunteer, by_person=by_person)
    except GONE:
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(path_to(request, "check_reply", reply=reply.listed.id) + f"#page-{one.page.id}")


async def _screen(
    request: web.Request,
    status: int = 200,
    *,
    complaint: str | None = None,
    fields: FieldLines | None = None,
    lost: FieldLines = (),
) -> web.Response:
    reply, one = await page_in_reply(request)
    async with request.config_dict[STORE].database.reading() as connection:
        history = await replies.history(connection, one.page, reply.key)
    shown = one.shown
    width, height = size_of(await read_picture(request, reply, page_picture(one.page.number)))
    return render(
        request,
        "scanner/transcript.html",
        status,
        reply=reply,
        page=one.page,
        released=reply.state is ReplyState.RELEASED,
        lines=[_with_words(shown, line) for line in fields or fields_for(shown)],
        version=version_of(shown),
        history=history,
        strips=strips(shown, width, height),
        boxes=[
            (number, place, word)
            for number, line in enumerate(shown)
            for place, word in enumerate(line)
            if word.box is not None
        ],
        width=width,
        height=height,
        gap=GAP,
        lost="\n".join(" ".join(field.text for field in line) for line in lost),
        word_max=WORD_MAX,
        complaint=complaint and words(request)(complaint),
    )


def _with_words(shown: Lines, line: Sequence[Field]) -> list[tuple[Field, Word | None]]:
    return [(field, shown[field.origin[0]][field.origin[1]] if field.origin else None) for field in line]


def version_of(lines: Lines) -> str:
    """Of which words a form was made."""
    return hashlib.sha256(_LINES.dump_json(lines)).hexdigest()


def fields_for(lines: Lines) -> FieldLines:
    """The fields of a page as it is; of an empty one a line to begin with."""
    fields = [[Field(word.text, (a, b)) for b, word in enumerate(line)] for a, line in enumerate(lines)]
    return fields or [[Field("")]]


def typed_lines(data: Mapping[str, str]) -> FieldLines:
    """What was typed, line by line, from the fields of the form; more than a page can have is left out."""
    found = [(match, text) for name, text in data.items() if (match := _FIELD.fullmatch(name))][:WORDS_MAX]
    lines: dict[int, dict[int, Field]] = {}
    for match, text in found:
        line, place = int(match[1]), int(match[2])
        origin = (int(match[3]), int(match[4])) if match[3] else None
        sure = match[0].replace("w", "s", 1) in data
        lines.setdefault(line, {})[place] = Field(" ".join(text[:WORD_MAX].split()), origin, sure)
    return [[line[place] for place in sorted(line)] for _, line in sorted(lines.items())]


def corrected(before: Lines, typed: FieldLines, *, all_sure: bool) -> Lines:
    """The transcript from what was typed.

    A word that was left as it was stays doubtful, if it was, unless it was confirmed. What takes the place of a word
    stands where that stood on the page; a new line has no place.
    """
    lines = (tuple(word for field in line for word in _words(before, field, all_sure=all_sure)) for line in typed)
    return tuple(line for line in lines if line)


def _words(before: Lines, field: Field, *, all_sure: bool) -> list[Word]:
    old = _word(before, field.origin)
    if old is None:
        return [Word(text=text, doubtful=False) for text in field.text.split()]
    if field.text == old.text:
        return [old.model_copy(update={"doubtful": old.doubtful and not (field.sure or all_sure)})]
    texts = field.text.split()
    return [Word(text=text, doubtful=False, box=box) for text, box in zip(texts, _shared(old.box, texts), strict=True)]


def _word(lines: Lines, origin: tuple[int, int] | None) -> Word | None:
    if origin is None or origin[0] >= len(lines) or origin[1] >= len(lines[origin[0]]):
        return None
    return lines[origin[0]][origin[1]]


def _shared(box: Box | None, texts: Sequence[str]) -> list[Box | None]:
    """The place of one word, shared among those that take it, by their lengths."""
    if box is None:
        return [None] * len(texts)
    left, top, right, lower = box
    ends = list(accumulate((len(text) for text in texts), initial=0))
    per_symbol = (right - left) / max(ends[-1], 1)
    return [(left + a * per_symbol, top, left + b * per_symbol, lower) for a, b in pairwise(ends)]


def strips(lines: Lines, width: int, height: int) -> list[str | None]:
    """The part of the picture in which each line stands, as viewBox in its pixels; None where that is not known.

    All are equally wide, so that all are shown at one scale.
    """
    boxes = [[word.box for word in line if word.box is not None] for line in lines]
    every = [box for line in boxes for box in line]
    if not every:
        return [None] * len(lines)
    left = max(min(box[0] for box in every) - _MARGIN, 0)
    right = min(max(box[2] for box in every) + _MARGIN, 1)
    found: list[str | None] = []
    for line in boxes:
        if not line:
            found.append(None)
            continue
        top = max(min(box[1] for box in line) - _MARGIN, 0)
        lower = min(max(box[3] for box in line) + _MARGIN, 1)
        found.append(f"{left * width:.0f} {top * height:.0f} {(right - left) * width:.0f} {(lower - top) * height:.0f}")
    return found
