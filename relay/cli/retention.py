"""`relay retention`: what is stored is destroyed when its time is over."""

from __future__ import annotations

import dataclasses

import click

from relay import retention
from relay.app import Relay
from relay.cli.installed import with_relay
from relay.cli.speaking import say, say_json
from relay.retention import Done


@click.group("retention")
def retention_group() -> None:
    """The clocks after which what is stored is destroyed."""


@retention_group.command("run")
@click.option("--json", "as_json", is_flag=True, help="How much of each kind was destroyed, as JSON.")
def retention_run(*, as_json: bool) -> None:
    """Destroy what is due by [retention] of the config. The worker does the same, hour by hour."""

    async def work(relay_: Relay) -> Done:
        done = Done()
        while (more := await retention.run(relay_.store, relay_.settings.retention, relay_.office_key)) != Done():
            done += more
        return done

    done = dataclasses.asdict(with_relay(work))
    if as_json:
        say_json(done)
    elif any(done.values()):
        say("Destroyed: " + ", ".join(f"{kind} {number}" for kind, number in done.items() if number))
    else:
        say("Nothing is due.")
