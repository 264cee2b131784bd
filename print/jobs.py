"""What a worker does for the printing: it renders the open batches."""

from __future__ import annotations

from collections.abc import AsyncIterator

import sqlalchemy as sa

from print import steps
from print.mailings import Enclosed, opened, plan, weighed
from print.printing import Printing
from print.rendering import Rendering
from relay.domain.letter_pages import Mailing, Manifest, ManifestLine
from relay.domain.lives import BatchState
from relay.opened import private_folder
from relay.store import directory
from relay.store.tables import batches
from relay.store.work import work_on_next


async def render_next(printing: Printing, owner: str) -> bool:
    """Render the oldest open batch. False where there is none."""
    database = printing.store.database

    async def render(batch_id: str) -> None:
        await render_batch(printing, batch_id)

    return await work_on_next(database, batches, batches.c.state == BatchState.OPEN, owner=owner, do=render)


async def render_batch(printing: Printing, batch_id: str) -> None:
    """Render an open batch and store its pages. Raises BatchChangedError."""
    database = printing.store.database
    async with database.reading() as connection:
        batch = (await connection.execute(sa.select(batches).where(batches.c.id == batch_id))).one()
        planned = await plan(connection, batch_id, printing)
        facility = (await directory.facilities_by_id(connection, [batch.facility_id]))[batch.facility_id]
    rules = printing.screening.rules_of(facility).printing
    envelopes: list[Enclosed] = []

    async def mailings() -> AsyncIterator[Mailing]:
        for envelope in planned:
            mailing, enclosed = await opened(printing, envelope, copy=batch.copy)
            envelopes.append(enclosed)
            yield mailing

    def manifest(rendering: Rendering) -> Manifest:
        failed = steps.failures(envelopes, rendering)
        lines = []
        for number, done in enumerate(rendering.mailings, start=1):
            envelope, known = envelopes[done.mailing], planned[done.mailing].known
            grams, postage = weighed(printing, known, done.sheets)
            inside = [place for place, piece in enumerate(envelope.pieces) if piece[0] not in failed]
            codes = tuple(envelope.codes[place] for place in inside)
            count = sum(len(envelope.pieces[place]) for place in inside)
            lines.append(ManifestLine(number, known.prisoner.name, codes, count, done.sheets, grams, postage))
        return Manifest(
            batch=batch_id[:8],
            facility=facility.name,
            language=printing.settings.site.language,
            made_on=batch.created_at.date(),
            copy=batch.copy,
            lines=tuple(lines),
            set_aside=len(failed),
            checkpoint=batch.checkpoint or "",
            return_envelope=rules.return_envelope,
        )

    async def progress(drawn: int) -> None:
        # A card counts as all the letters on it.
        pieces = [piece for envelope in envelopes for piece in envelope.pieces]
        letters_done = sum(len(piece) for piece in pieces[:drawn])
        async with database.writing() as connection:
            await connection.execute(sa.update(batches).where(batches.c.id == batch_id).values(progress=letters_done))

    with private_folder() as folder:
        pdf = folder / steps.BATCH_PDF
        rendering = await printing.pages.render(mailings(), manifest, pdf, progress)
        await steps.rendered(printing, batch_id, planned, envelopes, rendering, pdf)
