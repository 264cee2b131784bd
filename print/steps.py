"""What the printing changes: batches are made, rendered, printed and posted, and their letters with them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letter_pages import LetterToPrint
from relay.domain.lives import WORKER, Actor, BatchState, LetterState, Record, Who
from relay.sealing import ContentKey, Context, PrivateKey
from relay.store import directory
from relay.store.letters import settled, to_print
from relay.store.sealed import Store, name_blob, open_part, save_key
from relay.store.tables import batches, facilities, letters, prisoners
from relay.store.transitions import begin, move
from relay.store.work import ChangedMeanwhileError

BATCH_PDF = "batch.pdf"
NO_PAGES = b""
"""The pages of a batch whose letters were all taken back before it was rendered."""
LETTERS_IN_BATCH = 200
"""Letters of one batch at most: what one person folds in an evening."""


class NothingToPrintError(LookupError):
    """No approved letter waits for this facility."""


class BatchChangedError(ChangedMeanwhileError):
    """A letter was taken back while its batch was rendered; the batch is rendered again."""


class NotRenderedError(LookupError):
    """The batch has no pages: none yet, or no letters any more."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Approved letters of one facility that are in no batch."""

    facility_id: str
    facility: str
    letters: int
    oldest: datetime.datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the screens show it."""

    id: str
    facility: str
    state: BatchState
    since: datetime.datetime
    letters: int
    problem: str | None
    """Why the last try to render it failed."""
    set_aside: bool


async def waiting(connection: AsyncConnection, now: datetime.datetime) -> list[Waiting]:
    """What waits to be printed, by facility, the oldest first. What the review can still undo is not in it."""
    oldest = sa.func.min(letters.c.state_since)
    rows = await connection.execute(
        sa.select(facilities.c.id, facilities.c.name, sa.func.count().label("waiting"), oldest.label("oldest"))
        .join(prisoners, prisoners.c.facility_id == facilities.c.id)
        .join(letters, letters.c.prisoner_id == prisoners.c.id)
        .where(letters.c.state == LetterState.APPROVED, letters.c.batch_id.is_(None), settled(now))
        .group_by(facilities.c.id, facilities.c.name)
        .order_by(oldest)
    )
    return [Waiting(row.id, row.name, row.waiting, row.oldest) for row in rows]


async def all_batches(connection: AsyncConnection, limit: int = 50) -> list[Batch]:
    """The batches, first those with something left to do, each newest first."""
    count = sa.select(sa.func.count()).where(letters.c.batch_id == batches.c.id).scalar_subquery()
    rows = await connection.execute(
        sa.select(batches, facilities.c.name.label("facility"), count.label("letters"))
        .join(facilities, facilities.c.id == batches.c.facility_id)
        .order_by(batches.c.state == BatchState.POSTED, batches.c.created_at.desc())
        .limit(limit)
    )
    return [
        Batch(
            row.id,
            row.facility,
            BatchState(row.state),
            row.state_since,
            row.letters,
            row.last_error,
            row.set_aside_at is not None,
        )
        for row in rows
    ]


async def make_batch(store: Store, facility_id: str, by: Actor) -> str:
    """Put the approved letters of a facility into a new batch, which a worker renders. Raises NothingToPrintError."""
    now = store.database.clock()
    async with store.database.writing() as connection:
        chosen = [
            row.id
            for row in await connection.execute(
                sa.select(letters.c.id)
                .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
                .where(
                    letters.c.state == LetterState.APPROVED,
                    letters.c.batch_id.is_(None),
                    settled(now),
                    prisoners.c.facility_id == facility_id,
                )
                .order_by(letters.c.created_at, letters.c.id)
                .limit(LETTERS_IN_BATCH)
                .with_for_update(of=letters)
            )
        ]
        if not chosen:
            raise NothingToPrintError
        batch_id = await begin(
            connection, Record.BATCH, BatchState.OPEN, by=by, at=now, facility_id=facility_id, created_at=now
        )
        await connection.execute(sa.update(letters).where(letters.c.id.in_(chosen)).values(batch_id=batch_id))
    return batch_id


async def letters_of(
    store: Store, batch_id: str, office: PrivateKey, return_address: tuple[str, ...]
) -> dict[str, LetterToPrint]:
    """The opened letters of a batch by id, in the order in which they are printed."""
    async with store.database.reading() as connection:
        rows = (
            await connection.execute(
                sa.select(letters.c.id, letters.c.prisoner_id)
                .where(letters.c.batch_id == batch_id)
                .order_by(letters.c.created_at, letters.c.id)
            )
        ).all()
        known = {row.id: await directory.by_id(connection, row.prisoner_id) for row in rows}
    return {
        letter_id: await to_print(store, letter_id, person, office, return_address)
        for letter_id, person in known.items()
    }


async def rendered(store: Store, batch_id: str, letter_ids: list[str], pdf: bytes) -> None:
    """Store the pages of a batch. Raises BatchChangedError where its letters are not those that were rendered."""
    context = Context(Record.BATCH, batch_id)
    key = ContentKey.new(context)
    blob_id = await store.blobs.put_bytes(pdf, key)
    async with store.database.writing() as connection, store.blobs.dropped_on_failure([blob_id]):
        now_in = await connection.execute(
            sa.select(letters.c.id).where(letters.c.batch_id == batch_id).with_for_update()
        )
        if {row.id for row in now_in} != set(letter_ids):
            raise BatchChangedError
        await save_key(connection, key, [store.office])
        await name_blob(connection, context, BATCH_PDF, blob_id)
        await move(connection, Record.BATCH, batch_id, BatchState.RENDERED, by=WORKER, at=store.database.clock())


async def batch_pdf(store: Store, batch_id: str, office: PrivateKey) -> bytes:
    """The pages of a batch. Raises NotRenderedError."""
    async with store.database.reading() as connection:
        state = (
            await connection.execute(sa.select(batches.c.state).where(batches.c.id == batch_id))
        ).scalar_one_or_none()
    if state in {None, BatchState.OPEN}:
        raise NotRenderedError
    pdf = await open_part(store, Context(Record.BATCH, batch_id), BATCH_PDF, office)
    if pdf == NO_PAGES:
        raise NotRenderedError
    return pdf


async def mark(store: Store, batch_id: str, state: BatchState, volunteer_id: str) -> None:
    """Note that a batch was printed or posted; its letters follow. Raises ForbiddenTransitionError, NotThereError."""
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    target = LetterState(state)
    async with store.database.writing() as connection:
        await move(connection, Record.BATCH, batch_id, state, by=by, at=now)
        before = LetterState.APPROVED if target is LetterState.PRINTED else LetterState.PRINTED
        # A letter that an answer proved delivered is further than its batch.
        rows = await connection.execute(
            sa.select(letters.c.id).where(letters.c.batch_id == batch_id, letters.c.state == before).with_for_update()
        )
        for row in rows.all():
            await move(connection, Record.LETTER, row.id, target, by=by, at=now)
