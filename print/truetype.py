"""One TrueType file: which glyphs it has, how wide they are, and how a PDF embeds those that it uses.

reportlab embeds characters, 256 to a font, and writes what they stand for in four hexadecimal digits. Shaped text needs
glyphs that no character has, one glyph for several characters, and emoji, so a file is embedded here as one composite
font (ISO 32000-1, 9.7): a code for each pair of glyph and text, and the subset cut out by HarfBuzz.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import uharfbuzz as hb
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.pdfdoc import (
    PDFArrayCompact,
    PDFDictionary,
    PDFDocument,
    PDFName,
    PDFStream,
    PDFString,
    PDFZCompress,
)

_EM: Final = 1000
"""Units of an em in a PDF."""
_CODES_IN_A_BLOCK: Final = 100
"""How many codes one block of a table of characters may name (ISO 32000-1, 9.10.3)."""
_UNUSED_TABLES: Final = ("GSUB", "GPOS", "GDEF", "cmap", "name", "post", "OS/2", "kern", "DSIG", "hdmx", "gasp", "FFTM")
"""What a composite font in a PDF does not need (ISO 32000-1, table 126)."""
_SYMBOLIC: Final = 4
_STEM: Final = 80
"""Width of the stems; a file does not tell, and it only serves whoever replaces the font."""
_NO_TEXT: Final = "\u200b"
"""For a glyph that stands for no text of its own; without an entry some readers show its code."""
_SAME_GLYPH: Final = {"\u00a0": " ", "\u00ad": "-", "\u2010": "-", "\u2011": "-"}
"""What looks alike, where a font lacks the special form."""


class Glyph(NamedTuple):
    """A glyph, and the text that it stands for where the page is searched or copied."""

    number: int
    text: str


class Codes(dict[Glyph, str]):
    """The codes of the glyphs that one document uses, as they are written into its pages: four hexadecimal digits."""

    def __init__(self, name: str, face: TrueType) -> None:
        super().__init__()
        self.name = name
        """Of the font in the document."""
        self.characters = _CharacterCodes(self, face)
        """The same for characters that stand alone; the font must have them."""

    def __missing__(self, glyph: Glyph) -> str:
        return self.setdefault(glyph, f"{len(self) + 1:04X}")


class _CharacterCodes(dict[str, str]):
    def __init__(self, codes: Codes, face: TrueType) -> None:
        super().__init__()
        self._codes = codes
        self._face = face

    def __missing__(self, character: str) -> str:
        glyph = self._face.glyph(character)
        assert glyph is not None
        return self.setdefault(character, self._codes[Glyph(glyph, character)])


class TrueType:
    """A font file, mapped into memory and read as far as it is needed. It is a dynamic font for reportlab."""

    _dynamicFont = True  # noqa: N815 such a font adds its objects when the document is complete
    _multiByte = True  # noqa: N815

    def __init__(self, name: str, file: Path) -> None:
        self.fontName = self.name = name
        self.face = self  # where reportlab looks for the name of the design
        self.harfbuzz_face = hb.Face(hb.Blob.from_file_path(file))
        self.harfbuzz = hb.Font(self.harfbuzz_face)
        self._units: int = self.harfbuzz_face.upem
        self._codes: WeakKeyDictionary[PDFDocument, Codes] = WeakKeyDictionary()
        pdfmetrics.registerFont(self)

    def glyph(self, character: str) -> int | None:
        """The number of the glyph that draws a character, or None."""
        number: int | None = self.harfbuzz.get_nominal_glyph(ord(character))
        if number is None and character in _SAME_GLYPH:
            return self.glyph(_SAME_GLYPH[character])
        return number

    def advance(self, glyph: int) -> float:
        """How far the glyph moves the pen, in em, to the thousandth: some readers take no more exact widths."""
        return round(self.em(self.harfbuzz.get_glyph_h_advance(glyph)), 3)

    def em(self, units: int) -> float:
        """A length of the font in em."""
        return units / self._units

    @cached_property
    def places_marks(self) -> bool:
        """Whether the font knows where marks stand on each letter; else they stand where they fit most letters."""
        scripts = self.harfbuzz_face.get_table_script_tags("GPOS")
        return any(
            "mark" in self.harfbuzz_face.get_language_feature_tags("GPOS", place) for place in range(len(scripts))
        )

    def codes(self, document: PDFDocument) -> Codes:
        """The codes of this document; asking makes the font a part of it."""
        try:
            return self._codes[document]
        except KeyError:
            name = f"F{len(document.fontMapping) + 1}"
            document.fontMapping[self.name] = f"/{name}"
            document.delayedFonts.append(self)
            return self._codes.setdefault(document, Codes(name, self))

    def addObjects(self, document: PDFDocument) -> None:  # noqa: N802 reportlab's own name
        """Embed the glyphs that were used; reportlab calls this when the document is complete."""
        codes = self._codes.pop(document)
        glyphs = [glyph.number for glyph in codes]
        subset = _Subset(self.harfbuzz_face, glyphs)
        tag = "".join(chr(ord("A") + byte % 26) for byte in hashlib.sha256(repr(list(codes)).encode()).digest()[:6])
        name = PDFName(f"{tag}+{self.harfbuzz_face.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME)}")
        extents = self.harfbuzz.get_font_extents("ltr")
        ascent, descent = (round(self.em(end) * _EM) for end in (extents.ascender, extents.descender))
        descriptor = PDFDictionary(
            {
                "Type": PDFName("FontDescriptor"),
                "FontName": name,
                "Flags": _SYMBOLIC,
                "FontBBox": PDFArrayCompact([-_EM, descent, 2 * _EM, ascent]),
                "ItalicAngle": 0,
                "Ascent": ascent,
                "Descent": descent,
                "CapHeight": ascent,
                "StemV": _STEM,
                "FontFile2": document.Reference(_stream(subset.file, Length1=len(subset.file))),
            }
        )
        widths = [round(self.advance(glyph) * _EM) for glyph in glyphs]
        descendant = PDFDictionary(
            {
                "Type": PDFName("Font"),
                "Subtype": PDFName("CIDFontType2"),
                "BaseFont": name,
                "CIDSystemInfo": PDFDictionary(
                    {"Registry": PDFString("Adobe"), "Ordering": PDFString("Identity"), "Supplement": 0}
                ),
                "FontDescriptor": document.Reference(descriptor),
                "CIDToGIDMap": document.Reference(_stream(b"\0\0" + b"".join(subset.numbers(glyphs)))),
                "W": PDFArrayCompact([1, PDFArrayCompact(widths)]),
            }
        )
        font = PDFDictionary(
            {
                "Type": PDFName("Font"),
                "Subtype": PDFName("Type0"),
                "BaseFont": name,
                "Encoding": PDFName("Identity-H"),
                "DescendantFonts": PDFArrayCompact([document.Reference(descendant)]),
                "ToUnicode": document.Reference(_stream(_to_unicode(codes))),
            }
        )
        document.idToObject["BasicFonts"][codes.name] = document.Reference(font)


class _Subset:
    """A font file with only some of its glyphs."""

    def __init__(self, face: hb.Face, glyphs: list[int]) -> None:
        wanted = hb.SubsetInput()
        wanted.flags = hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NO_LAYOUT_CLOSURE
        wanted.glyph_set.update(set(glyphs))
        wanted.drop_table_tag_set.update({_tag(table) for table in _UNUSED_TABLES})
        plan = hb.SubsetPlan(face, wanted)
        self.file: bytes = plan.execute().blob.data
        self._numbers = plan.old_to_new_glyph_mapping

    def numbers(self, glyphs: list[int]) -> Iterator[bytes]:
        """The new numbers of the glyphs."""
        return (self._numbers[glyph].to_bytes(2) for glyph in glyphs)


def _tag(table: str) -> int:
    """The name of a table as a number."""
    return int.from_bytes(table.encode().ljust(4))


def _stream(content: bytes, **entries: object) -> PDFStream:
    return PDFStream(PDFDictionary(entries), content, [PDFZCompress])


def _to_unicode(codes: Codes) -> bytes:
    """The table by which a reader finds the text of the codes (ISO 32000-1, 9.10.3)."""
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <FFFF> endcodespacerange",
    ]
    entries = (
        f"<{code}> <{(glyph.text or _NO_TEXT).encode('utf-16-be').hex().upper()}>" for glyph, code in codes.items()
    )
    while block := list(islice(entries, _CODES_IN_A_BLOCK)):
        lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
    lines.append("endcmap CMapName currentdict /CMap defineresource pop end end")
    return "\n".join(lines).encode()
