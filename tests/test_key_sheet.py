"""The key on paper: it comes back by typing and by a picture, and a mistake is named where it is."""

from __future__ import annotations

import datetime
import hashlib
import io
import re

import numpy as np
import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from print.fonts import load_fonts
from print.key_sheet import KeySheet, key_sheet
from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import ALPHABET, grouped
from relay.domain.typed_key import (
    LENGTH,
    LINES,
    MATRIX_PREFIX,
    NotAKeyError,
    key_lines,
    key_matrix,
    read_line,
    seed_of_lines,
    seed_of_matrix,
)
from relay.sealing import SEED_BYTES, PrivateKey

SEED = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(3))
OTHER = bytes(range(SEED_BYTES))


def sheet(language: str = "en") -> bytes:
    return key_sheet(KeySheet(SEED, PrivateKey(SEED).public.fingerprint, datetime.date(2031, 5, 4), language))


def text_of(pdf: bytes) -> str:
    (page,) = pypdfium2.PdfDocument(pdf)
    return str(page.get_textpage().get_text_range())


def picture_of(pdf: bytes, dpi: int) -> Image.Image:
    (page,) = pypdfium2.PdfDocument(pdf)
    image = page.render(scale=dpi / 72).to_pil().convert("L")
    assert isinstance(image, Image.Image)
    return image


@given(st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES))
def test_every_key_comes_back(seed: bytes) -> None:
    assert seed_of_lines([grouped(line).lower() for line in key_lines(seed)]) == seed
    assert seed_of_matrix(key_matrix(seed)) == seed


def test_lines_as_they_are_for_all_time() -> None:
    """A sheet lies in a safe for years: who changes this makes it worthless."""
    lines = key_lines(OTHER)
    assert [grouped(lines[0]), grouped(lines[9])] == ["222J 62S6 2N52 G42B V4ZX", "DBFP SRCY DW65 D8SJ XGWK"]
    assert key_matrix(OTHER).startswith(f"{MATRIX_PREFIX}222J62S62N52G42B3A7J")
    assert [len(line) for line in lines] == [LENGTH] * LINES


@pytest.mark.parametrize("number", range(1, LINES + 1))
@pytest.mark.parametrize("place", range(LENGTH))
def test_one_wrong_symbol_is_named_with_line_and_group(number: int, place: int) -> None:
    line = key_lines(SEED)[number - 1]
    other = ALPHABET[(ALPHABET.index(line[place]) + 7) % len(ALPHABET)]
    with pytest.raises(NotAKeyError) as caught:
        read_line(number, line[:place] + other + line[place + 1 :])
    assert str(caught.value) == f"Line {number} has a mistake: look at group {place // 4 + 1}."


@pytest.mark.parametrize(
    ("number", "text", "told"),
    [
        (3, "", "Line 3 has 20 symbols; these are 0."),
        (3, "2222 2222 2222 2222 222", "Line 3 has 20 symbols; these are 19."),
        (3, "2222 2?22 2222 22.2 2222", "Line 3: group 2 and 4 has a character that is none of a key."),
        (3, "ZYXW VUTS RQPN MLKJ HGFE", "Line 3 has several mistakes."),
        (3, key_lines(SEED)[3], "This is not line 3, or it has several mistakes."),
    ],
)
def test_line_that_is_none_says_why(number: int, text: str, told: str) -> None:
    with pytest.raises(NotAKeyError, match=f"^{re.escape(told)}$"):
        read_line(number, text)


def test_lines_of_two_keys_are_no_key() -> None:
    with pytest.raises(NotAKeyError, match=re.escape("The lines are not all of one key.")):
        seed_of_lines([*key_lines(SEED)[:9], key_lines(OTHER)[9]])
    with pytest.raises(NotAKeyError, match="A key has 10 lines; these are 9"):
        seed_of_lines(key_lines(SEED)[:9])


@pytest.mark.parametrize("text", ["", "https://example.org", f"{MATRIX_PREFIX}22", f"{MATRIX_PREFIX}{'i' * 160}"])
def test_foreign_matrix_code_is_no_key(text: str) -> None:
    with pytest.raises(NotAKeyError, match="This matrix code holds no key"):
        seed_of_matrix(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sheet_is_one_page_with_all_that_is_typed(language: str) -> None:
    load_fonts()
    text = text_of(sheet(language))
    assert re.findall(r"(?:[2-9A-HJ-NP-Z]{4} ){4}[2-9A-HJ-NP-Z]{4}", text) == [
        grouped(line) for line in key_lines(SEED)
    ]
    assert grouped(PrivateKey(SEED).public.fingerprint) in text
    assert [re.search(word, text, re.IGNORECASE) for word in ("prison", "example relay")] == [None, None]
    assert ("2031" in text, "relay key read" in text) == (True, True)


def test_matrix_code_is_read_from_a_bad_picture() -> None:
    """A small, blurred, turned photo in dim light."""
    photo = picture_of(sheet(), 110).rotate(7, expand=True, fillcolor=255).filter(ImageFilter.GaussianBlur(1.2))
    grey = np.asarray(photo, np.float64)
    shade = np.linspace(0.35, 0.8, grey.shape[1])
    noise = np.random.default_rng(6).normal(0, 6, grey.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(grey * shade + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=40)
    (code,) = zxingcpp.read_barcodes(Image.open(file))
    assert seed_of_matrix(code.text) == SEED
