"""Scans that somebody broke: good ones of every kind, some made to hurt, and what chance does to both.

Everything follows from a number. What is broken is small, so that most of the time goes to reading what is wrong.
"""

from __future__ import annotations

import io
import random
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pikepdf
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter
from reportlab.pdfgen.canvas import Canvas

from benchmarks.damage import PAPER_DPI, reply_sheet
from relay.domain.reply_code import MatrixCode, ReplyCode, Side

DPI: Final = 60
CODE: Final = MatrixCode(ReplyCode("ABCDEFGHPHU2"), 1, Side.A)
HEIC_PROGRAM: Final = "heif-enc"
HEIC_INSTALL: Final = "apt-get install libheif-examples"
"""The library of the relay reads HEIC and writes none."""

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]


class MissingEncoderError(Exception):
    """HEIC cannot be made here; the message says how to install what is missing."""


def good() -> dict[str, bytes]:
    """Scans as scanners, phones and messengers make them; each can be read."""
    paper = Image.fromarray(reply_sheet(CODE))
    grey = paper.resize((round(paper.width * DPI / PAPER_DPI), round(paper.height * DPI / PAPER_DPI)))
    colour = Image.merge("RGB", (grey, grey.point(lambda shade: shade * 0.9), grey.point(lambda shade: shade * 0.8)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Phone"
    made = {
        "grey.jpg": _saved(grey, "JPEG", quality=60, dpi=(DPI, DPI)),
        "photo.jpg": _saved(colour, "JPEG", quality=60, progressive=True, exif=exif, subsampling="4:2:0"),
        "grey.png": _saved(grey, "PNG"),
        "palette.png": _saved(colour.quantize(16), "PNG", transparency=3),
        "deep.png": _saved(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG"),
        "lossy.webp": _saved(colour, "WEBP", quality=50, exif=exif),
        "lossless.webp": _saved(grey.convert("RGBA"), "WEBP", lossless=True),
        "phone.heic": _heic(colour),
        "fax.tif": _saved(grey.convert("1"), "TIFF", compression="group4", dpi=(DPI, DPI)),
        "jpeg.tif": _saved(colour, "TIFF", compression="jpeg"),
        "raw.tif": _saved(grey.resize((100, 140)), "TIFF", compression=None, big_tiff=True),
        "scan.pdf": _saved(grey, "PDF", resolution=DPI, save_all=True, append_images=[colour]),
        "drawn.pdf": _drawn(),
    }
    pages = io.BytesIO()
    with AppendingTiffWriter(pages, new=True) as writer:
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
            grey.save(writer, "TIFF", compression=compression)
            writer.newFrame()
    made["pages.tif"] = pages.getvalue()
    with pikepdf.open(io.BytesIO(made["scan.pdf"])) as pdf:
        packed = io.BytesIO()
        pdf.save(packed, object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True)
    made["packed.pdf"] = packed.getvalue()
    return made


def hostile() -> dict[str, bytes]:
    """Files made to use up time or memory, or to go round in circles."""
    catalogue = b"<</Type/Catalog/Pages 2 0 R>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 300]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>"
    one = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
    draw = _stream(b"/X Do " * 100)
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 200 300]"
    itself = form + b"/Resources<</XObject<</X 5 0 R>>>>"
    picture = b"/Type/XObject/Subtype/Image/Width 30000/Height 30000/ColorSpace/DeviceGray/BitsPerComponent 8"
    bomb = _bomb(90_000_000)
    twice = zlib.compress(bomb, 9)
    leaves = [b"<</Type/Pages/Parent %d 0 R/Count 1/Kids[%d 0 R]>>" % (n, n + 2) for n in range(2, 600)]
    doubled = [form + b"/Resources<</XObject<</X %d 0 R>>>>" % n for n in range(6, 30)]
    many = b"<</Type/Pages/Count 3000/Kids[" + b"3 0 R " * 3000 + b"]>>"
    return {
        "3000 pages.pdf": _pdf(catalogue, many, page, draw, _stream(b"", form)),
        "says 2000000000 pages.pdf": _pdf(catalogue, one.replace(b"Count 1", b"Count 2000000000"), page, draw),
        "page in itself.pdf": _pdf(catalogue, b"<</Type/Pages/Count 9/Kids[2 0 R 2 0 R 3 0 R]>>", page, draw),
        "deep tree.pdf": _pdf(catalogue, *leaves, page, draw),
        "drawn in itself.pdf": _pdf(catalogue, one, page, draw, _stream(b"/X Do /X Do", itself)),
        "drawn 2 to 24 times.pdf": _pdf(
            catalogue, one, page, _stream(b"/X Do"), *(_stream(b"/X Do /X Do", head) for head in doubled), _stream(b"")
        ),
        "brackets.pdf": _pdf(catalogue, one, page, _stream(b"[" * 50_000), b"[" * 50_000),
        "bomb.pdf": _pdf(catalogue, one, page, draw, _stream(bomb, picture + b"/Filter/FlateDecode")),
        "bomb twice.pdf": _pdf(catalogue, one, page, _stream(twice, b"/Filter[/FlateDecode/FlateDecode]")),
        "large paper.pdf": _pdf(catalogue, one, page.replace(b"200 300", b"999999 999999"), draw),
        "loop.tif": _tiff(200, 140, following=8),
        "large.tif": _tiff(2**31 - 1, 2**31 - 1),
        "3000 pages.tif": _pages_of_tiff(3000),
        "large.png": _png(65_535, 65_535, _bomb(90_000_000)),
        "long.png": _png(1, 2**31 - 1, zlib.compress(b"")),
    }


def mutated(number: int, good_ones: Mapping[str, bytes], hostile_ones: Mapping[str, bytes]) -> tuple[str, bytes]:
    """One broken file, and what happened to it in words. One in ten was made to hurt to begin with."""
    chance = random.Random(number)
    made = hostile_ones if chance.random() < 0.1 else good_ones
    name = chance.choice(list(made))
    broken, others = bytearray(made[name]), [*good_ones.values(), *hostile_ones.values()]
    done = [chance.choice(list(MUTATIONS)) for _ in range(chance.choice((1, 1, 1, 2, 4)))]
    for kind in done:
        broken = MUTATIONS[kind](broken, chance, others)
    return f"{name}: {', '.join(done)}", bytes(broken)


def _flipped(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    for _flip in range(chance.choice((1, 4, 16, 200))):
        if broken:
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
    return broken


def _flipped_at_the_start(broken: bytearray, chance: random.Random, others: Sequence[bytes]) -> bytearray:
    return _flipped(broken[:400], chance, others) + broken[400:]


def _cut(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    return broken[: chance.randrange(len(broken) + 1)]


def _missing(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    place = _slice(broken, chance)
    del broken[place]
    return broken


def _spliced(broken: bytearray, chance: random.Random, others: Sequence[bytes]) -> bytearray:
    other = chance.choice(others)
    broken[_slice(broken, chance)] = other[_slice(other, chance)]
    return broken


def _repeated(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    place = _slice(broken, chance)
    broken[place.stop : place.stop] = broken[place] * chance.choice((1, 2, 50))
    return broken


def _blanked(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    place = _slice(broken, chance)
    broken[place] = bytes([chance.choice((0, 255, 32))]) * (place.stop - place.start)
    return broken


def _numbers(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    """Lengths, offsets and counts stand nearly everywhere in binary formats; some become ones that nobody expects."""
    for _number in range(chance.choice((1, 3, 10))):
        width = chance.choice((2, 4))
        value = chance.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1, len(broken)))
        if len(broken) > width:
            at = chance.randrange(min(len(broken) - width, chance.choice((64, 1000, len(broken)))) + 1)
            broken[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, chance.choice(("big", "little")))
    return broken


def _exchanged(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    """Two numbers, as of lengths, each in the place of the other."""
    if len(broken) >= 16:
        first, second = (chance.randrange(len(broken) - 4) for _ in range(2))
        one, other = broken[first : first + 4], broken[second : second + 4]
        broken[first : first + 4], broken[second : second + 4] = other, one
    return broken


def _written_numbers(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    """The same where they are written out, as in a PDF."""
    found = list(re.finditer(rb"\d+", broken[:200_000]))
    for number in sorted(chance.sample(found, min(len(found), chance.choice((1, 3, 10)))), key=re.Match.start)[::-1]:
        value = chance.choice((0, 1, 2, 3, 5, 65_536, 2**31, 2**63, 10**30))
        broken[number.start() : number.end()] = b"%d" % value
    return broken


def _huge(broken: bytearray, chance: random.Random, _: Sequence[bytes]) -> bytearray:
    """Width or height, wherever they stand, become those of a picture that fits into no memory."""
    edge = chance.choice((496, 702, 100, 140, 200, 300))
    large = chance.choice((20_000, 60_000, 65_535, 2**31 - 1))
    for width in (4, 2):
        for order in ("big", "little"):
            if large < 2 ** (8 * width):
                old, new = edge.to_bytes(width, order), large.to_bytes(width, order)
                broken = broken.replace(old, new)
    return broken


def _behind(broken: bytearray, chance: random.Random, others: Sequence[bytes]) -> bytearray:
    """Another file follows, or goes before."""
    other = bytearray(chance.choice(others))
    return broken + other if chance.random() < 0.7 else other[:1000] + broken


MUTATIONS: Final[dict[str, Mutation]] = {
    "bits flipped": _flipped,
    "bits flipped at the start": _flipped_at_the_start,
    "cut": _cut,
    "a piece missing": _missing,
    "a piece of another": _spliced,
    "a piece repeated": _repeated,
    "a piece blank": _blanked,
    "numbers": _numbers,
    "numbers exchanged": _exchanged,
    "written numbers": _written_numbers,
    "huge": _huge,
    "another behind": _behind,
}


def _slice(of: Sequence[int], chance: random.Random) -> slice:
    start = chance.randrange(len(of) + 1)
    return slice(start, min(len(of), start + chance.choice((1, 4, 64, 2000))))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _heic(image: Image.Image) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        picture, made = Path(folder, "a.png"), Path(folder, "a.heic")
        image.save(picture)
        try:
            subprocess.run([HEIC_PROGRAM, "-q", "40", "-o", made, picture], check=True, capture_output=True)
        except FileNotFoundError:
            raise MissingEncoderError(f"{HEIC_PROGRAM}, which makes HEIC, is not installed: {HEIC_INSTALL}") from None
        return made.read_bytes()


def _drawn() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(200, 300))
    canvas.drawString(20, 200, "Dear friend")
    canvas.linearGradient(0, 0, 200, 100, ((1, 0, 0), (0, 0, 1)))
    canvas.acroForm.checkbox(x=20, y=150)
    canvas.save()
    return file.getvalue()


def _pdf(*objects: bytes) -> bytes:
    """Objects from 1 on; the first is the catalogue."""
    file, places = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(file + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))


def _stream(content: bytes, head: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (head, len(content), content)


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)) + packer.flush()


def _tiff(width: int, height: int, following: int = 0) -> bytes:
    """A white page without compression, after which comes the page at the place `following`."""
    return b"II*\0" + struct.pack("<I", 8) + _directory(width, height, at=8, following=following) + bytes(28_000)


def _directory(width: int, height: int, *, at: int, following: int) -> bytes:
    pixels = at + 2 + 8 * 12 + 4
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, pixels)]
    tags += [(278, 4, height), (279, 4, width * height % 2**32)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def _pages_of_tiff(count: int) -> bytes:
    def pages() -> Iterator[bytes]:
        at = 8
        for number in range(count):
            length = len(_directory(1, 1, at=at, following=0)) + 2
            yield _directory(1, 1, at=at, following=at + length if number < count - 1 else 0) + b"\0\0"
            at += length

    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages())


def _png(width: int, height: int, pixels: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
