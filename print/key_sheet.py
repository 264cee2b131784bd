"""The sheet with the office's private key, for a safe. It names neither the group nor what it does."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import zxingcpp
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.dates import written_out
from print.fonts import BOLD, MONO, SANS
from print.papers import MARGIN, RIGHT, Words, draw_head
from relay.domain.reply_code import grouped
from relay.domain.sheet import PAGE
from relay.domain.typed_key import key_lines, key_matrix
from relay.locale import catalogue

# Sizes in points, distances in mm.
TITLE_SIZE: Final = 20.0
TEXT_SIZE: Final = 11.0
SYMBOL_SIZE: Final = 14.0
COMMAND_SIZE: Final = 9.5
SPACE: Final = 2.5
"""Between paragraphs."""
ROW: Final = 7.5
"""From line to line of the key."""
NUMBER_END: Final = MARGIN + 6.0
SYMBOLS: Final = MARGIN + 9.0
MODULE: Final = 1.1
"""Edge of a module of the matrix code: large enough for any phone."""
QUIET: Final = 4
"""Modules that stay white around it."""


@dataclass(frozen=True, slots=True)
class KeySheet:
    """What stands on the sheet."""

    seed: bytes
    fingerprint: str
    """Of the public half."""
    day: datetime.date
    """When it was printed."""
    language: str


def key_sheet(sheet: KeySheet) -> bytes:
    """The sheet as a PDF of one page. Raises NoGlyphError and MissingFontError."""
    pdf = io.BytesIO()
    canvas = Canvas(pdf, pagesize=A4, invariant=1)
    _draw(canvas, sheet)
    canvas.showPage()
    canvas.save()
    return pdf.getvalue()


def _draw(canvas: Canvas, sheet: KeySheet) -> None:
    _ = catalogue(sheet.language).gettext
    draw_head(canvas, sheet.language, written_out(sheet.day, sheet.language), 1, 1)
    words = Words(canvas, sheet.language)
    words.line(_("The key of the office"), TITLE_SIZE, typeface=BOLD)
    words.y += SPACE
    _say(
        words,
        _("What it opens"),
        _(
            "Whoever has this sheet and a backup, or the disk of the server, can read everything: all letters, "
            "answers, names and addresses. Keep it in a safe, away from the server and from the backups. Make no copy "
            "that you do not need."
        ),
    )
    _say(
        words,
        _("What is lost without it"),
        _(
            "If the file office.key and all such sheets are lost, nobody can read anything of it any more, and nobody "
            "can make this key again. No password and no backup helps then."
        ),
    )
    words.y += SPACE
    top = words.y
    for number, line in enumerate(key_lines(sheet.seed), start=1):
        baseline = top + number * ROW
        SANS.draw(canvas, str(number), NUMBER_END, baseline, SYMBOL_SIZE, right=True)
        MONO.draw(canvas, grouped(line), SYMBOLS, baseline, SYMBOL_SIZE)
    words.y = max(top + (number + 1) * ROW, top + _draw_matrix(canvas, key_matrix(sheet.seed), top)) + SPACE
    words.line(_("Fingerprint: {fingerprint}").format(fingerprint=grouped(sheet.fingerprint)), TEXT_SIZE, typeface=BOLD)
    words.y += 2 * SPACE
    words.say(_("How it becomes a file again"), TEXT_SIZE, typeface=BOLD)
    words.say(
        _(
            "On a computer on which the program is installed, best one without a network. It asks for one line after "
            "the other and says which of them has a mistake, and where. Small letters are as good as capitals, and "
            "spaces do not matter. The last group of each line is for checking. There is no letter I or O and no digit "
            "0 or 1 in a key:"
        ),
        TEXT_SIZE,
    )
    words.line("relay key read", COMMAND_SIZE, typeface=MONO, x=SYMBOLS)
    words.say(
        _("Or from a photo or a scan of the square. Delete the picture afterwards, also on the camera:"), TEXT_SIZE
    )
    words.line("relay key read --picture photo.jpg", COMMAND_SIZE, typeface=MONO, x=SYMBOLS)
    words.say(
        _(
            "Both write the file office.key and show its fingerprint: it has to be the one on this sheet. With it a "
            "backup becomes an installation again:"
        ),
        TEXT_SIZE,
    )
    words.line("relay restore BACKUP FOLDER --key office.key", COMMAND_SIZE, typeface=MONO, x=SYMBOLS)
    words.y += SPACE
    _say(
        words,
        _("When it is no longer needed"),
        _("Burn this sheet once all that was sealed to this key is gone, the backups too."),
    )


def _say(words: Words, heading: str, paragraph: str) -> None:
    words.say(heading, TEXT_SIZE, typeface=BOLD)
    words.say(paragraph, TEXT_SIZE)
    words.y += SPACE


def _draw_matrix(canvas: Canvas, text: str, top: float) -> float:
    """Draw the matrix code at the right margin. Returns its height in mm, with the white around it."""
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="H")
    modules = np.asarray(symbol.to_image(scale=1, add_quiet_zones=False)) == 0
    count = len(modules)
    edge = count * MODULE
    x, y = RIGHT - edge, PAGE.height - top - QUIET * MODULE - edge
    # A stencil, as the codes of reply sheets: no white lines between the modules.
    bits = np.packbits(modules, axis=1).tobytes().hex()
    stencil = f"BI /W {count} /H {count} /IM true /D[1 0] /F /AHx ID\n{bits}>\nEI Q"
    canvas.addLiteral(f"q {edge * mm:.3f} 0 0 {edge * mm:.3f} {x * mm:.3f} {y * mm:.3f} cm {stencil}")
    return edge + 2 * QUIET * MODULE
