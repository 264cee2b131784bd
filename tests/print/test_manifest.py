"""The manifest of a batch."""

from __future__ import annotations

import datetime

import pytest

from print.manifest import draw_manifest
from relay.domain.languages import LANGUAGES
from relay.domain.letter_pages import Manifest, ManifestLine
from relay.domain.reply_code import grouped, new_reply_code
from tests.print.letters import pages_in, picture_of, text_in
from tests.print.papers import margin_is_white, pdf_of

CHECKPOINT = "0123456789abcdef" * 4
STAYS = "This page stays with the group. It does not go into an envelope."


def line(number: int, codes: int = 1, **changes: object) -> ManifestLine:
    """An envelope with so many letters."""
    fields: dict[str, object] = {
        "number": number,
        "prisoner_name": f"Max Example-{number}",
        "codes": tuple(new_reply_code() for _ in range(codes)),
        "letters": codes,
        "sheets": 2 * codes,
        "grams": 15.0,
        "postage": 20,
    }
    return ManifestLine(**(fields | changes))  # type: ignore[arg-type]


def manifest(*lines: ManifestLine, **changes: object) -> Manifest:
    fields: dict[str, object] = {
        "batch": "4f3a9c21",
        "facility": "Colony No. 0, Exampletown",
        "language": "en",
        "made_on": datetime.date(2025, 11, 22),
        "copy": False,
        "lines": lines,
        "set_aside": 0,
        "checkpoint": CHECKPOINT,
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def pages_of(manifest: Manifest) -> list[str]:
    """The words of each page."""
    pdf = pdf_of(lambda canvas: draw_manifest(canvas, manifest))
    return [text_in(pdf, page) for page in range(pages_in(pdf))]


def row(line: ManifestLine) -> str:
    first, *more = map(grouped, line.codes)
    class_of_postage = "TOO HEAVY" if line.postage is None else f"{line.postage} g"
    cells = f"{line.number} {line.prisoner_name} {first} {line.letters} {line.sheets} {line.grams:g} g"
    return " ".join((cells, class_of_postage, *more))


# 2 and 100 by themselves would also come out of a sort by text.
LINES = (
    line(1, 3, grams=34.9, postage=100),
    line(2, grams=104.9, postage=None),
    line(3, grams=19.98, postage=20),
    line(4, 2, grams=20.1, postage=100),
)


def test_manifest_counts_and_weighs_what_is_in_the_batch() -> None:
    (words,) = pages_of(manifest(*LINES, set_aside=2))
    assert words[words.index("Batch 4f3a9c21") : words.index(" Colony No. 0, Exampletown, batch")] == (
        "Batch 4f3a9c21, 22 November 2025 Envelopes: 4 Letters: 7 Sheets of paper: 14 Weight: 179.9 g "
        "Envelopes up to 20 g: 1 Envelopes up to 100 g: 2 Envelopes too heavy for all classes of postage: 1 "
        "Letters set aside, because they could not be printed: 2 "
        "Checkpoint of the journal. Whoever keeps this page can prove later that the journal was not rewritten: "
        + " ".join(CHECKPOINT[start : start + 4] for start in range(0, 64, 4))
    )


def test_every_envelope_has_its_row() -> None:
    (words,) = pages_of(manifest(*LINES))
    table = words[words.index("done") :]
    rows = [row(each).replace("19.98", "20") for each in LINES]
    expected = " ".join(("done No. Prisoner Reply codes Letters Sheets Weight Postage up to", *rows))
    assert table.partition(" Colony")[0].replace(f" {STAYS}", "") == expected


def test_nothing_is_said_of_what_is_not_there() -> None:
    (words,) = pages_of(manifest(line(1), checkpoint=""))
    assert [word for word in ("too heavy", "TOO HEAVY", "set aside", "Checkpoint", "COPY") if word in words] == []


def test_copy_says_so_on_every_page() -> None:
    pages = pages_of(manifest(*map(line, range(1, 101)), copy=True))
    assert [words.count("COPY") for words in pages] == [1] * len(pages)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_every_page_says_what_it_belongs_to_and_that_it_stays(count: int) -> None:
    pages = pages_of(manifest(*map(line, range(1, count + 1))))
    said = [
        [
            words.count(each)
            for each in ("Colony No. 0, Exampletown, batch 4f3a9c21", f"page {number} of {len(pages)}", STAYS)
        ]
        for number, words in enumerate(pages, start=1)
    ]
    assert said == [[1, 1, 1]] * len(pages)


def test_envelopes_go_on_from_page_to_page_none_missing_and_none_divided() -> None:
    lines = [line(number, 1 + number % 5) for number in range(1, 101)]
    pages = pages_of(manifest(*lines))
    where = [[number for number, words in enumerate(pages) if row(each) in words] for each in lines]
    assert [len(found) for found in where] == [1] * len(lines)
    assert where == sorted(where)


def test_envelope_with_more_codes_than_a_page_has_rows_goes_on_overleaf() -> None:
    large = line(1, 100)
    words = " ".join(pages_of(manifest(large)))
    assert [words.count(grouped(code)) for code in large.codes] == [1] * 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_longest_names_stay_inside_the_margins(language: str) -> None:
    long = manifest(
        *(line(number, prisoner_name="Пример-Вымышленный " * 8, grams=12345.6, sheets=9999) for number in range(60)),
        language=language,
        facility="Очень длинное название вымышленной колонии " * 4,
        copy=True,
    )
    pdf = pdf_of(lambda canvas: draw_manifest(canvas, long))
    assert [margin_is_white(picture_of(pdf, page)) for page in range(pages_in(pdf))] == [True] * pages_in(pdf)
