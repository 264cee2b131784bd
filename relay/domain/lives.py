"""The lives of letters, batches, scans, pages and replies: states, allowed transitions, who may make them, and what
the sender is told.

`relay.store.transitions.move` is the only place that applies them. What this table lacks cannot happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class Record(StrEnum):
    """What has a life of its own."""

    LETTER = "letter"
    BATCH = "batch"
    SCAN = "scan"
    PAGE = "page"
    REPLY = "reply"


class LetterState(StrEnum):
    """Where a letter is."""

    UNCONFIRMED = "unconfirmed"
    TRANSLATING = "translating"
    QUEUED = "queued"
    SECOND_READING = "second_reading"
    CHANGES_REQUESTED = "changes_requested"
    REFUSED = "refused"
    APPROVED = "approved"
    PRINTED = "printed"
    POSTED = "posted"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"
    HELD = "held"
    RETURNED = "returned"
    EXPIRED = "expired"
    BEGUN = "begun"
    """Not a letter: where a conversation begins with a letter from inside, this stands in the place of one."""
    ERASED = "erased"


class BatchState(StrEnum):
    """Where a batch is."""

    OPEN = "open"
    RENDERED = "rendered"
    PRINTED = "printed"
    POSTED = "posted"


class ScanState(StrEnum):
    """Where a received file is."""

    RECEIVED = "received"
    SPLIT = "split"
    REJECTED = "rejected"


class PageState(StrEnum):
    """Where one page of a scan is."""

    WAITING = "waiting"
    PLACED = "placed"
    UNMATCHED = "unmatched"
    HELD = "held"
    VOID = "void"


class ReplyState(StrEnum):
    """Where a reply is. Released means: in the sender's inbox."""

    OPEN = "open"
    CHECKED = "checked"
    RELEASED = "released"
    HELD = "held"
    VOID = "void"
    ERASED = "erased"


State = LetterState | BatchState | ScanState | PageState | ReplyState


class Who(StrEnum):
    """The kinds of actors."""

    SENDER = "sender"
    VOLUNTEER = "volunteer"
    WORKER = "worker"


class MailKind(StrEnum):
    """The mails that a sender gets."""

    CONFIRM = "confirm"
    QUEUED = "queued"
    CHANGES = "changes"
    REFUSED = "refused"
    PARTLY = "partly"
    """Accepted without a photo, or with words covered."""
    POSTED = "posted"
    RETURNED = "returned"
    REPLY = "reply"
    OVERDUE = "overdue"
    TAKEN = "taken"
    """What the sender answered by mail was taken as a letter."""
    NOT_TAKEN = "not_taken"
    BEGUN = "begun"
    """Somebody in prison has written to them first."""
    LINK_OFFER = "link_offer"
    """Asks whether the lost link shall be replaced."""
    LINK = "link"


ANSWERS: Final = frozenset({MailKind.TAKEN, MailKind.NOT_TAKEN, MailKind.LINK_OFFER, MailKind.LINK})
"""Mails that answer what the sender has just done; who wants nothing by mail gets them too."""


class MailState(StrEnum):
    """Where a mail in the outbox is. Dropped means: it was not needed any more."""

    WAITING = "waiting"
    SENT = "sent"
    GAVE_UP = "gave_up"
    DROPPED = "dropped"
    BOUNCED = "bounced"
    """It was sent and came back for good."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something; `id` names the volunteer."""

    who: Who
    id: str = ""

    def __str__(self) -> str:
        """As it stands in the events: ``volunteer:anna`` or ``worker``."""
        return f"{self.who}:{self.id}" if self.id else str(self.who)


