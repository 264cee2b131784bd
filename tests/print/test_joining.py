"""Parts become one PDF whose pages, fonts and syntax are those of the parts."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pikepdf
import pytest

from print.joining import JoinedPdf, NotOurPartError
from print.rendering import render
from tests.print.letters import letter, pages_in, picture_of, text_in

PARTS = [render([letter(text, sheet_language=language)]) for text, language in (("One", "en"), ("Два", "ru"))]
FRONT = render([letter("In front", reply_sheets=0)])


def joined(parts: list[bytes], front: bytes | None = None) -> bytes:
    """The parts as one PDF."""
    file = io.BytesIO()
    pdf = JoinedPdf(file)
    for part in parts:
        pdf.add(part)
    if front is not None:
        pdf.add(front, in_front=True)
    pdf.finish()
    return file.getvalue()


def test_pages_stand_in_the_order_of_the_parts_and_look_as_they_did() -> None:
    pdf = joined(PARTS, FRONT)
    pages = [(part, page) for part in (FRONT, *PARTS) for page in range(pages_in(part))]
    assert pages_in(pdf) == len(pages) == 2 + 4 + 4
    for number, (part, page) in enumerate(pages):
        assert text_in(pdf, number) == text_in(part, page)
        assert (picture_of(pdf, number) == picture_of(part, page)).all()


def test_qpdf_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "joined.pdf").write_bytes(joined(PARTS * 30, FRONT))
    done = subprocess.run(["qpdf", "--check", tmp_path / "joined.pdf"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_information_and_proposals_to_viewers_are_those_of_a_part() -> None:
    with pikepdf.open(io.BytesIO(joined(PARTS, FRONT))) as pdf, pikepdf.open(io.BytesIO(PARTS[0])) as part:
        assert dict(pdf.Root.ViewerPreferences) == dict(part.Root.ViewerPreferences)
        assert dict(pdf.docinfo) == dict(part.docinfo)
        numbers = [one.objgen[0] for one in pdf.objects]
        assert numbers == list(range(1, len(numbers) + 1))
        assert sum(isinstance(one, pikepdf.Dictionary) and one.get("/Type") == "/Catalog" for one in pdf.objects) == 1


def test_fonts_of_one_name_are_one_font() -> None:
    # Printers may take the second for the first.
    with pikepdf.open(io.BytesIO(joined(PARTS, FRONT))) as pdf:
        objects = [one for one in pdf.objects if isinstance(one, pikepdf.Dictionary)]
        descriptors = [one for one in objects if one.get("/Type") == "/FontDescriptor"]
        files = {(str(one.FontName), one.FontFile2.read_bytes()) for one in descriptors}
    names = {name for name, _ in files}
    assert len(files) == len(names) > len({name.partition("+")[2] for name in names})


def test_same_parts_give_the_same_bytes_and_another_id_than_others() -> None:
    assert joined(PARTS, FRONT) == joined(PARTS, FRONT)
    ids = []
    for parts in (PARTS, PARTS[::-1]):
        with pikepdf.open(io.BytesIO(joined(parts))) as pdf:
            ids.append(bytes(pdf.trailer.ID[0]))
    assert len(set(ids)) == 2


def test_bytes_that_look_like_a_reference_inside_of_a_stream_stay_as_they_are() -> None:
    part = PARTS[0]
    with pikepdf.open(io.BytesIO(joined([FRONT, part]))) as pdf, pikepdf.open(io.BytesIO(part)) as alone:
        after = [page.Contents.read_raw_bytes() for page in pdf.pages][2:]
        assert after == [page.Contents.read_raw_bytes() for page in alone.pages]


@pytest.mark.parametrize("part", [b"", b"%PDF-1.7\n%%EOF\n", PARTS[0][:-40], b"x" + PARTS[0]])
def test_part_that_reportlab_did_not_write_is_refused(part: bytes) -> None:
    with pytest.raises(NotOurPartError):
        JoinedPdf(io.BytesIO()).add(part)
