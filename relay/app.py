"""Puts the parts of an installation together and serves its sites."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import resource
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from functools import cached_property
from typing import Final

from aiohttp import web

import censor_queue.screens
import relay.desk.screens
import relay.office.mails
import relay.office.overdue
import relay.office.screens
import scanner.screens
from censor_queue.ahead import keeping_ahead
from censor_queue.profiles import ProfileError, load_profiles
from censor_queue.review import REVIEW, Review
from censor_queue.screening import Screener
from print import screens as print_screens
from print.printing import PRINTING, Printing
from print.rendering import RenderingPool
from print.steps import Reprints
from relay.config import ConfigError, Installation, Settings
from relay.mail.receiving import taking_answers
from relay.sealing import PrivateKey, PublicKey
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.durations import Durations
from relay.store.schema import migrate
from relay.store.sealed import Store
from relay.web.keys import DESK, DURATIONS, LETTER_PAGES, OFFICE_KEY, PHOTOS, REPRINTING, SCREENING, SETTINGS, STORE
from relay.web.sessions import only_volunteers
from relay.web.site import new_site
from relay.worker import DRAIN_SECONDS, Job, desk_jobs, office_jobs, working
from scanner.photos import PhotoDecoder
from scanner.scan_mail import taking_mail
from scanner.screens.overview import FOLDER

OFFICE: Final = "office"
DESK_KEY: Final = "desk"


class PortTakenError(Exception):
    """A site cannot listen where the config says."""


class Role(StrEnum):
    """What a process does."""

    DESK = "desk"
    OFFICE = "office"
    WORKER = "worker"


class Relay:
    """An opened installation. The private keys are read when they are asked for: a desk has not the office's."""

    def __init__(self, installation: Installation) -> None:
        """Open rows and blobs. Raises ConfigError where the office's public key is missing."""
        self.installation: Final = installation
        self.settings: Final[Settings] = installation.settings
        office = _public(installation, OFFICE)
        self.store: Final = Store(Database(installation.database), Blobs(installation.blobs), office)

    def private_key(self, name: str) -> PrivateKey:
        """The private key of the office, which opens all that is stored, or of the desk, for its own mails.

        Raises ConfigError where it is not here or does not fit the public one.
        """
        return _private(self.installation, name)

    @property
    def office_key(self) -> PrivateKey:
        """What opens all that is stored. Raises ConfigError."""
        return self.private_key(OFFICE)

    @cached_property
    def screener(self) -> Screener:
        """What screens letters, with the profiles of this installation. Raises ConfigError."""
        try:
            return Screener(load_profiles(self.installation.profiles))
        except ProfileError as error:
            raise ConfigError(str(error)) from error

    @cached_property
    def durations(self) -> Durations:
        """How long letters take."""
        return Durations(self.store.database)

    def review(self, pages: RenderingPool) -> Review:
        """What the steps of the review stand on. Raises ConfigError."""
        settings = self.settings
        undo = datetime.timedelta(minutes=settings.review.undo_minutes)
        return Review(self.store, self.office_key, self.screener, pages, settings.site.return_address, undo)

    def printing(self, pages: RenderingPool) -> Printing:
        """What the steps of the printing stand on. Raises ConfigError."""
        return Printing(self.store, self.office_key, self.screener, pages, self.settings)

    async def close(self) -> None:
        """Close the database."""
        await self.store.database.close()