SENDER: Final = Actor(Who.SENDER)
WORKER: Final = Actor(Who.WORKER)


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step. `source` is None where the record comes into being; `mail` goes to the sender with it."""

    record: Record
    source: State | None
    target: State
    by: frozenset[Who]
    mail: MailKind | None = None


def _table() -> dict[tuple[Record, State | None, State], Transition]:
    sender, volunteer, worker = (frozenset({who}) for who in (Who.SENDER, Who.VOLUNTEER, Who.WORKER))
    letter, batch, scan, page, reply = LetterState, BatchState, ScanState, PageState, ReplyState
    rows: list[tuple[Record, State | None, State, frozenset[Who], MailKind | None]] = [
        (Record.LETTER, None, letter.UNCONFIRMED, sender, None),
        (Record.LETTER, letter.UNCONFIRMED, letter.QUEUED, sender, MailKind.QUEUED),
        (Record.LETTER, letter.UNCONFIRMED, letter.EXPIRED, worker, None),
        (Record.LETTER, letter.QUEUED, letter.TRANSLATING, volunteer | worker, None),
        (Record.LETTER, letter.TRANSLATING, letter.QUEUED, volunteer, None),
        (Record.LETTER, letter.QUEUED, letter.SECOND_READING, volunteer, None),
        *((Record.LETTER, state, letter.APPROVED, volunteer, None) for state in READING),
        # The relay itself refuses what a blocked sender wrote.
        *((Record.LETTER, state, letter.REFUSED, volunteer | worker, MailKind.REFUSED) for state in REVIEWED),
        # The relay itself asks for changes where what came by mail cannot be printed.
        *((Record.LETTER, state, letter.CHANGES_REQUESTED, volunteer | worker, MailKind.CHANGES) for state in REVIEWED),
        (Record.LETTER, letter.CHANGES_REQUESTED, letter.QUEUED, sender | volunteer, None),
        # A decision is undone within a few minutes; what was read for one facility is read again for another.
        (Record.LETTER, letter.REFUSED, letter.QUEUED, volunteer, None),
        *(
            (Record.LETTER, state, letter.QUEUED, volunteer | worker, None)
            for state in (letter.APPROVED, letter.SECOND_READING)
        ),
        *((Record.LETTER, state, letter.SECOND_READING, volunteer, None) for state in DECIDED),
        *((Record.LETTER, state, letter.TRANSLATING, volunteer, None) for state in DECIDED),
        *((Record.LETTER, state, letter.HELD, volunteer | worker, None) for state in (*REVIEWED, letter.APPROVED)),
        (Record.LETTER, letter.HELD, letter.QUEUED, volunteer | worker, None),
        (Record.LETTER, letter.APPROVED, letter.PRINTED, volunteer, None),
        (Record.LETTER, letter.PRINTED, letter.POSTED, volunteer, MailKind.POSTED),
        # By an answer, or by a hand-over that a volunteer saw.
        (Record.LETTER, letter.POSTED, letter.DELIVERED, volunteer | worker, None),
        # A reply proves the delivery, also where the volunteer forgot to mark the batch.
        (Record.LETTER, letter.APPROVED, letter.DELIVERED, worker, None),
        (Record.LETTER, letter.PRINTED, letter.DELIVERED, worker, None),
        # Back from the post, also where nobody had noted that it was posted.
        *(
            (Record.LETTER, state, letter.RETURNED, volunteer, MailKind.RETURNED)
            for state in (letter.PRINTED, letter.POSTED)
        ),
        (Record.LETTER, letter.RETURNED, letter.HELD, volunteer, None),
        *((Record.LETTER, state, letter.WITHDRAWN, sender, None) for state in WITHDRAWABLE),
        (Record.LETTER, None, letter.BEGUN, volunteer, None),
        # By its sender, or when its time is over.
        *(
            (Record.LETTER, state, letter.ERASED, sender | worker, None)
            for state in LetterState
            if state != letter.ERASED
        ),
        (Record.BATCH, None, batch.OPEN, volunteer, None),
        (Record.BATCH, batch.OPEN, batch.RENDERED, worker, None),
        (Record.BATCH, batch.RENDERED, batch.PRINTED, volunteer, None),
        (Record.BATCH, batch.PRINTED, batch.POSTED, volunteer, None),
        (Record.SCAN, None, scan.RECEIVED, volunteer | worker, None),
        (Record.SCAN, scan.RECEIVED, scan.SPLIT, worker, None),
        (Record.SCAN, scan.RECEIVED, scan.REJECTED, worker, None),
        # The machine may have more memory or time by now.
        (Record.SCAN, scan.REJECTED, scan.RECEIVED, volunteer, None),
        (Record.PAGE, None, page.WAITING, worker, None),
        *(
            (Record.PAGE, page.WAITING, state, worker, None)
            for state in (page.PLACED, page.UNMATCHED, page.HELD, page.VOID)
        ),
        *((Record.PAGE, state, page.PLACED, volunteer, None) for state in (page.UNMATCHED, page.HELD)),
        # By a volunteer, or when its time is over.
        *((Record.PAGE, state, page.VOID, volunteer | worker, None) for state in (page.UNMATCHED, page.HELD)),
        # Back to the heap: what was taken for empty or for nobody's, and what got into the wrong reply.
        (Record.PAGE, page.VOID, page.UNMATCHED, volunteer, None),
        # Also out of the reply to a conversation that its sender erases.
        (Record.PAGE, page.PLACED, page.HELD, sender | volunteer, None),
        (Record.REPLY, None, reply.OPEN, volunteer | worker, None),
        # By the volunteer who begins a conversation with it: somebody has looked at it then.
        (Record.REPLY, reply.OPEN, reply.CHECKED, volunteer | worker, None),
        (Record.REPLY, reply.OPEN, reply.HELD, worker, None),
        (Record.REPLY, reply.HELD, reply.CHECKED, volunteer, None),
        # Its last page was taken out.
        *((Record.REPLY, state, reply.VOID, volunteer, None) for state in (reply.OPEN, reply.HELD)),
        (Record.REPLY, reply.CHECKED, reply.RELEASED, worker, MailKind.REPLY),
        *((Record.REPLY, state, reply.ERASED, sender | worker, None) for state in ReplyState if state != reply.ERASED),
    ]
    return {(row[0], row[1], row[2]): Transition(*row) for row in rows}


READING: Final = (LetterState.QUEUED, LetterState.SECOND_READING)
"""States in which a letter waits for somebody to read it."""
REVIEWED: Final = (LetterState.TRANSLATING, *READING)
"""States in which a letter is with the review."""
DECIDED: Final = (LetterState.APPROVED, LetterState.CHANGES_REQUESTED, LetterState.REFUSED)
"""States into which the review puts a letter."""
CONFIRMED: Final = (LetterState.QUEUED, LetterState.BEGUN)
"""States through which a letter goes that needs no confirmation any more."""
WITHDRAWABLE: Final = (
    LetterState.UNCONFIRMED,
    *REVIEWED,
    *DECIDED,
    LetterState.HELD,
)
"""States in which the sender may take a letter back: an approved one while its batch is not rendered, a refused one
while that can be undone, because until then the sender is not told of it."""

SENT: Final = frozenset(
    {
        LetterState.APPROVED,
        LetterState.PRINTED,
        LetterState.POSTED,
        LetterState.DELIVERED,
        LetterState.RETURNED,
        LetterState.HELD,
        LetterState.ERASED,
    }
)
"""States in which the reply sheet of a letter can be out there, once its pages are rendered.

