"""Which letters of a batch go into which envelope, and what is printed for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from print.fonts import NoGlyphError
from print.printing import Printing
from relay.domain.addresses import postal_lines
from relay.domain.letter_pages import Correspondent, CorrespondentsSheet, Greeting, LetterToPrint, Mailing
from relay.domain.lives import LetterState
from relay.domain.printing import PrintRules
from relay.domain.reply_code import ReplyCode
from relay.domain.review import FacilityRules
from relay.sealing import SealBrokenError
from relay.store import directory
from relay.store.blobs import BlobMissingError
from relay.store.directory import Known
from relay.store.letters import read_body, to_print
from relay.store.tables import batches, letters, prisoners, reply_order_letters, reprints

SHEETS_UNKNOWN = 2
"""Sheets of a letter that was accepted before they were counted: one of text, one to answer on."""

PRINTED_ONCE = (LetterState.PRINTED, LetterState.POSTED, LetterState.DELIVERED)
"""States of a letter that can be printed again."""


def _(sentence: str) -> str:
    return sentence


CANNOT_BE_OPENED = _("The letter, or a photo in it, cannot be opened: a file is missing or damaged.")


@dataclass(frozen=True, slots=True)
class Planned:
    """One envelope of a batch before its letters are opened."""

    known: Known
    pieces: tuple[tuple[str, ...], ...]
    """The letters in it by their ids, in the order in which they are printed; several ids are one group card."""
    correspondents: bool
    """Whether the sheet "who wrote to me" goes along."""

    @property
    def letter_ids(self) -> tuple[str, ...]:
        """All letters in it."""
        return tuple(letter_id for piece in self.pieces for letter_id in piece)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What is kept of an envelope whose letters were opened, as far as they can be."""

    pieces: tuple[tuple[str, ...], ...]
    """The ids of each letter of its mailing."""
    codes: tuple[ReplyCode, ...]
    """The codes of each letter of its mailing."""
    failed: dict[str, str]
    """Why a letter could not be opened or printed, by its id."""


def letters_in(batch_id: str) -> sa.ColumnElement[bool]:
    """The condition that a letter is printed in a batch: as one of its own, or again."""
    again = sa.select(reprints.c.letter_id).where(reprints.c.batch_id == batch_id)
    return sa.or_(letters.c.batch_id == batch_id, sa.and_(letters.c.id.in_(again), letters.c.state.in_(PRINTED_ONCE)))


async def plan(connection: AsyncConnection, batch_id: str, printing: Printing) -> list[Planned]:
    """The envelopes of a batch, by the prisoners' names."""
    copy = (await connection.execute(sa.select(batches.c.copy).where(batches.c.id == batch_id))).scalar_one()
    rows = (
        await connection.execute(
            sa.select(
                letters.c.id,
                letters.c.card,
                letters.c.sheets,
                letters.c.prisoner_id,
                prisoners.c.tell_correspondents,
                reply_order_letters.c.code,
            )
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
            .where(letters_in(batch_id))
            .order_by(prisoners.c.name, prisoners.c.id, letters.c.created_at, letters.c.id)
        )
    ).all()
    planned = []
    for prisoner_id, group in groupby(rows, key=lambda row: row.prisoner_id):
        known = await directory.by_id(connection, prisoner_id)
        says = printing.screening.rules_of(known.facility)
        of_prisoner = list(group)
        tell = of_prisoner[0].tell_correspondents
        pieces = _again(of_prisoner) if copy else _pieces(of_prisoner, says.printing)
        sheets = {row.id: row.sheets or SHEETS_UNKNOWN for row in of_prisoner}
        for enclosed in _enclosed(pieces, sheets, says):
            planned.append(Planned(known, tuple(enclosed), tell))
            tell = False
    return planned


def _pieces(rows: Sequence[sa.Row[*tuple[Any, ...]]], rules: PrintRules) -> list[tuple[str, ...]]:
    """One letter for itself, and all short greetings together on a card."""
    cards = tuple(row.id for row in rows if row.card and rules.cards)
    return [*([cards] if cards else []), *((row.id,) for row in rows if row.id not in cards)]


