"""What the printing changes: batches are made, rendered, printed and posted, and their letters with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from print.mailings import PRINTED_ONCE, Enclosed, Planned, letters_in, weighed
from print.printing import Printing
from print.queue import ready
from print.rendering import Rendering
from relay.domain.events import REPRINTED, SET_ASIDE
from relay.domain.lives import WORKER, Actor, BatchState, LetterState, Record, Who
from relay.domain.ports import NotPrintedError
from relay.domain.reply_code import new_reply_code
from relay.sealing import ContentKey, Context, PrivateKey
from relay.store import leases
from relay.store.blobs import BlobMissingError
from relay.store.database import new_id
from relay.store.sealed import Store, find_blob, load_key, name_blob, save_key
from relay.store.tables import (
    batches,
    checkpoints,
    enclosures,
    envelopes,
    letters,
    prisoners,
    reply_order_letters,
    reply_orders,
    reprints,
)
from relay.store.transitions import begin, forget_partly, move, note, read_anew
from relay.store.work import ChangedMeanwhileError

BATCH_PDF = "batch.pdf"
NO_PAGES = b""
"""The pages of a batch whose letters were all taken back before it was rendered."""
LETTERS_IN_BATCH = 200
"""Letters of one batch at most: what one person folds in an evening."""
TRACKING_MAX = 40
"""Characters of a tracking number; the Universal Postal Union's have 13."""
CHUNK = 1 << 20
UNPRINTED = (BatchState.OPEN, BatchState.RENDERED)
"""States of a batch that nobody has put on paper, as far as is known."""


class NothingToPrintError(LookupError):
    """No letter waits that could be printed."""


class BatchChangedError(ChangedMeanwhileError):
    """A letter was taken back while its batch was rendered; the batch is rendered again."""


class NotRenderedError(LookupError):
    """The batch has no pages: none yet, or no letters any more."""


async def make_batches(store: Store, by: Actor, facility_id: str | None = None) -> list[str]:
    """Put what waits, for one facility or for all, into new batches, which a worker renders. Returns their ids.

    Raises NothingToPrintError.
    """
    made: list[str] = []
    while (batch_id := await _make_batch(store, by, facility_id)) is not None:
        made.append(batch_id)
    if not made:
        raise NothingToPrintError
    return made


async def _make_batch(store: Store, by: Actor, facility_id: str | None) -> str | None:
    """A batch for the facility, or for the one whose letters wait longest."""
    now = store.database.clock()
    waiting = sa.select(letters.c.id, prisoners.c.facility_id).join(prisoners, prisoners.c.id == letters.c.prisoner_id)
    async with store.database.writing() as connection:
        if facility_id is None:
            first = waiting.where(*ready(now)).order_by(letters.c.state_since, letters.c.id).limit(1)
            if (oldest := (await connection.execute(first)).one_or_none()) is None:
                return None
            facility_id = oldest.facility_id
        oldest_first = (
            waiting.where(*ready(now), prisoners.c.facility_id == facility_id)
            .order_by(letters.c.created_at, letters.c.id)
            .limit(LETTERS_IN_BATCH)
        )
        found = [row.id for row in await connection.execute(oldest_first)]
        # Locked in the order in which everybody locks letters: two that wait for each other would both fail.
        free = sa.select(letters.c.id).where(letters.c.id.in_(found), *ready(now)).order_by(letters.c.id)
        chosen = (await connection.scalars(free.with_for_update())).all()
        if not chosen:
            return None
        batch_id = await _begin(connection, store, by, facility_id, copy=False)
        await connection.execute(sa.update(letters).where(letters.c.id.in_(chosen)).values(batch_id=batch_id))
        await _new_codes_for_cards_printed_before(connection, chosen)
    return batch_id


async def _new_codes_for_cards_printed_before(connection: AsyncConnection, chosen: Sequence[str]) -> None:
    """Give greetings that came back codes of their own: what was printed under a code stays all that it stands for.

    An answer to the old paper, should it come, then goes to whoever is still meant by it, or to a person.
    """
    of = reply_order_letters.c
    printed = sa.exists().where(enclosures.c.letter_id == letters.c.id)
    # Its sender may have made a letter of it since.
    other = reply_order_letters.alias()
    shared = sa.exists().where(other.c.code == of.code, other.c.letter_id != of.letter_id)
    rows = await connection.execute(
        sa.select(letters.c.id, reply_orders.c.sheets)
        .join(reply_order_letters, of.letter_id == letters.c.id)
        .join(reply_orders, reply_orders.c.code == of.code)
        .where(letters.c.id.in_(chosen), sa.or_(letters.c.card, shared), printed)
    )
    for row in rows.all():
        code = new_reply_code()
        await connection.execute(sa.insert(reply_orders).values(code=code, sheets=row.sheets))
        await connection.execute(sa.update(reply_order_letters).where(of.letter_id == row.id).values(code=code))


