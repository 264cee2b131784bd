"""`relay letter proof`: the pages that a text would become, or what of it cannot be printed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pypdfium2
import pytest
import sqlalchemy as sa

from relay.cli.exits import Exit
from relay.store import tables
from tests.cli.conftest import Command, Done
from tests.workplaces import House

TEXT = "Dear friend,\n\nthe snow came early this year."


def letter(folder: Path, text: str = TEXT) -> Path:
    path = folder / "letter.txt"
    path.write_bytes(text.encode())
    return path


def pages(pdf: Path) -> list[str]:
    """The text of each page that is not blank."""
    with pypdfium2.PdfDocument(pdf) as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    return [text for text in texts if text]


async def test_proof_has_the_pages_and_a_reply_sheet(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    done = await command("letter", "proof", letter(tmp_path), "--prisoner", "john-sample", "--name", "Mary", "-o", out)
    assert done == Done(0, f"{out}: 1 page of text, and a reply sheet.\n", "")
    first, *sheet = pages(out)
    assert len(sheet) == 2
    assert "the snow came early this year." in first
    assert "Letter from Mary" in first
    assert "PO Box 9" in sheet[0]


async def test_proof_is_in_the_language_and_layout_of_the_prisoner(
    house: House, command: Command, tmp_path: Path
) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.prisoners).values(layout="large"))
    out = tmp_path / "out.pdf"
    long = letter(tmp_path, "слово " * 500)
    done = await command("letter", "proof", long, "--prisoner", "pyotr-primerov", "-o", out, "--json")
    assert done == Done(0, "[]\n", "")
    assert len(pages(out)) > 2 + 2
    assert "страница 1 из" in pages(out)[0]


async def test_proof_has_the_address_in_the_window(house: House, command: Command, tmp_path: Path) -> None:
    house.relay.installation.profiles.mkdir()
    own = house.relay.installation.profiles / "own.toml"
    own.write_text(
        'title = "x"\nextends = "common"\nfacilities = ["hmp-nowhere"]\n[print]\nwindow = "DIN5008-B"\n', "utf-8"
    )
    out = tmp_path / "out.pdf"
    await command("letter", "proof", letter(tmp_path), "--prisoner", "john-sample", "-o", out)
    assert "1 Fiction Road" in pages(out)[0]


async def test_what_cannot_be_printed_is_listed_and_nothing_written(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    out.write_text("an older proof")
    bad = letter(tmp_path, "\ufeff\r\n\r\nHello \U00012000,\r\nmy \x07 friend")
    ask = ("letter", "proof", bad, "--prisoner", "john-sample", "--name", "M\ue000", "-o", out)
    assert await command(*ask) == Done(
        Exit.REFUSED,
        "line 3, place 7: CUNEIFORM SIGN A \U00012000\nline 4, place 4: U+0007\nthe name, place 2: U+E000\n",
        "",
    )
    assert out.read_text() == "an older proof"
    done = await command(*ask, "--json")
    assert (done.code, json.loads(done.out)) == (
        Exit.REFUSED,
        [
            {"in": "text", "line": 3, "column": 7, "character": "\U00012000", "name": "CUNEIFORM SIGN A"},
            {"in": "text", "line": 4, "column": 4, "character": "\x07", "name": "U+0007"},
            {"in": "name", "line": 1, "column": 2, "character": "\ue000", "name": "U+E000"},
        ],
    )


async def test_proof_of_the_standard_input_without_the_office_s_key(
    house: House, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house.relay.installation.keys / "office.key").unlink()
    out = tmp_path / "out.pdf"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert (await command("letter", "proof", "-", "--prisoner", "john-sample", "-o", out)).code == 0
    assert len(pages(out)) == 3


async def test_proof_that_cannot_be_made(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, text = tmp_path / "out.pdf", letter(tmp_path)
    unknown = await command("letter", "proof", text, "--prisoner", "nobody", "-o", out)
    assert unknown == Done(Exit.NOT_FOUND, "", "there is no prisoner nobody\n")
    text.write_bytes("Привет".encode("cp1251"))
    refused = await command("letter", "proof", text, "--prisoner", "john-sample", "-o", out)
    assert (refused.code, refused.err.startswith(f"{text} is not UTF-8 text: ")) == (Exit.REFUSED, True)
    assert not out.exists()
