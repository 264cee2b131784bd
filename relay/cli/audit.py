"""`relay audit`: whether the history is whole."""

from __future__ import annotations

import dataclasses
import sys

import click

from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import say, say_json
from relay.store import audit


@click.group("audit")
def audit_group() -> None:
    """The history of letters, scans and replies."""


@audit_group.command("verify")
@click.option("--json", "as_json", is_flag=True)
def audit_verify(*, as_json: bool) -> None:
    """Check that no event was changed or dropped, and that the states are those that the events tell."""

    async def work(relay_: Relay) -> audit.Audit:
        async with relay_.store.database.reading() as connection:
            return await audit.verify(connection)

    found = with_relay(work)
    if as_json:
        say_json(dataclasses.asdict(found))
    else:
        for fault in found.faults:
            say(fault)
        say(
            f"{found.events} events of {found.records} records: "
            f"{'all good' if not found.faults else f'{len(found.faults)} faults'}. "
            f"{found.tail} are in no checkpoint yet."
        )
    if found.faults:
        sys.exit(Exit.REFUSED)