async def _begin(connection: AsyncConnection, store: Store, by: Actor, facility_id: str, *, copy: bool) -> str:
    now = store.database.clock()
    newest = sa.select(checkpoints.c.head).order_by(checkpoints.c.id.desc()).limit(1)
    return await begin(
        connection,
        Record.BATCH,
        BatchState.OPEN,
        by=by,
        at=now,
        facility_id=facility_id,
        created_at=now,
        copy=copy,
        checkpoint=(await connection.execute(newest)).scalar_one_or_none(),
    )


async def reprint(store: Store, of: sa.ColumnElement[bool], by: Actor) -> list[str]:
    """Make batches of copies of the letters that this condition names, and of what stood on one card with them.

    Their pages are the same, with the same numbers and codes, and say "copy". What lies in a batch of copies that is
    not printed yet stays there. Returns the ids of the batches. Raises NothingToPrintError where none of these letters
    was printed.
    """
    codes = (
        sa.select(reply_order_letters.c.code)
        .join(letters, letters.c.id == reply_order_letters.c.letter_id)
        .where(of, letters.c.state.in_(PRINTED_ONCE))
    )
    chosen = (
        sa.select(letters.c.id, prisoners.c.facility_id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(reply_order_letters.c.code.in_(codes), letters.c.state.in_(PRINTED_ONCE))
        .order_by(letters.c.id)
    )
    made: dict[str, str] = {}
    async with store.database.writing() as connection:
        rows = (await connection.execute(chosen.with_for_update(of=letters))).all()
        unprinted = await connection.execute(
            sa.select(reprints.c.letter_id, reprints.c.batch_id)
            .join(batches, batches.c.id == reprints.c.batch_id)
            .where(reprints.c.letter_id.in_([row.id for row in rows]), batches.c.state.in_(UNPRINTED))
        )
        there = {row.letter_id: row.batch_id for row in unprinted}
        for row in rows:
            if row.id in there:
                continue
            if row.facility_id not in made:
                made[row.facility_id] = await _begin(connection, store, by, row.facility_id, copy=True)
            await connection.execute(sa.insert(reprints).values(batch_id=made[row.facility_id], letter_id=row.id))
    if not rows:
        raise NothingToPrintError
    return [*dict.fromkeys(there.values()), *made.values()]


class Reprints:
    """Letters printed again because somebody inside asks for it."""

    def __init__(self, store: Store) -> None:
        """Take the store of the letters."""
        self._store = store

    async def reprint(self, letter_id: str, volunteer_id: str) -> None:
        """Order a copy of a letter that was printed, with what stood on one card with it. Raises NotPrintedError."""
        try:
            await reprint(self._store, letters.c.id == letter_id, Actor(Who.VOLUNTEER, volunteer_id))
        except NothingToPrintError:
            raise NotPrintedError from None


def failures(enclosed: Sequence[Enclosed], rendering: Rendering) -> dict[str, str]:
    """Why letters could not be opened or rendered, by their ids; what stands on one card fails together."""
    failed = {letter_id: reason for envelope in enclosed for letter_id, reason in envelope.failed.items()}
    for aside in rendering.set_aside:
        failed |= dict.fromkeys(enclosed[aside.mailing].pieces[aside.letter], aside.reason)
    return failed


async def rendered(
    printing: Printing,
    batch_id: str,
    planned: Sequence[Planned],
    enclosed: Sequence[Enclosed],
    rendering: Rendering,
    pdf: Path,
) -> None:
    """Store the pages of a batch and its envelopes, and set aside what could not be rendered.

    `enclosed` is what of them were given to the rendering, in its order. Raises BatchChangedError where the
    letters of the batch are not those that were planned.
    """
    store = printing.store
    now, context = store.database.clock(), Context(Record.BATCH, batch_id)
    failed = failures(enclosed, rendering)
    key = ContentKey.new(context)
    blob_id = await store.blobs.put(_chunks(pdf) if rendering.mailings else _nothing(), key)
    async with store.database.writing() as connection, store.blobs.dropped_on_failure([blob_id]):
        ours = sa.select(letters.c.id).where(letters_in(batch_id)).order_by(letters.c.id).with_for_update()
        now_in = await connection.execute(ours)
        if {row.id for row in now_in} != {letter_id for envelope in planned for letter_id in envelope.letter_ids}:
            raise BatchChangedError
        await _set_aside(connection, batch_id, failed, store)
        copy = (await connection.execute(sa.select(batches.c.copy).where(batches.c.id == batch_id))).scalar_one()
        for number, done in enumerate(rendering.mailings, start=1):
            plan, envelope = planned[done.mailing], enclosed[done.mailing]
            pieces = [piece for piece in envelope.pieces if piece[0] not in failed]
            await _enclose(connection, printing, batch_id, number, plan, pieces, done.sheets, copy=copy)
        done_for = [planned[done.mailing] for done in rendering.mailings]
        told = {plan.known.prisoner_id for plan in done_for if plan.correspondents}
        await connection.execute(sa.update(prisoners).where(prisoners.c.id.in_(told)).values(tell_correspondents=False))
        await save_key(connection, key, [store.office])
        await name_blob(connection, context, BATCH_PDF, blob_id)
        await move(connection, Record.BATCH, batch_id, BatchState.RENDERED, by=WORKER, at=now)


async def _set_aside(connection: AsyncConnection, batch_id: str, failed: dict[str, str], store: Store) -> None:
    now = store.database.clock()
    again = (reprints.c.batch_id == batch_id, reprints.c.letter_id.in_(failed))
    await connection.execute(sa.delete(reprints).where(*again))
    for letter_id, reason in failed.items():
        own = (letters.c.id == letter_id, letters.c.batch_id == batch_id)
        taken = await connection.execute(
            sa.update(letters).where(*own).values(batch_id=None, set_aside_at=now, last_error=reason)
        )
        if taken.rowcount:
            await note(connection, Record.LETTER, letter_id, by=WORKER, at=now, reason=SET_ASIDE)


async def _enclose(
    connection: AsyncConnection,
    printing: Printing,
    batch_id: str,
    number: int,
    planned: Planned,
    pieces: Sequence[tuple[str, ...]],
    sheets: int,
    *,
    copy: bool,
) -> None:
    grams, postage = weighed(printing, planned.known, sheets)
    envelope_id = new_id()
    await connection.execute(
        sa.insert(envelopes).values(
            id=envelope_id,
            batch_id=batch_id,
            number=number,
            prisoner_id=planned.known.prisoner_id,
            sheets=sheets,
            grams=grams,
            postage=postage,
            created_at=printing.store.database.clock(),
        )
    )
    for piece in pieces:
        if not copy:
            await _under_one_code(connection, piece)
        inside = [{"envelope_id": envelope_id, "letter_id": letter_id} for letter_id in piece]
        await connection.execute(sa.insert(enclosures), inside)


async def _under_one_code(connection: AsyncConnection, piece: Sequence[str]) -> None:
    """Let the code of the first letter stand for all these: an answer to a card is for all who wrote on it."""
    of = reply_order_letters.c
    code: str = (await connection.execute(sa.select(of.code).where(of.letter_id == piece[0]))).scalar_one()
    sheets = sa.select(sa.func.max(reply_orders.c.sheets)).join(reply_order_letters, of.code == reply_orders.c.code)
    needed = (await connection.execute(sheets.where(of.letter_id.in_(piece)))).scalar_one()
    await connection.execute(sa.update(reply_orders).where(reply_orders.c.code == code).values(sheets=needed))
    if len(piece) > 1:
        joined = sa.update(reply_order_letters).where(of.letter_id.in_(piece[1:]), of.code != code)
        await connection.execute(joined.values(code=code))


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    yield NO_PAGES


async def batch_pdf(store: Store, batch_id: str, office: PrivateKey) -> bytes:
    """The pages of a batch. Raises NotRenderedError."""
    return b"".join([chunk async for chunk in batch_chunks(store, batch_id, office)])


async def batch_chunks(store: Store, batch_id: str, office: PrivateKey) -> AsyncIterator[bytes]:
    """The pages of a batch, piece by piece. Raises NotRenderedError before the first."""
    context = Context(Record.BATCH, batch_id)
    async with store.database.reading() as connection:
        state = (
            await connection.execute(sa.select(batches.c.state).where(batches.c.id == batch_id))
        ).scalar_one_or_none()
        if state in {None, BatchState.OPEN}:
            raise NotRenderedError
        try:
            blob_id = await find_blob(connection, context, BATCH_PDF)
        except BlobMissingError:  # destroyed, after it was posted
            raise NotRenderedError from None
        key = await load_key(connection, context, office)
    chunks = store.blobs.get(blob_id, key)
    if (first := await anext(chunks)) == NO_PAGES:
        raise NotRenderedError
    yield first
    async for chunk in chunks:
        yield chunk


async def mark(store: Store, batch_id: str, state: BatchState, volunteer_id: str) -> None:
    """Note that a batch was printed or posted; its letters follow. Raises ForbiddenTransitionError, NotThereError."""
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    target = LetterState(state)
    async with store.database.writing() as connection:
        await move(connection, Record.BATCH, batch_id, state, by=by, at=now)
        # A letter that an answer proved delivered is further than its batch.
        before = LetterState.APPROVED if target is LetterState.PRINTED else LetterState.PRINTED
        for letter_id in await _in_state(connection, letters_in(batch_id), before):
            await move(connection, Record.LETTER, letter_id, target, by=by, at=now)
        if state is BatchState.PRINTED:
            copies = (
                sa.select(reprints.c.letter_id).where(reprints.c.batch_id == batch_id).order_by(reprints.c.letter_id)
            )
            for letter_id in (await connection.scalars(copies)).all():
                await note(connection, Record.LETTER, letter_id, by=by, at=now, reason=REPRINTED)


async def hand_over(store: Store, of: sa.ColumnElement[bool], volunteer_id: str) -> int:
    """Note that the posted letters that this condition names were handed to their prisoners. Returns how many."""
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.writing() as connection:
        found = await _in_state(connection, of, LetterState.POSTED)
        for letter_id in found:
            await move(connection, Record.LETTER, letter_id, LetterState.DELIVERED, by=by, at=now)
    return len(found)


async def _in_state(connection: AsyncConnection, of: sa.ColumnElement[bool], state: LetterState) -> Collection[str]:
    query = sa.select(letters.c.id).where(of, letters.c.state == state).order_by(letters.c.id).with_for_update()
    return (await connection.scalars(query)).all()


async def track(store: Store, numbers: Iterable[tuple[str, str]]) -> None:
    """Note the tracking numbers that the post gave, by the ids of the envelopes; an empty one is forgotten."""
    async with store.database.writing() as connection:
        for envelope_id, number in numbers:
            tidy = "".join(number.split()).upper()[:TRACKING_MAX] or None
            await connection.execute(sa.update(envelopes).where(envelopes.c.id == envelope_id).values(tracking=tidy))


async def back_to_review(store: Store, letter_id: str, volunteer_id: str) -> None:
    """Let a letter that could not be rendered be read again: its sender can change it, or words can be covered.

    Nothing happens where it is not set aside any more.
    """
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.writing() as connection:
        mine = (letters.c.id == letter_id, letters.c.state == LetterState.APPROVED)
        aside = sa.select(letters.c.id).where(*mine, letters.c.set_aside_at.is_not(None))
        if (await connection.execute(aside.with_for_update())).first() is None:
            return
        await move(connection, Record.LETTER, letter_id, LetterState.QUEUED, by=by, at=now, reason=SET_ASIDE)
        await forget_partly(connection, letter_id, at=now)
        await read_anew(connection, letter_id, by=by, at=now)


async def try_again(store: Store, letter_id: str) -> None:
    """Let a letter that could not be rendered wait for the next batch again."""
    async with store.database.writing() as connection:
        await leases.try_again(connection, letters, letters.c.id == letter_id, letters.c.state == LetterState.APPROVED)


async def tell_correspondents(store: Store, prisoner_id: str, *, tell: bool) -> None:
    """Let the sheet "who wrote to me" go along in the next envelope to a prisoner, or not."""
    async with store.database.writing() as connection:
        prisoner = sa.update(prisoners).where(prisoners.c.id == prisoner_id)
        await connection.execute(prisoner.values(tell_correspondents=tell))
