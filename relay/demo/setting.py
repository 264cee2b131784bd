"""The demo's installation: a folder with keys, invented people, volunteers, a mail catcher, and all sites."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from relay.app import PortTakenError, Relay, Role, listening, opened, running
from relay.config import CONFIG_NAME, Installation, load
from relay.demo.mailbox import catching, mail_site
from relay.demo.people import DIRECTORY, VOLUNTEERS
from relay.domain.lives import WORKER
from relay.installing import install, write
from relay.store import directory, volunteers

HOST: Final = "127.0.0.1"
USUAL_PORTS: Final[Mapping[str, int]] = {"desk": 8080, "office": 8081, "mails": 8082, "smtp": 8025, "answers": 8024}
"""Ports for a demo that people look at; where one is taken, another."""
ANY_PORTS: Final[Mapping[str, int]] = dict.fromkeys(USUAL_PORTS, 0)
FREE_PORTS: Final = range(20000, 32000)
"""Below those that the system gives to outgoing connections, which could take one before a site listens on it."""
PASSWORDS: Final = "passwords.json"
MAILS: Final = "mails"


@dataclass(frozen=True, slots=True)
class Setting:
    """The running demo."""

    relay: Relay
    desk: str
    office: str
    mails: str
    """Addresses of the sites."""
    mail_folder: Path
    passwords: dict[str, str]


def _free(wanted: Mapping[str, int]) -> dict[str, int]:
    """The wanted ports, and any free one where one is taken."""
    # Each process looks in another place, so that demos that start together do not choose the same.
    first = os.getpid() * 16 % len(FREE_PORTS)
    others = iter([*FREE_PORTS[first:], *FREE_PORTS[:first]])
    return {name: _port(port, others) for name, port in wanted.items()}


def _port(wanted: int, others: Iterator[int]) -> int:
    for port in chain([wanted] if wanted else [], others):
        with suppress(OSError), socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind((HOST, port))
            return port
    raise PortTakenError("no port is free")


def _config(ports: dict[str, int]) -> str:
    return f"""\
[site]
name = "Demo relay"
desk_url = "http://{HOST}:{ports["desk"]}"
office_url = "http://{HOST}:{ports["office"]}"
return_address = ["A. N. Invented", "PO Box 99", "00000 Nowhere"]

[desk]
port = {ports["desk"]}

[office]
port = {ports["office"]}

[review]
undo_minutes = 0

[mail]
sender = "relay@demo.example"
port = {ports["smtp"]}

[incoming]
address = "letters@demo.example"
port = {ports["answers"]}
protocol = "smtp"
"""


def _installed(folder: Path, ports: dict[str, int]) -> Installation:
    """The demo's installation in a folder, made or taken up again, on these ports."""
    config = folder / CONFIG_NAME
    if not config.exists():
        return install(folder, _config(ports))
    write(config, _config(ports))
    return load(config)


async def _filled(relay_: Relay) -> dict[str, str]:
    """The invented people and the volunteers, with passwords that stay the same when the demo is taken up again."""
    kept = relay_.installation.folder / PASSWORDS
    if not kept.exists():
        made = {login: volunteers.new_password() for login in VOLUNTEERS}
        write(kept, json.dumps(made), mode=0o600)
    passwords: dict[str, str] = json.loads(kept.read_text("utf-8"))
    async with relay_.store.database.writing() as connection:
        await directory.save(connection, DIRECTORY, by=WORKER, at=relay_.store.database.clock())
        for login, password in passwords.items():
            if await volunteers.find(connection, login) is None:
                await volunteers.add(connection, login, volunteers.hash_password(password))
    return passwords


@asynccontextmanager
async def playing(folder: Path, wanted_ports: Mapping[str, int]) -> AsyncIterator[Setting]:
    """Run the demo in a folder until the end of the block."""
    ports = _free(wanted_ports)
    async with AsyncExitStack() as stack:
        relay_ = await stack.enter_async_context(opened(_installed(folder, ports), new=True))
        passwords = await _filled(relay_)
        mails = folder / MAILS
        await stack.enter_async_context(catching(mails, HOST, ports["smtp"]))
        await stack.enter_async_context(listening(mail_site(relay_, mails), HOST, ports["mails"]))
        await stack.enter_async_context(running(relay_, list(Role)))
        yield Setting(
            relay_,
            desk=relay_.settings.site.desk_url,
            office=relay_.settings.site.office_url,
            mails=f"http://{HOST}:{ports['mails']}",
            mail_folder=mails,
            passwords=passwords,
        )
