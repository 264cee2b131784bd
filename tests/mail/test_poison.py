"""Mails that cannot even be written: they hold up no other, and none is lost by a mistake of the operator."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from relay.desk.steps import confirm
from relay.mail.sending import Sender
from relay.sealing import PrivateKey
from relay.store import tables
from tests.conftest import SmtpCatcher
from tests.workplaces import ADDRESS, House, both_engines, send_all


async def waiting(house: House) -> sa.Row[Any]:
    """The one mail that waits."""
    return await house.row(tables.outbox, state="waiting")


@both_engines
async def test_mail_that_cannot_be_composed_does_not_hold_up_the_others(
    house: House, smtp_catcher: SmtpCatcher
) -> None:
    await house.replied(await house.posted(address="first@sender.example"))
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.kind != "reply"))
        await connection.execute(sa.delete(tables.blobs).where(tables.blobs.c.record == "reply"))
    house.clock.advance(seconds=1)
    await house.queued(address=ADDRESS)
    assert await send_all(house.sender(port=smtp_catcher.port)) == 2
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]
    row = await waiting(house)
    assert (row.kind, row.attempts, row.last_error) == ("reply", 1, "BlobMissingError")


@pytest.mark.parametrize("desk", [False, True])
async def test_key_of_another_installation_loses_no_mail(house: House, smtp_catcher: SmtpCatcher, desk: bool) -> None:
    sent = await house.submit(address=ADDRESS)
    if not desk:
        await confirm(house.store, await house.token(sent.id))
    right = house.sender(desk=desk, port=smtp_catcher.port)
    settings = house.mail_settings(port=smtp_catcher.port)
    await send_all(Sender(house.store, settings, "worker-wrong", PrivateKey.new(), desk=desk))
    row = await waiting(house)
    assert (row.last_error, row.attempts) == ("SealBrokenError", 1)
    house.clock.now = row.next_try_at
    await send_all(right)
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]


async def test_row_and_log_keep_no_address_and_no_words_of_the_server(house: House, smtp_catcher: SmtpCatcher) -> None:
    smtp_catcher.refuse_with = f"450 4.2.2 <{ADDRESS}>: mailbox of Mary is full"
    await house.submit(address=ADDRESS)
    with structlog.testing.capture_logs() as logged:
        await send_all(house.sender(desk=True, port=smtp_catcher.port))
    assert (await waiting(house)).last_error == "SMTPDataError 450"
    assert [entry["event"] for entry in logged] == ["mail_failed"]
    assert [word in str(logged) for word in ("mary", "Mary", "sender.example", "full")] == [False] * 4