def _again(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> list[tuple[str, ...]]:
    """What was printed before on one card, by its code, is printed so again."""
    by_code: dict[str, list[str]] = {}
    for row in rows:
        by_code.setdefault(row.code, []).append(row.id)
    return [tuple(ids) for ids in by_code.values()]


def _enclosed(
    pieces: Iterable[tuple[str, ...]], sheets: dict[str, int], says: FacilityRules
) -> list[list[tuple[str, ...]]]:
    """The pieces by envelope: one in each, or as many as the post takes in one."""
    found: list[list[tuple[str, ...]]] = []
    room = 0.0
    for piece in pieces:
        # A card's sheets are shared, so this is rather too much.
        grams = sum(sheets[letter_id] for letter_id in piece) * says.weight.sheet
        if not found or not says.printing.several_in_envelope or grams > room:
            found.append([])
            room = max(says.weight.classes) - says.grams(0)
        found[-1].append(piece)
        room -= grams
    return found


def weighed(printing: Printing, known: Known, sheets: int) -> tuple[float, float | None]:
    """What an envelope with this many sheets of paper weighs, in grams, and its class of postage."""
    says = printing.screening.rules_of(known.facility)
    grams = says.grams(sheets)
    return grams, says.weight.postage(grams)


def addresses(printing: Printing, known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of the recipient and of the sender of an envelope to a prisoner."""
    sender = tuple(known.facility.return_address.splitlines()) or printing.settings.site.return_address
    abroad = printing.settings.print.country != known.facility.country
    return postal_lines(known.prisoner, known.facility, abroad=abroad), sender


async def opened(printing: Printing, planned: Planned, *, copy: bool) -> tuple[Mailing, Enclosed]:
    """Open the letters of an envelope."""
    rules = printing.screening.rules_of(planned.known.facility).printing
    site = printing.settings.site
    recipient, sender = addresses(printing, planned.known)
    failed: dict[str, str] = {}
    pieces, made = [], []
    for piece in planned.pieces:
        found: dict[str, LetterToPrint] = {}
        for letter_id in piece:
            try:
                letter = await to_print(
                    printing.store, letter_id, planned.known, printing.office, site.return_address, rules
                )
            except (SealBrokenError, BlobMissingError):
                failed[letter_id] = CANNOT_BE_OPENED
                continue
            # Not the whole card is set aside for one greeting.
            if len(piece) > 1 and (unprintable := printing.pages.unprintable(letter.text)):
                failed[letter_id] = str(NoGlyphError(unprintable[0].character))
                continue
            found[letter_id] = replace(letter, address=recipient if rules.window else (), copy=copy)
        if found:
            pieces.append(tuple(found))
            made.append(_card(list(found.values())) if len(found) > 1 else next(iter(found.values())))
    sheet = await correspondents(printing, planned.known) if planned.correspondents else None
    if sheet is not None and not sheet.correspondents:  # the letters in the envelope are the first
        sheet = None
    mailing = Mailing(tuple(made), sheet, recipient, sender)
    return mailing, Enclosed(tuple(pieces), tuple(letter.code for letter in made), failed)


def _card(letters_on_it: Sequence[LetterToPrint]) -> LetterToPrint:
    """Several short letters as one card, under the code of the first."""
    return replace(
        letters_on_it[0],
        printed_name="",
        text="",
        written_on=max(letter.written_on for letter in letters_on_it),
        reply_sheets=max(letter.reply_sheets for letter in letters_on_it),
        greetings=tuple(Greeting(letter.printed_name, letter.text) for letter in letters_on_it),
    )


async def correspondents(printing: Printing, known: Known) -> CorrespondentsSheet:
    """All who wrote to a prisoner, each with the code of the last letter that went out, the last writer first.

    Whose letter cannot be opened any more is left out.
    """
    found: dict[str, Correspondent] = {}
    async with printing.store.database.reading() as connection:
        rows = await connection.execute(
            sa.select(letters.c.id, letters.c.conversation_id, letters.c.created_at, reply_order_letters.c.code)
            .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
            .where(
                letters.c.prisoner_id == known.prisoner_id,
                letters.c.state.in_(PRINTED_ONCE),
                letters.c.destroyed_at.is_(None),
            )
            .order_by(letters.c.created_at.desc(), letters.c.id)
        )
        for row in rows.all():
            if row.conversation_id not in found:
                try:
                    body = await read_body(connection, row.id, printing.office)
                except SealBrokenError:  # this one alone: no later batch could be printed for its sake
                    continue
                found[row.conversation_id] = Correspondent(
                    body.printed_name, ReplyCode(row.code), row.created_at.date()
                )
    together: dict[ReplyCode, Correspondent] = {}
    for one in found.values():  # an answer under the code of a card reaches all who wrote on it
        before = together.get(one.code)
        names = one.printed_name if before is None else f"{before.printed_name}, {one.printed_name}"
        together[one.code] = replace(one, printed_name=names)
    _, sender = addresses(printing, known)
    return CorrespondentsSheet(known.prisoner.name, known.prisoner.language, tuple(together.values()), sender)
