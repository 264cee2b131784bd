"""The first screen of the scanning: upload, what came, and what waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, web

from relay.domain.lives import Actor, Who
from relay.domain.reasons import PAGE_DOUBTS
from relay.store.transitions import NotThereError
from relay.web.keys import OFFICE_KEY, SETTINGS, STORE, VOLUNTEER
from relay.web.site import path_to, render, words
from scanner import heap, received, replies, steps, watched_folder
from scanner.jobs import limits
from scanner.limits import GOES_AGAIN, REASONS, Reason, limit_of
from scanner.screens.words import SOURCES

ROUTES: Final = web.RouteTableDef()
FILES_AT_ONCE: Final = 50
NAME_KEPT: Final = 200
"""Characters of a file name that are kept; it is a label, never a path."""
CHUNK: Final = 256 * 1024
FIELD: Final = 100
"""Bytes of a field of the form at most."""
SECONDS: Final = 3
"""After which a browser looks again how far the reading is; it needs no script for that."""
KNOWN_SHOWN: Final = FILES_AT_ONCE
FOLDER: Final = web.AppKey("scan_folder", Path)
"""The folder out of which scans are taken, where there is one."""


class FileTooLargeError(Exception):
    """An uploaded file is larger than a scan may be."""


@dataclass
class _Upload:
    """What became of the files of one form."""

    taken: list[steps.TakenIn] = field(default_factory=list)
    complaint: str | None = None
    status: int = 200


@ROUTES.get("/{language}/scan", name="scans")
async def overview(request: web.Request) -> web.Response:
    """What came, and how much waits. With ?watch it looks again by itself, as long as a file is being read."""
    return await show_overview(request)


async def show_overview(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    """The overview, with a complaint where something was not done."""
    _, settings = words(request), request.config_dict[SETTINGS].scan
    folder, now = request.config_dict.get(FOLDER), request.config_dict[STORE].database.clock()
    troubles = await watched_folder.troubles(folder, settings.max_megabytes, now) if folder else []
    office, watched = request.config_dict[OFFICE_KEY], "watch" in request.query
    known = query_of(request, "known").split(",")[:KNOWN_SHOWN]
    async with request.config_dict[STORE].database.reading() as connection:
        reading = await received.being_read(connection)
        answer = render(
            request,
            "scanner/scans.html",
            status,
            scans=await received.received(connection, office),
            known=await received.these(connection, known, office),
            decided=await received.page(connection, query_of(request, "decided")),
            reading=reading,
            watched=watched and reading > 0,
            pages=await heap.waiting_pages(connection),
            waiting=await heap.waiting_count(connection),
            held=await replies.held_count(connection),
            ticks=await replies.open_tick_count(connection),
            facilities=await received.facility_names(connection),
            doubts=PAGE_DOUBTS,
            reasons=refusals(request),
            sources=SOURCES,
            goes_again=GOES_AGAIN,
            troubles=[
                (one.name, _(watched_folder.LEFT[one.why]).format(limit=settings.max_megabytes)) for one in troubles
            ],
            complaint=complaint,
        )
    if watched and reading:
        answer.headers["Refresh"] = str(SECONDS)
    return answer


def query_of(request: web.Request, name: str) -> str:
    """What stands in the query under a name. PostgreSQL takes no NUL."""
    return request.query.get(name, "").replace("\0", "")


def refusals(request: web.Request) -> dict[Reason, str]:
    """The sentences for refused files, with the limits that they name."""
    _, most = words(request), limits(request.config_dict[SETTINGS])
    return {reason: _(sentence).format(limit=limit_of(reason, most)) for reason, sentence in REASONS.items()}


@ROUTES.post("/{language}/scan", name="scans")
async def upload(request: web.Request) -> web.Response:
    """Take in files. Each is stored whole before the answer; a script sends one by one and is answered in JSON."""
    if not request.content_type.startswith("multipart/"):
        raise web.HTTPNotFound
    done = await _upload(request)
    known = [taken.scan_id for taken in done.taken if taken.known]
    if request.headers.get("Accept") == "application/json":
        links = [path_to(request, "scan", scan=scan_id) for scan_id in known]
        return web.json_response({"known": links, "complaint": done.complaint}, status=done.status)
    if done.complaint is not None:
        return await show_overview(request, done.status, done.complaint)
    seen = f"&known={','.join(known)}" if known else ""
    raise web.HTTPSeeOther(f"{path_to(request, 'scans')}?watch{seen}")


async def _upload(request: web.Request) -> _Upload:
    _, done, count = words(request), _Upload(), 0
    settings, by = request.config_dict[SETTINGS], Actor(Who.VOLUNTEER, request[VOLUNTEER].id)
    facility_id: str | None = None
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "facility" and not part.filename:
            # It stands before the files in the form.
            facility_id = await _facility(request, part)
        if not part.filename:
            continue
        count += 1
        if count > FILES_AT_ONCE:
            done.status = 413
            done.complaint = _("At most {limit} files at once; the first {limit} were taken.").format(
                limit=FILES_AT_ONCE
            )
            return done
        name = part.filename[-NAME_KEPT:]
        try:
            data = _limited(part, settings.scan.max_megabytes * 1_000_000)
            done.taken.append(await steps.take_in(request.config_dict[STORE], data, name, by, facility_id=facility_id))
        except FileTooLargeError:
            done.status, done.complaint = 413, f"{name}: {refusals(request)[Reason.TOO_LARGE]}"
            return done
    if count == 0:
        done.status, done.complaint = 422, _("No file was chosen.")
    return done


async def _facility(request: web.Request, part: BodyPartReader) -> str | None:
    """The facility that was chosen, or None where none was. Raises HTTPBadRequest for one that is not there."""
    chosen = (await part.read_chunk(FIELD)).decode(errors="replace").strip()
    if not chosen:
        return None
    async with request.config_dict[STORE].database.reading() as connection:
        if chosen not in await received.facility_names(connection):
            raise web.HTTPBadRequest
    return chosen


async def _limited(part: BodyPartReader, most: int) -> AsyncIterator[bytes]:
    size = 0
    while chunk := await part.read_chunk(CHUNK):
        size += len(chunk)
        if size > most:
            raise FileTooLargeError
        yield chunk


@ROUTES.post("/{language}/scan/{scan}/again", name="scan_again")
async def try_again(request: web.Request) -> web.Response:
    """Let a file be read again, or its replies be assembled again, that were set aside."""
    try:
        await steps.try_again(request.config_dict[STORE], request.match_info["scan"], request[VOLUNTEER].id)
    except NotThereError:
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(path_to(request, "scans"))
