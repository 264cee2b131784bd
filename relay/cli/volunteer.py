"""`relay volunteer`: who may work in the office."""

from __future__ import annotations

import click

from relay.app import Relay
from relay.cli.installed import with_relay
from relay.cli.speaking import say, say_json
from relay.store import volunteers


@click.group()
def volunteer() -> None:
    """The people of the office."""


@volunteer.command("add")
@click.argument("login")
def volunteer_add(login: str) -> None:
    """Add a volunteer and print the password."""
    password = volunteers.new_password()

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            await volunteers.add(connection, login, volunteers.hash_password(password))

    with_relay(work)
    say(f"{login}: {password}")


@volunteer.command("list")
@click.option("--json", "as_json", is_flag=True)
def volunteer_list(*, as_json: bool) -> None:
    """List the volunteers."""

    async def work(relay_: Relay) -> list[volunteers.Volunteer]:
        async with relay_.store.database.reading() as connection:
            return await volunteers.everybody(connection)

    for person in with_relay(work):
        if as_json:
            say_json({"login": person.login, "disabled": person.disabled})
        else:
            say(f"{person.login}{' (disabled)' if person.disabled else ''}")


@volunteer.command("disable")
@click.argument("login")
def volunteer_disable(login: str) -> None:
    """Shut a volunteer out; running sessions end."""

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            await volunteers.change(connection, login, disabled=True)

    with_relay(work)
    say(f"{login} is shut out.")


@volunteer.command("reset")
@click.argument("login")
def volunteer_reset(login: str) -> None:
    """Let a volunteer in with a new password, which is printed; running sessions end."""
    password = volunteers.new_password()

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            changed = volunteers.hash_password(password)
            await volunteers.change(connection, login, password_hash=changed, disabled=False)

    with_relay(work)
    say(f"{login}: {password}")
