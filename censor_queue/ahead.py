"""The next letter is there at once: its pages are rendered while the volunteer reads the one before.

Pictures of pages are kept in memory only, and no longer than a volunteer holds the letter.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from aiohttp import web

from censor_queue import claims
from censor_queue.claims import LetterToReview
from censor_queue.review import REVIEW, Review
from relay.domain.addresses import postal_lines
from relay.domain.letters import printed_text
from relay.log import failed
from relay.store.letters import printable, read_photos

_Result = TypeVar("_Result")

BYTES_KEPT: Final = 64_000_000
"""Pictures of several hundred letters: a page of text takes about 50 kB, one with a photo up to 1 MB."""


@dataclass(slots=True)
class _Pages:
    """The pages of one letter, rendered or being rendered."""

    version: str
    rendering: asyncio.Task[list[bytes]]
    end: asyncio.TimerHandle
    size: int = 0


class Ahead:
    """The rendered pages of the letters that volunteers hold, and of those that they will read next."""

    def __init__(self, review: Review) -> None:
        """Begin with nothing."""
        self._review = review
        self._kept: dict[str, _Pages] = {}
        self._running: dict[asyncio.Task[Any], str] = {}

    async def pages(self, letter: LetterToReview) -> list[bytes]:
        """The pages of a held letter without its reply sheets, as PNG pictures.

        Raises SealBrokenError and BlobMissingError for its photos, and as `LetterPages.preview` does.
        """
        kept, version = self._kept.get(letter.id), _version(letter)
        self.forget(letter.id)  # what was asked for last goes to the end, and is dropped last
        if kept is None or kept.version != version:
            kept = _Pages(version, self._start(self._render(letter)), self._end_of(letter))
            kept.rendering.add_done_callback(lambda task: self._rendered(letter.id, task))
        else:
            kept.end = self._end_of(letter)
        self._kept[letter.id] = kept
        # Shielded: a browser that goes away must not stop what others wait for.
        return await asyncio.shield(kept.rendering)

    def make_ready(self, volunteer_id: str, letter: LetterToReview) -> None:
        """In the background, render this letter, and claim and render the one that this volunteer will read next."""
        self._start(self._logged(self.pages(letter), letter.id), volunteer_id)
        self._start(self._logged(self._next(volunteer_id), letter.id), volunteer_id)

    async def _next(self, volunteer_id: str) -> None:
        following = await claims.claim_ahead(self._review, volunteer_id)
        if following is not None:
            await self.pages(following)

    async def _logged(self, work: Awaitable[object], letter_id: str) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - nobody waits for it; the screen says so when it is asked for
            failed("review_not_made_ready", error, record=letter_id)

    def forget(self, letter_id: str) -> None:
        """Drop the pages of a letter that nobody reads any more."""
        if kept := self._kept.pop(letter_id, None):
            kept.end.cancel()

    async def stop(self, volunteer_id: str) -> None:
        """Claim nothing more for a volunteer who goes."""
        await _cancelled([task for task, owner in self._running.items() if owner == volunteer_id])

    async def close(self) -> None:
        """Stop what runs, and drop everything."""
        await _cancelled(list(self._running))
        for letter_id in list(self._kept):
            self.forget(letter_id)

    def _start(self, work: Coroutine[Any, Any, _Result], owner: str = "") -> asyncio.Task[_Result]:
        task = asyncio.create_task(work)
        self._running[task] = owner
        task.add_done_callback(lambda task: self._running.pop(task, None))
        return task

    async def _render(self, letter: LetterToReview) -> list[bytes]:
        review, treatment = self._review, letter.treatment
        photos: tuple[bytes, ...] = ()
        if not treatment.without_photos:
            photos = await read_photos(review.store, letter.id, letter.body, review.office)
        body = letter.body.model_copy(update={"text": printed_text(letter.body, treatment)})
        written_on = letter.written_at.date()
        rules = review.screening.rules_of(letter.known.facility).printing
        shown = printable(letter.known, body, letter.code, written_on, review.return_address, 0, rules, photos)
        address = postal_lines(letter.known.prisoner, letter.known.facility) if rules.window else ()
        return await review.pages.preview(replace(shown, address=address))

    def _rendered(self, letter_id: str, task: asyncio.Task[list[bytes]]) -> None:
        done = not task.cancelled() and task.exception() is None
        kept = self._kept.get(letter_id)
        if kept is None or kept.rendering is not task:
            return
        if not done:
            self.forget(letter_id)  # the next who asks tries again
        else:
            kept.size = sum(len(page) for page in task.result())
            while sum(one.size for one in self._kept.values()) > BYTES_KEPT:
                self.forget(next(iter(self._kept)))

    def _end_of(self, letter: LetterToReview) -> asyncio.TimerHandle:
        left = letter.held_until - self._review.store.database.clock()
        return asyncio.get_running_loop().call_later(left.total_seconds(), self.forget, letter.id)


def _version(letter: LetterToReview) -> str:
    """What is printed of a letter, in short. With `waits_since` it changes whenever the sender may have written."""
    printed = (letter.known, printed_text(letter.body, letter.treatment), letter.printed_name, letter.photos)
    seen = repr((printed, letter.treatment.without_photos, letter.waits_since))
    return hashlib.sha256(seen.encode()).hexdigest()


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


AHEAD: Final = web.AppKey("ahead", Ahead)


async def keeping_ahead(site: web.Application) -> AsyncIterator[None]:
    """Have an Ahead for the site while it runs; for `cleanup_ctx`."""
    site[AHEAD] = Ahead(site[REVIEW])
    yield
    await site[AHEAD].close()
