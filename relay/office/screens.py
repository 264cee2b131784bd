"""The office's own screens: log in, what waits, the directory."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from aiohttp import web
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.addresses import facility_lines
from relay.domain.directory import Entry, Facility, Prisoner, PrisonerState, not_printable
from relay.domain.languages import LANGUAGE_NAMES
from relay.domain.lives import (
    REVIEWED,
    Actor,
    BatchState,
    LetterState,
    MailState,
    ReplyState,
    ScanState,
    Who,
)
from relay.domain.printing import Layout
from relay.mail.incoming import IncomingState
from relay.store import directory, volunteers
from relay.store.durations import UsualTimes
from relay.store.letters import settled
from relay.store.overdue import count_asked_again, count_late
from relay.store.tables import (
    ON_HEAP,
    Moment,
    batches,
    incoming,
    letters,
    link_requests,
    outbox,
    pages,
    replies,
    scans,
    ticks,
)
from relay.web.keys import DURATIONS, LANGUAGE, LETTER_PAGES, SETTINGS, STORE, VOLUNTEER
from relay.web.sessions import COOKIE, set_cookie
from relay.web.site import fields_of, path_to, render, words
from relay.web.unprintable import sentence_about_line

ROUTES: Final = web.RouteTableDef()
_HASHING: Final = asyncio.Semaphore(2)
"""Passwords checked at a time: each takes 64 MB and a core."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How much of one kind of work waits, and since when."""

    route: str
    title: str
    count: int
    oldest: datetime.datetime | None


def _(sentence: str) -> str:
    return sentence


_NOW: Final = sa.bindparam("now", type_=Moment())
_QUEUES: Final = (
    ("review", _("letters to be read"), letters, (letters.c.state == LetterState.QUEUED,)),
    ("review", _("letters to be read a second time"), letters, (letters.c.state == LetterState.SECOND_READING,)),
    ("translate", _("letters to be translated"), letters, (letters.c.state == LetterState.TRANSLATING,)),
    (
        "home",
        _("letters that could not be opened"),
        letters,
        (letters.c.state.in_(REVIEWED), letters.c.last_error.is_not(None)),
    ),
    ("home", _("letters that their senders change"), letters, (letters.c.state == LetterState.CHANGES_REQUESTED,)),
    (
        "print",
        _("letters to be printed"),
        letters,
        (
            letters.c.state == LetterState.APPROVED,
            letters.c.batch_id.is_(None),
            letters.c.set_aside_at.is_(None),
            settled(_NOW),
        ),
    ),
    (
        "print",
        _("letters that could not be printed"),
        letters,
        (letters.c.state == LetterState.APPROVED, letters.c.set_aside_at.is_not(None)),
    ),
    ("print", _("batches to be printed or posted"), batches, (batches.c.state != BatchState.POSTED,)),
    ("directory", _("letters held because of the address"), letters, (letters.c.state == LetterState.HELD,)),
    ("scans", _("files being read"), scans, (scans.c.state == ScanState.RECEIVED,)),
    ("scans", _("replies being put together"), replies, (replies.c.state.in_([ReplyState.OPEN, ReplyState.CHECKED]),)),
    (
        "scans",
        _("pages that wait for a person"),
        pages,
        (ON_HEAP,),
    ),
    (
        "replies",
        _("replies to be looked at"),
        replies,
        (replies.c.state == ReplyState.HELD, replies.c.pages_of.is_(None)),
    ),
    ("ticks", _("requests of prisoners, by tick boxes"), ticks, (ticks.c.settled_at.is_(None),)),
    ("mails", _("mails not sent yet"), outbox, (outbox.c.state == MailState.WAITING,)),
    ("mails", _("mails given up"), outbox, (outbox.c.state == MailState.GAVE_UP,)),
    ("mails", _("mails that nobody could take"), incoming, (incoming.c.state == IncomingState.UNKNOWN,)),
    ("home", _("requests for a new link that failed"), link_requests, (link_requests.c.set_aside_at.is_not(None),)),
)


async def queues(connection: AsyncConnection, now: datetime.datetime) -> list[Queue]:
    """All work that waits."""
    found = []
    for route, title, table, where in _QUEUES:
        since = table.c.created_at if table in {ticks, link_requests} else table.c.state_since
        row = (
            await connection.execute(
                sa.select(sa.func.count(), sa.func.min(since).label("oldest")).where(*where), {"now": now}
            )
        ).one()
        found.append(Queue(route, title, row[0], row.oldest))
    return found