Approved and held ones too: marking a batch may be forgotten, and a letter may be stopped after it was printed. Of an
erased one the code is kept for a while, so that an answer to it is known for what it is.
"""

ANSWERABLE: Final = SENT - {LetterState.ERASED}
"""Those of them in which an answer goes to the sender."""

TRANSITIONS: Final = _table()

SENTENCES: Final[dict[LetterState, str]] = {
    LetterState.UNCONFIRMED: _("Waiting for your confirmation. We do nothing with this letter before that."),
    LetterState.TRANSLATING: _("A volunteer translates it into a language that the prison accepts."),
    LetterState.QUEUED: _("Confirmed. A volunteer will read it before it is printed."),
    LetterState.SECOND_READING: _("Read once. A second volunteer will read it too."),
    LetterState.CHANGES_REQUESTED: _("A volunteer asks you to change something. The reason is below."),
    LetterState.REFUSED: _("A volunteer could not accept this letter. The reason is below."),
    LetterState.APPROVED: _("Read and accepted. It will be printed next."),
    LetterState.PRINTED: _("Printed. It will be posted next."),
    LetterState.POSTED: _("On its way to the prison."),
    LetterState.DELIVERED: _("Delivered."),
    LetterState.WITHDRAWN: _("You took this letter back. It will not be sent."),
    LetterState.HELD: _("Stopped for now: the address has to be checked. A volunteer is looking into it."),
    LetterState.RETURNED: _("This letter came back to us."),
    LetterState.EXPIRED: _("This letter was never confirmed and has been deleted."),
    LetterState.BEGUN: _("This conversation began with a letter from prison."),
    LetterState.ERASED: _("This letter was erased."),
}
"""What the sender reads about a letter in each state."""


class ForbiddenTransitionError(Exception):
    """A step that the table lacks, or that this actor may not make."""

    def __init__(self, record: Record, source: str | None, target: str, who: Who) -> None:
        """Name the step and the actor in the message."""
        super().__init__(f"a {record} cannot go from {source or 'nothing'} to {target} by a {who}")


def transition(record: Record, source: State | None, target: State, who: Who) -> Transition:
    """The transition from the table. Raises ForbiddenTransitionError where there is none or `who` may not make it."""
    found = TRANSITIONS.get((record, source, target))
    if found is None or who not in found.by:
        raise ForbiddenTransitionError(record, source, target, who)
    return found
