"""Sends what waits in the outbox. One bad address never holds up another mail.

Several mails are on their way at a time, over connections that stay open. What came of them is noted together with the
claim of the next ones, in one transaction; a mail that hangs delays no other. How that is weighed stands in
docs/decisions/mail-out.md.
"""

from __future__ import annotations

import asyncio
import datetime
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiosmtplib
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Settings
from relay.domain.lives import MailKind, MailState
from relay.mail.connections import ANSWER_SECONDS, Connections, NoMoreConnectionsError, ServerAwayError
from relay.mail.outbox import finish, finish_sent, put_off
from relay.mail.outgoing import Composer, DestroyedError, Opened, Row, SuppressedError
from relay.mail.pace import Pace
from relay.mail.signing import Signer
from relay.mail.suppression import SUPPRESSED
from relay.sealing import PrivateKey
from relay.store import leases
from relay.store.sealed import Store
from relay.store.tables import outbox

LOG: Final = structlog.get_logger()
HELD: Final = 50
"""Mails that are claimed at a time; a fifth of them are mails that failed before, where there are such."""
FAILED_HELD: Final = 10
PATIENCE: Final = 1.0
"""Seconds that the server may take for a mail while others wait, where it is no slower as a rule; see `_patience`."""
UPLOAD: Final = 100_000
"""Bytes for which it may take a second more."""
TICK: Final = 0.2
"""Seconds between two looks at what is on its way."""
FIRST_PAUSE: Final = datetime.timedelta(seconds=30)
LONGEST_PAUSE: Final = datetime.timedelta(minutes=15)
"""Between two looks whether the server is back."""

SECONDS: Final = ANSWER_SECONDS
"""How long one mail may take as a whole; less than a lease, so that nobody else begins to send it meanwhile."""

ABOUT_THE_MAILBOX: Final = range(550, 554)
"""Refusals that another try does not change (RFC 5321, section 4.2.3): no such mailbox, moved, full, not allowed."""
POLICY: Final = "5.7."
"""Stands in refusals (RFC 3463) that are about us: relaying denied, log in first. That is put right on our side."""


@dataclass(eq=False)
class _OnItsWay:
    """A mail that is being sent."""

    mail: Opened
    bytes: int = 0
    since: float = math.inf
    """When the server got to it."""
    limit: asyncio.Timeout | None = None

    def begin(self) -> None:
        """Note that the server gets to it now."""
        self.since = asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Ended:
    row: Row
    state: MailState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Failed:
    row: Row
    error: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class _PutOff:
    row: Row
    until: datetime.datetime | None
    error: str | None = None


_Outcome = _Ended | _Failed | _PutOff


