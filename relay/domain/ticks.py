"""What the tick boxes of a reply sheet say, and what follows from each."""

from __future__ import annotations

from typing import Final

from relay.domain.sheet import Tick


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


TICK_WORDS: Final[dict[Tick, str]] = {
    Tick.ALL_PAGES: _("I have all pages of the letter"),
    Tick.PAGES_MISSING: _("Pages of the letter are missing"),
    Tick.NEED_PAPER: _("I need paper, envelopes, stamps"),
    Tick.BEING_MOVED: _("I am being moved"),
    Tick.WRITE_AGAIN: _("Please write again"),
    Tick.PLEASE_STOP: _("Please do not write any more"),
    Tick.FORWARD: _("Show my answer to my other correspondents too"),
}
"""What is printed beside each box."""
FOR_SENDER: Final[dict[Tick, str]] = {
    Tick.PAGES_MISSING: _("A volunteer can print your letter once more."),
    Tick.NEED_PAPER: _("The volunteers know of it too. Please ask them before you send something."),
    Tick.BEING_MOVED: _("We check the address before the next letter goes."),
    Tick.PLEASE_STOP: _("Letters are stopped until a volunteer has looked into it."),
    Tick.FORWARD: _("Volunteers decide whether others who write to this prisoner see it too."),
}
"""What the sender reads beside it; the other ticks speak for themselves."""
ABOUT_THE_PRISONER: Final = frozenset({Tick.NEED_PAPER, Tick.BEING_MOVED})
"""The ticks that concern everybody who gets a forwarded answer; the others are about the letter that it answers."""
