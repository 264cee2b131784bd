"""What usually happens next with a letter, whether it is late, and what its sender can do then."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from gettext import NullTranslations

import sqlalchemy as sa
from babel.dates import format_date
from babel.languages import get_official_languages
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.inbox import Letter, check_owner
from relay.domain.addresses import facility_lines
from relay.domain.directory import Facility, Prisoner
from relay.domain.events import ASKED_AGAIN
from relay.domain.languages import LANGUAGES
from relay.domain.lives import SENDER, LetterState, Record
from relay.domain.overdue import Step, Usual
from relay.locale import catalogue
from relay.sealing import InboxSecret
from relay.store import directory
from relay.store.durations import UsualTimes
from relay.store.letters import read_body
from relay.store.overdue import Waiting, waiting
from relay.store.sealed import Store
from relay.store.tables import enclosures, envelopes, letters
from relay.store.transitions import note


class NotLateError(Exception):
    """The letter takes no longer than usual, or cannot be sent again, or nothing is known of its way."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a sender reads about a letter on its way, beside its history."""

    expected: str
    """How long such letters usually take, as a sentence in the sender's language."""
    late: bool
    posted: bool
    can_ask: bool
    """Whether the sender can ask for a copy."""
    asked_at: datetime.datetime | None
    """When the sender asked for a copy that was not ordered yet."""
    can_complain: bool


async def timelines(
    connection: AsyncConnection, found: Iterable[Letter], times: UsualTimes, now: datetime.datetime, language: str
) -> dict[str, Timeline]:
    """What is to be said about those of these letters that are on their way, by their ids."""
    ids = [letter.id for letter in found]
    shown = {letter.id: (letter.state, letter.history[-1].at) for letter in found if letter.unsettled}
    on_the_way = await waiting(connection, letters.c.id.in_(ids), times, now, shown)
    return {
        letter_id: Timeline(
            expected=_expected(letter, language),
            late=letter.late,
            posted=letter.state is LetterState.POSTED,
            can_ask=letter.can_be_sent_again and letter.asked_again_at is None,
            asked_at=letter.asked_again_at,
            can_complain=_can_complain(letter),
        )
        for letter_id, letter in on_the_way.items()
    }


def said_days(known: Usual, words: NullTranslations) -> str:
    """How many days are usual: ``4 to 9 days``."""
    if known.low == known.high:
        return words.ngettext("{num} day", "{num} days", known.high).format(num=known.high)
    return words.ngettext("{low} to {num} day", "{low} to {num} days", known.high).format(low=known.low, num=known.high)


def _expected(letter: Waiting, language: str) -> str:
    words = catalogue(language)
    if letter.usual is None:
        if letter.step is not Step.READING or not letter.review_days:
            return ""
        sentence = words.ngettext(
            "It should be read within {num} day.", "It should be read within {num} days.", letter.review_days
        )
        return sentence.format(num=letter.review_days)
    _ = words.gettext
    of_facility = {
        Step.READING: _("Letters to this facility took {days} lately until they were read and accepted."),
        Step.POSTING: _("Letters to this facility took {days} lately until they were printed and posted."),
        Step.ARRIVING: _("Letters to this facility took {days} lately until they were handed over or answered."),
    }
    of_all = {
        Step.READING: _("Letters took {days} lately until they were read and accepted."),
        Step.POSTING: _("Letters took {days} lately until they were printed and posted."),
        Step.ARRIVING: _("Letters took {days} lately until they were handed over or answered."),
    }
    sentence = (of_facility if letter.of_facility else of_all)[letter.step]
    return sentence.format(days=said_days(letter.usual, words))


def _can_complain(letter: Waiting) -> bool:
    return letter.state is LetterState.POSTED and letter.late_in_all