class Sender:
    """Sends the mails of one key: the desk's confirmations, or all others, which the office composes."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        owner: str,
        key: PrivateKey,
        *,
        desk: bool,
        signer: Signer | None = None,
    ) -> None:
        """Take the desk's private key with `desk`, else the office's."""
        self._store, self._mail, self._owner, self._desk = store, settings.mail, owner, desk
        self._composer = Composer(store, settings, key, signer, desk=desk)
        self._connections = Connections(settings.mail)
        self._pace = Pace(settings.mail.per_domain_per_minute)
        self._room = settings.mail.connections
        self._parked: list[Opened] = []
        self._on_its_way: dict[asyncio.Task[None], _OnItsWay] = {}
        self._outcomes: list[_Outcome] = []
        self._typical = 0.0
        self._tails: dict[str, datetime.datetime] = {}
        self._pause = FIRST_PAUSE
        self._away_until: datetime.datetime | None = None
        self._noting: asyncio.Task[int] | None = None

    async def send_next(self) -> int:
        """Send mails until something came of one. How many that were; 0 where none is due and none is on its way."""
        try:
            while True:
                if self._noting is None:
                    self._noting = asyncio.create_task(self._note_and_claim())
                await self._start()
                self._leave_the_slow()
                await asyncio.wait([self._noting, *self._on_its_way], timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                if not self._noting.done():
                    continue
                tried = await self._noted()
                await self._start()
                if tried:
                    return tried
                if self._on_its_way:
                    await asyncio.wait(self._on_its_way, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                elif not self._parked and not self._outcomes:
                    await self._connections.close()
                    self._room = self._mail.connections
                    return 0
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def _noted(self) -> int:
        assert self._noting is not None
        noting, self._noting = self._noting, None
        return await noting

    async def drain(self) -> None:
        """Send nothing more, and note what comes of what is on its way."""
        try:
            if self._noting is not None:
                await self._noted()
            self._give_back(self._parked)
            self._parked = []
            if self._on_its_way:
                await asyncio.wait(self._on_its_way)
            await self._note_and_claim(claiming=False)
            await self._connections.close()
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def _abandon(self) -> None:
        tasks = [*self._on_its_way, *([self._noting] if self._noting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._noting = None

    # what is due

    async def _note_and_claim(self, *, claiming: bool = True) -> int:
        """Note what came of mails, and claim others, in one transaction. How many were tried."""
        now = self._store.database.clock()
        away = self._away_until is not None and now < self._away_until
        room = HELD - len(self._parked) - len(self._on_its_way)
        claiming = claiming and not away and room > 0
        noted = tuple(self._outcomes)
        if not noted and not claiming:
            return 0
        async with self._store.database.writing() as connection:
            await self._note(connection, noted, now)
            rows = await self._claim(connection, room, now) if claiming else []
        del self._outcomes[: len(noted)]
        if self._desk and any(not isinstance(outcome, _PutOff) for outcome in noted):
            await self._store.database.forget()
        if rows:
            await self._take(rows, now)
        return sum(not isinstance(outcome, _PutOff) for outcome in noted)

    async def _claim(self, connection: AsyncConnection, room: int, now: datetime.datetime) -> list[Row]:
        """Fresh mails first. What was in hand when a process died comes last and alone: it may be what killed it."""
        holding = [*(mail.row for mail in self._parked), *(one.mail.row for one in self._on_its_way.values())]
        if any(row.last_error == leases.DIED for row in holding):
            return []
        died = sa.func.coalesce(outbox.c.last_error, "") == leases.DIED
        failed = sum(row.attempts > 0 for row in holding)
        rows = [
            *await self._due(connection, room - FAILED_HELD, now, outbox.c.created_at, outbox.c.attempts == 0),
            *await self._due(connection, FAILED_HELD - failed, now, outbox.c.attempts, outbox.c.attempts > 0, ~died),
        ]
        if rows or holding:
            return rows
        return [*await self._due(connection, 1, now, outbox.c.attempts, died)]

    async def _due(
        self,
        connection: AsyncConnection,
        limit: int,
        now: datetime.datetime,
        order_by: sa.ColumnElement[object],
        *where: sa.ColumnElement[bool],
    ) -> Sequence[Row]:
        if limit <= 0:
            return []
        ours = outbox.c.kind == MailKind.CONFIRM if self._desk else outbox.c.kind != MailKind.CONFIRM
        waiting = outbox.c.state == MailState.WAITING
        return await leases.claim(
            connection, outbox, waiting, ours, *where, owner=self._owner, now=now, order_by=order_by, limit=limit
        )

    async def _take(self, rows: Sequence[Row], now: datetime.datetime) -> None:
        """Open claimed mails, and park those whose turn it is."""
        exhausted = [row for row in rows if row.attempts >= self._mail.attempts]
        # The last tries killed their workers, who could not give it up any more.
        self._outcomes += [_Ended(row, MailState.GAVE_UP, row.last_error) for row in exhausted]
        rest = sorted((row for row in rows if row.attempts < self._mail.attempts), key=lambda row: row.created_at)
        for row, opened in await self._composer.open(rest):
            if isinstance(opened, Exception):
                self._outcomes.append(self._outcome(row, opened))
                continue
            turn = self._pace.turn(row.id, opened.domain, now)
            if turn > now:
                self._outcomes.append(_PutOff(row, turn))
            else:
                self._parked.append(opened)

    # what is on its way

    async def _start(self) -> None:
        """Start what there is room for, unless it was dropped meanwhile."""
        chosen = self._startable()
        if chosen:
            ours = (outbox.c.state == MailState.WAITING, outbox.c.lease_owner == self._owner)
            query = sa.select(outbox.c.id).where(outbox.c.id.in_(chosen), *ours)
            async with self._store.database.reading() as connection:
                needed = set((await connection.execute(query)).scalars())
            for mail in [mail for mail in self._parked if mail.row.id in chosen]:
                self._parked.remove(mail)
                if mail.row.id in needed:
                    one = _OnItsWay(mail)
                    self._on_its_way[asyncio.create_task(self._send(one))] = one
        if len(self._parked) + len(self._on_its_way) >= HELD - FAILED_HELD and len(self._on_its_way) < self._room:
            self._put_off_the_crowded()

    def _startable(self) -> set[str]:
        """The ids of the parked mails for which there is room; no domain takes all of it."""
        self._parked.sort(key=lambda mail: (mail.row.attempts > 0, mail.row.created_at))
        flying = [one.mail for one in self._on_its_way.values()]
        busy = Counter(mail.domain for mail in flying)
        end = self._store.database.clock() + datetime.timedelta(seconds=SECONDS)
        chosen: list[Opened] = []
        for mail in list(self._parked):
            if len(flying) >= self._room:
                break
            again = mail.row.attempts > 0 and sum(one.row.attempts > 0 for one in flying) >= self._half
            # Who gets several gets them in their order.
            if (
                busy[mail.domain] >= self._mail.per_domain
                or again
                or any(one.address == mail.address for one in flying)
            ):
                continue
            if mail.row.lease_until < end:  # somebody else might begin to send it before we end
                self._parked.remove(mail)
                self._give_back([mail])
                continue
            busy[mail.domain] += 1
            flying.append(mail)
            chosen.append(mail)
        return {mail.row.id for mail in chosen}

    def _put_off_the_crowded(self) -> None:
        """Let the mails of domains that are busy come back later, about when it will be their turn."""
        now = self._store.database.clock()
        apart = datetime.timedelta(seconds=max(self._typical, 0.05) / self._mail.per_domain)
        kept: Counter[str] = Counter()
        left: list[Opened] = []
        for mail in self._parked:
            kept[mail.domain] += 1
            if kept[mail.domain] <= self._mail.per_domain:
                left.append(mail)
            else:
                self._tails[mail.domain] = max(self._tails.get(mail.domain, now), now) + apart
                self._outcomes.append(_PutOff(mail.row, self._tails[mail.domain]))
        self._parked = left
        self._tails = {domain: tail for domain, tail in self._tails.items() if tail > now}

    async def _send(self, one: _OnItsWay) -> None:
        loop, row = asyncio.get_running_loop(), one.mail.row
        try:
            async with asyncio.timeout(SECONDS) as one.limit:
                outgoing = await self._composer.write(one.mail)
                one.bytes = len(outgoing.data)
                await self._connections.send(outgoing, one.begin)
        except ServerAwayError as error:
            self._ends()
            self._server_is_away(str(error), one.mail)
        except NoMoreConnectionsError:
            self._ends()
            self._room = max(1, len(self._on_its_way))
            self._parked.insert(0, one.mail)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one mail, the others go on
            self._ends(self._outcome(row, error))
        else:
            self._typical += (loop.time() - one.since - self._typical) / 8
            self._away_until, self._pause = None, FIRST_PAUSE
            self._ends(_Ended(row, MailState.SENT))

    def _ends(self, outcome: _Outcome | None = None) -> None:
        """The task that calls this is done with its mail."""
        task = asyncio.current_task()
        assert task is not None
        del self._on_its_way[task]
        if outcome is not None:
            self._outcomes.append(outcome)

    @property
    def _half(self) -> int:
        return max(1, self._room // 2)

    def _leave_the_slow(self) -> None:
        """Where others wait for a place, mails that hang keep no more than a quarter of the places."""
        if not self._parked or len(self._on_its_way) < self._room:
            return
        now = asyncio.get_running_loop().time()
        flying = sorted(self._on_its_way.values(), key=lambda one: one.since)
        hanging = [one.limit for one in flying if one.limit and now - one.since > self._patience(one)]
        for limit in hanging[: max(0, len(hanging) - self._room // 4)]:
            if not limit.expired():
                limit.reschedule(now)

    def _patience(self, one: _OnItsWay) -> float:
        """Seconds after which a mail hangs; twice as many at each further try."""
        usual: float = max(PATIENCE, 4 * self._typical) * 2**one.mail.row.attempts
        return usual + one.bytes / UPLOAD

    def _server_is_away(self, error: str, mail: Opened) -> None:
        """Wait before the next look at the server. None of the mails has failed by that."""
        now = self._store.database.clock()
        if self._away_until is None or now >= self._away_until:
            LOG.warning("mail_server_away", error=error)
            self._away_until = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._outcomes += [_PutOff(one.row, self._away_until, error) for one in (mail, *self._parked)]
        self._parked = []

    def _give_back(self, mails: Sequence[Opened]) -> None:
        self._outcomes += [_PutOff(mail.row, mail.row.next_try_at) for mail in mails]

    # what comes of it

    def _outcome(self, row: Row, error: Exception) -> _Outcome:
        if isinstance(error, DestroyedError):
            return _Ended(row, MailState.DROPPED)
        if isinstance(error, SuppressedError):
            return _Ended(row, MailState.DROPPED, SUPPRESSED)
        code, words = _answer(error)
        # The server's own words may quote the address, so only the kind and the code are kept.
        told = f"{type(error).__name__} {code or ''}".strip()
        LOG.warning("mail_failed", mail=row.id, error=told)
        return _Failed(row, told, final=code in ABOUT_THE_MAILBOX and POLICY not in words)

    async def _note(self, connection: AsyncConnection, outcomes: Sequence[_Outcome], now: datetime.datetime) -> None:
        sent = [one.row.id for one in outcomes if isinstance(one, _Ended) and one.state is MailState.SENT]
        if sent:
            await finish_sent(connection, sent, now)
        for outcome in outcomes:
            match outcome:
                case _Ended(row, state, error) if state is not MailState.SENT:
                    await finish(connection, row.id, state, now, error)
                case _Failed(row, error, final):
                    attempts = 1 if final else self._mail.attempts
                    if await leases.fail(
                        connection, outbox, row.id, owner=self._owner, error=error, now=now, attempts=attempts
                    ):
                        await finish(connection, row.id, MailState.GAVE_UP, now, error)
                case _PutOff(row, until, error):
                    await put_off(connection, [row.id], until, owner=self._owner, error=error)


class Mailing:
    """The job of a worker that sends mails."""

    def __init__(self, store: Store, settings: Settings, key: PrivateKey, signer: Signer | None, *, desk: bool) -> None:
        """Take what a `Sender` needs, but for the owner."""
        self._made = (store, settings, key, signer, desk)
        self._sender: Sender | None = None

    async def __call__(self, owner: str) -> int:
        """Send what is due."""
        if self._sender is None:
            store, settings, key, signer, desk = self._made
            self._sender = Sender(store, settings, owner, key, desk=desk, signer=signer)
        return await self._sender.send_next()

    async def drain(self) -> None:
        """Begin nothing more, and wait for what is on its way."""
        if self._sender is not None:
            await self._sender.drain()


def _answer(error: Exception) -> tuple[int | None, str]:
    """The status and the words with which the server refused this mail; None where it refused us, or never answered."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return max(((recipient.code, recipient.message) for recipient in error.recipients), default=(None, ""))
    return (error.code, error.message) if isinstance(error, aiosmtplib.SMTPDataError) else (None, "")