async def _overdue(connection: AsyncConnection, times: UsualTimes, now: datetime.datetime) -> list[Queue]:
    return [
        Queue("overdue", _("letters overdue"), *await count_late(connection, times, now)),
        Queue("overdue", _("letters that senders want sent again"), *await count_asked_again(connection)),
    ]


@ROUTES.get("/{language}/", name="home")
async def home(request: web.Request) -> web.Response:
    """What waits, and since when."""
    database, times = request.config_dict[STORE].database, await request.config_dict[DURATIONS].usual()
    async with database.reading() as connection:
        found = await queues(connection, database.clock())
        found += await _overdue(connection, times, database.clock())
    return render(request, "office/home.html", queues=found, most=max(queue.count for queue in found))


@ROUTES.get("/{language}/log-in", name="log_in")
async def ask_log_in(request: web.Request) -> web.Response:
    """The log-in form."""
    return render(request, "office/log_in.html", complaint=None, login="")


@ROUTES.post("/{language}/log-in", name="log_in")
async def log_in(request: web.Request) -> web.Response:
    """Start a session."""
    _ = words(request)
    store = request.config_dict[STORE]
    data = await fields_of(request)
    login, password = data.get("login", "").strip(), data.get("password", "")
    async with store.database.reading() as connection:
        row = await volunteers.find(connection, login)
    known = row.password_hash if row is not None and not row.disabled else None
    async with _HASHING:
        fits = await asyncio.to_thread(volunteers.matches, known, password)
    if not fits:
        complaint = _("Login and password do not fit.")
        return render(request, "office/log_in.html", 401, complaint=complaint, login=login)
    assert row is not None
    async with store.database.writing() as connection:
        token = await volunteers.start_session(connection, row.id, store.database.clock())
    response = web.HTTPSeeOther(path_to(request, "home"))
    set_cookie(response, token, secure=request.config_dict[SETTINGS].site.office_url.startswith("https:"))
    raise response


@ROUTES.post("/{language}/log-out", name="log_out")
async def log_out(request: web.Request) -> web.Response:
    """End the session."""
    store = request.config_dict[STORE]
    async with store.database.writing() as connection:
        await volunteers.end_session(connection, request.cookies.get(COOKIE, ""))
    response = web.HTTPSeeOther(path_to(request, "log_in"))
    response.del_cookie(COOKIE)
    raise response


@ROUTES.get("/{language}/directory", name="directory")
async def show_directory(request: web.Request) -> web.Response:
    """All prisoners and facilities."""
    async with request.config_dict[STORE].database.reading() as connection:
        everyone = await directory.everyone(connection)
        facilities = await directory.all_facilities(connection)
    return render(request, "office/directory.html", everyone=everyone, facilities=facilities, lines=facility_lines)


@ROUTES.get("/{language}/directory/prisoner", name="prisoner")
async def show_prisoner(request: web.Request) -> web.Response:
    """The form of a prisoner: of the one named by ?slug=, or empty."""
    values: dict[str, Any] = {"state": PrisonerState.ACTIVE, "language": request.config_dict[SETTINGS].site.language}
    if slug := request.query.get("slug"):
        async with request.config_dict[STORE].database.reading() as connection:
            known = await directory.by_slug(connection, slug)
        if known is None:
            raise web.HTTPNotFound
        values = known.prisoner.model_dump() | {"facility": known.facility.slug, "known": known.prisoner.slug}
    return await _prisoner(request, values, {})


async def _prisoner(request: web.Request, values: dict[str, Any], wrong: dict[str, str]) -> web.Response:
    async with request.config_dict[STORE].database.reading() as connection:
        facilities = await directory.all_facilities(connection)
    return render(
        request,
        "office/prisoner.html",
        422 if wrong else 200,
        values=values,
        wrong=wrong,
        facilities=facilities,
        states=list(PrisonerState),
        layouts=list(Layout),
        sheet_languages=LANGUAGE_NAMES,
    )


