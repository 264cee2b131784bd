"""What the tests of the desk share: a prison with strict rules of its own, forms with photos, and decisions."""

from __future__ import annotations

import io
from typing import Any, Final

import aiohttp
from PIL import Image

from censor_queue import claims, decisions, translations
from relay.domain.reasons import ReviewReason
from relay.store import tables
from tests.workplaces import House, Sent

PROFILE: Final = """
title = "A strict prison for tests"
extends = "common"
facilities = ["hmp-nowhere"]
takes = ["en", "sv"]

[limits]
photos = 2

[[rule]]
id = "zebras"
severity = "block"
words = ["zebra*"]
match = ["A zebra."]
pass = ["A horse."]
title = { en = "Zebras", ru = "Зебры", de = "Zebras", sv = "Zebror" }
sentence = { en = "Zebras stop a letter.", ru = "Зебры не проходят.", de = "Zebras nicht.", sv = "Inga zebror." }

[[rule]]
id = "giraffes"
severity = "warn"
words = ["giraffe*"]
match = ["A giraffe."]
pass = ["A horse."]
title = { en = "Giraffes", ru = "Жирафы", de = "Giraffen", sv = "Giraffer" }
sentence = { en = "Giraffes are often cut.", ru = "Жирафов режут.", de = "Giraffen selten.", sv = "Giraffer sällan." }
"""
ZEBRAS, GIRAFFES = "Zebras stop a letter.", "Giraffes are often cut."
GPS: Final = 0x8825
MAKER: Final = "Quokkaphone"
"""Stands in the metadata of the photos."""


def strict(house: House) -> None:
    """Give HMP Nowhere rules of its own. Before the first screen is opened."""
    house.relay.installation.profiles.mkdir(exist_ok=True)
    (house.relay.installation.profiles / "strict.toml").write_text(PROFILE, "utf-8")


def photo(colour: str = "red", size: tuple[int, int] = (120, 80), kind: str = "JPEG", **options: Any) -> bytes:
    """A photo that says where it was taken and with what."""
    exif = Image.Exif()
    exif[0x010F] = MAKER
    exif.get_ifd(GPS).update({1: "N", 2: (59.0, 20.0, 4.0), 3: "E", 4: (18.0, 4.0, 7.0)})
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind, exif=exif, **options)
    return file.getvalue()


def with_files(fields: dict[str, str], *files: tuple[str, bytes]) -> aiohttp.FormData:
    """A form with photos, as a browser sends it."""
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, value in fields.items():
        if name != "photos":
            form.add_field(name, value)
    for name, data in files:
        form.add_field("photos", io.BytesIO(data), filename=name, content_type="image/jpeg")
    return form


async def read(house: House, sent: Sent) -> str:
    """Put a letter on the screen of anna, who gets no other; her id."""
    anna = house.volunteers["anna"]
    held = await claims.claim_next(house.review, anna)
    assert held is not None
    assert held.id == sent.id
    return anna


async def ask(
    house: House, sent: Sent, reason: ReviewReason = ReviewReason.CASE_DETAILS, note: str = "Leave out the court."
) -> None:
    """Give a waiting letter back to its sender."""
    await decisions.ask_for_changes(house.review, sent.id, await read(house, sent), reason, note)


async def translate(house: House, sent: Sent, text: str) -> None:
    """Translate a letter from Russian that waits for it."""
    anna = house.volunteers["anna"]
    async with house.store.database.writing() as connection:
        await connection.execute(tables.volunteer_languages.insert().values(volunteer_id=anna, language="ru"))
    held = await claims.claim_translation(house.review, anna)
    assert held is not None
    assert held.id == sent.id
    draft = translations.Draft(text, begun_with=translations.mark(""))
    await translations.finish(house.review, sent.id, anna, draft, max_pages=12)
