"""`relay key`: the office's private key on paper, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click
import pi_heif
import pypdfium2
import zxingcpp
from PIL import Image, UnidentifiedImageError

from print.fonts import load_fonts
from print.key_sheet import KeySheet, key_sheet
from relay.app import Relay
from relay.cli.installed import installation
from relay.cli.speaking import complain, say
from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import grouped
from relay.domain.typed_key import LINES, NotAKeyError, read_line, seed_of_lines, seed_of_matrix
from relay.installing import sync_folder, write
from relay.sealing import PrivateKey
from relay.store.database import utc_now

PIXELS_PER_POINT: Final = 200 / 72
"""At which the pages of a scan are looked at."""


class KeyThereError(Exception):
    """There is a file already where a key should be written."""


@click.group()
def key() -> None:
    """The office's private key, which opens all that is stored."""


@key.command("sheet")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--language", type=click.Choice(LANGUAGES), help="Of the words on it. Without it that of the site.")
def sheet(file: Path, language: str | None) -> None:
    """Write the key as a page to print and to keep in a safe."""
    _refuse_to_overwrite(file)
    load_fonts()
    at = installation()
    office = Relay(at).office_key
    day = utc_now().date()
    pdf = key_sheet(KeySheet(office.seed, office.public.fingerprint, day, language or at.settings.site.language))
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(pdf)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(file.parent)
    say(f"{file} opens everything. Print it, try it with `relay key read --picture`, and remove it.")


@key.command("read")
@click.argument("file", default=Path("office.key"), type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--picture",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A photo or scan of the sheet. Without it the lines are asked for.",
)
def read(file: Path, picture: Path | None) -> None:
    """Make the key FILE (office.key, if none is named) out of a sheet."""
    _refuse_to_overwrite(file)
    office = PrivateKey(_typed() if picture is None else _seen(picture))
    write(file, office.text, mode=0o600)
    say(f"{file}: the fingerprint on the sheet has to be {grouped(office.public.fingerprint)}")


def _refuse_to_overwrite(file: Path) -> None:
    if file.exists():
        raise KeyThereError(f"{file} is there already. Nothing was written.")


def _typed() -> bytes:
    """The key line by line; a line is asked for until it is right."""
    lines: list[str] = []
    while len(lines) < LINES:
        number = len(lines) + 1
        try:
            lines.append(read_line(number, click.prompt(f"Line {number} of {LINES}", err=True)))
        except NotAKeyError as error:
            complain(str(error))
    return seed_of_lines(lines)


def _seen(picture: Path) -> bytes:
    """The key in the matrix code of a photo or a scan. Raises NotAKeyError."""
    try:
        images = list(_images(picture))
    except (UnidentifiedImageError, pypdfium2.PdfiumError) as error:
        raise NotAKeyError(f"{picture} is no picture that can be read.") from error
    codes = [code.text for image in images for code in zxingcpp.read_barcodes(image)]
    for text in codes:
        try:
            return seed_of_matrix(text)
        except NotAKeyError:
            continue
    raise NotAKeyError(f"{picture}: no matrix code of a key was found. Take it straight, sharp and without a shadow.")


def _images(picture: Path) -> list[Image.Image]:
    if picture.suffix.lower() == ".pdf":
        with pypdfium2.PdfDocument(picture) as document:
            return [page.render(scale=PIXELS_PER_POINT).to_pil() for page in document]
    pi_heif.register_heif_opener()
    with Image.open(picture) as image:
        return [image.convert("L")]
