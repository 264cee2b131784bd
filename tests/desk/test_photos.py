"""Photos in the form of a letter: what is taken, what is refused, and that nothing of them lies on a disk."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from relay.desk import letter_form
from relay.domain.letters import LetterBody, Photo
from relay.sealing import InboxSecret
from relay.store import tables
from relay.store.letters import read_body, read_photos
from relay.web.site import FORM_BYTES
from tests.desk.letters import GPS, MAKER, photo, strict, with_files
from tests.workplaces import TEXT, Answer, Client, House, both_engines, get, post

TO = "/en/to/john-sample"
GOOD = {"text": TEXT, "printed_name": "Mary", "address": "", "wants": "full"}
LOST_NOTHING = "Something has to be changed before the letter can be sent. Nothing of your text is lost."
NOT_A_PHOTO = "This is not a photo that can be read: JPEG, PNG, WebP and HEIC are taken. Save it as JPEG."
TOO_MANY = "At most 2 photos can go with a letter to this prison. The first ones were taken."
NO_PHOTOS = "No photos can go with a letter to this prison."


@pytest.fixture
async def desk(house: House) -> Client:
    """A sender's browser on the desk; two photos may go to HMP Nowhere."""
    strict(house)
    return await house.desk()


@pytest.fixture
async def no_temporary_files(desk: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which every attempt to make a temporary file fails, once the desk is open."""
    await preview(desk)  # processes that start make some
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))


async def preview(desk: Client, *files: tuple[str, bytes], **changes: str) -> Answer:
    """Choose photos and look at the pages."""
    return await post(desk, TO, with_files(GOOD | changes | {"action": "preview"}, *files))


def carried(answer: Answer) -> list[bytes]:
    """The photos that travel in the form."""
    fields = answer.screen.fields
    names = sorted(name for name in fields if name.startswith("photo-"))
    return [base64.b64decode(fields[name]) for name in names]


def colours(answer: Answer) -> list[tuple[int, ...]]:
    """The main colour of each photo that travels in the form."""
    found = []
    for jpeg in carried(answer):
        pixel = Image.open(io.BytesIO(jpeg)).getpixel((40, 40))
        assert isinstance(pixel, tuple)
        found.append(tuple(255 * (value > 128) for value in pixel))
    return found


RED, LIME, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.usefixtures("no_temporary_files")
async def test_photo_is_shown_on_a_page_of_its_own_and_carried_without_its_metadata(house: House, desk: Client) -> None:
    before = await house.count()
    large = photo("red") + b"\0" * 3_000_000  # what follows the picture is not read
    answer = await preview(desk, ("summer.jpg", large))
    assert (answer.status, answer.screen.heading) == (200, "The pages of your letter")
    assert len(answer.screen.images) == 4
    (jpeg,) = carried(answer)
    picture = Image.open(io.BytesIO(jpeg))
    assert (picture.format, picture.size) == ("JPEG", (120, 80))
    assert MAKER.encode() in photo()
    assert MAKER.encode() not in jpeg
    assert dict(picture.getexif().get_ifd(GPS)) == {}
    assert colours(answer) == [RED]
    assert await house.count() == before
    assert house.blobs() == []


@both_engines
async def test_photos_are_stored_sealed_and_in_their_order(house: House, desk: Client, tmp_path: Path) -> None:
    shown = await preview(desk, ("a quokka.jpg", photo("red", (1700, 900))), ("b.png", photo("lime", kind="PNG")))
    sent = await post(desk, TO, shown.screen.fields | {"action": "send"})
    assert sent.status == 200
    letter = await house.row(tables.letters)
    secret = InboxSecret.from_phrase(shown.screen.fields["phrase"])
    async with house.store.database.reading() as connection:
        body = await read_body(connection, letter.id, secret.key)
    kept = await read_photos(house.store, letter.id, body, house.office_key)
    assert body == LetterBody(
        text=TEXT,
        printed_name="Mary",
        address=None,
        photos=(Photo(width=1600, height=847, size=len(kept[0])), Photo(width=120, height=80, size=len(kept[1]))),
    )
    blobs = await house.rows(tables.blobs)
    assert sorted((row.record, row.record_id, row.part) for row in blobs) == [
        ("letter", letter.id, "photo-1"),
        ("letter", letter.id, "photo-2"),
    ]
    assert len(house.blobs()) == 2
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".sqlite") for path in files) or "postgresql" in house.relay.installation.database
    for path in files:
        data = path.read_bytes()
        secrets = (MAKER.encode(), b"\xff\xd8\xff", b"JFIF", b"quokka", kept[1][20:60], base64.b64encode(kept[1])[:40])
        assert [secret for secret in secrets if secret in data] == [], path


async def test_same_form_with_another_photo_is_another_letter(house: House, desk: Client) -> None:
    form = (await preview(desk, ("a.jpg", photo("red")))).screen.fields | {"action": "send"}
    other = (await preview(desk, ("b.jpg", photo("blue")))).screen.fields
    await post(desk, TO, form)
    await post(desk, TO, form)
    assert (await house.count())["letters"] == 1
    assert len(house.blobs()) == 1
    await post(desk, TO, form | {"photo-1": other["photo-1"]})
    assert (await house.count())["letters"] == 2


async def test_photo_that_cannot_be_taken_is_named_and_the_rest_stays(house: House, desk: Client) -> None:
    answer = await preview(desk, ("a.jpg", photo("red")), ("notes.doc", b"no photo"))
    screen = answer.screen
    assert (answer.status, screen.wrong) == (422, [LOST_NOTHING, f"notes.doc: {NOT_A_PHOTO}"])
    assert colours(answer) == [RED]
    assert screen.fields["text"] == TEXT
    assert 'aria-invalid="true" aria-describedby="photos-1"' in screen.html
    again = await post(desk, TO, with_files(screen.fields | {"action": "preview"}, ("b.jpg", photo("blue"))))
    assert (again.status, colours(again)) == (200, [RED, BLUE])


async def test_photo_larger_than_fifteen_megabytes_is_refused_beside_the_field(desk: Client) -> None:
    answer = await preview(desk, ("big.jpg", photo() + b"\0" * 15_000_000))
    assert answer.screen.wrong == [
        LOST_NOTHING,
        "big.jpg: This photo is larger than 15 MB. Make it smaller, or save it as JPEG.",
    ]
    assert answer.screen.fields["text"] == TEXT


async def test_photos_stay_when_something_else_is_wrong(desk: Client) -> None:
    answer = await preview(desk, ("a.jpg", photo("red")), text="")
    assert (answer.status, colours(answer)) == (422, [RED])


async def test_more_photos_than_the_prison_takes_are_refused_and_the_first_ones_stay(desk: Client) -> None:
    answer = await preview(desk, *((f"{n}.jpg", photo(colour)) for n, colour in enumerate(("red", "lime", "blue"))))
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, TOO_MANY])
    assert colours(answer) == [RED, LIME]
    assert "photos" not in answer.screen.fields, "there is nothing to choose any more"
    again = await post(desk, TO, with_files(answer.screen.fields | {"action": "preview"}))
    assert again.status == 200


async def test_photo_can_be_removed_and_another_one_added(desk: Client) -> None:
    shown = await preview(desk, ("a.jpg", photo("red")), ("b.jpg", photo("lime")))
    back = await post(desk, TO, with_files(shown.screen.fields | {"action": "edit"}))
    assert (back.screen.heading, colours(back)) == ("A letter to John Sample", [RED, LIME])
    assert len(back.screen.images) == 2
    removed = await post(desk, TO, with_files(back.screen.fields | {"action": "remove photo-1", "text": "Other words"}))
    assert (removed.status, colours(removed), removed.screen.fields["text"]) == (200, [LIME], "Other words")
    added = await post(desk, TO, with_files(removed.screen.fields | {"action": "preview"}, ("c.jpg", photo("blue"))))
    assert (added.status, colours(added)) == (200, [LIME, BLUE])


async def test_what_is_good_to_know_about_photos_stands_beside_the_pages_alone(desk: Client) -> None:
    sentence = "Photos of people, animals and places pass."
    shown = await preview(desk, ("a.jpg", photo("red")))
    assert sentence in shown.screen.text
    back = await post(desk, TO, with_files(shown.screen.fields | {"action": "edit"}))
    assert (sentence in back.screen.text, carried(back)) == (False, carried(shown))


async def test_enter_key_does_not_remove_a_photo(desk: Client) -> None:
    back = await post(desk, TO, with_files(GOOD | {"action": "edit"}, ("a.jpg", photo("red"))))
    first, second = (back.screen.html.index(f'value="{action}"') for action in ("preview", "remove photo-1"))
    assert first < second


@pytest.mark.parametrize("files", [(), (("", b""),)])
async def test_field_in_which_nothing_was_chosen_is_no_photo(desk: Client, files: tuple[tuple[str, bytes]]) -> None:
    answer = await preview(desk, *files)
    assert (answer.status, carried(answer)) == (200, [])


async def test_empty_file_is_not_overlooked(desk: Client) -> None:
    answer = await preview(desk, ("a.jpg", b""))
    assert answer.screen.wrong == [LOST_NOTHING, "a.jpg: This file is empty. Choose the photo again."]


async def test_hostile_name_of_a_file_is_a_label(desk: Client) -> None:
    answer = await preview(desk, ("../../<script>x</script>.jpg", b"no photo"))
    assert "script" not in answer.screen.tags
    assert answer.screen.wrong[1].endswith(f"<script>x</script>.jpg: {NOT_A_PHOTO}")


@pytest.mark.parametrize("as_files", [True, False])
async def test_hidden_field_is_not_trusted(house: House, desk: Client, as_files: bool) -> None:
    fields = (await preview(desk, ("a.jpg", photo("red")))).screen.fields
    forged = fields | {"photo-1": base64.b64encode(b"<svg>").decode(), "action": "send"}
    answer = await post(desk, TO, with_files(forged) if as_files else forged)
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, NOT_A_PHOTO])
    metadata = fields | {"photo-1": base64.b64encode(photo("blue")).decode(), "action": "send"}
    await post(desk, TO, metadata)
    letter = await house.row(tables.letters)
    async with house.store.database.reading() as connection:
        body = await read_body(connection, letter.id, house.office_key)
    (kept,) = await read_photos(house.store, letter.id, body, house.office_key)
    assert MAKER.encode() not in kept


@pytest.mark.parametrize("value", ["%%%", "a", "ü"])
async def test_hidden_field_that_is_no_base64_is_refused(desk: Client, value: str) -> None:
    for form in (GOOD | {"photo-1": value}, with_files(GOOD | {"photo-1": value})):
        assert (await post(desk, TO, form)).status == 400


async def test_prison_that_takes_no_photos(house: House) -> None:
    strict(house)
    profile = house.relay.installation.profiles / "strict.toml"
    profile.write_text(profile.read_text("utf-8").replace("photos = 2", "photos = 0"), "utf-8")
    desk = await house.desk()
    assert "photos" not in (await get(desk, TO)).screen.fields
    answer = await preview(desk, ("a.jpg", photo()))
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, NO_PHOTOS])


# --- limits


async def test_text_of_a_form_with_photos_has_the_limit_of_any_form(desk: Client) -> None:
    assert (await preview(desk, text="a" * (FORM_BYTES // 2), other="b" * (FORM_BYTES // 2))).status == 413
    at_most = {"text": "a" * (FORM_BYTES - len("preview"))}
    assert (await post(desk, TO, with_files(at_most | {"action": "preview"}))).status == 422


async def test_hidden_field_larger_than_any_kept_photo_is_refused(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_form, "CARRIED_BYTES", 1000)
    assert (await preview(desk, **{"photo-1": "a" * 1000})).status == 422
    assert (await preview(desk, **{"photo-1": "a" * 1004})).status == 413


async def test_form_as_a_whole_has_a_limit(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_form, "FORM_WITH_PHOTOS_BYTES", 5_000_000)
    answer = await preview(desk, *((f"{number}.jpg", b"\0" * 2_000_000) for number in range(3)))
    assert answer.status == 413
    assert "This is larger than what is accepted here. Nothing was stored." in answer.screen.text


async def test_form_of_very_many_parts_is_refused(desk: Client) -> None:
    assert (await post(desk, TO, with_files(GOOD | {f"field {number}": "" for number in range(100)}))).status == 400


@pytest.mark.usefixtures("no_temporary_files")
async def test_file_in_place_of_a_text_is_left_out(desk: Client) -> None:
    form = with_files({"printed_name": "Mary"})
    form.add_field("text", io.BytesIO(os.urandom(3_000_000)), filename="a.txt", content_type="text/plain")
    answer = await post(desk, TO, form)
    assert (answer.status, answer.screen.wrong) == (422, [LOST_NOTHING, "The letter is empty."])


# --- in the inbox


async def test_inbox_shows_the_photos_of_a_letter_to_its_sender_alone(house: House, desk: Client) -> None:
    shown = await preview(desk, ("a.jpg", photo("red")))
    await post(desk, TO, shown.screen.fields | {"action": "send"})
    letter = await house.row(tables.letters)
    inbox = f"/en/inbox/{InboxSecret.from_phrase(shown.screen.fields['phrase']).link}"
    place = f"{inbox}/letter/{letter.id}/1-small.jpg"
    assert (await get(desk, inbox)).screen.images == [place]
    answer = await get(desk, place)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.body)).size == (120, 80)
    other = (await house.queued()).inbox
    for path in (
        f"{inbox}/letter/{letter.id}/2.jpg",
        f"{other}/letter/{letter.id}/1.jpg",
        place.replace("/1-small", "/0-small"),
    ):
        assert (await get(desk, path)).status == 404
