"""Reviewers as processes of their own: `python -m tests.censor_queue.process`, the task as JSON on standard input.

This process opens no connection and runs no event loop. It loads what reviewers need and forks them, so that fifty cost
little more than one. What they do comes to it through a pipe, in lines so short that they are written whole or not at
all; the sum goes to standard output as JSON.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from censor_queue import claims, decisions
from censor_queue.claims import LetterToReview
from censor_queue.review import Review
from print.rendering import RenderingPool
from relay.domain.lives import READING, LetterState, Record
from relay.domain.reasons import ReviewReason
from relay.sealing import PrivateKey
from relay.store import tables
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.sealed import Store
from tests.fakes.screening import FakeScreening

SKIPS: Final = 0.02
"""How often it ends with a skip; otherwise the reviewer gives everything back."""
AHEAD: Final = 0.5
"""How often a reviewer has one more letter made ready."""
MOMENT: Final = 0.01
"""Seconds within which each of the steps of a reviewer comes to its turn."""
PAUSE: Final = 0.005
"""Seconds until a reviewer who found nothing looks again."""


@dataclass(frozen=True)
class Task:
    """What the processes have to do."""

    work: str
    """The name of one of WORK."""
    url: str
    seed: str
    """Of the office's key, in hexadecimal."""
    folder: str
    """An empty folder, in which reviewers mark what they hold."""
    volunteers: list[str]
    """One for each process."""
    claims: int = 0
    """How many claims are enough."""
    decides: float = 0.5
    """How often what was claimed is decided."""
    opens: bool = True
    """Whether what was claimed is opened and looked at; who gets what is settled before that."""
    kills: float = 0
    """How many processes are killed for each claim, at random moments, and replaced."""
    durable: bool = True
    """Whether each step waits for the disk. A killed process loses nothing either way."""


@dataclass
class Done:
    """What the processes did."""

    claimed: list[str] = field(default_factory=list)
    """Letters, once for each claim."""
    doubles: list[str] = field(default_factory=list)
    """Letters that somebody got while somebody else held them."""
    decided: list[tuple[str, str]] = field(default_factory=list)
    """Letters and volunteers of the decisions of which a process heard that they are stored."""
    failed: dict[str, int] = field(default_factory=dict)
    """Errors that no reviewer should see, by kind."""
    kills: int = 0
    seconds: float = 0


class Marks:
    """Who holds what, by links in a folder: the file system lets only one make each, and knows nothing of leases."""

    def __init__(self, folder: Path, volunteer_id: str) -> None:
        """Find what this volunteer held before the last process was killed."""
        self.volunteer = volunteer_id
        self._folder = folder
        self._mine = {link.name for link in folder.iterdir() if self._holder(link) == volunteer_id}

    def take(self, letter_id: str) -> bool:
        """Mark a letter as held; false where somebody else holds it."""
        link = self._folder / letter_id
        try:
            link.symlink_to(self.volunteer)
        except FileExistsError:
            return self._holder(link) == self.volunteer
        self._mine.add(letter_id)
        return True

    def drop(self, letter_id: str | None = None) -> None:
        """Take a mark away, or all; to be done before the letter is given back."""
        for one in list(self._mine) if letter_id is None else [letter_id]:
            (self._folder / one).unlink(missing_ok=True)
            self._mine.discard(one)

    @staticmethod
    def _holder(link: Path) -> str | None:
        try:
            return str(link.readlink())
        except FileNotFoundError:
            return None