async def ask_again(store: Store, secret: InboxSecret, letter_id: str, times: UsualTimes) -> None:
    """Let the office know that the sender of a late letter wants it sent again. Who asks twice has asked once.

    Raises NoSuchInboxError and NotLateError.
    """
    now = store.database.clock()
    async with store.database.writing() as connection:
        await check_owner(connection, secret, letter_id)
        await connection.execute(sa.select(letters.c.id).where(letters.c.id == letter_id).with_for_update())
        letter = (await waiting(connection, letters.c.id == letter_id, times, now)).get(letter_id)
        if letter is None or not letter.can_be_sent_again:
            raise NotLateError
        if letter.asked_again_at is not None:
            return
        await connection.execute(sa.update(letters).where(letters.c.id == letter_id).values(asked_again_at=now))
        await note(connection, Record.LETTER, letter_id, by=SENDER, at=now, reason=ASKED_AGAIN)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A text in which a sender asks a facility about a late letter."""

    prisoner: str
    texts: dict[str, str]
    """By language: first the facility's, then the sender's where that is another one."""


async def complaint(
    connection: AsyncConnection,
    secret: InboxSecret,
    letter_id: str,
    times: UsualTimes,
    now: datetime.datetime,
    language: str,
) -> Complaint:
    """The complaint about a letter of the inbox, for a sender of this language.

    It says what is known and nothing about the relay; of the sender it has the name that is printed on the letter.
    Raises NoSuchInboxError, SealBrokenError and NotLateError.
    """
    await check_owner(connection, secret, letter_id)
    letter = (await waiting(connection, letters.c.id == letter_id, times, now)).get(letter_id)
    if letter is None or not _can_complain(letter):
        raise NotLateError
    row = (
        await connection.execute(
            sa.select(
                letters.c.created_at,
                letters.c.state_since,
                letters.c.prisoner_id,
                sa.select(sa.func.max(envelopes.c.tracking))
                .join(enclosures, enclosures.c.envelope_id == envelopes.c.id)
                .where(enclosures.c.letter_id == letters.c.id, envelopes.c.batch_id == letters.c.batch_id)
                .scalar_subquery()
                .label("tracking"),
            ).where(letters.c.id == letter_id)
        )
    ).one()
    prisoner = (await directory.by_id(connection, row.prisoner_id)).prisoner
    facility = (await directory.facilities_by_id(connection, [letter.facility_id]))[letter.facility_id]
    printed_name = (await read_body(connection, letter_id, secret.key)).printed_name
    late = _Late(
        facility,
        prisoner,
        printed_name,
        row.created_at,
        row.state_since,
        row.tracking,
        letter.usual if letter.of_facility else None,
    )
    languages = (_spoken_at(facility.country, prisoner), language)
    return Complaint(prisoner.name, {into: _complaint_text(late, now, into) for into in languages})


@dataclass(frozen=True, slots=True)
class _Late:
    """What a complaint is about."""

    facility: Facility
    prisoner: Prisoner
    printed_name: str
    written_at: datetime.datetime
    posted_at: datetime.datetime
    tracking: str | None
    usual: Usual | None
    """Of letters to this facility; None where that is not known."""


def _complaint_text(late: _Late, now: datetime.datetime, language: str) -> str:
    words = catalogue(language)
    _ = words.gettext

    def day(moment: datetime.datetime) -> str:
        return format_date(moment, "long", locale=language)

    born = _(", born in {year}").format(year=late.prisoner.birth_year) if late.prisoner.birth_year else ""
    facts = [
        _("Addressee: {name}").format(name=late.prisoner.name) + born,
        _("Name of the sender on the letter: {name}").format(name=late.printed_name),
        _("Written on: {day}").format(day=day(late.written_at)),
        _("Posted on: {day}").format(day=day(late.posted_at)),
    ]
    if late.tracking:
        facts.append(_("Tracking number: {number}").format(number=late.tracking))
    since = _("As far as is known on {day}, it was not handed over, not answered and not sent back.")
    known = [since.format(day=day(now))]
    if late.usual is not None:
        usually = _(
            "As far as is known, letters to your institution took {days} lately until they were handed over or "
            "answered."
        )
        known.append(usually.format(days=said_days(late.usual, words)))
    asked = _(
        "Please tell me on which day it arrived at your institution and on which day it was handed over; and, if "
        "it was not handed over, for which reason and by which rule."
    )
    return "\n\n".join(
        [
            "\n".join([late.facility.name, *facility_lines(late.facility)]),
            _("Dear Sir or Madam,"),
            _("I ask you to find out what became of a letter that was posted to your institution."),
            "\n".join(facts),
            " ".join(known),
            asked,
            f"{late.printed_name}\n{day(now)}",
        ]
    )


def _spoken_at(country: str, prisoner: Prisoner) -> str:
    """The language of a prison in a country, of those that the relay has."""
    official = get_official_languages(country, de_facto=True)
    return next((language for language in official if language in LANGUAGES), prisoner.language)