def _public(installation: Installation, name: str) -> PublicKey:
    path = installation.keys / f"{name}.pub"
    try:
        return PublicKey.load(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key {path} cannot be read ({error}). `relay init` makes keys.") from error


def _private(installation: Installation, name: str) -> PrivateKey:
    path = installation.keys / f"{name}.key"
    try:
        key = PrivateKey.load(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key {path} cannot be read ({error}).") from error
    if key.public.fingerprint != _public(installation, name).fingerprint:
        raise ConfigError(f"{path} and {name}.pub are not one pair: what is sealed to the one, the other cannot open")
    return key


@asynccontextmanager
async def opened(installation: Installation, *, new: bool = False) -> AsyncIterator[Relay]:
    """An installation with its schema brought up to date, closed at the end.

    Only with `new` a SQLite database is made. Raises ConfigError where there is none: a mistyped path must not look
    like an installation without letters.
    """
    relay_ = Relay(installation)
    if not new and relay_.store.database.file_missing:
        raise ConfigError(
            f"there is no database at {installation.database}. Where the installation was never finished, remove "
            f"{installation.config} and run `relay init` again; the keys are kept."
        )
    try:
        await migrate(relay_.store.database)
        yield relay_
    finally:
        await relay_.close()


def desk_site(relay_: Relay, pages: RenderingPool) -> web.Application:
    """The public site. It has no key that opens letters."""
    site = new_site(["relay.desk"])
    site[STORE], site[SETTINGS] = relay_.store, relay_.settings
    site[LETTER_PAGES], site[DESK] = pages, _public(relay_.installation, DESK_KEY)
    site[SCREENING], site[PHOTOS] = relay_.screener, PhotoDecoder()
    site[DURATIONS] = relay_.durations
    site.add_routes(relay.desk.screens.ROUTES)
    return site


def office_site(relay_: Relay, pages: RenderingPool) -> web.Application:
    """The volunteers' site."""
    site = new_site(["relay.office", "censor_queue", "print", "scanner"], only_volunteers, scripts=True)
    site[STORE], site[SETTINGS] = relay_.store, relay_.settings
    site[OFFICE_KEY], site[LETTER_PAGES], site[REVIEW] = relay_.office_key, pages, relay_.review(pages)
    site[PRINTING], site[SCREENING], site[REPRINTING] = relay_.printing(pages), relay_.screener, Reprints(relay_.store)
    site[DURATIONS] = relay_.durations
    if folder := relay_.installation.scan_folder:
        site[FOLDER] = folder
    site.cleanup_ctx.append(keeping_ahead)
    office = (relay.office.screens, relay.office.overdue, relay.office.mails)
    for screens in (*office, censor_queue.screens, print_screens, scanner.screens):
        site.add_routes(screens.ROUTES)
    return site


@asynccontextmanager
async def listening(site: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve a site until the end of the block; requests that run then are finished. No access log: paths are secret.

    Raises PortTakenError.
    """
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise PortTakenError(f"nothing can listen on {host}:{port}: {error.strerror}") from error
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _at(place: str, server: AbstractAsyncContextManager[int]) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            raise PortTakenError(f"nothing can listen on {place}: {error.strerror}") from error
        yield


@asynccontextmanager
async def running(relay_: Relay, roles: Collection[Role]) -> AsyncIterator[None]:
    """Run the sites and jobs of these roles until the end of the block, then drain."""
    settings, pages = relay_.settings, RenderingPool()
    jobs: list[Job] = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pages.close)
        if Role.DESK in roles:
            jobs += desk_jobs(relay_.store, relay_.installation, relay_.private_key(DESK_KEY))
            await stack.enter_async_context(listening(desk_site(relay_, pages), settings.desk.host, settings.desk.port))
            # Here, where nothing can open what comes in.
            place = f"{settings.incoming.host}:{settings.incoming.port}"
            await stack.enter_async_context(_at(place, taking_answers(relay_.store, settings.incoming)))
        if Role.OFFICE in roles:
            office = office_site(relay_, pages)
            await stack.enter_async_context(listening(office, settings.office.host, settings.office.port))
        if Role.WORKER in roles:
            jobs += office_jobs(relay_.store, relay_.installation, relay_.office_key, relay_.printing(pages))
            place = f"{settings.scan.mail_host}:{settings.scan.mail_port}"
            await stack.enter_async_context(_at(place, taking_mail(relay_.store, settings.scan)))
        await stack.enter_async_context(working(relay_.store, relay_.installation.runtime, jobs))
        yield


async def serve(installation: Installation, roles: Collection[Role]) -> None:
    """Run until SIGTERM or SIGINT."""
    # Keys in a core dump would lie on the disk; and each connection is an open file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with opened(installation) as relay_, running(relay_, roles):
        await stop.wait()