def hurry(database: Database) -> None:
    """Do not wait for the disk. A step that was done then outlives the death of its process, but no power cut."""
    engine = database._writer.sync_engine
    if engine.dialect.name == "sqlite":  # the server of the tests does not wait anyway

        @sa.event.listens_for(engine, "connect")
        def connected(connection: Any, record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.close()


def review_of(task: Task) -> Review:
    """The review of a process."""
    key = PrivateKey(bytes.fromhex(task.seed))
    database = Database(task.url)
    if not task.durable:
        hurry(database)
    store = Store(database, Blobs(task.folder), key.public)
    return Review(store, key, FakeScreening(), RenderingPool(), (), datetime.timedelta(minutes=10))


@dataclass(frozen=True)
class Reviewer:
    """One of those who work, and what belongs to it."""

    task: Task
    review: Review
    marks: Marks
    tell: Callable[[str], None]

    async def claim(self, *, ahead: bool) -> LetterToReview | sa.Row[Any] | None:
        """Claim a letter, and say so."""
        letter: LetterToReview | sa.Row[Any] | None
        if not self.task.opens:
            letter = await claims._lease(self.review, self.marks.volunteer, READING, ahead=ahead)
        elif ahead:
            letter = await claims.claim_ahead(self.review, self.marks.volunteer)
        else:
            letter = await claims.claim_next(self.review, self.marks.volunteer)
        if letter is not None:
            self.got(letter.id)
        return letter

    def got(self, letter_id: str) -> None:
        """Say that a letter was claimed, and whether nobody else holds it."""
        self.tell(f"claimed {letter_id}" if self.marks.take(letter_id) else f"doubles {letter_id}")


async def hold(reviewer: Reviewer) -> None:
    """Claim one letter, and one ahead, and keep them."""
    for ahead in (False, True):
        await reviewer.claim(ahead=ahead)


async def work(reviewer: Reviewer) -> None:
    """Claim and decide for ever; or give everything back, and then others get what was just held."""
    review, marks, decides = reviewer.review, reviewer.marks, reviewer.task.decides
    while True:
        letter = await reviewer.claim(ahead=False)
        if letter is None:
            await asyncio.sleep(PAUSE)
            continue
        if random.random() < AHEAD:
            await reviewer.claim(ahead=True)
        chance = random.random()
        if chance < decides:
            marks.drop(letter.id)
            await random.choice(STEPS[letter.state])(review, letter.id, marks.volunteer)
            reviewer.tell(f"decided {letter.id}")
        elif chance < decides + SKIPS:
            marks.drop(letter.id)
            await claims.skip(review, letter.id, marks.volunteer)
        else:
            marks.drop()
            await claims.stop(review, marks.volunteer)


async def select_then_update(reviewer: Reviewer) -> None:
    """Claim as one must not: look for a free letter in one transaction and take it in the next."""
    letters, review, marks = tables.letters, reviewer.review, reviewer.marks
    free = (letters.c.state == LetterState.QUEUED, letters.c.lease_owner.is_(None))
    while True:
        async with review.store.database.reading() as connection:
            oldest = sa.select(letters.c.id).where(*free).order_by(letters.c.due_at).limit(1)
            letter_id = (await connection.execute(oldest)).scalar_one_or_none()
        if letter_id is None:
            continue
        async with review.store.database.writing() as connection:
            take = sa.update(letters).where(letters.c.id == letter_id)
            await connection.execute(take.values(lease_owner=marks.volunteer))
        reviewer.got(letter_id)
        await asyncio.sleep(PAUSE)
        marks.drop(letter_id)
        async with review.store.database.writing() as connection:
            await connection.execute(take.values(lease_owner=None))


Step = Callable[[Review, str, str], Awaitable[None]]
_FINAL: Final[list[Step]] = [
    decisions.approve,
    partial(decisions.refuse, reason=ReviewReason.SPAM, note="A note"),
    partial(decisions.ask_for_changes, reason=ReviewReason.TOO_LONG),
]
STEPS: Final[dict[str, list[Step]]] = {
    LetterState.QUEUED: [*_FINAL, decisions.second_reader],
    LetterState.SECOND_READING: _FINAL,
}
WORK: Final = {"hold": hold, "work": work, "select_then_update": select_then_update}


class Crew:
    """The processes, and the pipe through which they tell what they do."""

    def __init__(self, task: Task) -> None:
        """Begin with nobody."""
        self._task = task
        self._done = Done()
        self._told: Counter[str] = Counter()
        self._pids: dict[int, str] = {}
        self._from, self._to = os.pipe()
        self._gate, self._key = os.pipe()
        self._rest = b""

    def run(self) -> Done:
        """Let all begin at once, kill and replace some, and end when they claimed enough or ended by themselves."""
        review_of(self._task)  # loads what would be loaded in each process
        gc.freeze()  # or each process would look through all that it inherits
        for volunteer_id in self._task.volunteers:
            self._fork(volunteer_id)
        while self._told["ready"] < len(self._task.volunteers):
            self._listen(1)
        begun = time.monotonic()
        os.close(self._key)
        while not self._enough():
            self._listen(1)
            while self._done.kills < len(self._done.claimed) * self._task.kills:
                time.sleep(random.random() * MOMENT)
                self._replace(random.choice(list(self._pids)))
        self._done.seconds = time.monotonic() - begun
        for pid in list(self._pids):
            self._kill(pid)
        self._listen(0)
        return self._done

    def _enough(self) -> bool:
        over = self._told["ended"] + sum(self._done.failed.values()) >= len(self._task.volunteers)
        return over or 0 < self._task.claims <= len(self._done.claimed)

    def _replace(self, pid: int) -> None:
        volunteer_id = self._kill(pid)
        self._done.kills += 1
        self._fork(volunteer_id)

    def _kill(self, pid: int) -> str:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return self._pids.pop(pid)

    def _fork(self, volunteer_id: str) -> None:
        pid = os.fork()
        if pid:
            self._pids[pid] = volunteer_id
            return
        try:
            if not self._told["ready"]:
                os.close(self._key)
            random.seed()
            asyncio.run(self._be(volunteer_id))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            self._tell(volunteer_id, f"failed {type(error).__name__}")
        os._exit(0)

    def _tell(self, volunteer_id: str, what: str) -> None:
        os.write(self._to, f"{volunteer_id} {what}\n".encode())

    async def _be(self, volunteer_id: str) -> None:
        review = review_of(self._task)
        async with review.store.database.writing() as connection:
            await connection.execute(sa.select(1))
        self._tell(volunteer_id, "ready -")
        os.read(self._gate, 1)  # until the parent, the last who has the key, throws it away
        marks = Marks(Path(self._task.folder), volunteer_id)
        await WORK[self._task.work](Reviewer(self._task, review, marks, partial(self._tell, volunteer_id)))
        await review.store.database.close()
        self._tell(volunteer_id, "ended -")

    def _listen(self, seconds: float) -> None:
        """Take in what was told; wait at most so long for the first of it."""
        while select.select([self._from], [], [], seconds)[0]:
            *lines, self._rest = (self._rest + os.read(self._from, 1 << 16)).split(b"\n")
            for line in lines:
                self._take_in(*line.decode().split())
            seconds = 0

    def _take_in(self, volunteer_id: str, what: str, about: str) -> None:
        self._told[what] += 1
        match what:
            case "claimed":
                self._done.claimed.append(about)
            case "doubles":
                self._done.doubles.append(about)
            case "decided":
                self._done.decided.append((about, volunteer_id))
            case "failed":
                self._done.failed[about] = self._done.failed.get(about, 0) + 1


async def run(task: Task) -> Done:
    """Have a process of its own do a task."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(json.dumps(asdict(task)).encode())
    assert process.returncode == 0
    done = json.loads(out)
    return Done(**done | {"decided": [tuple(each) for each in done["decided"]]})


@dataclass(frozen=True)
class Balance:
    """What the database says about the work of processes that were killed."""

    decided_twice: int
    """Letters that were decided twice from the same state."""
    lost: int
    """Decisions that a process reported and that are not there, with their events."""
    unheard: int
    """Decisions that are there, and whose process was killed before it could report them."""


async def balance(store: Store, done: Done) -> Balance:
    """Compare what processes reported with what is there."""
    decisions_, events, letters = tables.decisions, tables.events, tables.letters
    async with store.database.reading() as connection:
        stored = await connection.execute(
            sa.select(
                decisions_.c.letter_id, decisions_.c.volunteer_id, decisions_.c.source, decisions_.c.target
            ).where(decisions_.c.target.is_not(None))
        )
        made = [tuple(row) for row in stored]
        happened = await connection.execute(
            sa.select(events.c.record_id, events.c.actor, events.c.source, events.c.target).where(
                events.c.record == Record.LETTER, events.c.actor.like("volunteer:%")
            )
        )
        moved = {(row[0], row[1].removeprefix("volunteer:"), row[2], row[3]) for row in happened}
        now = await connection.execute(sa.select(letters.c.id, letters.c.state))
        states = {row.id: row.state for row in now}
    ends = {letter: target for letter, _, source, target in made if target != LetterState.SECOND_READING}
    with_event = Counter(
        (letter, volunteer)
        for letter, volunteer, source, target in made
        if (letter, volunteer, source, target) in moved and states[letter] == ends.get(letter, target)
    )
    reported = Counter(done.decided)
    return Balance(
        decided_twice=sum(many - 1 for many in Counter((row[0], row[2]) for row in made).values()),
        lost=sum((reported - with_event).values()),
        unheard=sum((with_event - reported).values()),
    )


def main() -> None:
    """Do the task on standard input."""
    json.dump(asdict(Crew(Task(**json.load(sys.stdin))).run()), sys.stdout)


if __name__ == "__main__":
    main()
