"""`relay check`: whether rows, keys and blobs fit together."""

from __future__ import annotations

import dataclasses
import sys

import click

from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import progress, say, say_json
from relay.store.wholeness import findings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding and line.")
def check(*, as_json: bool) -> None:
    """Compare rows, keys and blobs, both ways. Changes nothing; ends with 3 where something does not fit."""

    async def work(relay_: Relay) -> int:
        return await report(relay_, as_json=as_json)

    if with_relay(work):
        sys.exit(Exit.REFUSED)


async def report(relay_: Relay, *, as_json: bool = False) -> int:
    """Say what does not fit. Returns how much that is."""
    count = 0
    with progress("Checking") as told:
        async for one in findings(relay_.store, told):
            count += 1
            say_json(dataclasses.asdict(one)) if as_json else say(f"{one.record} {one.id}: {one.problem}")
    if not as_json:
        say(f"{count} findings." if count else "Rows, keys and blobs fit together.")
    return count
