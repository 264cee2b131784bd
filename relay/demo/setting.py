"""The demo's installation: a folder with keys, invented people, volunteers, a mail catcher, and all sites."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.app import Relay, Role, listening, opened, running
from relay.config import CONFIG_NAME, Installation, load
from relay.demo.mailbox import catching, mail_site
from relay.demo.people import DIRECTORY, VOLUNTEERS
from relay.domain.lives import WORKER
from relay.installing import install, write
from relay.store import directory, volunteers

HOST: Final = "127.0.0.1"
USUAL_PORTS: Final = {"desk": 8080, "office": 8081, "mails": 8082, "smtp": 8025}
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


def _port(usual: int) -> int:
    """The usual port, or a free one where it is taken."""
    for port in (usual, 0):
        with closing(socket.socket()) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
            number: int = tried.getsockname()[1]
            return number
    raise OSError("there is no free port on this machine")


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

[mail]
sender = "relay@demo.example"
port = {ports["smtp"]}
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
async def playing(folder: Path) -> AsyncIterator[Setting]:
    """Run the demo in a folder until the end of the block."""
    ports = {name: _port(usual) for name, usual in USUAL_PORTS.items()}
    async with AsyncExitStack() as stack:
        relay_ = await stack.enter_async_context(opened(_installed(folder, ports)))
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
