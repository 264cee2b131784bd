"""The fonts of the printed page: which face draws which character, and which characters none can draw.

Fonts are TrueType files of Debian packages, chosen for each run of text: a character with the marks on it is drawn by
the first font of a chain that has all of it. Plain text, one glyph beside the other, is measured and written without
HarfBuzz, because nearly every letter is plain text.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, groupby, pairwise
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final

import regex
from reportlab.lib.rl_accel import fp_str
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfdoc import PDFDocument
from reportlab.pdfgen.canvas import Canvas

from print.directions import LIBRARY, PACKAGE, directions_of, in_order_of_sight, load_directions, runs_from_the_right
from print.shaping import HYPHEN, Run, shaped
from print.truetype import TrueType
from relay.domain.letter_pages import Unprintable
from relay.domain.sheet import PAGE

FOLDER: Final = Path("/usr/share/fonts/truetype")
"""Where Debian puts TrueType fonts."""
PT: Final = "fonts-paratype"
DEJAVU: Final = "fonts-dejavu-core"
NOTO: Final = "fonts-noto-core"
DROID: Final = "fonts-droid-fallback"
WENQUANYI: Final = "fonts-wqy-microhei"
SYMBOLA: Final = "fonts-symbola"

TAB: Final = 4
"""Columns from one tab stop to the next."""

_BLOCKS: Final = regex.compile("\N{FULL BLOCK}+")
"""What is printed for a covered word."""
_BLOCK: Final = (-512 / 2048, 1921 / 2048)
"""Lower and upper end of a block over the baseline, in em (DejaVu's own figures)."""

_JOINED: Final = regex.compile(
    r"[\p{Arabic}\p{Syriac}\p{NKo}\p{Adlam}\p{Thaana}\p{Bengali}\p{Devanagari}\p{Gujarati}\p{Gurmukhi}\p{Javanese}"
    r"\p{Kannada}\p{Khmer}\p{Lao}\p{Malayalam}\p{Meetei_Mayek}\p{Myanmar}\p{Oriya}\p{Sinhala}\p{Sundanese}\p{Tamil}"
    r"\p{Telugu}\p{Thai}\p{Tibetan}]"
)
"""Scripts whose letters change beside each other, so that joiners between them mean something."""
_PLAIN: Final = regex.compile(
    rf"(?!{_JOINED.pattern})[^\p{{M}}\p{{C}}\p{{Zl}}\p{{Zp}}\p{{bidi_class=R}}\p{{bidi_class=AL}}\p{{bidi_class=AN}}"
    r"\p{Hangul_Syllable_Type=L}\p{Hangul_Syllable_Type=V}\p{Hangul_Syllable_Type=T}]"
)
"""What looks the same whatever stands beside it."""
_INVISIBLE: Final = regex.compile(
    rf"""[\u00ad\u034f\u200b\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0020-\U000e007f\U000e0100-\U000e01ef]
    | (?<!{_JOINED.pattern})[\u200c\u200d]
    | (?<=\p{{Extended_Pictographic}}\ufe0f?)[\U0001f3fb-\U0001f3ff]
    | (?<=\u200d)[\U0001f9b0-\U0001f9b3]
    | (?<=[0-9*\#]\ufe0f?)\u20e3""",
    regex.VERBOSE,
)
"""Soft hyphens, spaces without width, variation selectors, tags, joiners between letters that stand alone: they ask for
a shape and print nothing. The skin and the hair of an emoji and the frame of a key: what they belong to is drawn."""
_UNUSUAL: Final = regex.compile(r"[^\t\n -~\u00a0-\u00ac\u00ae-\u02ff\u0370-\u04ff\u2010-\u2027]")
"""What most texts are without: looking for it first is ten times as fast as looking for what is invisible."""
_DIRECTION_MARKS: Final = regex.compile("[\u061c\u200e\u200f]")
_SHAPES_ONLY: Final = regex.compile("[\u061c\u200c-\u200f]")
"""What stays in a text though no font need have it."""
_CLUSTER: Final = regex.compile(r"\X")
_CLUSTERS_KEPT: Final = 4096
"""Letters with marks of which a typeface remembers the font; alphabets have fewer."""
_CROWDED: Final = regex.compile(rf"(?!{_JOINED.pattern})\P{{M}}\p{{M}}{{2}}|\p{{Soft_Dotted}}\p{{M}}")
"""A mark over another one, or over the dot of an i."""
_TOO_HIGH: Final = regex.compile(r"(?:\p{M}(?:(?<=\u17d2)\p{L})?){8}\p{M}+")
"""More marks than a letter of any language carries, or more letters under a Khmer one: piled up, they would cover the
lines above and below."""


class MissingFontError(Exception):
    """A file that the printed page needs is not there; says which Debian package brings it."""

    def __init__(self, file: Path, package: str) -> None:
        super().__init__(file, package)
        self.file = file
        self.package = package

    def __str__(self) -> str:
        return f"The file {self.file} is missing. Install it: apt-get install {self.package}"


class NoGlyphError(ValueError):
    """A text with a character that no font has came to be printed; it should have been refused when it was written."""

    def __init__(self, character: str) -> None:
        super().__init__(character)
        self.character = character

    def __str__(self) -> str:
        return f"No font can print the character {_name(self.character)}."


class _NotPlainError(Exception):
    """A text needs to be shaped."""


_ANY_SCRIPT: Final = regex.compile("")


@dataclass(frozen=True, slots=True)
class _Font:
    name: str
    file: str
    package: str
    script: regex.Pattern[str] = _ANY_SCRIPT
    """The Unicode property of what this font draws; all have a few more letters, which would not match the others."""


_PT_SERIF: Final = _Font("PTSerif", "paratype/PTF55F.ttf", PT)
_PT_SANS: Final = _Font("PTSans", "paratype/PTS55F.ttf", PT)
_PT_SANS_BOLD: Final = _Font("PTSans-Bold", "paratype/PTS75F.ttf", PT)
_DEJAVU_SERIF: Final = _Font("DejaVuSerif", "dejavu/DejaVuSerif.ttf", DEJAVU)
_DEJAVU_SANS: Final = _Font("DejaVuSans", "dejavu/DejaVuSans.ttf", DEJAVU)
_DEJAVU_SANS_BOLD: Final = _Font("DejaVuSans-Bold", "dejavu/DejaVuSans-Bold.ttf", DEJAVU)
_DEJAVU_MONO_BOLD: Final = _Font("DejaVuSansMono-Bold", "dejavu/DejaVuSansMono-Bold.ttf", DEJAVU)
_CHINESE: Final = _Font("DroidSansFallback", "droid/DroidSansFallbackFull.ttf", DROID)
_KOREAN: Final = _Font("WenQuanYiMicroHei", "wqy/wqy-microhei.ttc", WENQUANYI, regex.compile(r"\p{Hangul}"))
_REST: Final = (
    _KOREAN,
    _CHINESE,
    _Font("NotoMusic", "noto/NotoMusic-Regular.ttf", NOTO),
    _Font("Symbola", "ancient-scripts/Symbola_hint.ttf", SYMBOLA),
    _Font("NotoSansSymbols2", "noto/NotoSansSymbols2-Regular.ttf", NOTO),
)

_WITH_SERIFS: Final = (
    *(
        "Armenian",
        "Bengali",
        "Devanagari",
        "Ethiopic",
        "Georgian",
        "Gujarati",
        "Gurmukhi",
        "Hebrew",
        "Kannada",
        "Khmer",
    ),
    *("Lao", "Malayalam", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan"),
)
_WITHOUT_BOLD: Final = ("Cherokee", "Coptic", "Glagolitic", "NKo", "Syriac", "Tifinagh", "Vai")
_WITHOUT_SERIFS: Final = (
    *("Adlam", "CanadianAboriginal", "Javanese", "Lisu", "MeeteiMayek", "OlChiki", "Oriya", "Sundanese", "Thaana"),
    *_WITHOUT_BOLD,
)


def _noto(stem: str, script: str, weight: str = "Regular") -> _Font:
    name = f"Noto{stem}{script}-{weight}"
    return _Font(name, f"noto/{name}.ttf", NOTO, regex.compile(rf"\p{{Script_Extensions={script}}}"))


_NOTO_SERIF: Final = _Font("NotoSerif", "noto/NotoSerif-Regular.ttf", NOTO)
_NOTO_SANS: Final = _Font("NotoSans", "noto/NotoSans-Regular.ttf", NOTO)
_NOTO_SANS_BOLD: Final = _Font("NotoSans-Bold", "noto/NotoSans-Bold.ttf", NOTO)
_SERIF_SCRIPTS: Final = (
    _noto("Naskh", "Arabic"),
    *(_noto("Serif", script) for script in _WITH_SERIFS),
    *(_noto("Sans", script) for script in _WITHOUT_SERIFS),
)
_SANS_SCRIPTS: Final = (
    _noto("Naskh", "Arabic"),
    *(_noto("Serif" if script == "Tibetan" else "Sans", script) for script in (*_WITH_SERIFS, *_WITHOUT_SERIFS)),
)
_BOLD_SCRIPTS: Final = (
    _noto("Naskh", "Arabic", "Bold"),
    *(
        _noto("Serif" if script == "Tibetan" else "Sans", script, "Regular" if script in _WITHOUT_BOLD else "Bold")
        for script in (*_WITH_SERIFS, *_WITHOUT_SERIFS)
    ),
)


@cache
def _loaded(font: _Font) -> TrueType:
    """The font, known to reportlab from now on. Raises MissingFontError."""
    return TrueType(font.name, _file(font))


def _file(font: _Font) -> Path:
    path = FOLDER / font.file
    if not path.is_file():
        raise MissingFontError(path, font.package)
    return path


class Typeface:
    """A chain of fonts: each character, with the marks on it, is drawn by the first that has it."""

    def __init__(self, *fonts: _Font) -> None:
        self._fonts = fonts
        self._faces: dict[str, TrueType] = {}
        self._advances = _Advances(self)
        self._kind = lru_cache(_CLUSTERS_KEPT)(
            lambda cluster: (self.face(cluster), _JOINED.search(cluster) is not None)
        )

    def check(self) -> None:
        """Look whether every font of the chain is there. Raises MissingFontError."""
        for font in self._fonts:
            _file(font)

    def width(self, text: str, size: float) -> float:
        """How far the text reaches at this size, in the unit of the size. Raises NoGlyphError."""
        try:
            return size * sum(map(self._advances.__getitem__, text))
        except _NotPlainError:
            return size * sum(run.width for run in self.runs(text))

    def fitting(self, text: str, size: float, width: float) -> int:
        """How many characters of the text fit into the width, at least one. Raises NoGlyphError.

        A character is never separated from the marks on it, unless they are longer than the width.
        """
        room, tried = width / size, 128
        try:
            while True:
                ends = list(accumulate(map(self._advances.__getitem__, text[:tried])))
                count = bisect_right(ends, room)
                if count < tried or tried >= len(text):
                    return max(count, 1)
                tried *= 2
        except _NotPlainError:
            return self._fitting_shaped(text, room)

    def _fitting_shaped(self, text: str, room: float) -> int:
        tried = 0
        while tried < len(text):
            tried = 2 * tried + 128
            part = text[:tried]
            advances = [0.0] * len(part)
            for start, run, _ in self._pieces(part, _levels(part)):
                for placed in run.placed:
                    advances[start + placed.at] += placed.advance
            reach = list(accumulate(advances))
            ends = [match.end() for match in _CLUSTER.finditer(part)]
            count = bisect_right(ends, room, key=lambda end: reach[end - 1])
            if not count:  # one character with all that is joined to it is longer than a line
                return max(bisect_right(reach, max(room, reach[0])), 1)
            if count < len(ends):
                return ends[count - 1]
        return len(text)

    def runs(self, text: str, levels: Sequence[int] | None = None) -> list[Run]:
        """The glyphs of one line from left to right; it is ordered by these levels of a longer paragraph, or its own.

        Raises NoGlyphError.
        """
        pieces = list(self._pieces(text, levels or _levels(text)))
        return in_order_of_sight([run for _, run, _ in pieces], [level for _, _, level in pieces])

    def _pieces(self, text: str, levels: Sequence[int]) -> Iterator[tuple[int, Run, int]]:
        """Where each run begins, its glyphs and its level, in the order of the text."""
        ends = [match.end() for match in _CLUSTER.finditer(text)]
        kinds: list[tuple[tuple[TrueType, bool], int]] = []
        for start, end in pairwise((0, *ends)):
            cluster, level = text[start:end], levels[start]
            if cluster == " " and kinds and kinds[-1][1] == level and kinds[-1][0][0].glyph(" ") is not None:
                kinds.append(kinds[-1])  # some readers lose a space that is written alone
            else:
                kinds.append((self._kind(cluster), level))
        start = 0
        for ((face, joined), level), clusters in groupby(zip(kinds, ends, strict=True), key=itemgetter(0)):
            *_, (_, end) = clusters
            yield start, shaped(face, text[start:end], from_the_right=level % 2 == 1, joined=joined), level
            start = end

    def draw(
        self,
        canvas: Canvas,
        text: str,
        x: float,
        baseline: float,
        size: float,
        *,
        width: float = 0,
        right: bool = False,
        spacing: float = 0,
        levels: Sequence[int] | None = None,
    ) -> None:
        """Draw one line of text; it is never markup.

        `x` and `baseline` are in mm from the upper left corner of the page, `x` is the right end if `right`; `size` is
        in points. A text longer than `width` mm is drawn smaller, so that it is always whole. `spacing` mm are added
        after each character. `levels` say how the characters run where the line is a part of a longer paragraph.
        Raises NoGlyphError.
        """
        runs = None if levels is None else self.runs(text, levels)
        if runs is None:
            try:
                length = size * sum(map(self._advances.__getitem__, text))
            except _NotPlainError:
                runs = self.runs(text)
        if runs is not None:
            length = size * sum(run.width for run in runs)
        if width and length > width * mm:
            size *= width * mm / length
            length = width * mm
        left, bottom = x * mm - (length if right else 0), (PAGE.height - baseline) * mm
        document = canvas._doc  # noqa: SLF001 fonts belong to the document
        blocks, shown = (
            (self._plain_blocks(text), self._plain_operators(document, text, size))
            if runs is None
            else (_shaped_blocks(runs), _shaped_operators(document, runs, size))
        )
        for start, reach in blocks:  # one box behind them: between glyphs hairlines would show
            low, high = (end * size for end in _BLOCK)
            canvas.rect(left + start * size, bottom + low, reach * size, high - low, stroke=0, fill=1)
        begin, end = (f"BT {fp_str(spacing * mm)} Tc", "0 Tc ET") if spacing else ("BT", "ET")
        canvas.drawText(_Operators(" ".join((begin, f"1 0 0 1 {fp_str(left, bottom)} Tm", *shown, end))))

    def face(self, cluster: str) -> TrueType:
        """The font that draws a character with all marks on it. Raises NoGlyphError, with the first that is in none."""
        try:
            return self._faces[cluster]
        except KeyError:
            pass
        seen = _SHAPES_ONLY.sub("", cluster)
        if len(cluster) > 1 and _lacking(face := self.face(cluster[0]), seen) is None:
            return face
        lacking = ""
        for font in self._fonts:
            if font.script.match(cluster):
                face = _loaded(font)
                lacks = _lacking(face, seen)
                if lacks is None:
                    return self._faces.setdefault(cluster, face) if len(cluster) == 1 else face
                if not lacking or seen.find(lacks) > seen.find(lacking):
                    lacking = lacks
        raise NoGlyphError(lacking or cluster[0])

    def advance(self, character: str) -> float:
        """How far a plain character moves the pen, in em. Raises NoGlyphError and _NotPlainError."""
        if not _plain(character):
            raise _NotPlainError
        face = self.face(character)
        glyph = face.glyph(character)
        if glyph is None:  # it has the letter and the accent apart
            raise _NotPlainError
        return face.advance(glyph)

    def _plain_blocks(self, text: str) -> Iterator[tuple[float, float]]:
        for blocks in _BLOCKS.finditer(text):
            yield self.width(text[: blocks.start()], 1), self.width(blocks.group(), 1)

    def _plain_operators(self, document: PDFDocument, text: str, size: float) -> Iterator[str]:
        for face, characters in groupby(text, key=self._faces.__getitem__):
            codes = face.codes(document)
            yield f"/{codes.name} {fp_str(size)} Tf <{''.join(map(codes.characters.__getitem__, characters))}> Tj"


class _Advances(dict[str, float]):
    """How far each plain character moves the pen, in em."""

    def __init__(self, typeface: Typeface) -> None:
        super().__init__()
        self._typeface = typeface

    def __missing__(self, character: str) -> float:
        return self.setdefault(character, self._typeface.advance(character))


@dataclass(frozen=True, slots=True)
class _Operators:
    """What is written into a page, in the form in which reportlab takes text."""

    code: str

    def getCode(self) -> str:  # noqa: N802 reportlab's own name
        return self.code


def _levels(text: str) -> Sequence[int]:
    return directions_of(text).levels if runs_from_the_right(text) else [0] * len(text)


def _lacking(face: TrueType, characters: str) -> str | None:
    """The first character that the font can draw neither whole nor as a letter with its marks."""
    for character in characters:
        glyph = face.glyph(character)
        if glyph is None:
            parts = unicodedata.normalize("NFD", character)
            if len(parts) == 1 or any(face.glyph(part) is None for part in parts):
                return character
        elif not face.advance(glyph) and _plain(character):
            return character  # the next one would be drawn over it
    if len(characters) > 1 and not face.places_marks and _CROWDED.match(unicodedata.normalize("NFD", characters)):
        return characters[-1]
    return None


def _plain(character: str) -> bool:
    return character == HYPHEN or _PLAIN.fullmatch(character) is not None


def _shaped_blocks(runs: list[Run]) -> Iterator[tuple[float, float]]:
    pen = 0.0
    places = []
    for run in runs:
        for placed in run.placed:
            if placed.glyph.text == "\N{FULL BLOCK}":
                places.append((pen, placed.advance))
            pen += placed.advance
    while places:
        start, reach = places.pop(0)
        while places and abs(places[0][0] - start - reach) < 1e-6:
            reach += places.pop(0)[1]
        yield start, reach


def _shaped_operators(document: PDFDocument, runs: list[Run], size: float) -> Iterator[str]:
    for run in runs:
        codes, advance_of = run.face.codes(document), run.face.advance
        yield f"/{codes.name} {fp_str(size)} Tf"
        if run.untold:
            yield f"/Span <</ActualText <FEFF{run.untold.encode('utf-16-be').hex()}>>> BDC"
        for up, group in groupby(run.placed, key=attrgetter("up")):
            shown = []
            for glyph, advance, right, _, _ in group:
                back = advance_of(glyph.number) - advance + right
                before, behind = (f">{fp_str(1000 * move)}<" if move else "" for move in (-right, back))
                shown.append(f"{before}{codes[glyph]}{behind}")
            # pdfium loses its place where a string is empty
            yield f"{fp_str(up * size)} Ts [<{''.join(shown)}>] TJ".replace("<>", " ")
        yield "0 Ts EMC" if run.untold else "0 Ts"


SERIF: Final = Typeface(_PT_SERIF, *_SERIF_SCRIPTS, _NOTO_SERIF, _DEJAVU_SERIF, _DEJAVU_SANS, *_REST)
"""The text of a letter."""
SANS: Final = Typeface(_PT_SANS, *_SANS_SCRIPTS, _NOTO_SANS, _DEJAVU_SANS, *_REST)
"""What the sheet says."""
BOLD: Final = Typeface(_PT_SANS_BOLD, *_BOLD_SCRIPTS, _NOTO_SANS_BOLD, _DEJAVU_SANS_BOLD, _DEJAVU_SANS, *_REST)
"""Names."""
MONO: Final = Typeface(_DEJAVU_MONO_BOLD)
"""Reply codes: every symbol as wide as the next, and no two alike."""
MONO_CAP_HEIGHT: Final = 1493 / 2048
"""Height of a capital of MONO, in em (DejaVu's own figure)."""

PAGE_FONT: Final = _PT_SERIF.name
"""The font that a page begins with."""

TYPEFACES: Final = (SERIF, SANS, BOLD, MONO)


def load_fonts() -> None:
    """Look whether everything is there that a printed page may need. Raises MissingFontError, which names the package.

    Only the font that every page begins with is opened, and the others when a text needs them.
    """
    for typeface in TYPEFACES:
        typeface.check()
    _loaded(_PT_SERIF)
    try:
        load_directions()
    except OSError as error:
        raise MissingFontError(Path(LIBRARY), PACKAGE) from error


def as_printed(text: str) -> str:
    """The text as it will be drawn: composed accents, nothing invisible, tabs as spaces, lines ended by newlines."""
    lines = unicodedata.normalize("NFC", without_invisible(with_newlines(text)))
    return lines.expandtabs(TAB)


def without_invisible(text: str) -> str:
    """The text without characters that print nothing, and without direction marks where nothing runs from the right."""
    if _UNUSUAL.search(text) is None:
        return text
    seen = _INVISIBLE.sub("", text)
    unmarked = _DIRECTION_MARKS.sub("", seen)
    return seen if runs_from_the_right(unmarked) else unmarked


def with_newlines(text: str) -> str:
    """The text with lines ended by newlines only."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unprintable(text: str) -> list[Unprintable]:
    """The characters of a text that cannot be printed, in their order; lines and columns are counted from 1.

    Newlines and tabs are fine; other control characters, embeddings, overrides and isolates of the text's direction,
    private and unassigned characters, more than eight marks on a letter, and whatever no font has are not.
    """
    return [
        Unprintable(character, _name(character), number, column)
        for number, line in enumerate(with_newlines(text).split("\n"), start=1)
        for character, column in _unprintable_in_line(line)
    ]


def _unprintable_in_line(line: str) -> Iterator[tuple[str, int]]:
    if _KNOWN.issuperset(line):
        return
    # Printed, a mark stands on what is left of it, though it was typed behind something invisible, a tab, or first in a
    # name: there are spaces around names. Direction marks may be printed or not.
    typed = f" {line} ".replace("\t", " ")
    invisible = {place for match in _INVISIBLE.finditer(typed) for place in range(*match.span())}
    directing = {match.start() for match in _DIRECTION_MARKS.finditer(typed)}
    found: dict[tuple[int, str], None] = {}
    for hidden in (invisible, invisible | directing) if directing else (invisible,):
        places = [place for place in range(len(typed)) if place not in hidden]
        for match in _CLUSTER.finditer("".join(typed[place] for place in places)):
            cluster = match.group()
            for character in _unprintable_in_cluster(unicodedata.normalize("NFC", cluster)):
                found[places[match.start() + max(cluster.find(character), 0)], character] = None
    yield from ((character, place) for place, character in sorted(found))


_KNOWN: Final = {"\t"}
"""Plain characters that are known to be printable."""


def _unprintable_in_cluster(cluster: str) -> list[str]:
    if cluster in _KNOWN:
        return []
    if refused := [character for character in cluster if _refused(character)]:
        return refused
    if pile := _TOO_HIGH.search(cluster):
        return [pile.group()[-1]]
    try:
        for typeface in (SERIF, SANS, BOLD):
            typeface.face(cluster)
    except NoGlyphError as error:
        return [error.character]
    if _plain(cluster):
        _KNOWN.add(cluster)
    return []


def _refused(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] == "C" or category in {"Zl", "Zp"}) and not _SHAPES_ONLY.match(character)


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}")
