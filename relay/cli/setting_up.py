"""`relay init` and `relay doctor`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import click

from print import printers
from print.fonts import MissingFontError, load_fonts
from relay import config, installing
from relay.app import Relay, opened
from relay.backup import making
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import say
from relay.mail.signing import load_signer
from relay.store import directory
from scanner.intake import sandbox_available
from scanner.tesseract import MissingToolError, probe


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make an installation in FOLDER: config, keys, database."""
    made = installing.install(folder)
    asyncio.run(_migrate(made))
    say(f"Made {made.config}. Edit it, then: relay --config {made.config} volunteer add NAME")
    say(f"{made.keys / 'office.key'} opens all letters. Without it nothing can be read any more: keep a copy offline.")


async def _migrate(made: config.Installation) -> None:
    async with opened(made, new=True):
        pass


@click.command()
def doctor() -> None:
    """Say what is missing and how to get it."""
    missing = False
    for name, check in (("tesseract", probe), ("fonts", load_fonts)):
        try:
            check()
            say(f"{name}: good")
        except (MissingToolError, MissingFontError) as error:
            missing = True
            say(f"{name}: {error}")
    if sandbox_available():
        say("sandbox: good")
    else:
        say(
            "sandbox: bubblewrap does not run here, so scans are decoded with limits on memory and time alone. "
            "Where the machine allows it: apt-get install bubblewrap"
        )
    try:
        with_relay(_doctor_installation)
        say("installation: good")
    except config.ConfigError as error:
        say(f"installation: {error}")
        sys.exit(Exit.TOOL_MISSING if missing else Exit.CONFIG)
    if missing:
        sys.exit(Exit.TOOL_MISSING)


async def _doctor_installation(relay_: Relay) -> None:
    _doctor_keys(relay_)
    await _doctor_profiles(relay_)
    await _doctor_printing(relay_)
    _doctor_scanning(relay_.installation)
    _doctor_mail(relay_.installation)
    _doctor_backups(relay_)


def _doctor_keys(relay_: Relay) -> None:
    """Check the pairs of keys that are here: a host with the desk alone has no key of the office."""
    for name in installing.KEYS:
        if (relay_.installation.keys / f"{name}.key").exists():
            relay_.private_key(name)
            say(f"key of the {name}: good")
        else:
            say(f"key of the {name}: not on this host")


async def _doctor_profiles(relay_: Relay) -> None:
    """Check the profiles of the review, and that the facilities are there that they name."""
    profiles = relay_.screener.profiles
    async with relay_.store.database.reading() as connection:
        known = {facility.slug for facility in await directory.all_facilities(connection)}
    for profile in profiles:
        if unknown := [slug for slug in profile.facilities if slug not in known]:
            say(f"profile {profile.name}: the directory has no facility {', '.join(unknown)}")
    say("profiles: good")


async def _doctor_printing(relay_: Relay) -> None:
    """Ask the printers how they are; one that is switched off tonight makes no installation bad."""
    site, of = relay_.settings.site, relay_.settings.print
    async with relay_.store.database.reading() as connection:
        homeless = [one.slug for one in await directory.all_facilities(connection) if not one.return_address]
    if homeless and not site.return_address:
        say(f"reply sheets: none to {', '.join(homeless)} says where to send it: [site] return_address is empty")
    for printer, status in zip(of.printers, await asyncio.gather(*map(printers.status, of.printers)), strict=True):
        wrong = [*([status.unfit] if status.unfit else []), *status.problems]
        say(f"printer {printer.name}: {' '.join(wrong) or 'good'}")


def _doctor_scanning(installation: config.Installation) -> None:
    """Check what the settings of the scanning name; without it pages still come, or are read by nobody."""
    folder = installation.scan_folder
    if folder is not None and not folder.is_dir():
        say(f"folder of scans: {folder} is not there")
    if installation.settings.scan.engine == "kraken":
        if shutil.which("kraken") is None:
            say("kraken: not found; it has an environment of its own: pipx install kraken")
        if not installation.scan_model.is_file():
            say(f"kraken: its model {installation.scan_model} is not there")


def _doctor_backups(relay_: Relay) -> None:
    """Say how old the newest backup in the installation's own folder is, where there is such a folder."""
    folder = relay_.installation.folder / making.FOLDER
    at = making.newest(folder, relay_.store.office)
    if at is not None:
        hours = (relay_.store.database.clock() - at).total_seconds() / 3600
        say(f"backup: the newest in {folder} is {hours:.0f} hours old")
    elif folder.is_dir():
        say(f"backup: none in {folder}")


def _doctor_mail(installation: config.Installation) -> None:
    """Say what the signature of outgoing mails needs, and where answers go."""
    signer = load_signer(installation)
    if signer is None:
        say("mail: not signed here (DKIM); where your mail server does not sign either, large providers refuse mails")
    else:
        say(f"mail: signed; the DNS has to have {signer.name} TXT {signer.record}")