@ROUTES.post("/{language}/directory/prisoner", name="prisoner")
async def save_prisoner(request: web.Request) -> web.Response:
    """Add a prisoner, or correct the one that the form was opened with."""
    _ = words(request)
    store = request.config_dict[STORE]
    values = {name: value.strip() for name, value in (await fields_of(request)).items()}
    facility_slug, edited = values.pop("facility", ""), values.pop("known", "")
    wrong: dict[str, str] = {}
    prisoner = None
    try:
        prisoner = Prisoner.model_validate(values | ({"slug": edited} if edited else {}))
    except ValidationError as error:
        wrong = _wrong(request, error)
    async with store.database.reading() as connection:
        facilities = {facility.slug: facility for facility in await directory.all_facilities(connection)}
        if prisoner is not None and not edited and await directory.by_slug(connection, prisoner.slug):
            wrong["slug"] = _("This short name is taken. Add a year or a number.")
    if prisoner is not None:
        wrong |= _not_printable(request, prisoner)
    if facility_slug not in facilities:
        wrong["facility"] = _("Please choose a facility.")
    if wrong or prisoner is None:
        return await _prisoner(request, values | {"facility": facility_slug, "known": edited}, wrong)
    async with store.database.writing() as connection:
        by = Actor(Who.VOLUNTEER, request[VOLUNTEER].id)
        before = await directory.by_slug(connection, prisoner.slug)
        if prisoner.state is PrisonerState.MOVED and before and before.facility.slug != facility_slug:
            prisoner = prisoner.model_copy(update={"state": PrisonerState.ACTIVE})  # now it is known where to
        await directory.save(connection, [Entry(prisoner, facilities[facility_slug])], by=by, at=store.database.clock())
    raise web.HTTPSeeOther(path_to(request, "directory"))


@ROUTES.get("/{language}/directory/facility", name="facility")
async def show_facility(request: web.Request) -> web.Response:
    """The form of a facility: of the one named by ?slug=, or empty."""
    values: dict[str, Any] = {"review_days": Facility.model_fields["review_days"].default}
    if slug := request.query.get("slug"):
        async with request.config_dict[STORE].database.reading() as connection:
            found = [facility for facility in await directory.all_facilities(connection) if facility.slug == slug]
        if not found:
            raise web.HTTPNotFound
        values = found[0].model_dump() | {"known": slug}
    return render(request, "office/facility.html", values=values, wrong={})


@ROUTES.post("/{language}/directory/facility", name="facility")
async def save_facility(request: web.Request) -> web.Response:
    """Add a facility, or correct the one that the form was opened with."""
    _ = words(request)
    database = request.config_dict[STORE].database
    values = {name: value.strip() for name, value in (await fields_of(request)).items()}
    edited = values.pop("known", "")
    facility, wrong = None, {}
    try:
        named = {"country": values.get("country", "").upper()} | ({"slug": edited} if edited else {})
        facility = Facility.model_validate(values | named)
    except ValidationError as error:
        wrong = _wrong(request, error)
    if facility is not None:
        wrong |= _not_printable(request, facility)
    if facility is not None and not edited:
        async with database.reading() as connection:
            if facility.slug in {known.slug for known in await directory.all_facilities(connection)}:
                wrong["slug"] = _("This short name is taken. Add a year or a number.")
    if wrong or facility is None:
        return render(request, "office/facility.html", 422, values=values | {"known": edited}, wrong=wrong)
    async with database.writing() as connection:
        await directory.save_facility(connection, facility)
    raise web.HTTPSeeOther(path_to(request, "directory"))


def _not_printable(request: web.Request, entry: Prisoner | Facility) -> dict[str, str]:
    found = not_printable(entry, request.config_dict[LETTER_PAGES].unprintable)
    return {name: sentence_about_line(characters, request[LANGUAGE]) for name, characters in found.items()}


def _wrong(request: web.Request, error: ValidationError) -> dict[str, str]:
    _ = words(request)
    sentences = {
        "slug": _("Small Latin letters and digits, joined by hyphens: anna-example."),
        "name": _("Please give a name of at most 200 characters."),
        "birth_year": _("A year with four digits, or nothing."),
        "country": _("Two letters: RU, DE, SE, GB."),
        "address": _("Please give the postal address, in the four fields or line by line."),
        "review_days": _("A number of days from 0 to 90."),
    }
    # What is wrong with a facility as a whole is its address.
    names = [str((problem["loc"] or ("address",))[0]) for problem in error.errors()]
    return {name: sentences.get(name, _("This cannot be stored.")) for name in names}
