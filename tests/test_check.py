"""`relay check`: what does not fit together is named, and nothing else; nothing is changed."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from relay.domain.lives import LetterState, PageState
from relay.store import tables
from relay.store.blobs import Blobs
from relay.store.database import utc_now
from relay.store.erasing import erase_conversation
from relay.store.sealed import Store
from relay.store.wholeness import FOLDERS, Finding, findings
from tests.workplaces import (
    ADDRESS,
    RUSSIAN,
    House,
    Sent,
    both_engines,
    config,
    engine,
    filled_file,
    house,
    pieces,
    rendering_pool,
    sure,
)

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

LONG_AGO = (utc_now() - datetime.timedelta(hours=2)).timestamp()


async def found(house: House) -> set[Finding]:
    house.clock.now = utc_now()  # blobs have the time of the disk
    return {one async for one in findings(house.store, lambda _done, _total: None)}


async def change(house: House, statement: Any) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(statement)


async def answered(house: House) -> Sent:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    return sent


@both_engines
async def test_house_in_order_has_no_findings(house: House) -> None:
    """Letters, batches, scans and replies in every state that the steps lead to, and a conversation that was erased."""
    await answered(house)
    erased = await house.posted(RUSSIAN, address=ADDRESS)
    await house.replied(erased)
    letter = await house.row(tables.letters, id=erased.id)
    await erase_conversation(house.store, erased.secret.lookup_hash, letter.conversation_id)
    waiting = await house.posted(RUSSIAN)
    await house.split(sure(await house.code(waiting)))
    await house.received()
    await house.approved()
    await house.rendered()
    await house.submit(address=ADDRESS)
    told: list[tuple[int, int]] = []
    assert [one async for one in findings(house.store, lambda *way: told.append(way))] == []
    assert told == [(number, 256) for number in range(1, 257)]
    assert len(FOLDERS) == 256


@both_engines
async def test_blobs_that_are_missing_or_named_by_nothing(house: House) -> None:
    await house.received(b"one")
    lost = house.blobs()[0]
    lost.unlink()
    folder = Path(house.relay.installation.blobs)
    strange = [folder / "notes.txt", folder / "zz" / "notes.txt", folder / "00" / "notes.txt"]
    old, young = ("0" * 32, "f" * 32)
    for blob_id in (old, young):
        await house.store.blobs.put_sealed(blob_id, pieces(b"sealed"))
    for file in strange:
        file.parent.mkdir(exist_ok=True)
        file.write_text("?")
    os.utime(folder / "00" / old, (LONG_AGO, LONG_AGO))
    assert await found(house) == {
        Finding("blob", "notes.txt", "it is none of ours"),
        Finding("blob", "zz/notes.txt", "it is none of ours"),
        Finding("blob", "00/notes.txt", "it is none of ours"),
        Finding("blob", old, "no row names it"),
        Finding("blob", lost.name, "a scan names it, and it is not there"),
    }
    assert all(file.exists() for file in strange)


async def test_blobs_of_an_object_store_are_compared(house: House) -> None:
    blobs = Blobs("memory:///")
    store = Store(house.store.database, blobs, house.store.office)
    await blobs.put_sealed("a" * 32, pieces(b"sealed"))
    house.clock.now = utc_now() + datetime.timedelta(hours=2)
    assert [one async for one in findings(store, lambda _done, _total: None)] == [
        Finding("blob", "a" * 32, "no row names it")
    ]


@both_engines
async def test_records_that_nobody_can_open(house: House) -> None:
    sent = await answered(house)
    reply = await house.row(tables.replies)
    keys = tables.content_keys
    await change(house, sa.delete(keys).where(keys.c.record == "letter"))
    of_office = keys.c.recipient == house.store.office.fingerprint
    await change(house, sa.delete(keys).where(keys.c.record == "reply", of_office))
    assert await found(house) == {
        Finding("letter", sent.id, "it has no key: nobody can open it"),
        Finding("reply", reply.id, "it is not sealed to the office"),
    }


@both_engines
async def test_keys_and_blobs_of_what_is_gone(house: House) -> None:
    scan = await house.received()
    (blob,) = house.blobs()
    await change(house, sa.delete(tables.scans).where(tables.scans.c.id == scan))
    await change(house, sa.insert(tables.content_keys).values(record="x", record_id="y", recipient="z", wrap=b""))
    await change(house, sa.insert(tables.blobs).values(id="0" * 32, record="x", record_id="y", part=""))
    assert await found(house) == {
        Finding("scan", scan, "it is gone, and its keys are left"),
        Finding("blob", blob.name, "the scan is gone that it belongs to"),
        Finding("key", "y", "it is of an unknown kind of record"),
        Finding("blob", "0" * 32, "it belongs to an unknown kind of record"),
        Finding("blob", "0" * 32, "a x names it, and it is not there"),
    }


@both_engines
async def test_what_no_step_leads_on_from(house: House) -> None:
    printed = await answered(house)
    (page,) = await house.rows(tables.pages)
    (reply,) = await house.rows(tables.replies)
    other = await house.queued(RUSSIAN)
    letters, pages, replies = tables.letters, tables.pages, tables.replies
    await change(house, sa.update(letters).where(letters.c.id == other.id).values(state="lost"))
    await change(
        house,
        sa.update(letters).where(letters.c.id == printed.id).values(state=LetterState.PRINTED, batch_id=None),
    )
    await change(house, sa.update(pages).values(reply_id=None))
    await change(house, sa.update(replies).values(state="held"))
    assert await found(house) == {
        Finding("letters", other.id, "its state is unknown to this version"),
        Finding("letter", printed.id, "it is printed or posted in no batch"),
        Finding("page", page.id, "it is placed in no reply"),
        Finding("reply", reply.id, "it waits and has no pages"),
    }
    await change(house, sa.update(pages).values(state=PageState.WAITING))
    assert Finding("page", page.id, "it waits in a file that is done") in await found(house)
