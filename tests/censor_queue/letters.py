"""Letters for the tests of the review, and the review without the rules of any real prison."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Final

import sqlalchemy as sa

from censor_queue import claims
from censor_queue.claims import LetterToReview
from censor_queue.review import Review
from relay.desk import steps as desk_steps
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.directory import Entry, PrisonerState
from relay.domain.letters import LetterBody, Photo, Wants
from relay.domain.lives import WORKER
from relay.store import directory, tables
from relay.store.sealed import Store
from tests.fakes.screening import FakeScreening
from tests.store.rows import dump
from tests.workplaces import ENGLISH, TEXT, House, Sent, picture

UNDO: Final = datetime.timedelta(minutes=10)
SECOND: Final = datetime.timedelta(seconds=1)


def review_of(house: House, *words: str, undo: datetime.timedelta = UNDO, **rules: Any) -> Review:
    """The review of a house, whose screening finds these words."""
    screening = FakeScreening(words)
    screening.rules = dataclasses.replace(screening.rules, **rules)
    return Review(house.store, house.office_key, screening, house.pages, ("PO Box 9",), undo)


async def with_photos(
    house: House,
    person: Entry = ENGLISH,
    *,
    photos: int = 1,
    address: str | None = None,
    text: str = TEXT,
    translate_from: str | None = None,
) -> Sent:
    """A queued letter with some photos, or one in a language that the facility does not take."""
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, person.prisoner.slug)
    assert known is not None
    pictures = tuple(picture(number) for number in range(photos))
    about = tuple(Photo(width=100, height=140, size=len(one)) for one in pictures)
    phrase = new_claim_phrase("en")
    submission = desk_steps.Submission(
        nonce=phrase,
        phrase=phrase,
        prisoner_id=known.prisoner_id,
        language="en",
        wants=Wants.FULL if address else Wants.NOTHING,
        body=LetterBody(text=text, printed_name="Mary", address=address, photos=about),
        photos=pictures,
        translate_from=translate_from,
    )
    sent = Sent(
        await desk_steps.submit(house.store, house.relay.private_key("desk").public, submission), phrase, person
    )
    if address:
        await desk_steps.confirm(house.store, await house.token(sent.id))
    else:
        await desk_steps.confirm_by_phrase(house.store, phrase, per_hour=1000)
    return sent


async def volunteer(house: House, login: str, *languages: str) -> str:
    """The id of a volunteer, new or known, who has these languages."""
    async with house.store.database.writing() as connection:
        if login not in house.volunteers:
            house.volunteers[login] = f"volunteer-{login}"
            row = {"id": house.volunteers[login], "login": login, "password_hash": "none"}
            await connection.execute(sa.insert(tables.volunteers).values(row))
        for language in languages:
            has = {"volunteer_id": house.volunteers[login], "language": language}
            await connection.execute(sa.insert(tables.volunteer_languages).values(has))
    return house.volunteers[login]


async def take(review: Review, volunteer_id: str) -> LetterToReview:
    """The next letter for a volunteer; there has to be one."""
    letter = await claims.claim_next(review, volunteer_id)
    assert letter is not None
    return letter


async def next_id(review: Review, volunteer_id: str) -> str | None:
    """The id of the next letter for a volunteer."""
    letter = await claims.claim_next(review, volunteer_id)
    return None if letter is None else letter.id


async def in_state(house: House, person: Entry, state: PrisonerState) -> None:
    """Somebody corrects the directory."""
    prisoner = person.prisoner.model_copy(update={"state": state})
    async with house.store.database.writing() as connection:
        await directory.save(connection, [Entry(prisoner, person.facility)], by=WORKER, at=house.clock())


async def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    async with store.database.reading() as connection:
        return await dump(connection)
