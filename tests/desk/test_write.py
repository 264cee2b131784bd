"""Writing a letter: the form, its complaints, the preview, and sending."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading

import pytest
from PIL import Image

from relay.domain.claim_phrase import is_claim_phrase
from relay.domain.letters import LetterBody
from relay.store import tables
from relay.store.letters import read_body
from relay.web.site import FORM_BYTES
from tests.workplaces import ADDRESS, TEXT, Client, House, Screen, both_engines, get, post

TO = "/en/to/john-sample"
TO_RUSSIAN = "/en/to/pyotr-primerov"
GOOD = {"text": TEXT, "printed_name": "Mary", "address": ADDRESS, "wants": "notice"}
LOST_NOTHING = "Something has to be changed before the letter can be sent. Nothing of your text is lost."
TOO_LONG = "The letter has {} characters; 12000 are possible. Please send it as two letters."
BAD_ADDRESS = "This cannot be a mail address. Please correct it, or leave the field empty."
NO_NAME = "Please give a name to be printed. It can be a pseudonym."


def crlf(text: str) -> str:
    """A text as a browser sends it."""
    return text.replace("\n", "\r\n")


async def previewed(desk: Client, **changes: str) -> Screen:
    form = GOOD | changes | {"action": "preview"}
    answer = await post(desk, TO, form)
    assert answer.status == 200
    return answer.screen


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        ({"text": ""}, ["The letter is empty."]),
        ({"text": " \r\n\t \r\n"}, ["The letter is empty."]),
        ({"text": "a" * 12001}, [TOO_LONG.format(12001)]),
        (
            {"text": "a\n" * 6000},
            ["The letter fills 163 pages; 12 are possible. Please send it as two letters."],
        ),
        ({"text": "a" * 1_020_000}, [TOO_LONG.format(1_020_000)]),
        (
            {"text": "Hello\r\nmy \U00012000 friend \x07"},
            [
                "The character “\U00012000” (CUNEIFORM SIGN A) in line 2, place 4, cannot be printed.",
                "The character “\ufffd” (U+0007) in line 2, place 13, cannot be printed.",
            ],
        ),
        (
            {"text": "\r\n \r\n\U00012000 or \U00012000"},
            [
                (
                    "The character “\U00012000” (CUNEIFORM SIGN A) in line 3, place 1, and in 1 more place, "
                    "cannot be printed."
                )
            ],
        ),
        ({"printed_name": "  "}, [NO_NAME]),
        ({"printed_name": "N" * 61}, ["At most 60 characters fit here."]),
        (
            {"printed_name": "Mary \U00012000\ue000 \U00012000"},
            ["This has characters that cannot be printed: “\U00012000” (CUNEIFORM SIGN A), “\ufffd” (U+E000)."],
        ),
        (
            {"printed_name": "\u0bcdMary"},
            ["This has characters that cannot be printed: “\u25cc\u0bcd” (TAMIL SIGN VIRAMA)."],
        ),
        ({"address": "mary"}, [BAD_ADDRESS]),
        ({"address": "mary@"}, [BAD_ADDRESS]),
        ({"address": "mary@sender.example, eve@other.example"}, [BAD_ADDRESS]),
        ({"address": "mary@sender.example\r\nBcc: eve@other.example"}, [BAD_ADDRESS]),
        ({"address": "Mary <mary@sender.example>"}, [BAD_ADDRESS]),
        ({"text": "", "printed_name": "", "address": "@"}, ["The letter is empty.", NO_NAME, BAD_ADDRESS]),
    ],
    ids=lambda value: None if isinstance(value, dict) else "",
)
async def test_form_says_what_is_wrong_and_keeps_all(
    house: House, desk: Client, changes: dict[str, str], complaints: list[str]
) -> None:
    before = await house.count()
    form = GOOD | changes
    answer = await post(desk, TO, form | {"action": "preview"})
    assert answer.status == 422
    screen = answer.screen
    assert screen.wrong == [LOST_NOTHING, *complaints]
    assert {name: screen.fields[name] for name in form} == {name: form[name].replace("\r\n", "\n") for name in form}
    assert await house.count() == before


async def test_form_changed_into_a_bad_one_is_not_sent(house: House, desk: Client) -> None:
    form = (await previewed(desk)).fields
    answer = await post(desk, TO, form | {"address": "mary", "action": "send"})
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, BAD_ADDRESS])
    assert (await house.count())["letters"] == 0


async def test_longest_letter_is_taken(desk: Client) -> None:
    # A line break counts as one character, however the browser sends it.
    screen = await previewed(
        desk, text=crlf(("abcdefghi " * 11 + "abcdefgh\n\n") * 99 + "abcdefghi " * 11 + "abcdefghij")
    )
    assert screen.heading == "The pages of your letter"


async def test_complaint_stands_at_its_field_for_screen_readers(desk: Client) -> None:
    html = (await post(desk, TO, GOOD | {"text": "", "action": "preview"})).screen.html
    assert html.count('aria-invalid="true"') == 1
    assert '<p class="wrong" id="text-1">The letter is empty.</p>' in html
    assert 'required aria-invalid="true" aria-describedby="text-1">' in html


async def test_too_many_bad_characters_are_not_all_listed(desk: Client) -> None:
    text = "".join(chr(0x12000 + number) for number in range(50))
    answer = await post(desk, TO, GOOD | {"text": text, "action": "preview"})
    assert len(answer.screen.wrong) == 1 + 10 + 1
    assert answer.screen.wrong[-1] == "40 more characters cannot be printed."


async def test_preview_shows_the_pages_and_stores_nothing(house: House, desk: Client) -> None:
    before = await house.count()
    screen = await previewed(desk, text=crlf(TEXT))
    pictures = []
    for source in screen.images:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))
    assert [(picture.format, picture.size) for picture in pictures] == [("PNG", (827, 1170))] * 3
    assert screen.fields["text"] == TEXT
    assert {name: screen.fields[name] for name in ("printed_name", "address", "wants")} == {
        name: GOOD[name] for name in ("printed_name", "address", "wants")
    }
    assert is_claim_phrase(screen.fields["phrase"])
    assert await house.count() == before
    assert {name for name, rows in before.items() if rows} == {"facilities", "prisoners", "volunteers"}
    assert house.blobs() == []


async def test_going_back_to_change_something_keeps_form_and_words(desk: Client) -> None:
    first = await previewed(desk)
    back = await post(desk, TO, first.fields | {"action": "edit"})
    assert back.status == 200
    assert back.screen.heading == "A letter to John Sample"
    assert back.screen.wrong == []
    chosen = {"reply_sheets": first.fields.pop("reply_sheets")}
    assert back.screen.fields == first.fields | {"text": back.screen.fields["text"], "card": "", "photos": ""}
    again = await post(desk, TO, back.screen.fields | {"text": "Other words", "action": "preview"})
    first.fields |= chosen
    assert again.screen.fields == first.fields | {"text": "Other words"}


async def test_cyrillic_name_is_offered_for_prisoners_who_read_russian(desk: Client) -> None:
    form = GOOD | {"printed_name": "Masha Ivanova"}
    preview = await post(desk, TO_RUSSIAN, form | {"action": "preview"})
    assert "Shall we print “Маша Иванова” instead of “Masha Ivanova”?" in preview.screen.text
    assert preview.screen.fields["printed_name"] == "Masha Ivanova"
    changed = await post(desk, TO_RUSSIAN, preview.screen.fields | {"action": "transliterate"})
    assert changed.screen.fields == preview.screen.fields | {"printed_name": "Маша Иванова"}
    assert "Shall we print" not in changed.screen.text


@pytest.mark.parametrize(("to", "name"), [(TO, "Masha Ivanova"), (TO_RUSSIAN, "Маша Иванова")])
async def test_cyrillic_name_is_not_offered_where_it_would_change_nothing(desk: Client, to: str, name: str) -> None:
    answer = await post(desk, to, GOOD | {"printed_name": name, "action": "preview"})
    assert answer.status == 200
    assert "Shall we print" not in answer.screen.text


@both_engines
async def test_letter_with_address_is_stored_sealed_and_waits(house: House, desk: Client) -> None:
    fields = (await previewed(desk, text=crlf(TEXT))).fields
    answer = await post(desk, TO, fields | {"action": "send"})
    assert answer.status == 200
    assert answer.screen.heading == "One step is left"
    assert f"We are sending a mail to {ADDRESS}." in answer.screen.text
    assert fields["phrase"] in answer.screen.text
    letter = await house.row(tables.letters)
    assert (letter.state, letter.wants, letter.language) == ("unconfirmed", "notice", "en")
    async with house.store.database.reading() as connection:
        body = await read_body(connection, letter.id, house.office_key)
    assert body == LetterBody(text=TEXT, printed_name="Mary", address=ADDRESS)
    mail = await house.row(tables.outbox)
    assert (mail.kind, mail.state, mail.letter_id) == ("confirm", "waiting", letter.id)


async def test_letter_without_address_shows_the_words_and_where_to_type_them(house: House, desk: Client) -> None:
    fields = (await previewed(desk, address="", wants="full")).fields
    answer = await post(desk, TO, fields | {"action": "send"})
    assert fields["phrase"] in answer.screen.text
    assert "/en/phrase" in answer.screen.links
    assert (await house.row(tables.letters)).wants == "nothing"
    assert await house.rows(tables.outbox) == []


@both_engines
async def test_form_sent_twice_is_one_letter(house: House, desk: Client) -> None:
    form = (await previewed(desk)).fields | {"action": "send"}
    first = await post(desk, TO, form)
    together = await asyncio.gather(*(post(desk, TO, form) for _ in range(4)))
    assert [answer.body for answer in together] == [first.body] * 4
    counts = await house.count()
    assert {
        name: counts[name] for name in ("letters", "outbox", "inboxes", "conversations", "reply_orders")
    } == dict.fromkeys(("letters", "outbox", "inboxes", "conversations", "reply_orders"), 1)


@both_engines
async def test_form_sent_twice_at_the_same_moment_is_one_letter(house: House, desk: Client) -> None:
    form = (await previewed(desk)).fields | {"action": "send"}
    answers = await asyncio.gather(*(post(desk, TO, form) for _ in range(6)))
    assert {answer.status for answer in answers} == {200}
    assert (await house.count())["letters"] == 1


@pytest.mark.parametrize(
    "changes", [{"text": "Other words"}, {"address": "mary@right.example"}, {"printed_name": "Ann"}]
)
async def test_form_sent_again_with_something_corrected_is_a_letter_of_its_own(
    house: House, desk: Client, changes: dict[str, str]
) -> None:
    form = (await previewed(desk, address="mary@wrong.example")).fields | {"action": "send"}
    await post(desk, TO, form)
    await post(desk, TO, form | changes)
    counts = await house.count()
    assert {name: counts[name] for name in ("letters", "outbox", "inboxes", "conversations")} == {
        "letters": 2,
        "outbox": 2,
        "inboxes": 1,
        "conversations": 1,
    }


async def test_same_words_for_two_prisoners_open_one_inbox(house: House, desk: Client) -> None:
    form = (await previewed(desk)).fields | {"action": "send"}
    await post(desk, TO, form)
    await post(desk, TO_RUSSIAN, form)
    counts = await house.count()
    assert (counts["letters"], counts["conversations"], counts["inboxes"]) == (2, 2, 1)


@pytest.mark.parametrize(
    "forged", [{"phrase": "password"}, {"phrase": "one two three"}, {"phrase": ""}, {"nonce": ""}], ids=str
)
async def test_words_of_own_making_are_not_accepted(house: House, desk: Client, forged: dict[str, str]) -> None:
    fields = (await previewed(desk)).fields
    answer = await post(desk, TO, fields | forged | {"action": "send"})
    assert answer.screen.heading == "The pages of your letter"
    assert is_claim_phrase(answer.screen.fields["phrase"])
    assert answer.screen.fields["phrase"] != fields["phrase"]
    assert (await house.count())["letters"] == 0


@pytest.mark.parametrize(
    ("wants", "stored"), [("full", "full"), ("notice", "notice"), ("nothing", "full"), ("", "full")]
)
async def test_wish_is_stored_as_it_was_chosen(house: House, desk: Client, wants: str, stored: str) -> None:
    form = (await previewed(desk)).fields
    await post(desk, TO, form | {"wants": wants, "action": "send"})
    assert (await house.row(tables.letters)).wants == stored


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("  Mary@SENDER.Example ", "Mary@sender.example"),
        ("mary+tag@sender.example", "mary+tag@sender.example"),
        ("mary@пример.example", "mary@пример.example"),
    ],
)
async def test_address_is_stored_in_its_normal_form(house: House, desk: Client, typed: str, stored: str) -> None:
    form = (await previewed(desk, address=typed)).fields
    answer = await post(desk, TO, form | {"action": "send"})
    assert answer.status == 200
    async with house.store.database.reading() as connection:
        body = await read_body(connection, (await house.row(tables.letters)).id, house.office_key)
    assert body.address == stored


async def test_line_breaks_in_a_name_become_spaces(house: House, desk: Client) -> None:
    form = (await previewed(desk, printed_name="Mary\r\nBcc: eve@other.example")).fields
    await post(desk, TO, form | {"action": "send"})
    async with house.store.database.reading() as connection:
        body = await read_body(connection, (await house.row(tables.letters)).id, house.office_key)
    assert body.printed_name == "Mary Bcc: eve@other.example"


async def test_form_may_have_as_many_bytes_as_the_cap(house: House, desk: Client) -> None:
    head = b"text="
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    at_the_cap = await post(desk, TO, io.BytesIO(head + b"a" * (FORM_BYTES - len(head))), headers=kind)
    assert at_the_cap.status == 422
    one_more = await post(desk, TO, io.BytesIO(head + b"a" * (FORM_BYTES - len(head) + 1)), headers=kind)
    assert one_more.status == 413
    assert one_more.screen.heading == "That did not work"
    assert "This is larger than what is accepted here. Nothing was stored." in one_more.screen.text
    assert (await house.count())["letters"] == 0


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"text=\xff\xfe"),
        ("application/x-www-form-urlencoded; charset=no-such", b"text=a"),
        ("multipart/form-data; boundary=x", b"no part"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: \x00\r\n\r\na\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xff\r\n--x--\r\n',
        ),
    ],
)
async def test_form_that_is_no_text_is_refused(desk: Client, kind: str, body: bytes) -> None:
    answer = await post(desk, TO, body, headers={"Content-Type": kind})
    assert answer.status == 400
    assert answer.screen.heading == "That did not work"


async def test_file_in_place_of_a_field_is_left_out(desk: Client) -> None:
    form = {"printed_name": "Mary", "text": io.BytesIO(b"a file")}
    answer = await post(desk, TO, form)
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, "The letter is empty."])


async def test_nothing_readable_lies_in_database_and_blobs(house: House, desk: Client) -> None:
    secret = "Zebra-Giraffe"
    form = (await previewed(desk, text=secret, printed_name="Quokka Invented", address="quokka@sender.example")).fields
    await post(desk, TO, form | {"action": "send"})
    files = [path for path in house.relay.installation.folder.parent.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".sqlite") for path in files)
    for path in files:
        data = path.read_bytes()
        for word in (secret, "Quokka", "quokka@", " ".join(form["phrase"].split()[:2]), json.dumps(form["phrase"])):
            assert word.encode() not in data, path


async def test_unknown_prisoner_is_not_there(desk: Client) -> None:
    assert (await get(desk, "/en/to/nobody")).status == 404
    assert (await post(desk, "/en/to/nobody", GOOD)).status == 404


async def test_text_that_takes_long_to_set_holds_up_nobody_else(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def slow(text: str, **how: object) -> int:
        threads.append(threading.current_thread())
        return 1

    monkeypatch.setattr("print.rendering.page_count_of", slow)
    await previewed(desk)
    assert [thread is threading.main_thread() for thread in threads] == [False, False]
